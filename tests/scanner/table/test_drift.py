"""What is noticed between two scans, and how it is said."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.scanner import Policy, ScanResult, scan
from prefect_mutagen.scanner.examine.engine import examine_artifacts
from prefect_mutagen.scanner.examine.examiner import Examiner
from prefect_mutagen.scanner.examine.scan_info import new_scan
from prefect_mutagen.scanner.findings import make_finding
from prefect_mutagen.scanner.listing.listing import list_artifacts
from prefect_mutagen.scanner.policy.policy import judge
from prefect_mutagen.scanner.results import Change, ObjectResult, Summary
from prefect_mutagen.scanner.storage.opening import open_store
from prefect_mutagen.scanner.table.drift import compare, drift_of
from prefect_mutagen.scanner.table.state import Comparison
from prefect_mutagen.scanner.table.table import Table
from prefect_mutagen.scanner.verdicts import Verdict
from tests.builders import STRING, gguf
from tests.scanner.storing import put_local
from tests.scanner.table.changes import became_passed
from tests.servers import S3Server

GGUF = gguf().data
TEMPLATE = {"chat_templates": [{"name": "default", "length": 1, "sha256": "ab" * 32}]}


@pytest.fixture
def known(tmp_path: Path) -> ScanResult:
    (result,) = scan(
        put_local(tmp_path / "root", {"a.gguf": GGUF, "README.md": b"---\nlicense: mit\n---\n"})
    )
    return result


def _with(result: ScanResult, **sbom: Any) -> ScanResult:
    return replace(result, sbom=replace(result.sbom, **sbom))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda r: r, []),
        (lambda r: _with(r, architecture="mistral"), [("architecture", "llama", "mistral")]),
        (lambda r: _with(r, architecture=None), [("architecture", "llama", "")]),
        (lambda r: _with(r, quantization="Q4_K_M"), [("quantization", "F32", "Q4_K_M")]),
        (lambda r: _with(r, parameter_count=7), [("parameter_count", "64", "7")]),
        (lambda r: _with(r, dtype="BF16"), [("dtype", "F32", "BF16")]),
        (lambda r: replace(r, license_spdx="Apache-2.0"), [("license", "MIT", "Apache-2.0")]),
        (lambda r: replace(r, facts=TEMPLATE), [("template_sha256", "", "ab" * 32)]),
        (lambda r: replace(r, header_sha256=""), []),
        (lambda r: _with(r, sha256="12"), []),
        (
            lambda r: replace(r, neighbours={}),
            [("neighbour:README.md", "PIN", "")],
        ),
        (
            lambda r: replace(r, neighbours={**r.neighbours, "config.json": "etag:1"}),
            [("neighbour:config.json", "", "etag:1")],
        ),
        (lambda r: replace(r, neighbours=None), []),
        (
            lambda r: replace(r, objects=(*r.objects, ObjectResult("x/b.gguf", 5, "etag:2"))),
            [("size_bytes", "384", "389"), ("object:x/b.gguf", "", "etag:2")],
        ),
        (
            lambda r: replace(r, verdict=Verdict("unknown")),
            [("status", "passed", "unknown")],
        ),
        (
            lambda r: _with(r, architecture="\udcff\x1b[31m" + "x" * 500),
            [("architecture", "llama", "\udcff\x1b[31m" + "x" * 193 + "…")],
        ),
    ],
)
def test_what_differs_is_named(known: ScanResult, change: Any, expected: list[Any]) -> None:
    assert known.neighbours is not None
    pin = known.neighbours["README.md"]
    wanted = tuple(Change(*(pin if text == "PIN" else text for text in row)) for row in expected)
    assert compare(known, change(known)) == wanted


def test_hashes_differ_only_where_both_are_known(known: ScanResult) -> None:
    hashed = _with(known, sha256="11")
    (change,) = compare(hashed, _with(known, sha256="22"))
    assert change == Change("sha256", "11", "22")
    assert compare(hashed, known) == ()
    (change,) = compare(known, replace(known, header_sha256="00"))
    assert (change.field, change.after) == ("header_sha256", "00")


@pytest.mark.parametrize(
    ("drift", "status", "was", "became"),
    [
        ("added", "passed", None, True),
        ("changed", "passed", "passed", True),
        ("unchanged", "passed", "passed", False),
        ("unchanged", "passed", "failed", True),
        ("unchanged", "failed", "passed", False),
        ("added", "failed", None, False),
    ],
)
def test_what_has_become_passed(
    known: ScanResult,
    drift: Any,
    status: Any,
    was: Any,
    became: bool,  # noqa: FBT001 - a column of the table
) -> None:
    result = replace(known, drift=drift, verdict=Verdict(status))
    if was is not None:
        details = compare(replace(known, verdict=Verdict(was)), result)
        result = replace(result, drift_details=details)
    assert became_passed(result) == became


def test_a_warning_that_now_counts_is_a_change_of_the_verdict(known: ScanResult) -> None:
    doubtful = replace(known, findings=(make_finding("sbom/quantization-disagrees", "x"),))
    strict = replace(doubtful, verdict=judge(doubtful.subject(), Policy(fail_on="warning")))
    assert [change.field for change in compare(doubtful, strict)] == ["status", "reasons"]
    assert drift_of(strict, doubtful) == "unchanged"


def test_drift_is_in_the_report_and_the_table(known: ScanResult, tmp_path: Path) -> None:
    root = str(tmp_path / "root")
    table = Table(str(tmp_path / "table"), root)
    table.write(new_scan(root, Policy()), [known], Summary())
    put_local(tmp_path / "root", {"README.md": b"---\nlicense: apache-2.0\n---\n"})
    (now,) = scan(root)
    assert table.write(new_scan(root, Policy()), [now], Summary()) == {"changed": 1}
    (kept,) = table.read_state().values()
    assert kept.drift == "changed"
    details = {change.field: (change.before, change.after) for change in kept.drift_details}
    assert details.keys() == {"license", "neighbour:README.md"}
    assert details["license"] == ("MIT", "Apache-2.0")
    report = kept.to_report()
    assert report["drift_details"][0] == {
        "field": "license",
        "before": "MIT",
        "after": "Apache-2.0",
    }


def test_other_bytes_of_the_same_size_and_time_are_noticed_by_their_etag(
    s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = gguf((("general.architecture", STRING, "gamma"),)).data
    assert len(other) == len(GGUF)
    bucket = s3_server.bucket({"a.gguf": GGUF, "b.gguf": GGUF})
    root = f"s3://{bucket}"
    monkeypatch.setenv("PREFECT_MUTAGEN_ENGINE", "fsspec")
    monkeypatch.setattr("prefect_mutagen.scanner.storage.s3.S3Store._describe", _frozen_in_time())
    table = Table(str(tmp_path / "table"), root)
    table.write(new_scan(root, Policy()), scan(root, storage_options=s3_server.options), Summary())
    s3_server.client().put_object(Bucket=bucket, Key="a.gguf", Body=other)
    known, store = Comparison(table.open_state()), open_store(root, s3_server.options)
    listed = list(list_artifacts(store))
    assert {(item.objects[0].size, item.objects[0].modified) for item in listed} == {(384, 0.0)}
    fresh = [item for item in listed if not known.keep(item, "stored")]
    assert [item.url for item in fresh] == [f"{root}/a.gguf"]
    results = examine_artifacts(store, fresh, Examiner(Policy()))
    assert table.write(new_scan(root, Policy()), results, Summary(), known) == {
        "changed": 1,
        "unchanged": 1,
    }
    changed = table.read_state()[f"{root}/a.gguf"]
    assert ("architecture", "llama", "gamma") in {
        (change.field, change.before, change.after) for change in changed.drift_details
    }


def _frozen_in_time() -> Any:
    """Describe objects as if all had been written at the same moment."""
    from prefect_mutagen.scanner.storage.s3 import S3Store

    real = S3Store._describe

    def describe(self: Any, entry: Any) -> Any:
        return real(self, entry)._replace(modified=0.0)

    return describe
