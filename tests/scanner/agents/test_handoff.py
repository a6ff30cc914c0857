"""The contract with agents: the schema, today's documents, and those of earlier releases."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from prefect_mutagen.scanner import Policy, scan, verify
from prefect_mutagen.scanner.agents.handoff import VERSION, encode, handoff_of, variables_of
from prefect_mutagen.scanner.policy.policy import Waiver
from tests.builders import F32, STRING, gguf
from tests.dates import SOON
from tests.scanner.storing import put_local

ROOT = Path(__file__).parents[3]
SCHEMA = json.loads((ROOT / "docs/handoff.schema.json").read_text())
WAIVING = Policy(
    waivers=(Waiver("safetensors/truncated-data", "*", "weights unused", "ana", SOON),)
)
RECORDED = sorted((ROOT / "tests/golden").glob("handoff-v*.json"))


def _complaints(document: Any) -> list[str]:
    validator = jsonschema.Draft202012Validator(SCHEMA)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)]


def _documents(root: Path, policy: Policy | None = None) -> Iterator[dict[str, Any]]:
    for result in scan(str(root), hash="none", policy=policy):
        yield json.loads(encode(handoff_of(result, {"task": "évaluer"})))


def _keys(value: Any, place: str = "$") -> Iterator[tuple[str, str]]:
    """Give all keys with the kind of their values; free maps are not looked into."""
    if isinstance(value, dict) and not place.endswith(("metadata", "parameters")):
        for key, item in value.items():
            yield f"{place}.{key}", type(item).__name__
            yield from _keys(item, f"{place}.{key}")
    elif isinstance(value, list):
        for item in value:
            yield from _keys(item, f"{place}[]")


def _described(schema: dict[str, Any], place: str = "$") -> Iterator[str]:
    if "$ref" in schema:
        schema = SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]]
    for key, item in schema.get("properties", {}).items():
        yield f"{place}.{key}"
        yield from _described(item, f"{place}.{key}")
    if "items" in schema:
        yield from _described(schema["items"], f"{place}[]")


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["properties"]["version"]["const"] == VERSION


def test_every_handoff_is_as_the_schema_says(golden_inputs: Path) -> None:
    documents = list(_documents(golden_inputs))
    assert len(documents) >= 10
    described = set(_described(SCHEMA))
    for document in documents:
        assert not _complaints(document), document["url"]
        assert {place for place, _ in _keys(document)} <= described


def test_a_folder_and_odd_values_are_too(tmp_path: Path) -> None:
    odd = gguf(
        (
            ("general.architecture", STRING, "llama"),
            ("general.license", STRING, "\u202eevil\n\x1b[31m"),
            ("llama.rope.freq_base", F32, math.inf),
        )
    ).data
    root = put_local(tmp_path / "m", {"a.gguf": odd, "b.gguf": gguf().data})
    for url in (root, f"{root}/a.gguf"):
        result = verify(url)
        document = json.loads(encode(handoff_of(result, {})))
        assert not _complaints(document)
        assert document["verdict"]["status"] == "passed"
        assert variables_of(result) == {"MUTAGEN_URL": url, "MUTAGEN_PIN": document["pin"]}
    assert b"\x1b" not in encode(handoff_of(result, {}))


def test_an_agent_sees_what_passed_only_by_a_waiver(golden_inputs: Path) -> None:
    waived = {}
    for document in _documents(golden_inputs, WAIVING):
        assert not _complaints(document)
        if document["verdict"]["waived"]:
            waived[document["sbom"]["model_filename"]] = document["verdict"]
    assert waived.keys() == {"cut.safetensors"}
    verdict = waived["cut.safetensors"]
    assert (verdict["status"], verdict["reasons"]) == ("passed", [])
    (reason,) = verdict["waived"]
    assert reason["code"] == "safetensors/truncated-data"
    assert reason["value"] == f"until {SOON}, ana"
    assert reason["message"].startswith("waived (weights unused): safetensors: tensor data")


@pytest.mark.parametrize("change", ["version", "pin", "sbom", "verdict"])
def test_the_schema_bites(golden_inputs: Path, change: str) -> None:
    document = next(_documents(golden_inputs))
    del document[change]
    assert _complaints(document)
    document[change] = 2
    assert _complaints(document)


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_recorded_documents_still_are_as_the_schema_says(path: Path) -> None:
    assert not _complaints(json.loads(path.read_text()))


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_no_field_of_a_recorded_document_has_vanished(path: Path, golden_inputs: Path) -> None:
    recorded = json.loads(path.read_text())
    policy = WAIVING if path.stem.endswith("-waived") else None
    (now,) = [
        document
        for document in _documents(golden_inputs, policy)
        if document["url"].endswith(recorded["url"].rpartition("inputs")[2])
    ]
    now["parameters"] = recorded["parameters"]
    assert set(_keys(recorded)) <= set(_keys(now))


def test_a_document_is_recorded_for_this_version() -> None:
    assert f"handoff-v{VERSION}" in {path.stem for path in RECORDED}
