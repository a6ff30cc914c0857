"""What one uploader can cost: small files that are made to take long, or much memory.

Each is put beside a sound model and examined in a process of its own. The aim is half a second of
processor time and 64 MB for each file; the bounds here are wider, because machines differ. A limit
that is reached is told as the tool's: the verdict is unknown, and no message accuses the file.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.builders import weights
from tests.costs import WEIGHTS, cost_of
from tests.servers import WebServer

_SECONDS = 2.0
_MEGABYTES = 128.0
MB = 1 << 20
Files = dict[str, bytes]
TOKENIZER = "tokenizer_config.json"
REMOTE_CODE = b'{"auto_map": {"AutoModel": "x.Y"}}'


def _filled(unit: bytes | str, size: int, head: bytes = b"", tail: bytes = b"") -> bytes:
    """Return so many bytes: a text over and over, between a head and a tail."""
    raw = unit.encode() if isinstance(unit, str) else unit
    return head + raw * ((size - len(head) - len(tail)) // len(raw)) + tail


def _listed(unit: str, size: int) -> bytes:
    return _filled(unit, size, b'{"a": [', b"0]}")


def _card(body: bytes) -> Files:
    return {"README.md": b"---\n" + body + b"\n---\n"}


def _lines(line: str, count: int) -> bytes:
    return "\n".join(line.format(number) for number in range(count)).encode()


def _module(source: bytes) -> Files:
    return {"config.json": REMOTE_CODE, "x.py": source}


def _template(unit: str, head: str = "", tail: str = "") -> Files:
    return {"chat_template.jinja": _filled(unit, 130_000, head.encode(), tail.encode())}


def _metadata(values: dict[str, str]) -> Files:
    return {"m.safetensors": weights([("a", "F32", (2, 2))], values)}


_VALUES = "sbom/unexamined: {name}: it has about"
_MEMORY = "sbom/unexamined: {name}: parsing it takes more than the 56 MB"
_CARD = "sbom/unexamined: README.md: the front matter cannot be read: "
_PARTS = _CARD + "it has more than 220,000 parts"
_LICENCE = "sbom/unexamined: README.md:license is longer than what is examined of a licence"
_TOKENS = "template/unexamined: chat_template.jinja was not examined: it "
_UNPARSED = "code/unparsed: imports of x.py were found by their text alone: "

BEYOND: dict[str, tuple[Callable[[], Files], str]] = {
    "json-lists-of-empty-objects": (
        lambda: {TOKENIZER: _listed("[{},{}],", 16 * MB - 10)},
        _VALUES.format(name=TOKENIZER),
    ),
    "json-empty-lists": (
        lambda: {TOKENIZER: _listed("[],", 16 * MB - 10)},
        _VALUES.format(name=TOKENIZER),
    ),
    "json-empty-lists-in-utf-16": (
        lambda: {TOKENIZER: _filled("[],".encode("utf-16-le"), 16 * MB - 10, b"{\0", b"}\0")},
        _VALUES.format(name=TOKENIZER),
    ),
    "json-small-numbers": (
        lambda: {TOKENIZER: _listed("9,", 16 * MB - 10)},
        _VALUES.format(name=TOKENIZER),
    ),
    "json-small-texts": (
        lambda: {TOKENIZER: _listed('"é",', 16 * MB - 10)},
        _VALUES.format(name=TOKENIZER),
    ),
    "json-a-million-keys": (
        lambda: {TOKENIZER: b"{" + _lines('"{0:x}":0,', MB) + b'"b":0}'},
        _VALUES.format(name=TOKENIZER),
    ),
    "json-objects-of-one-key": (
        lambda: {"config.json": _listed('{"a":0},', 8 * MB - 10)},
        _VALUES.format(name="config.json"),
    ),
    "json-one-key-over-and-over": (
        lambda: {"config.json": _filled('"license":"a",', 8 * MB - 10, b"{", b'"b":0}')},
        _VALUES.format(name="config.json"),
    ),
    "json-one-wide-letter-in-a-long-text": (
        lambda: {TOKENIZER: _filled("a", 16 * MB - 10, b'{"a":"', '😀"}'.encode())},
        _MEMORY.format(name=TOKENIZER),
    ),
    "json-many-templates": (
        lambda: {
            TOKENIZER: _filled(
                '{"name":"a","template":"{{x}}"},', 16 * MB - 10, b'{"chat_template":[', b"0]}"
            )
        },
        f"template/unexamined: chat templates in {TOKENIZER} are not examined: it has about",
    ),
    "json-twenty-versions": (
        lambda: {f"config.{n}.json": _listed("[],", 300_000) for n in range(20)},
        "sbom/unexamined: config.9.json: the model's files together take more than",
    ),
    "yaml-flow-sequence": (lambda: _card(_filled("a,", 4 * MB - 100, b"a: [", b"1]")), _PARTS),
    "yaml-flow-mapping": (lambda: _card(_filled("a: 1,", 4 * MB - 100, b"a: {", b"b: 1}")), _PARTS),
    "yaml-keys": (lambda: _card(_lines("k{0:x}: 1", 350_000)), _PARTS),
    "yaml-anchors": (lambda: _card(b"a:\n" + _lines("- &a{0:x} b", 300_000)), _PARTS),
    "yaml-aliases": (lambda: _card(b"a: &a b\nc:\n" + _lines("- *a", 700_000)), _PARTS),
    "yaml-tags": (lambda: _card(b"a:\n" + _lines("- !x{0:x} b", 300_000)), _PARTS),
    "yaml-base-models": (lambda: _card(b"base_model:\n" + _lines("- a/a{0:x}", 350_000)), _PARTS),
    "yaml-one-base-model-over-and-over": (
        lambda: _card(_lines("base_model: a/a{0:x}", 180_000)),
        _PARTS,
    ),
    "yaml-nesting": (
        lambda: _card(b"a: " + b"[" * MB + b"]" * MB),
        _CARD + "it is nested too deeply",
    ),
    "yaml-licences": (lambda: _card(b"license:\n" + _lines("- a{0:x}", 200_000)), _LICENCE),
    "yaml-licence-of-4-MB": (
        lambda: _card(_filled("mit or ", 4 * MB - 100, b"license: ", b"mit")),
        _LICENCE,
    ),
    "yaml-licence-link-of-4-MB": (
        lambda: _card(_filled("a/", 4 * MB - 100, b"license: other\nlicense_link: https://")),
        _LICENCE,
    ),
    "metadata-licences": (
        lambda: _metadata({f"a{n}.license": f"m{n}" for n in range(50_000)}),
        "sbom/unexamined: safetensors:__metadata__.a99.license is longer than what is examined",
    ),
    "metadata-base-models": (
        lambda: _metadata({"merged_from": ",".join(f"a/b{n}" for n in range(500_000))}),
        "sbom/unexamined: the metadata names more than 10,000 base models",
    ),
    "metadata-recipe": (
        lambda: _metadata({"sd_merge_recipe": _listed("[],", 3 * MB).decode()}),
        "sbom/unexamined: sd_merge_recipe is not read: it has about",
    ),
    "python-from-from-from": (
        lambda: _module(b"from . " * (MB // 7)),
        "code/unexamined: not all imports of x.py were followed: it is larger than 262144 bytes",
    ),
    "python-imports": (
        lambda: _module(b"import a\n" * 29_000),
        "code/unexamined: not all imports of x.py were followed: it has more than 60,000 tokens",
    ),
    "jinja-list": (lambda: _template("1,", "{{[", "]}}"), _TOKENS + "has more than 50,000 tokens"),
    "jinja-filters": (lambda: _template("|upper", "{{x", "}}"), _TOKENS + "has too many parts"),
    "jinja-blocks": (lambda: _template("{% if x %}"), _TOKENS + "is nested too deeply"),
    "jinja-number": (
        lambda: _template("9", "{{", "}}"),
        _TOKENS + "has a number that is too long",
    ),
}
"""Files beyond a limit of the tool, and what it says."""

WITHIN: dict[str, tuple[Callable[[], Files], str]] = {
    "json-escapes": (lambda: {TOKENIZER: _filled("\\u00e9", 8 * MB, b'{"a":"', b'"}')}, ""),
    "json-long-floats": (
        lambda: {"config.json": _listed("0." + "9" * 4000 + ",", 8 * MB - 10)},
        "",
    ),
    "json-long-whole-numbers": (
        lambda: {"config.json": _listed("9" * 4300 + ",", 8 * MB - 10)},
        "",
    ),
    "json-spaces": (lambda: {TOKENIZER: _filled(" ", 16 * MB - 10, b'{"a":', b"0}")}, ""),
    "json-objects-in-objects": (
        lambda: {"config.json": b"{" + _lines('"{0:x}":{{"b":1}},', 80_000) + b'"c":0}'},
        "",
    ),
    "yaml-colons": (lambda: _card(_filled("1:", 250_000, b"a: ", b"1")), ""),
    "yaml-short-keys": (lambda: _card(_filled("1:\n", 250_000)), "sbom/duplicate-key"),
    "yaml-quoted-escapes": (lambda: _card(_filled("\\x41", 4 * MB - 100, b'a: "', b'"')), ""),
    "yaml-block-scalar": (lambda: _card(_filled("  a\n", 4 * MB - 100, b"a: |\n", b"  b")), ""),
    "yaml-languages": (lambda: _card(b"language:\n" + _lines("- a{0:x}", 100_000)), ""),
    "yaml-base-models": (lambda: _card(b"base_model:\n" + _lines("- a/a{0:x}", 100_000)), ""),
    "yaml-datasets": (lambda: _card(b"datasets:\n" + _lines("- a/a{0:x}", 100_000)), ""),
    "licence-of-accents": (
        lambda: {"LICENSE": b"a" + ("\u0301\u0323" * 60_000).encode()},
        "sbom/license-unknown",
    ),
    "licence-of-ligatures": (
        lambda: {"LICENSE": ("\ufdfa" * 80_000).encode()},
        "sbom/license-unknown",
    ),
    "python-statements": (lambda: _module(b"a\n" * 131_000), _UNPARSED),
    "python-formatted-string": (
        lambda: _module(b"x=f'" + b"a" * 180_000 + b"{a}" * 19_000 + b"'"),
        _UNPARSED,
    ),
    "python-accents": (lambda: _module(b"a" + ("\u0301\u0323" * 250_000).encode()), _UNPARSED),
    "python-brackets": (lambda: _module(b"(" * 262_000), _UNPARSED),
    "python-signs": (lambda: _module(b"x=" + b"-" * 59_000 + b"1"), _UNPARSED),
    "jinja-doubling": (lambda: _template("{% set a = a + a %}", "{% set a = [1] %}"), ""),
    "jinja-repetition": (lambda: _template("{{'a'*99999999}}"), ""),
    "jinja-ranges": (lambda: _template("{% for i in range(99999999) %}{{i}}{% endfor %}"), ""),
    "checksums-empty-lines": (lambda: {"SHA256SUMS": b"\n" * (4 * MB - 10)}, ""),
    "checksums-blank-lines": (lambda: {"SHA256SUMS": (b"a" + b" " * 4200 + b"x\n") * 900}, ""),
    "checksums-near-matches": (
        lambda: {"SHA256SUMS": (b"SHA256 (" + b") = " * 1000 + b"\n") * 900},
        "",
    ),
    "checksums-titles": (lambda: {"SHA256SUMS": (b"SHA256 " + b"of " * 1400 + b"\n") * 900}, ""),
    "metadata-keys": (lambda: _metadata({f"k{n}": "v" for n in range(50_000)}), ""),
    "metadata-base-models": (
        lambda: _metadata({"merged_from": ",".join(f"a/b{n}" for n in range(5_000))}),
        "",
    ),
}
"""Files that are examined whole, or of which a part that decides nothing is left out."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "m.safetensors").write_bytes(WEIGHTS)
    return tmp_path


def _write(folder: Path, files: Files) -> None:
    for name, data in files.items():
        (folder / name).write_bytes(data)


@pytest.mark.parametrize(("make", "message"), BEYOND.values(), ids=BEYOND)
def test_a_limit_is_told_as_ours(folder: Path, make: Callable[[], Files], message: str) -> None:
    _write(folder, make())
    cost = cost_of(str(folder))
    assert cost.seconds < _SECONDS
    assert cost.megabytes < _MEGABYTES
    assert any(message in one for one in cost.messages), cost.messages
    assert cost.statuses == ("unknown",)
    accusations = ("neighbour-invalid", "front-matter-invalid", "template/invalid")
    assert not any(code in one for one in cost.messages for code in accusations)


@pytest.mark.parametrize(("make", "message"), WITHIN.values(), ids=WITHIN)
def test_what_is_within_the_limits_costs_little(
    folder: Path, make: Callable[[], Files], message: str
) -> None:
    _write(folder, make())
    cost = cost_of(str(folder))
    assert cost.seconds < _SECONDS
    assert cost.megabytes < _MEGABYTES
    assert any(message in one for one in cost.messages) or not message, cost.messages


def test_a_tokenizer_of_65_000_added_tokens_passes(folder: Path) -> None:
    flags = dict.fromkeys(("lstrip", "normalized", "rstrip", "single_word"), False)
    tokens = {
        str(number): {"content": f"<|s_{number}|>", **flags, "special": True}
        for number in range(65_536)
    }
    config = {"added_tokens_decoder": tokens, "chat_template": "{{ messages }} 😀"}
    text = json.dumps(config, indent=2, ensure_ascii=False)
    (folder / TOKENIZER).write_text(text)
    cost = cost_of(str(folder))
    assert (cost.statuses, cost.messages) == (("passed",), ())
    assert cost.seconds < _SECONDS
    assert cost.megabytes < _MEGABYTES


def test_added_tokens_hide_nothing(folder: Path) -> None:
    entries = ",".join(f'"{number}":{{"content":"a"}}' for number in range(200_000))
    escape = json.dumps("{{ x.__class__ }}")
    raw = f'{{"added_tokens_decoder":{{{entries}}},"chat_template":{escape}}}'
    (folder / TOKENIZER).write_text(raw)
    cost = cost_of(str(folder))
    assert cost.statuses == ("failed",)
    assert any(one.startswith("template/escape") for one in cost.messages)


def test_an_index_that_names_half_a_million_files(folder: Path) -> None:
    names = ",".join(f'"t{number}":"s{number}.safetensors"' for number in range(500_000))
    (folder / "model.safetensors.index.json").write_text(f'{{"weight_map":{{{names}}}}}')
    cost = cost_of(str(folder))
    assert any(one.startswith("set/unexamined: the index: it names more") for one in cost.messages)
    assert "unknown" in cost.statuses
    assert cost.seconds < 2 * _SECONDS


def test_sets_with_many_missing_shards(tmp_path: Path) -> None:
    for number in range(500):
        (tmp_path / f"m{number}-00001-of-99999.safetensors").write_bytes(WEIGHTS)
    cost = cost_of(str(tmp_path))
    assert cost.statuses == ("failed",) * 500
    assert cost.seconds < 4 * _SECONDS
    assert all(len(one) < 200 for one in cost.messages)


class TestFolderPages:
    @pytest.fixture
    def site(self, folder: Path) -> Iterator[WebServer]:
        with WebServer(folder) as site:
            yield site

    @pytest.mark.parametrize(
        "page",
        [
            b"<a" + b" " * 2_000,
            b"<a" + b" " * 3 * MB,
            b"<a href='x" * 300_000,
            b'<a "' * MB,
            b"<!--" * MB,
            b"<script>" * (MB // 2),
            b"<a " * MB,
        ],
        ids=["blanks", "more-blanks", "quotes", "bare-quotes", "comments", "scripts", "attributes"],
    )
    def test_a_page_is_read_in_linear_time(self, site: WebServer, page: bytes) -> None:
        site.pages["/"] = b'<a href="m.safetensors">' + page
        cost = cost_of(site.url)
        assert "passed" in cost.statuses
        assert cost.seconds < _SECONDS
        assert cost.megabytes < _MEGABYTES

    @pytest.mark.parametrize(
        ("page", "message"),
        [
            (b" " * 300 * MB, "its page is larger than the 4,194,304 bytes that are read"),
            (b"<a>" * 300_000, "its page has more than 262,144 tags and attributes"),
        ],
        ids=["300-MB", "tags"],
    )
    def test_a_page_beyond_the_limit_is_told(
        self, site: WebServer, page: bytes, message: str
    ) -> None:
        site.pages["/"] = b'<a href="m.safetensors">' + page
        cost = cost_of(site.url)
        assert sorted(cost.statuses) == ["passed", "unknown"]
        assert any(one.startswith("storage/unexamined") and message in one for one in cost.messages)
        assert cost.seconds < _SECONDS
        assert cost.megabytes < _MEGABYTES
