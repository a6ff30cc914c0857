import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from packaging.licenses import canonicalize_license_expression

from prefect_mutagen.scanner.commands.cli import main
from prefect_mutagen.scanner.content.licenses import spdx_expression
from prefect_mutagen.scanner.outputs import writer_of
from prefect_mutagen.scanner.outputs.options import OutputOptions
from prefect_mutagen.scanner.results import ScanResult, Summary
from tests.builders import STRING, gguf
from tests.scanner.outputs.validating import (
    INFO,
    SHA256,
    as_set,
    examine,
    read,
    with_sha256,
    write,
)
from tests.scanner.storing import put_local

VERSIONS = ["cyclonedx", "cyclonedx-1.7"]
CONFIG = json.dumps({"architectures": ["LlamaForCausalLM"], "model_type": "llama"}).encode()
CARD = b"---\nlicense: apache-2.0\nbase_model: Owner/Base\npipeline_tag: text-generation\n---\n"


def _model(folder: Path) -> Any:
    put_local(folder, {"m/a.gguf": gguf().data, "m/config.json": CONFIG, "m/README.md": CARD})
    return examine(folder, "full")[0]


def _properties(component: Any) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in component["properties"]}


@pytest.mark.parametrize("shape", VERSIONS)
def test_golden_inputs_are_one_valid_bom(golden_inputs: Path, shape: str) -> None:
    results = examine(golden_inputs)
    bom = read(shape, write(shape, results))
    assert [part["name"] for part in bom["components"]] == [
        result.sbom.model_filename for result in results
    ]
    for result in results:
        read(shape, write(shape, [result]))


@pytest.mark.parametrize("shape", VERSIONS)
def test_real_headers_are_valid(real_models: Path, shape: str) -> None:
    assert len(read(shape, write(shape, examine(real_models)))["components"]) >= 4


@pytest.mark.parametrize("shape", VERSIONS)
def test_nothing_is_a_valid_bom(shape: str) -> None:
    bom = read(shape, write(shape, []))
    assert bom["components"] == bom["annotations"] == []


def test_a_whole_component(tmp_path: Path) -> None:
    result = _model(tmp_path)
    bom = read("cyclonedx", write("cyclonedx", [result]))
    assert bom["$schema"] == "http://cyclonedx.org/schema/bom-1.6.schema.json"
    assert bom["metadata"]["timestamp"] == INFO.started_at
    assert bom["metadata"]["tools"]["components"] == [
        {"type": "application", "name": "prefect-mutagen", "version": "0.1.0"}
    ]
    (component,) = bom["components"]
    digest = result.sbom.sha256
    properties = _properties(component)
    del component["properties"]
    assert component == {
        "type": "machine-learning-model",
        "bom-ref": "artifact-1",
        "name": "a.gguf",
        "hashes": [{"alg": "SHA-256", "content": digest}],
        "licenses": [{"license": {"id": "Apache-2.0", "acknowledgement": "declared"}}],
        "purl": f"pkg:generic/a.gguf?checksum=sha256:{digest}",
        "pedigree": {
            "ancestors": [
                {
                    "type": "machine-learning-model",
                    "name": "Owner/Base",
                    "purl": "pkg:huggingface/Owner/Base",
                }
            ]
        },
        "evidence": {"occurrences": [{"location": f"{tmp_path}/m/a.gguf"}]},
        "modelCard": {
            "modelParameters": {
                "task": "text-generation",
                "architectureFamily": "llama",
                "modelArchitecture": "LlamaForCausalLM",
            }
        },
    }
    assert properties["mutagen:parameter_count"] == "64"
    assert properties["mutagen:quantization"] == "F32"
    assert properties["mutagen:license"] == "apache-2.0"
    assert properties["mutagen:source:license"] == "README.md:license"
    assert properties["mutagen:verdict"] == "passed"
    assert properties["mutagen:metadata:gguf_version"] == "3"
    assert json.loads(properties["mutagen:metadata:sidecar_config"])["model_type"] == "llama"


def test_what_is_not_known_is_not_there(tmp_path: Path) -> None:
    put_local(tmp_path, {"a.gguf": b"<html>"})
    bom = read("cyclonedx", write("cyclonedx", examine(tmp_path)))
    (component,) = bom["components"]
    assert set(component) == {"type", "bom-ref", "name", "evidence", "properties"}
    assert "mutagen:architecture" not in _properties(component)


@pytest.mark.parametrize(
    ("stated", "licenses"),
    [
        ("mit", [{"license": {"id": "MIT", "acknowledgement": "declared"}}]),
        ("llama3.1", [{"expression": "LicenseRef-llama3.1", "acknowledgement": "declared"}]),
        ("GPL-2.0+", [{"license": {"id": "GPL-2.0-or-later", "acknowledgement": "declared"}}]),
        ("Apache-2.0+", [{"expression": "Apache-2.0+", "acknowledgement": "declared"}]),
        (
            "mit or apache-2.0",
            [{"expression": "MIT OR Apache-2.0", "acknowledgement": "declared"}],
        ),
        ("other", None),
        ("NOASSERTION", None),
        (
            "my 'own' terms",
            [{"expression": "LicenseRef-my-own-terms", "acknowledgement": "declared"}],
        ),
    ],
)
@pytest.mark.parametrize("shape", VERSIONS)
def test_licences(tmp_path: Path, shape: str, stated: str, licenses: Any) -> None:
    result = replace(_model(tmp_path), license_spdx=spdx_expression(stated))
    assert read(shape, write(shape, [result]))["components"][0].get("licenses") == licenses


def test_each_identifier_that_is_known_is_one_for_cyclonedx(tmp_path: Path) -> None:
    from packaging.licenses._spdx import LICENSES

    known = sorted({str(canonicalize_license_expression(name)) for name in LICENSES})
    assert len(known) > 500
    result = _model(tmp_path)
    for start in range(0, len(known), 40):  # comparing components with each other takes its time
        some = [replace(result, license_spdx=name) for name in known[start : start + 40]]
        for shape in VERSIONS:
            read(shape, write(shape, some))


def test_a_set_is_one_component_with_its_files(tmp_path: Path) -> None:
    put_local(tmp_path, {f"{name}.gguf": gguf().data for name in "abc"})
    shards = examine(tmp_path)
    shards[1] = with_sha256(shards[1])
    bom = read("cyclonedx", write("cyclonedx", [as_set(shards), *shards]))
    assert len(bom["components"]) == 4
    files = bom["components"][0]["components"]
    assert [(part["type"], part["bom-ref"], part["name"]) for part in files] == [
        ("file", "artifact-1/file-1", "a.gguf"),
        ("file", "artifact-1/file-2", "b.gguf"),
        ("file", "artifact-1/file-3", "c.gguf"),
    ]
    assert [part.get("hashes") for part in files] == [
        None,
        [{"alg": "SHA-256", "content": SHA256}],
        None,
    ]
    assert _properties(files[0])["mutagen:file_size_bytes"] == str(shards[0].size)


def test_findings_are_annotations(tmp_path: Path) -> None:
    put_local(tmp_path, {"a.gguf": gguf().data[:100]})
    results = examine(tmp_path, "none", max_size_bytes=10)
    bom = read("cyclonedx", write("cyclonedx", results))
    texts = [entry["text"] for entry in bom["annotations"]]
    assert [text.partition(": ")[0] for text in texts[:2]] == [
        "error gguf/truncated",
        "error policy/size",
    ]
    assert texts[2:] == ["SHA256 computation skipped by request."]
    assert bom["annotations"][0]["subjects"] == ["artifact-1"]
    assert bom["annotations"][0]["timestamp"] == INFO.started_at


def test_the_same_scan_has_the_same_bom(tmp_path: Path) -> None:
    result = _model(tmp_path)
    text = write("cyclonedx", [result])
    assert write("cyclonedx", [result]) == text
    other = replace(INFO, id="scan-2")
    serial = json.loads(text)["serialNumber"]
    assert json.loads(write("cyclonedx", [result], other))["serialNumber"] != serial


def test_roots_may_overlap(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put_local(tmp_path, {"m/a.gguf": gguf((("general.name", STRING, "x"),)).data[:100]})
    for form in ("cyclonedx", "spdx3", "sarif"):
        assert main(["scan", str(tmp_path), f"{tmp_path}/m", "--format", form]) == 1
        read(form, capsys.readouterr().out)


@pytest.mark.parametrize("form", ["cyclonedx", "spdx3", "sarif", "intoto"])
def test_it_is_written_as_the_scan_goes(tmp_path: Path, form: str) -> None:
    put_local(tmp_path, {"bad.gguf": b"x"})
    (bad,) = examine(tmp_path, "full")
    out = io.StringIO()
    sizes: list[int] = []

    def results() -> Iterator[ScanResult]:
        for _ in range(4):
            sizes.append(out.tell())
            yield bad

    writer_of(form)(results(), INFO, Summary(), out, OutputOptions())
    assert sizes[1] < sizes[2] < sizes[3] < out.tell()
    read(form, out.getvalue())
