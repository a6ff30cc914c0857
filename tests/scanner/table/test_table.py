import os
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from prefect_mutagen.scanner import Policy, ScanResult, StorageError, scan
from prefect_mutagen.scanner.examine.engine import examine_artifacts
from prefect_mutagen.scanner.examine.examiner import Examiner
from prefect_mutagen.scanner.examine.scan_info import ScanInfo, new_scan
from prefect_mutagen.scanner.listing.listing import list_artifacts
from prefect_mutagen.scanner.policy.policy import Waiver, judge
from prefect_mutagen.scanner.results import Summary
from prefect_mutagen.scanner.storage.opening import open_store
from prefect_mutagen.scanner.table.drift import compare
from prefect_mutagen.scanner.table.rows import from_row, sbom_rows, to_row, with_documents
from prefect_mutagen.scanner.table.schema import ARTIFACTS, SBOMS, SCHEMA_VERSION
from prefect_mutagen.scanner.table.state import Comparison, State
from prefect_mutagen.scanner.table.table import Table
from tests.builders import STRING, U64, gguf, u64
from tests.dates import SOON
from tests.processes import run_unprivileged
from tests.scanner.storing import S3_SERVERS, put_local, s3_table
from tests.scanner.table.changes import became_passed
from tests.servers import S3Server

GGUF = gguf().data
OTHER = gguf((("general.architecture", STRING, "mistral"),)).data
STATE = """
    SELECT url, status, drift FROM read_parquet('{0}/artifacts/*/*.parquet', union_by_name => true)
    JOIN (
        SELECT source, arg_max(state_scan_id, scan_id) AS scan_id
        FROM '{0}/scans/*/*.parquet' GROUP BY source
    ) USING (source, scan_id)
    WHERE drift <> 'removed'
"""


class Scanner:
    """Scans a folder into a table, as the flow and the command do."""

    def __init__(self, table: str, root: Path, options: dict[str, Any] | None = None) -> None:
        self.table, self.root, self.options = table, root, options

    def scan(self, policy: Policy | None = None) -> dict[str, int]:
        summary = Summary(finished_at="2026-01-01T00:00:00+00:00")
        results = list(scan(str(self.root), policy=policy))
        for result in results:
            summary.add(result)
        return self.open().write(self.info(policy), results, summary)

    def rescan(self, policy: Policy | None = None) -> tuple[dict[str, int], int, Summary]:
        """Read only what has changed; what became of all, how many were read, the counts."""
        known, summary = Comparison(self.open().open_state()), Summary()
        store = open_store(str(self.root))
        changed = [item for item in list_artifacts(store) if not known.keep(item, "stored")]
        examiner = Examiner(policy or Policy())
        results = list(examine_artifacts(store, changed, examiner))
        for result in results:
            summary.add(result)
        drift = self.open().write(self.info(policy), results, summary, known)
        return drift, len(changed), summary

    def open(self) -> Table:
        return Table(self.table, str(self.root), self.options)

    def info(self, policy: Policy | None = None) -> ScanInfo:
        return new_scan(str(self.root), policy or Policy())

    def state(self) -> dict[str, ScanResult]:
        found = self.open().read_state()
        return {url.removeprefix(f"{self.root}/"): result for url, result in found.items()}


@pytest.fixture(params=["local", *S3_SERVERS])
def scanner(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scanner]:
    """A root of three models, and a table in each kind of storage."""
    root = tmp_path / "root"
    put_local(root, {"a.gguf": GGUF, "b/c.gguf": GGUF, "cut.gguf": GGUF[:100]})
    if request.param == "local":
        yield Scanner(str(tmp_path / "table"), root)
    else:
        address, options = s3_table(request)
        yield Scanner(address, root, options)


def _files(scanner: Scanner, part: str) -> list[str]:
    files = scanner.open().files
    return sorted(files._fs.find(f"{files._path}/{part}"))


def test_every_artifact_is_in_the_newest_state_exactly_once(scanner: Scanner) -> None:
    assert scanner.scan() == {"added": 3}
    state = scanner.state()
    assert {url: result.verdict.status for url, result in state.items()} == {
        "a.gguf": "passed",
        "b/c.gguf": "passed",
        "cut.gguf": "failed",
    }
    (direct,) = (result for result in scan(str(scanner.root)) if "cut" in result.url)
    kept = state["cut.gguf"]
    assert kept.findings == direct.findings
    assert kept.verdict == direct.verdict
    assert kept.pin == direct.pin
    assert kept.sources == direct.sources
    assert kept.subject() == replace(direct.subject(), examined_at=kept.sbom.generated_at)


def test_a_scan_that_finds_nothing_new_costs_a_row(scanner: Scanner) -> None:
    scanner.scan()
    assert scanner.scan() == {"unchanged": 3}
    counts = {part: len(_files(scanner, part)) for part in ("artifacts", "sboms", "scans")}
    assert counts == {"artifacts": 1, "sboms": 1, "scans": 2}


def test_changes_are_named_and_only_their_documents_written(scanner: Scanner) -> None:
    scanner.scan()
    (scanner.root / "a.gguf").write_bytes(OTHER)
    (scanner.root / "cut.gguf").unlink()
    put_local(scanner.root, {"new.gguf": GGUF})
    assert scanner.scan() == {"changed": 1, "unchanged": 1, "added": 1, "removed": 1}
    assert set(scanner.state()) == {"a.gguf", "b/c.gguf", "new.gguf"}
    assert scanner.state()["a.gguf"].sbom.architecture == "mistral"
    if scanner.options is None:
        new = pq.ParquetFile(_files(scanner, "sboms")[1]).read().to_pylist()
        assert sorted(row["model_filename"] for row in new) == ["a.gguf", "new.gguf"]


def test_an_emptied_root_is_an_empty_state(scanner: Scanner) -> None:
    scanner.scan()
    for name in ("a.gguf", "b/c.gguf", "cut.gguf"):
        (scanner.root / name).unlink()
    assert scanner.scan() == {"removed": 3}
    assert scanner.state() == {}
    assert scanner.scan() == {}


def test_a_first_scan_of_nothing_is_on_record(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    scanner = Scanner(str(tmp_path / "table"), tmp_path / "root")
    assert scanner.scan() == {}
    assert len(_files(scanner, "scans")) == 1
    assert _files(scanner, "artifacts") == []


def test_duckdb_and_pyarrow_read_the_state(tmp_path: Path) -> None:
    put_local(tmp_path / "root", {"a.gguf": GGUF, "b.gguf": GGUF})
    scanner = Scanner(str(tmp_path / "table"), tmp_path / "root")
    scanner.scan()
    (tmp_path / "root/b.gguf").unlink()
    scanner.scan()
    rows = duckdb.execute(STATE.format(scanner.table)).fetchall()
    assert rows == [(f"{tmp_path}/root/a.gguf", "passed", "unchanged")]
    everything = ds.dataset(f"{scanner.table}/artifacts", format="parquet")
    assert everything.count_rows() == 4
    assert everything.schema.metadata[b"prefect_mutagen.schema"] == SCHEMA_VERSION.encode()
    document = duckdb.execute(
        f"SELECT metadata['general.architecture'] FROM '{scanner.table}/sboms/*/*.parquet'"  # noqa: S608
    ).fetchall()
    assert document == [('"llama"',), ('"llama"',)]


def test_two_roots_share_a_table_and_not_a_state(tmp_path: Path) -> None:
    for name in ("one", "two"):
        put_local(tmp_path / name, {f"{name}.gguf": GGUF})
        Scanner(str(tmp_path / "table"), tmp_path / name).scan()
    state = Scanner(str(tmp_path / "table"), tmp_path / "one").state()
    assert set(state) == {"one.gguf"}
    assert len(duckdb.execute(STATE.format(tmp_path / "table")).fetchall()) == 2


def test_a_policy_change_is_a_new_state_without_reading(scanner: Scanner) -> None:
    scanner.scan()
    strict = Policy(require_license=True)
    drift, read, summary = scanner.rescan(strict)
    assert (drift, read) == ({"unchanged": 3}, 0)
    assert (summary.artifacts, summary.objects, summary.failed) == (3, 3, 3)
    assert len(_files(scanner, "artifacts")) == 2
    flipped = scanner.state()["a.gguf"]
    assert flipped.verdict.reasons[0].code == "policy/license-missing"
    assert [change.field for change in flipped.drift_details] == ["status", "reasons"]
    assert not became_passed(flipped)
    assert scanner.rescan(strict)[0] == {"unchanged": 3}
    assert len(_files(scanner, "artifacts")) == 2
    scanner.rescan()
    assert became_passed(scanner.state()["a.gguf"])


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({}, True),
        ({"pin": "sha256:" + "0" * 64}, False),
        ({"pin": "etag:other"}, False),
        ({"pin": ""}, False),
        ({"tool_version": "0.0.0"}, False),
        ({"status": "unknown"}, False),
    ],
    ids=str,
)
def test_what_need_not_be_read(tmp_path: Path, change: dict[str, str], kept: bool) -> None:  # noqa: FBT001 - a column of the table
    root = put_local(tmp_path / "root", {"a.gguf": GGUF})
    (artifact,) = list_artifacts(open_store(root))
    (known,) = scan(root)
    known = replace(known, pin=change.get("pin", known.pin))
    if "tool_version" in change:
        known = replace(known, sbom=replace(known.sbom, tool_version="0.0.0"))
    if "status" in change:
        known = replace(known, verdict=replace(known.verdict, status="unknown"))
    table = Table(str(tmp_path / "table"), root)
    table.write(new_scan(root, Policy()), [known], Summary())
    assert (table.open_state().find_current(artifact, "stored") is not None) == kept
    assert table.open_state().find_current(artifact, "full") is None
    assert State().find_current(artifact, "stored") is None


def test_an_old_examination_is_not_kept(tmp_path: Path) -> None:
    root = put_local(tmp_path / "root", {"a.gguf": GGUF})
    (artifact,) = list_artifacts(open_store(root))
    (known,) = scan(root)
    old = replace(known, sbom=replace(known.sbom, generated_at="2020-01-01T00:00:00+00:00"))
    limit = Policy(max_scan_age_hours=1)
    for result, kept in ((known, True), (old, False)):
        table = Table(str(tmp_path / f"table-{kept}"), root)
        table.write(new_scan(root, Policy()), [result], Summary())
        assert (table.open_state().find_current(artifact, "stored", limit) is not None) is kept
        assert table.open_state().find_current(artifact, "stored", Policy()) is not None


def test_a_waiver_that_runs_out_counts_though_nothing_changed(tmp_path: Path) -> None:
    scanner = Scanner(str(tmp_path / "table"), tmp_path / "root")
    put_local(tmp_path / "root", {"a.gguf": GGUF})
    waiver = Waiver(
        code="policy/license-missing", url="*", reason="soon", owner="ana", expires=SOON
    )
    policy = Policy(require_license=True, waivers=(waiver,))
    scanner.scan(policy)
    assert scanner.state()["a.gguf"].passed
    assert len(scanner.state()["a.gguf"].verdict.waived) == 1
    expired = replace(policy, waivers=(replace(waiver, expires="2020-01-01"),))
    _, examined, _ = scanner.rescan(expired)
    assert examined == 0
    assert scanner.state()["a.gguf"].verdict.status == "failed"


def test_a_result_survives_the_table(tmp_path: Path) -> None:
    """Whatever is added to results has to be kept by the table, or named here."""
    root = put_local(
        tmp_path / "root",
        {
            "a.gguf": gguf(
                (
                    ("general.architecture", STRING, "llama"),
                    ("general.license", STRING, "mit"),
                    ("tokenizer.chat_template", STRING, "{{ messages.__class__ }}"),
                )
            ).data,
            "config.json": b"{}",
        },
    )
    (before,) = scan(root, policy=Policy(max_size_bytes=1), hash="full")
    (result,) = scan(root, policy=Policy(), hash="full")
    result = replace(result, drift_details=compare(before, result), drift="unchanged")
    assert result.drift_details
    assert result.findings
    scanned = new_scan(root, Policy())
    row = pa.Table.from_pylist([to_row(result, scanned)], ARTIFACTS).to_pylist()[0]
    documents = pa.Table.from_pylist(list(sbom_rows(result, scanned)), SBOMS).to_pylist()
    back = with_documents(from_row(row), documents)
    for field in fields(ScanResult):
        if field.name in {"bytes_read", "requests", "modified"}:
            continue  # of one scan alone; a time has microseconds in Parquet
        assert getattr(back, field.name) == getattr(result, field.name), field.name
    assert back.sbom_id == row["sbom_id"]
    assert judge(from_row(row).subject(), Policy(require_license=True)) == judge(
        result.subject(), Policy(require_license=True)
    ), "a row is judged like the result it was"


def test_hostile_values_fit_into_the_table(tmp_path: Path) -> None:
    huge = gguf(
        (
            ("general.architecture", STRING, b"\xff\x00\x1b[31m"),
            ("llama.context_length", U64, 2**64 - 1),
        ),
        (("a", (2, 2), 0), ("b", (2, 2), 0)),
        patch={"t0.dim0": u64(2**61), "t1.dim0": u64(2**61)},
    ).data
    path = os.path.join(os.fsencode(tmp_path), b"root/\xff odd.gguf")
    os.makedirs(os.path.dirname(path))
    with open(path, "wb") as file:
        file.write(huge)
    scanner = Scanner(str(tmp_path / "table"), tmp_path / "root")
    assert scanner.scan() == {"added": 1}
    ((url, result),) = scanner.state().items()
    assert url == "\udcff odd.gguf"
    assert result.sbom.context_length is None
    assert scanner.scan() == {"unchanged": 1}


@pytest.mark.parametrize("place", ["file-in-the-way", "unknown"])
def test_a_table_that_cannot_be_written_says_so(tmp_path: Path, place: str) -> None:
    put_local(tmp_path, {"root/a.gguf": GGUF, "file": b""})
    address = {
        "file-in-the-way": str(tmp_path / "file" / "table"),
        "unknown": "nosuch://x",
    }[place]
    with pytest.raises(StorageError, match="table"):
        Scanner(address, tmp_path / "root").scan()


def test_a_table_that_may_not_be_written_says_so(tmp_path: Path) -> None:
    root = put_local(tmp_path / "root", {"a.gguf": GGUF})
    (tmp_path / "closed").mkdir(mode=0o500)
    done = run_unprivileged("scan", root, "--table", str(tmp_path / "closed/table"))
    assert done.returncode == 2
    assert "the table cannot be written: permission denied" in done.stderr
    assert list((tmp_path / "closed").iterdir()) == []


@pytest.mark.parametrize("server", S3_SERVERS)
def test_a_table_in_a_missing_bucket_says_so(
    tmp_path: Path, server: str, request: pytest.FixtureRequest
) -> None:
    put_local(tmp_path, {"root/a.gguf": GGUF})
    started: S3Server = request.getfixturevalue(server)
    scanner = Scanner("s3://no-such-bucket-here/table", tmp_path / "root", started.options)
    with pytest.raises(StorageError, match="cannot be written"):
        scanner.scan()


def test_nothing_is_published_when_writing_fails(
    scanner: Scanner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    monkeypatch.setattr(scanner.open().files._fs, "put_file", fail)
    with pytest.raises(StorageError, match="No space left"):
        scanner.scan()
    monkeypatch.undo()
    assert scanner.state() == {}
    assert [
        name for part in ("artifacts", "sboms", "scans") for name in _files(scanner, part)
    ] == []
