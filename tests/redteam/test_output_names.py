"""One odd file name, or text, silences no gate that reads an output.

The attempt: drop a file whose name is not UTF-8, or a lone surrogate in a file's content, so that
strict readers reject the whole report, the table or an agent's handoff; or give one file the shown
name of another.
"""

import csv
import io
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

import orjson
import pytest
from jsonschema import Draft202012Validator

from prefect_mutagen.scanner import Policy, ScanResult, scan, verify
from prefect_mutagen.scanner.agents.handoff import encode, handoff_of, variables_of
from prefect_mutagen.scanner.commands.cli import main
from prefect_mutagen.scanner.outputs import FORMATS
from prefect_mutagen.scanner.storage.address import Address
from prefect_mutagen.scanner.storage.names import (
    original_address,
    original_name,
    storable,
    storable_name,
)
from prefect_mutagen.tasks import AgentLaunch
from prefect_mutagen.tasks.agent_launch import AgentRun
from prefect_mutagen.tasks.run_names import short_name
from prefect_mutagen.tasks.scan_page import summary_markdown
from tests.builders import STRING, gguf, safetensors
from tests.scan_views import scan_view

GGUF = gguf().data
JSON_FORMATS = ("cyclonedx", "intoto", "json", "report", "sarif", "spdx-json", "spdx3")
ODD = "\x1b\x07\u202e\u2066\u2028\x9b"
"""What no output may hold as it is."""

NAMES: dict[str, bytes] = {
    "latin-1": b"caf\xe9.gguf",
    "one byte": b"\xff.gguf",
    "cut character": b"a\xe2\x82.gguf",
    "overlong slash": b"a\xc0\xafb.gguf",
    "surrogate in UTF-8": b"a\xed\xa0\x80.gguf",
    "beyond Unicode": b"a\xf4\x90\x80\x80.gguf",
    "shift-jis": "モデル".encode("shift-jis") + b".gguf",
    "with a percent sign": b"100%25\xe9.gguf",
    "with a query": b"a?x=1#\xe9.gguf",
    "with blanks and quotes": b"a b'\"\\\xe9.gguf",
    "with a newline": b"a\nb\xe9.gguf",
    "with a terminal's orders": b"\x1b]0;x\x07\xe9.gguf",
    "with a change of direction": "\u202efugg.\u2066".encode() + b"\xe9.gguf",
    "with C1 controls": "\x9b31m".encode() + b"\x9b\xe9.gguf",
    "like an address": b"file:\xe9.gguf",
}
HONEST: dict[str, bytes] = {
    "ascii": b"model.gguf",
    "scripts": "größe 模型 🧪.gguf".encode(),
    "percent signs": b"100% %41 %zz.gguf",
    "backslashes": b"a\\udce9.gguf",
}
TWINS: dict[str, tuple[bytes, ...]] = {
    "percent-encoded": (b"caf\xe9.gguf", b"caf%E9.gguf", b"caf%25E9.gguf", b"caf%e9.gguf"),
    "escaped": (b"caf\xe9.gguf", b"caf\\udce9.gguf", b"caf\\xe9.gguf"),
    "marked": (b"caf\xe9.gguf", b"file:caf%E9.gguf", b"file:caf%25E9.gguf", b"file:caf\xe9.gguf"),
    "replaced": (b"caf\xe9.gguf", b"caf\xe8.gguf", "caf\ufffd.gguf".encode(), b"caf?.gguf"),
    "the character itself": (b"caf\xe9.gguf", "café.gguf".encode(), "cafe\u0301.gguf".encode()),
}
"""Files that must not be shown by the same name."""


_FIELDS = {
    "json": ("model_path", "model_filename"),
    "jsonl": ("model_path", "model_filename"),
    "report": ("url", "model_path", "model_filename"),
    "cyclonedx": ("location",),
    "spdx3": ("software_downloadLocation",),
    "sarif": ("uri",),
    "intoto": ("location",),
}
"""Fields that tell files apart, by format."""


def _put(root: Path, *names: bytes, data: bytes = GGUF) -> str:
    root.mkdir(exist_ok=True)
    for name in names:
        try:
            Path(os.fsdecode(os.fsencode(root) + b"/" + name)).write_bytes(data)
        except OSError as problem:
            pytest.skip(f"the file system takes no such name: {problem}")
    return str(root)


def _read(raw: bytes) -> Any:
    """Read a document as strict readers do."""
    text = raw.decode("utf-8", "strict")
    document = orjson.loads(raw)
    assert json.loads(text) == document
    for part in _strings(document):
        part.encode("utf-8", "strict")
    return document


def _strings(part: Any) -> Iterator[str]:
    if isinstance(part, str):
        yield part
    elif isinstance(part, dict):
        for name, value in part.items():
            yield name
            yield from _strings(value)
    elif isinstance(part, list):
        for value in part:
            yield from _strings(value)


def _scan(form: str, root: str, tmp_path: Path) -> bytes:
    out = tmp_path / f"out.{form}"
    level = "full" if form == "intoto" else "stored"
    main(["scan", root, "--format", form, "--hash", level, "--output", str(out)])
    raw = out.read_bytes()
    text = raw.decode("utf-8", "strict")
    assert not set(ODD) & set(text), "nothing for a terminal to obey"
    return raw


@pytest.mark.parametrize("name", [*NAMES.values(), *HONEST.values()], ids=[*NAMES, *HONEST])
@pytest.mark.parametrize("form", sorted(FORMATS))
def test_every_format_stays_readable(form: str, name: bytes, tmp_path: Path) -> None:
    raw = _scan(form, _put(tmp_path / "root", name), tmp_path)
    if form in JSON_FORMATS:
        assert _read(raw)
    elif form == "jsonl":
        assert [_read(line) for line in raw.splitlines()]


def _file_of(url: str) -> bytes:
    """Return the path of a shown address, as a reader without this package finds it."""
    if url.startswith("file://"):
        return unquote_to_bytes(urlsplit(url).path)
    return url.encode()


@pytest.mark.parametrize("name", [*NAMES.values(), *HONEST.values()], ids=[*NAMES, *HONEST])
def test_the_file_is_found_by_its_shown_name(name: bytes, tmp_path: Path) -> None:
    root = _put(tmp_path / "root", name)
    path = os.fsencode(root) + b"/" + name
    (entry,) = _read(_scan("report", root, tmp_path))["artifacts"]
    assert entry["verdict"]["status"] == "passed"
    for shown in (entry["url"], entry["objects"][0]["url"], entry["sbom"]["model_path"]):
        assert _file_of(shown) == path
        assert Path(os.fsdecode(_file_of(shown))).read_bytes() == GGUF
        assert verify(shown, entry["pin"]).pin == entry["pin"]
    assert original_name(entry["sbom"]["model_filename"]) == os.fsdecode(name)
    if name in HONEST.values():
        assert entry["url"] == f"{root}/{name.decode()}"
        assert entry["sbom"]["model_filename"] == name.decode()


@pytest.mark.parametrize("names", TWINS.values(), ids=TWINS)
@pytest.mark.parametrize("form", sorted(_FIELDS))
def test_no_two_files_are_shown_by_one_name(
    form: str, names: tuple[bytes, ...], tmp_path: Path
) -> None:
    raw = _scan(form, _put(tmp_path / "root", *names), tmp_path)
    documents = [_read(line) for line in raw.splitlines()] if form == "jsonl" else [_read(raw)]
    for field in _FIELDS[form]:
        shown = [value for document in documents for value in _values(document, field)]
        assert len(set(shown)) == len(names), field


def _values(part: Any, field: str) -> Iterator[str]:
    if isinstance(part, dict):
        for name, value in part.items():
            if name == field and isinstance(value, str):
                yield value
            yield from _values(value, field)
    elif isinstance(part, list):
        for value in part:
            yield from _values(value, field)


@pytest.mark.parametrize("names", TWINS.values(), ids=TWINS)
def test_names_can_be_told_apart_and_reversed(names: tuple[bytes, ...]) -> None:
    plain = [os.fsdecode(name) for name in names]
    shown = [storable_name(name) for name in plain]
    assert len(set(shown)) == len(names)
    assert [original_name(name) for name in shown] == plain
    paths = [f"/models/{name}" for name in plain]
    addresses = [storable(path) for path in paths]
    assert len(set(addresses)) == len(names)
    assert [original_address(url) for url in addresses] == paths
    assert [Address.parse(url).text for url in addresses] == paths
    assert [storable(url) for url in addresses] == addresses


@pytest.mark.parametrize("url", ["file:///models/a%20b.gguf", "file:///models/caf%C3%A9.gguf"])
def test_the_percent_sign_of_an_ordinary_name_stays_one(url: str) -> None:
    assert Address.parse(url).text == url.removeprefix("file://")


ELSEWHERE: dict[str, dict[bytes, bytes]] = {
    "folder": {b"f\xe9/model.gguf": GGUF, b"f\xe9/config.json": b"{}"},
    "file beside": {b"model.gguf": GGUF, b"x\xe9.json": b"{}", b"mod\xe9ling.py": b"x = 1\n"},
    "pickle beside": {b"model.gguf": GGUF, b"x\xe9.bin": b"\x80\x02}."},
    "unfinished download": {b"model.gguf": GGUF, b"x\xe9.gguf.part": b""},
    "checksum file": {b"model.gguf": GGUF, b"x\xe9.sha256": b"ab" * 32 + b"  model.gguf\n"},
    "shards": {
        b"m\xe9-00001-of-00002.safetensors": safetensors("{}"),
        b"m\xe9-00002-of-00002.safetensors": safetensors("{}"),
    },
    "licence": {b"model.gguf": GGUF, b"LICENSE\xe9": b"MIT"},
    "template": {b"model.gguf": GGUF, b"additional_chat_templates/\xe9.jinja": b"{{ x }}"},
    "code in a folder": {b"model.gguf": GGUF, b"c\xe9/modeling_x.py": b"import os\n"},
    "dangling link": {b"model.gguf": GGUF, b"l\xe9.gguf": b""},
    "no model": {b"model.gguf": GGUF, b"n\xe9.gguf": b"<html>", b"n\xe9.safetensors": b"{"},
}


@pytest.mark.parametrize("files", ELSEWHERE.values(), ids=ELSEWHERE)
def test_odd_names_around_a_model(files: dict[bytes, bytes], tmp_path: Path) -> None:
    root = tmp_path / "root"
    for name, data in files.items():
        place = Path(os.fsdecode(os.fsencode(root) + b"/" + name))
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        if name.startswith(b"l\xe9"):
            place.unlink()
            place.symlink_to("nowhere")
    for form in (*JSON_FORMATS, "jsonl", "table", "spdx"):
        try:
            raw = _scan(form, str(root), tmp_path)
        except FileNotFoundError:
            assert form == "intoto"  # nothing to attest
            continue
        if form in JSON_FORMATS:
            _read(raw)
        elif form == "jsonl":
            assert [_read(line) for line in raw.splitlines()]
    main(["scan", str(root), "--table", str(tmp_path / "table"), "--format", "jsonl"])
    again = tmp_path / "again"
    words = ["scan", str(root), "--table", str(tmp_path / "table"), "--format", "report"]
    main([*words, "--output", str(again)])
    drifts = {entry["drift"] for entry in _read(again.read_bytes())["artifacts"]}
    assert drifts == {"unchanged"}


CONTENTS: dict[str, dict[str, bytes]] = {
    "value in config.json": {"m.gguf": GGUF, "config.json": b'{"model_type": "\\ud800x"}'},
    "key in config.json": {"m.gguf": GGUF, "config.json": b'{"\\udfff": 1, "a": {"\\ud800": 2}}'},
    "half like a byte": {"m.gguf": GGUF, "config.json": b'{"architectures": ["\\udce9"]}'},
    "licence in config.json": {"m.gguf": GGUF, "config.json": b'{"license": "\\ud800"}'},
    "card": {"m.gguf": GGUF, "README.md": b'---\nlicense: "\\ud800"\ntags: ["\\udce9"]\n---\n'},
    "card of bytes": {"m.gguf": GGUF, "README.md": b"---\nlicense: \xed\xa0\x80\xe9\n---\n"},
    "metadata of safetensors": {
        "m.safetensors": safetensors('{"__metadata__": {"license": "\\ud800", "\\udce9": "x"}}')
    },
    "text of GGUF": {"m.gguf": gguf((("general.name", STRING, b"\xed\xa0\x80\xe9"),)).data},
    "key of GGUF": {"m.gguf": gguf((("general.\xe9", STRING, "x"),)).data},
    "template": {
        "m.gguf": GGUF,
        "tokenizer_config.json": b'{"chat_template": "{{ \\"\\ud800\\" }}"}',
    },
    "names in an index": {
        "model.safetensors.index.json": b'{"weight_map": {"\\ud800": "\\udce9.safetensors"}}',
        "m.safetensors": safetensors("{}"),
    },
    "remote code": {"m.gguf": GGUF, "config.json": b'{"auto_map": {"AutoModel": "\\ud800.X"}}'},
}


@pytest.mark.parametrize("files", CONTENTS.values(), ids=CONTENTS)
def test_lone_surrogates_in_contents(files: dict[str, bytes], tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    for name, data in files.items():
        (root / name).write_bytes(data)
    for form in ("cyclonedx", "json", "report", "sarif", "spdx-json", "spdx3"):
        document = _read(_scan(form, str(root), tmp_path))
        assert document
    for line in _scan("jsonl", str(root), tmp_path).splitlines():
        _read(line)
    results = list(scan(str(root)))
    of_one = ("model-card", "hf-readme") if len(results) == 1 else ()
    for form in ("table", "spdx", *of_one):
        _scan(form, str(root), tmp_path)
    for result in results:
        _read(encode(handoff_of(result, {"\ud800": "\udce9"})))


def test_an_agent_can_open_the_file(tmp_path: Path) -> None:
    root = _put(tmp_path / "root", NAMES["latin-1"])
    seen = tmp_path / "seen"
    code = f'cat "$MUTAGEN_HANDOFF" > {seen}; cmp "$MUTAGEN_URL" {root}/caf*.gguf'
    url = storable(os.fsdecode(os.fsencode(root) + b"/" + NAMES["latin-1"]))
    assert main(["exec", url, "--", "sh", "-c", code]) == 0
    handoff = _read(seen.read_bytes())
    assert Path(os.fsdecode(_file_of(handoff["url"]))).read_bytes() == GGUF
    schema = json.loads(Path("docs/handoff.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator(schema).validate(handoff)


@pytest.fixture
def odd(tmp_path: Path) -> ScanResult:
    (result,) = scan(_put(tmp_path / "root", NAMES["latin-1"]))
    return result


def test_a_path_in_a_variable_is_its_bytes(odd: ScanResult) -> None:
    assert os.fsencode(variables_of(odd)["MUTAGEN_URL"]).endswith(b"/caf\xe9.gguf")


def test_what_prefect_stores_is_valid(odd: ScanResult) -> None:
    run = AgentRun(url=storable(odd.url), agent="x", state="waiting")
    view = scan_view(odd.url.rpartition("/")[0], policy=Policy(max_size_bytes=1), agents=[run])
    markdown = summary_markdown(view)
    for text in (markdown, short_name(odd.url), run.model_dump_json()):
        text.encode("utf-8", "strict")
    assert AgentLaunch(command=["true"]).key(odd)
    assert short_name(odd.url) == "file:caf%E9.gguf"


@pytest.mark.parametrize("names", TWINS.values(), ids=TWINS)
def test_the_table_keeps_files_apart(
    names: tuple[bytes, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("duckdb")
    root, table = _put(tmp_path / "root", *names), str(tmp_path / "table")
    main(["scan", root, "--table", table, "--format", "jsonl"])
    first = {line["model_path"]: line for line in map(_read, _lines(capsys))}
    assert len(first) == len(names)
    main(["scan", root, "--table", table, "--format", "jsonl"])
    assert {line["model_path"]: line for line in map(_read, _lines(capsys))}.keys() == first.keys()
    main(["scan", root, "--table", table, "--format", "report"])
    (report,) = map(_read, [b"".join(_lines(capsys))])
    assert {entry["drift"] for entry in report["artifacts"]} == {"unchanged"}
    sql = "SELECT url FROM artifacts"
    assert main(["query", sql, "--table", table, "--format", "json"]) == 0
    rows = _read(capsys.readouterr().out.encode())
    assert {row["url"] for row in rows} == first.keys()
    assert main(["query", sql, "--table", table, "--format", "csv"]) == 0
    listed = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert len(listed) == len(names) + 1


def _lines(capsys: pytest.CaptureFixture[str]) -> list[bytes]:
    return capsys.readouterr().out.encode("utf-8", "strict").splitlines()


_NODE = """
const bytes = require('fs').readFileSync(process.argv[1]);
const text = new TextDecoder('utf-8', {fatal: true}).decode(bytes);
JSON.parse(text, (key, value) => {
  if (typeof value === 'string' && !value.isWellFormed()) throw new Error(value);
  return value;
});
"""
READERS: dict[str, Callable[[str], list[str]]] = {
    "node": lambda path: [
        "node",
        "-e",
        _NODE,
        path,
    ],
    "jq": lambda path: ["jq", "-e", '[.. | strings | select(contains("\ufffd"))] == []', path],
    "perl": lambda path: [
        "perl",
        "-MJSON::PP",
        "-e",
        "local $/; open my $f,'<:raw',$ARGV[0]; JSON::PP->new->utf8->decode(<$f>)",
        path,
    ],
    "ruby": lambda path: ["ruby", "-rjson", "-e", "JSON.parse(File.read(ARGV[0]))", path],
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("form", JSON_FORMATS)
def test_readers_in_other_languages(reader: str, form: str, tmp_path: Path) -> None:
    if shutil.which(reader) is None:
        pytest.skip(f"{reader} is not installed")
    root = _put(tmp_path / "root", *NAMES.values())
    (tmp_path / "root" / "config.json").write_bytes(b'{"a": "\\ud800", "license": "\\udce9"}')
    out = tmp_path / f"out.{form}"
    _scan(form, root, tmp_path)
    done = subprocess.run(READERS[reader](str(out)), check=False, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("names", TWINS.values(), ids=TWINS)
def test_every_file_is_a_subject_of_its_own(names: tuple[bytes, ...], tmp_path: Path) -> None:
    statement = _read(_scan("intoto", _put(tmp_path / "root", *names), tmp_path))
    subjects = [subject["name"] for subject in statement["subject"]]
    assert {original_name(name) for name in subjects} == {os.fsdecode(name) for name in names}
