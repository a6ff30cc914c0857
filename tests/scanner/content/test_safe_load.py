"""Encodings, limits and constructs of the files beside a model, held against what loaders take."""

import json
from pathlib import Path

import pytest

from prefect_mutagen.scanner import scan
from prefect_mutagen.scanner.content.neighbours import (
    Neighbours,
    read_neighbours,
    read_up_to,
)
from prefect_mutagen.scanner.content.read_limits import LIMITS
from prefect_mutagen.scanner.content.template_places import holds_templates
from tests.builders import gguf

CARD = "---\nlicense: {}\n---\n# A model\n"


def _read(**files: str | bytes) -> Neighbours:
    names = {"config_json": "config.json", "README_md": "README.md"}
    return read_neighbours(
        {
            names[name]: (f"/m/{names[name]}", data.encode() if isinstance(data, str) else data)
            for name, data in files.items()
        }
    )


def _stated(neighbours: Neighbours, field: str) -> tuple[object, str] | None:
    stated = neighbours.before.get(field) or neighbours.behind.get(field)
    return None if stated is None else tuple(stated)


JSON = b'{"model_type": "llama", "vocab_size": 7}'


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"\xef\xbb\xbf" + JSON, id="bom"),
        pytest.param(JSON.decode().encode("utf-16"), id="utf-16"),
        pytest.param(JSON.decode().encode("utf-16-le"), id="utf-16-without-mark"),
        pytest.param(JSON.decode().encode("utf-16-be"), id="utf-16-be"),
        pytest.param(JSON.decode().encode("utf-32"), id="utf-32"),
    ],
)
@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "adapter_config.json"])
def test_an_encoding_that_loaders_refuse_is_an_error_and_is_read(
    tmp_path: Path, name: str, raw: bytes
) -> None:
    (tmp_path / name).write_bytes(raw)
    with (
        open(tmp_path / name, encoding="utf-8") as file,  # as transformers opens it
        pytest.raises(ValueError, match=r"BOM|decode|Expecting"),
    ):
        json.load(file)
    neighbours = read_neighbours({name: (f"/m/{name}", raw)})
    (finding,) = neighbours.findings
    assert (finding.code, finding.severity) == ("sbom/neighbour-invalid", "error")
    assert "loaders re" in finding.message
    if name == "config.json":
        assert _stated(neighbours, "architecture") == ("llama", "config.json:model_type")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('{"model_type": "llama", "x": [Infinity, -Infinity, NaN]}', id="infinity"),
        pytest.param('{"model_type": "llama", "x": %s}' % ("9" * 400), id="400-digits"),
        pytest.param('{"model_type": "llama", "x": "\\ud800"}', id="lone-surrogate"),
        pytest.param('{"model_type": "llama", "x": 1e999}', id="float-too-large"),
        pytest.param('\r\n\t{"model_type":\t"llama"}\r\n', id="white-space"),
        pytest.param('{"model_type": "llama", "x": %s}' % ("[" * 200 + "]" * 200), id="deep"),
        pytest.param('{"model_type": "llama", "x": "\ufeff"}', id="mark-inside"),
    ],
)
def test_what_pythons_json_takes_is_taken(text: str) -> None:
    assert json.loads(text)
    neighbours = _read(config_json=text)
    assert neighbours.findings == ()
    assert _stated(neighbours, "architecture") == ("llama", "config.json:model_type")


@pytest.mark.parametrize("name", sorted(set(LIMITS) - {"README.md", "chat_template.jinja"}))
def test_a_file_beyond_the_limit_is_not_examined(name: str) -> None:
    raw = b"{}" + b" " * (LIMITS[name] - 2)
    finding, *more = read_neighbours({name: (f"/m/{name}", raw)}).findings
    assert (finding.code, finding.severity) == ("sbom/unexamined", "error")
    # What loaders take templates from hides them.
    assert [one.code for one in more] == ["template/unexamined"] * holds_templates(name)
    assert read_neighbours({name: (f"/m/{name}", raw[:-1])}).findings == ()


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        ("a: " + "[" * 120 + "]" * 120, "nested too deeply"),
        ("a: &x [1]\nlicense: *x", "an alias"),
        ("<<: {license: mit}", "a merge key"),
    ],
    ids=["deep", "alias-of-a-list", "merge-key"],
)
def test_what_the_hub_reads_and_we_do_not_is_unexamined(block: str, problem: str) -> None:
    (finding,) = _read(README_md=f"---\n{block}\n---\n").findings
    assert (finding.code, finding.severity) == ("sbom/unexamined", "error")
    assert problem in finding.message


def test_an_alias_of_a_scalar_is_what_it_stands_for() -> None:
    neighbours = _read(README_md="---\nx: &name cc-by-nc-4.0\nlicense: *name\n---\n")
    assert _stated(neighbours, "license") == ("cc-by-nc-4.0", "README.md:license")
    assert neighbours.findings == ()


def test_a_card_in_utf_16_is_read_and_named() -> None:
    neighbours = _read(README_md=CARD.format("mit").encode("utf-16"))
    assert _stated(neighbours, "license") == ("mit", "README.md:license")
    (finding,) = neighbours.findings
    assert finding.code == "sbom/front-matter-invalid"
    assert "UTF-16" in finding.message


@pytest.mark.parametrize("start", ["", "\ufeff", "\n", "  \n\n", "\ufeff\r\n"])
def test_a_card_may_start_with_white_space(start: str) -> None:
    neighbours = _read(README_md=start + CARD.format("mit"))
    assert _stated(neighbours, "license") == ("mit", "README.md:license")


@pytest.mark.parametrize(
    ("raw", "upto"),
    [
        (b"---\nlicense: mit\n---\n" + b"x" * 100, 0),
        (b"# A title\n" + b"x" * 100, 0),
        (b"---\nlicense: mit\n" + b"x" * 100, 400),
        (b"\n\n", 4),
        (b"", 0),
    ],
    ids=["closed", "none", "open", "white-space", "empty"],
)
def test_a_card_is_read_on_while_its_front_matter_is_open(raw: bytes, upto: int) -> None:
    assert read_up_to("README.md", raw, 1000) >= min(upto, 1000)
    assert (read_up_to("README.md", raw, 1000) > len(raw)) == (upto > 0)
    assert read_up_to("config.json", raw, 1000) == len(raw)
    assert read_up_to("README.md", raw, len(raw)) == len(raw)


@pytest.mark.parametrize("size", [100_000, 1_000_000, 3_000_000])
def test_a_card_with_a_long_front_matter_is_read(tmp_path: Path, size: int) -> None:
    tags = "".join(f"- tag-{number:07}\n" for number in range(size // 14))
    (tmp_path / "README.md").write_text(f"---\ntags:\n{tags}license: cc-by-nc-4.0\n---\n")
    (tmp_path / "m.gguf").write_bytes(gguf().data)
    (result,) = scan(str(tmp_path))
    assert (result.sbom.license, result.verdict.status) == ("cc-by-nc-4.0", "passed")


def test_a_card_beyond_the_limit_leaves_the_verdict_unknown(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("---\n" + "- tag-0000000\n" * 400_000 + "---\n")
    (tmp_path / "m.gguf").write_bytes(gguf().data)
    (result,) = scan(str(tmp_path))
    assert [finding.code for finding in result.findings] == ["sbom/unexamined"]
    assert result.verdict.status == "unknown"
    assert "fetch" not in result.findings[0].hint.lower()
