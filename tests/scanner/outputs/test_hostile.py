"""Whatever a file says, every output stays valid, says it, and says nothing else."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.scanner.content.licenses import spdx_expression
from prefect_mutagen.scanner.findings import make_finding
from prefect_mutagen.scanner.results import ObjectResult, ScanResult
from prefect_mutagen.scanner.verdicts import Reason, Verdict
from tests.builders import ARRAY, F32, STRING, gguf
from tests.scanner.outputs.validating import (
    SHA256,
    SHAPES,
    as_set,
    examine,
    read,
    with_sha256,
    write,
)
from tests.scanner.storing import put_local

NASTY = {
    "controls": "\x00\x01\x07\x08\t\x7f",
    "terminal": "\x1b[31mred\x1b]0;title\x07\x9b0m",
    "newlines": "a\r\nb\n\nSPDXID: SPDXRef-forged\u2028\u2029\x85---\n",
    "direction": "\u202etxt.exe\u2066\ufeff",
    "json": '"}],"components":[{"type":"library","name":"forged"}],"x":[{"y":"\\',
    "template": "{{7*7}} ${jndi:x} %s %n {0} [/INST] </s> `id` <script>",
    "link": "[click](http://evil.example) \\[",
    "address": "100%41%/../..?download_url=x&checksum=sha256:0#@:;=+ ~",
    "half": "\ud800x\udfff",
    "odd bytes": "caf\udce9\udcff.gguf",
    "scripts": "größe 模型 \U0001f9ea e\u0301",
    "nothing": "",
    "blank": " ",
}


def _shown(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _hostile(result: ScanResult, text: str) -> ScanResult:
    """Put a text wherever one can come from a file, a name or a neighbour."""
    # A file system has bytes, not halves of characters.
    name = text.encode("utf-8", "surrogateescape" if "\udce9" in text else "surrogatepass")
    url = f"/models/{name.decode('utf-8', 'surrogateescape')}"
    sbom = replace(
        result.sbom,
        model_path=url,
        model_filename=text,
        sha256=SHA256,
        architecture=text,
        quantization=text,
        dtype=text,
        vocab_size=2**70,
        license=text,
        base_model=text,
        training_framework=text,
        metadata={text: text, "list": [text, None, 2**70], "sidecar_config": text},
        warnings=(text,),
    )
    findings = (
        replace(make_finding("storage/failed", text, url=url, field=text), offset=2**63),
        make_finding("sbom/shadowed-key", text, url=f"{url}/config.json"),
    )
    return replace(
        result,
        url=url,
        objects=(ObjectResult(url, -1, ""),),
        sbom=sbom,
        license_spdx=spdx_expression(text),
        sources={text: text},
        facts={text: [text, {"pipeline": text}], "pipeline": text},
        findings=findings,
        verdict=Verdict("failed", (Reason("policy/size", "max_size_bytes", text, text),)),
    )


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> ScanResult:
    folder = tmp_path_factory.mktemp("honest")
    put_local(folder, {"a.gguf": gguf().data})
    (result,) = examine(folder)
    return result


def _texts(part: Any) -> Iterator[str]:
    if isinstance(part, str):
        yield part
    elif isinstance(part, dict):
        for key, value in part.items():
            yield key
            yield from _texts(value)
    elif isinstance(part, list):
        for value in part:
            yield from _texts(value)


def _keys(part: Any) -> set[str]:
    if isinstance(part, dict):
        return set(part).union(*(_keys(value) for value in part.values()))
    return set().union(*(_keys(value) for value in part)) if isinstance(part, list) else set()


def _count(part: Any) -> int:
    """Count objects."""
    if isinstance(part, dict):
        return 1 + sum(_count(value) for value in part.values())
    return sum(_count(value) for value in part) if isinstance(part, list) else 0


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("text", NASTY.values(), ids=NASTY)
def test_a_hostile_text_stays_a_text(honest: ScanResult, shape: str, text: str) -> None:
    hostile = _hostile(honest, text)
    plain = _hostile(honest, "plain")
    document = read(shape, write(shape, [hostile, as_set([hostile, hostile])]))
    ordinary = read(shape, write(shape, [plain, as_set([plain, plain])]))
    expected = _shown(text)
    if shape == "sarif":
        messages = [result["message"]["text"] for result in document["runs"][0]["results"]]
        assert messages == [_message(expected)] * 6
    elif text:
        assert list(_texts(document)).count(expected) >= 5
    # Nothing in it makes a key or an element of its own; an empty or silent value may miss some.
    assert _keys(document) - _keys(ordinary) <= {expected}
    assert _count(document) <= _count(ordinary)


def _message(text: str) -> str:
    doubled = text.replace("{", "{{").replace("}", "}}")
    if "](" not in doubled:
        return doubled
    return doubled.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_a_name_of_ten_megabytes(honest: ScanResult, shape: str) -> None:
    name = "x\n" * 5_000_000
    long = replace(honest, url=f"/models/{name}", objects=(ObjectResult(f"/m/{name}", 1, ""),))
    long = replace(long, sbom=replace(long.sbom, model_filename=name, metadata={name: 1}))
    document = read(shape, write(shape, [with_sha256(long)]))
    if shape != "sarif":
        assert name in set(_texts(document))


@pytest.mark.parametrize("shape", SHAPES)
def test_what_json_has_no_number_for(tmp_path: Path, shape: str) -> None:
    nan, infinite = float("nan"), float("inf")
    metadata = (("nan", F32, nan), ("odd", ARRAY, (F32, [nan, infinite, 1.5])))
    put_local(tmp_path, {"a.gguf": gguf((("general.architecture", STRING, "x"), *metadata)).data})
    (result,) = examine(tmp_path, "full")
    document = read(shape, write(shape, [result]))
    if shape.startswith("cyclonedx"):
        properties = {
            item["name"]: item["value"] for item in document["components"][0]["properties"]
        }
        assert "mutagen:metadata:nan" not in properties
        assert json.loads(properties["mutagen:metadata:odd"]) == [None, None, 1.5]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_file_name_in_no_encoding(tmp_path: Path, shape: str) -> None:
    name = b"caf\xe9 \xff.gguf"
    (tmp_path / name.decode("utf-8", "surrogateescape")).write_bytes(gguf().data)
    (result,) = examine(tmp_path, "full")
    text = write(shape, [result])
    read(shape, text)
    assert "%E9%20%FF.gguf" in text or r"caf\\udce9 \\udcff.gguf" in text
