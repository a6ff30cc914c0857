import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from spdx_python_model import load_data

from tests.builders import gguf
from tests.scanner.outputs.validating import SHA256, as_set, examine, read, with_sha256, write
from tests.scanner.storing import put_local

CARD = b"---\nlicense: other\nlicense_name: My Terms\nbase_model: Owner/Base\n---\n"


def _model(folder: Path, card: bytes = CARD) -> Any:
    put_local(folder, {"m/a.gguf": gguf().data, "m/README.md": card})
    return with_sha256(examine(folder)[0])


def _by_type(document: Any) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for element in document["@graph"]:
        found.setdefault(element["type"], []).append(element)
    return found


def test_golden_inputs_are_one_valid_document(golden_inputs: Path) -> None:
    results = examine(golden_inputs)
    document = read("spdx3", write("spdx3", results))
    (bom,) = _by_type(document)["software_Sbom"]
    assert len(bom["rootElement"]) == len(results)
    for result in results:
        read("spdx3", write("spdx3", [result]))


def test_real_headers_are_valid(real_models: Path) -> None:
    read("spdx3", write("spdx3", examine(real_models)))


def test_nothing_is_a_valid_document() -> None:
    document = read("spdx3", write("spdx3", []))
    assert _by_type(document)["software_Sbom"][0]["rootElement"] == []


def test_a_package_its_file_licence_and_base(tmp_path: Path) -> None:
    document = read("spdx3", write("spdx3", [_model(tmp_path)]))
    found = _by_type(document)
    package, base = found["ai_AIPackage"]
    space = package["spdxId"].removesuffix("artifact-1")
    entries = {entry["key"]: entry["value"] for entry in package.pop("ai_hyperparameter")}
    assert entries == {
        "format": "gguf",
        "file_size_bytes": entries["file_size_bytes"],
        "parameter_count": "64",
        "quantization": "F32",
        "dtype": "F32",
    }
    hashes = [{"type": "Hash", "algorithm": "sha256", "hashValue": SHA256}]
    assert package == {
        "type": "ai_AIPackage",
        "spdxId": f"{space}artifact-1",
        "creationInfo": "_:creationinfo",
        "name": "a.gguf",
        "software_primaryPurpose": "model",
        "software_downloadLocation": f"file://{tmp_path}/m/a.gguf",
        "software_packageUrl": f"pkg:generic/a.gguf?checksum=sha256:{SHA256}",
        "software_sourceInfo": f"{tmp_path}/m/a.gguf",
        "verifiedUsing": hashes,
        "ai_typeOfModel": ["llama"],
    }
    (file,) = found["software_File"]
    assert (file["name"], file["verifiedUsing"]) == ("a.gguf", hashes)
    assert (base["name"], base["software_packageUrl"]) == (
        "Owner/Base",
        "pkg:huggingface/Owner/Base",
    )
    (license_,) = found["simplelicensing_LicenseExpression"]
    (text,) = found["simplelicensing_SimpleLicensingText"]
    assert license_["simplelicensing_licenseExpression"] == "LicenseRef-my-terms"
    assert license_["simplelicensing_customIdToUri"] == [
        {"type": "DictionaryEntry", "key": "LicenseRef-my-terms", "value": text["spdxId"]}
    ]
    assert text["simplelicensing_licenseText"] == "other"
    links = {
        link["relationshipType"]: (link["from"], *link["to"]) for link in found["Relationship"]
    }
    none = "expandedlicensing_NoAssertionLicense"
    assert links == {
        "contains": (package["spdxId"], file["spdxId"]),
        "hasDeclaredLicense": (package["spdxId"], license_["spdxId"]),
        "hasConcludedLicense": (package["spdxId"], none),
        "descendantOf": (package["spdxId"], base["spdxId"]),
    }
    (document_,) = found["SpdxDocument"]
    assert document_["rootElement"] == [found["software_Sbom"][0]["spdxId"]]
    # The profile asks for a supplier, a version and a time of release, which no header states.
    assert document_["profileConformance"] == ["core", "software", "simpleLicensing"]
    assert found["CreationInfo"][0]["created"] == "2026-01-02T03:04:05Z"


@pytest.mark.parametrize("card", [b"", b"---\nlicense: other\n---\n"], ids=["none", "other"])
def test_no_licence_is_no_assertion(tmp_path: Path, card: bytes) -> None:
    document = read("spdx3", write("spdx3", [_model(tmp_path, card)]))
    links = [
        link for link in _by_type(document)["Relationship"] if "License" in link["relationshipType"]
    ]
    assert [link["to"] for link in links] == [["expandedlicensing_NoAssertionLicense"]] * 2


def test_two_references_in_one_expression(tmp_path: Path) -> None:
    expression = "(LicenseRef-a OR LicenseRef-b-c.1) AND LicenseRef-a AND MIT"
    result = replace(_model(tmp_path), license_spdx=expression)
    found = _by_type(read("spdx3", write("spdx3", [result])))
    names = [text["name"] for text in found["simplelicensing_SimpleLicensingText"]]
    assert names == ["LicenseRef-a", "LicenseRef-b-c.1"]


def test_a_set_contains_its_shards(tmp_path: Path) -> None:
    put_local(tmp_path, {f"{name}.gguf": gguf().data for name in "ab"})
    first, second = examine(tmp_path)
    found = _by_type(read("spdx3", write("spdx3", [as_set([first, with_sha256(second)])])))
    assert [file["name"] for file in found["software_File"]] == ["a.gguf", "b.gguf"]
    assert [file.get("verifiedUsing") is None for file in found["software_File"]] == [True, False]
    contains = found["Relationship"][0]
    assert contains["to"] == [file["spdxId"] for file in found["software_File"]]


def test_what_is_stated_and_found_is_annotated(tmp_path: Path) -> None:
    put_local(tmp_path, {"a.gguf": gguf().data[:100]})
    document = read("spdx3", write("spdx3", examine(tmp_path)))
    stated, finding = _by_type(document)["Annotation"]
    assert json.loads(stated["statement"])["verdict"] == "failed"
    assert stated["contentType"] == "application/json"
    assert finding["statement"].startswith("error gguf/truncated: ")


def test_the_reference_model_finds_the_package_by_its_class(tmp_path: Path) -> None:
    document = json.loads(write("spdx3", [_model(tmp_path)]))
    model, graph = load_data(document)
    names = {package.name for package in graph.foreach_type(model.ai_AIPackage)}
    assert names == {"a.gguf", "Owner/Base"}
    del document["@graph"][-1]["creationInfo"]
    _, graph = load_data(document)
    with pytest.raises(ValueError, match=r"(?i)creationinfo"):
        model.JSONLDSerializer().serialize_data(graph)
