"""Models in OCI layouts: found by their manifests, whatever their blobs are called."""

import json
from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.scanner import ArtifactRejected, ScanResult, scan, verify
from prefect_mutagen.scanner.content.oci import is_of_layout, layout_of
from tests.builders import STRING, gguf
from tests.oci_layouts import (
    FILE,
    GGUF,
    INDEX,
    JINJA,
    LICENSE,
    MANIFEST,
    RAW,
    SAFETENSORS,
    TAR,
    descriptor,
    digest_of,
    layout,
    manifest,
)
from tests.parsers.pickle_builders import PAYLOAD, PROTO2
from tests.scanner.examine.shard_builders import shard
from tests.scanner.storing import put_local

CONFIG = "application/vnd.cncf.model.weight.config.v1.raw"
MODEL = gguf(tensors=(("a.weight", (32, 8), 0),)).data
OTHER = gguf((("general.architecture", STRING, "llama"),), (("b.weight", (32, 8), 0),)).data
MIT = b"MIT License\n\nPermission is hereby granted, free of charge, to any person"
ESCAPE = b"{{ ''.__class__.__mro__ }}"


def _raw(name: str, data: bytes) -> dict[str, Any]:
    kind = CONFIG if name.endswith((".json", ".py")) else RAW
    return descriptor(kind, data) | {"annotations": {FILE: name}}


def _results(root: Path, files: dict[str, bytes]) -> dict[str, ScanResult]:
    results = scan(put_local(root, files))
    return {one.url.removeprefix(f"{root}/"): one for one in results}


def _blob(data: bytes) -> str:
    return f"blobs/sha256/{digest_of(data)}"


@pytest.mark.parametrize("docker", [False, True], ids=["layout", "docker model"])
def test_a_model_is_what_its_manifest_says(docker: bool, tmp_path: Path) -> None:  # noqa: FBT001
    layers = [descriptor(GGUF, MODEL), descriptor(LICENSE, MIT), descriptor(JINJA, b"{{ x }}")]
    files = layout({"acme/m:1": manifest(layers)}, [MODEL, MIT, b"{{ x }}"], docker=docker)
    (result,) = _results(tmp_path, files).values()
    assert result.url.endswith(_blob(MODEL))
    assert (result.sbom.format, result.verdict.status) == ("gguf", "passed")
    assert result.license_spdx is not None
    (entry,) = result.facts["registry"]
    assert entry["as"] == "model"
    assert docker or entry["name"] == "acme/m:1"
    assert "llama.cpp" in result.loads
    assert verify(result.url, result.pin).pin == result.pin


def test_a_layout_in_a_bucket(s3_server: Any) -> None:
    made = manifest([descriptor(GGUF, MODEL), descriptor(JINJA, ESCAPE)])
    files = layout({"m": made, "n": manifest([descriptor(GGUF, OTHER)])}, [MODEL, ESCAPE])
    bucket = s3_server.bucket({f"models/{name}": data for name, data in files.items()})
    results = scan(f"s3://{bucket}/models", storage_options=s3_server.options)
    found = {one.url.rpartition("/")[2]: {item.code for item in one.findings} for one in results}
    assert found == {
        digest_of(MODEL): {"template/escape"},
        digest_of(OTHER): {"set/missing-layer"},
    }


def test_what_several_models_share_is_one_artifact(tmp_path: Path) -> None:
    models = {name: manifest([descriptor(GGUF, MODEL)]) for name in ("a:1",)}
    models["b:1"] = manifest([descriptor(GGUF, MODEL), descriptor(LICENSE, MIT)])
    (result,) = _results(tmp_path, layout(models, [MODEL, MIT])).values()
    assert {entry["name"] for entry in result.facts["registry"]} == {"a:1", "b:1"}


def test_safetensors_layers_are_a_set(tmp_path: Path) -> None:
    one, two = shard("a"), shard("b")
    made = manifest([descriptor(SAFETENSORS, one), _raw("x/model-2.safetensors", two)])
    (result,) = _results(tmp_path, layout({"m": made}, [one, two])).values()
    assert (result.kind, len(result.objects)) == ("set", 2)
    assert result.url.endswith(_blob(made))
    assert result.sbom.parameter_count


FAULTS: dict[str, tuple[dict[str, bytes], str, str]] = {
    "missing blob": (
        layout({"m": manifest([descriptor(GGUF, MODEL)])}),
        "set/missing-layer",
        "failed",
    ),
    "cut blob": (
        layout({"m": manifest([descriptor(GGUF, MODEL)])}) | {_blob(MODEL): MODEL[:-8]},
        "set/layer-size",
        "failed",
    ),
    "weights in an archive": (
        layout({"m": manifest([descriptor(TAR, MODEL)])}, [MODEL]),
        "set/layer-unexamined",
        "unknown",
    ),
    "configuration beside weights": (
        layout(
            {"m": manifest([descriptor(GGUF, MODEL), _raw("tokenizer_config.json", ESCAPE)])},
            [MODEL, ESCAPE],
        ),
        "set/layer-unexamined",
        "unknown",
    ),
    "code beside weights": (
        layout({"m": manifest([descriptor(GGUF, MODEL), _raw("x.py", b"x")])}, [MODEL, b"x"]),
        "set/layer-unexamined",
        "unknown",
    ),
    "archive beside weights": (
        layout(
            {"m": manifest([descriptor(GGUF, MODEL), descriptor("application/x-tar", b"x")])},
            [MODEL, b"x"],
        ),
        "set/layer-unexamined",
        "unknown",
    ),
    "keys in another case": (
        layout(
            {
                "m": manifest([descriptor(GGUF, MODEL)]).replace(
                    b'"layers"', b'"layers": [], "LAYERS"'
                )
            },
            [MODEL],
        )
        | {_blob(MODEL): MODEL[:-8]},
        "set/layer-size",
        "failed",
    ),
    "template that escapes": (
        layout({"m": manifest([descriptor(GGUF, MODEL), descriptor(JINJA, ESCAPE)])})
        | {_blob(MODEL): MODEL, _blob(ESCAPE): ESCAPE},
        "template/escape",
        "failed",
    ),
    "pickle": (
        layout({"m": manifest([_raw("model.bin", PROTO2 + PAYLOAD + b".")])})
        | {_blob(PROTO2 + PAYLOAD + b"."): PROTO2 + PAYLOAD + b"."},
        "pickle/forbidden-global",
        "failed",
    ),
    "manifest that is none": (
        layout({"m": b"[]"}),
        "set/manifest-invalid",
        "failed",
    ),
    "manifest that is missing": (
        {name: data for name, data in layout({"m": b"{}"}, [MIT]).items() if data != b"{}"},
        "set/missing-layer",
        "failed",
    ),
    "digest that leads away": (
        layout({"m": manifest([{"mediaType": GGUF, "digest": "sha256:../../x", "size": 1}])}),
        "set/manifest-invalid",
        "failed",
    ),
    "index that is no JSON": (
        {"index.json": b"{", "oci-layout": b"{}", _blob(MIT): MIT},
        "set/manifest-invalid",
        "failed",
    ),
}


@pytest.mark.parametrize(("files", "code", "status"), FAULTS.values(), ids=FAULTS)
def test_what_is_wrong_is_told(
    files: dict[str, bytes], code: str, status: str, tmp_path: Path
) -> None:
    found = _results(tmp_path, files)
    told = {
        one.verdict.status for one in found.values() for item in one.findings if item.code == code
    }
    assert told == {status}, {name: one.findings for name, one in found.items()}


def test_a_blob_that_nothing_names_is_found_by_its_content(tmp_path: Path) -> None:
    files = layout({"m": manifest([descriptor(GGUF, MODEL)])}, [MODEL, OTHER, MIT])
    assert set(_results(tmp_path, files)) == {_blob(MODEL), _blob(OTHER)}


def test_indexes_lead_to_others_and_circles_end(tmp_path: Path) -> None:
    made = manifest([descriptor(GGUF, MODEL)])
    inner = json.dumps({"manifests": [descriptor(MANIFEST, made)]}).encode()
    circle = {"mediaType": INDEX, "digest": f"sha256:{digest_of(inner)}", "size": 1}
    outer = json.dumps({"manifests": [descriptor(INDEX, inner), circle]}).encode()
    files = layout({}, [inner, made, MODEL]) | {"index.json": outer}
    assert set(_results(tmp_path, files)) == {_blob(MODEL)}


def test_an_index_of_another_tool_is_none(tmp_path: Path) -> None:
    files = {"site/index.json": b"{}", "m.gguf": MODEL, "blobs/x": b"x"}
    assert set(_results(tmp_path, files)) == {"m.gguf"}


def test_many_descriptors_cost_little_and_are_told(tmp_path: Path) -> None:
    entries = [descriptor(MANIFEST, str(number).encode()) for number in range(20_000)]
    index = json.dumps({"manifests": entries}).encode()
    found = _results(tmp_path, layout({}, [MIT]) | {"index.json": index})
    codes = {item.code for one in found.values() for item in one.findings}
    assert "scan/manifest-unexamined" in codes


def test_a_blob_alone_is_judged_as_in_its_layout(tmp_path: Path) -> None:
    made = manifest([descriptor(GGUF, MODEL), descriptor(JINJA, ESCAPE)])
    put_local(tmp_path, layout({"m": made}, [MODEL, ESCAPE]))
    (of_scan,) = scan(str(tmp_path))
    (of_blob,) = scan(of_scan.url)
    assert (of_blob.pin, of_blob.verdict) == (of_scan.pin, of_scan.verdict)
    with pytest.raises(ArtifactRejected, match=r"template"):
        verify(of_scan.url)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("s3://b/x/blobs/sha256/" + "ab" * 32, "blob"),
        ("x/manifests/sha256/" + "ab" * 32, "manifest"),
        ("x/index.json", "index"),
        ("x/oci-layout", "mark"),
        ("x/blobs/sha256/" + "AB" * 32, ""),
        ("x/blobs/sha256/ab", ""),
        ("x/blobs/" + "ab" * 32, ""),
        ("x/pytorch_model.bin.index.json", ""),
    ],
)
def test_paths_of_a_layout(path: str, kind: str) -> None:
    place = layout_of(path)
    assert (place.kind if place is not None else "") == kind
    assert is_of_layout(path) == bool(kind)
