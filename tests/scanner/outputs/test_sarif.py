import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.scanner.findings import CODES, make_finding
from prefect_mutagen.scanner.results import Summary
from tests.builders import gguf
from tests.scanner.outputs.validating import SHA256, as_set, examine, read, with_sha256, write
from tests.scanner.storing import put_local

URI = re.compile(r"[a-z][a-z0-9+.-]*://[A-Za-z0-9._~:/@%!$&'()*+,;=-]*")


def _run(results: Any) -> Any:
    return read("sarif", write("sarif", results))["runs"][0]


def test_golden_inputs_are_one_valid_log(golden_inputs: Path) -> None:
    results = examine(golden_inputs)
    run = _run(results)
    assert len(run["artifacts"]) == sum(len(result.objects) for result in results)
    assert {result["ruleId"] for result in run["results"]} >= {"gguf/web-page", "gguf/truncated"}
    for result in results:
        _run([result])


def test_real_headers_are_valid(real_models: Path) -> None:
    assert len(_run(examine(real_models))["artifacts"]) >= 4


def test_nothing_is_a_valid_log() -> None:
    run = _run([])
    assert run["results"] == run["artifacts"] == run["tool"]["driver"]["rules"] == []


def test_a_finding_and_a_reason_of_the_policy(tmp_path: Path) -> None:
    put_local(tmp_path, {"a b.gguf": gguf().data[:100]})
    run = _run(examine(tmp_path, max_size_bytes=10, fail_on="warning"))
    finding, reason = run["results"]
    offset = finding["locations"][0]["physicalLocation"]["region"]
    assert finding["ruleId"] == "gguf/truncated"
    assert finding["level"] == "error"
    assert finding["message"]["text"].startswith("GGUF: ")
    assert offset["byteLength"] == 0
    assert offset["byteOffset"] > 0
    uri = finding["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert uri == f"file://{tmp_path}/a%20b.gguf"
    assert reason["ruleId"] == "policy/size"
    assert reason["level"] == "error"
    assert "region" not in reason["locations"][0]["physicalLocation"]
    assert reason["locations"][0]["logicalLocations"] == [{"fullyQualifiedName": "max_size_bytes"}]
    rule = run["tool"]["driver"]["rules"][0]
    assert rule == {
        "id": "gguf/truncated",
        "shortDescription": {"text": CODES["gguf/truncated"].meaning},
        "help": {"text": CODES["gguf/truncated"].remedy},
        "defaultConfiguration": {"level": "error"},
        "properties": {"tags": ["model", "gguf"]},
    }


def test_artifacts_have_what_is_known(tmp_path: Path) -> None:
    put_local(tmp_path, {f"{name}.gguf": gguf().data for name in "ab"})
    first, second = examine(tmp_path)
    unsized = replace(second, objects=(replace(second.objects[0], size=-1),))
    run = _run([with_sha256(first), unsized, as_set([first, with_sha256(second)])])
    size = len(gguf().data)
    assert [(part.get("length"), part.get("hashes")) for part in run["artifacts"]] == [
        (size, {"sha-256": SHA256}),
        (None, None),
        (size, None),
        (size, {"sha-256": SHA256}),
    ]


def test_fingerprints_last_from_scan_to_scan(tmp_path: Path) -> None:
    put_local(tmp_path, {"a.gguf": gguf().data[:100], "b.gguf": gguf().data[:100]})
    prints = [result["partialFingerprints"] for result in _run(examine(tmp_path))["results"]]
    again = [result["partialFingerprints"] for result in _run(examine(tmp_path))["results"]]
    assert prints == again
    assert prints[0] != prints[1]


def test_every_code_makes_a_rule(tmp_path: Path) -> None:
    put_local(tmp_path, {"a.gguf": gguf().data})
    (result,) = examine(tmp_path)
    findings = tuple(make_finding(code, "it is so") for code in CODES)
    run = _run([replace(result, findings=findings)])
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == list(CODES)
    levels = {entry["ruleId"]: entry["level"] for entry in run["results"]}
    assert {levels[code] for code, known in CODES.items() if known.severity == "info"} == {"note"}


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("plain [a] text", "plain [a] text"),
        ("{0} and {{x}}", "{{0}} and {{{{x}}}}"),
        ("[a](http://b)", r"\[a\](http://b)"),
        (r"\[a](b)", r"\\\[a\](b)"),
        ("x" * 2000, "x" * 997 + "..."),
    ],
    ids=["plain", "placeholder", "link", "escaped link", "long"],
)
def test_messages_are_plain_text(tmp_path: Path, message: str, text: str) -> None:
    put_local(tmp_path, {"a.gguf": gguf().data})
    (result,) = examine(tmp_path)
    finding = make_finding("storage/failed", message)
    (entry,) = _run([replace(result, findings=(finding,))])["results"]
    assert entry["message"]["text"] == text


@pytest.mark.parametrize(
    "url", ["/m/a\nb ü\udce9%.gguf", "s3://b/k?x#y z", "https://h.example/a%20b", "hf://a/b@c/d"]
)
def test_locations_are_uris(tmp_path: Path, url: str) -> None:
    put_local(tmp_path, {"a.gguf": gguf().data[:100]})
    (result,) = examine(tmp_path)
    moved = replace(result.findings[0], url=url)
    (entry,) = _run([replace(result, findings=(moved,))])["results"]
    uri = entry["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert URI.fullmatch(uri)


def test_times_are_utc(tmp_path: Path) -> None:
    put_local(tmp_path, {"a.gguf": gguf().data})
    summary = Summary(finished_at="2026-01-02T03:05:00+00:00")
    log = read("sarif", write("sarif", examine(tmp_path), summary=summary))
    (invocation,) = log["runs"][0]["invocations"]
    assert invocation == {
        "executionSuccessful": True,
        "startTimeUtc": "2026-01-02T03:04:05.678901Z",
        "endTimeUtc": "2026-01-02T03:05:00Z",
    }
