"""Parts of a scan on their way through a table, and what somebody else may have put there."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from prefect_mutagen.scanner import Policy, ScanResult, StorageError, scan
from prefect_mutagen.scanner.claimants import Claimant, this_claimant
from prefect_mutagen.scanner.examine.scan_info import ScanInfo, new_scan
from prefect_mutagen.scanner.listing.artifacts import Artifact
from prefect_mutagen.scanner.listing.listing import list_artifacts
from prefect_mutagen.scanner.listing.manifest import Batch, Manifest
from prefect_mutagen.scanner.results import Summary
from prefect_mutagen.scanner.storage.opening import open_store
from prefect_mutagen.scanner.table import shards
from prefect_mutagen.scanner.table.shards import Shards, scan_of_shard
from prefect_mutagen.scanner.table.table import Table
from prefect_mutagen.scanner.table.table_scan import TableScan
from tests.builders import gguf
from tests.scanner.storing import put_local

GGUF = gguf().data
MODELS = 4


class Scan:
    """A scan that deals out one shard."""

    def __init__(self, root: str, folder: Path) -> None:
        self.root, self.folder = root, folder
        self.info = new_scan(root, Policy())
        self.table = Table(str(folder / "table"), root)
        self.shards: Shards = self.table.shards(str(folder))
        self.batch = self._deal_out(list_artifacts(open_store(root)))
        self.name = self.shards.offer(self.batch, self.info, 0)

    def _deal_out(self, artifacts: Iterable[Artifact]) -> Batch:
        manifest = Manifest(str(self.folder / "manifest"))
        manifest.write(artifacts)
        (batch,) = manifest.batches(1)
        return batch

    def offer(self, change: Callable[[Artifact], Artifact]) -> str:
        return self.shards.offer(
            self._deal_out([change(one) for one in self.batch.read()]), self.info, 1
        )

    def complete(self, results: Iterable[ScanResult], info: ScanInfo | None = None) -> None:
        with TableScan(info or self.info) as table_scan:
            summary = Summary()
            for result in results:
                summary.add(table_scan.recording.add(result))
            table_scan.finish(summary)
            self.shards.complete(self.name, table_scan.prepare(summary))

    @property
    def wanted(self) -> set[str]:
        return {artifact.url for artifact in self.batch.read()}


@pytest.fixture
def shared(tmp_path: Path) -> Scan:
    root = put_local(tmp_path / "root", {f"{n}.gguf": GGUF for n in range(MODELS)})
    (tmp_path / "work").mkdir()
    return Scan(root, tmp_path / "work")


def test_artifacts_and_results_arrive_as_they_were(shared: Scan) -> None:
    assert list(shared.shards.read_list(shared.name, shared.root)) == list(shared.batch.read())
    assert not shared.shards.is_complete(shared.name)
    shared.complete(scan(shared.root))
    assert shared.shards.is_complete(shared.name)
    wanted = shared.wanted
    spooled = shared.shards.take(shared.name, shared.info, wanted)
    assert (spooled.artifacts, wanted) == (MODELS, set())
    rows = [row for table in spooled.rows() for row in table.to_pylist()]
    assert {row["url"] for row in rows} == shared.wanted
    assert {row["scan_id"] for row in rows} == {shared.info.id}
    assert sum(table.num_rows for table in spooled.documents()) == MODELS
    shared.shards.clear([shared.name])
    assert not list((shared.folder / "table/shards").rglob("*.*"))


def test_what_was_not_examined_remains(shared: Scan) -> None:
    shared.complete(list(scan(shared.root))[1:])
    wanted = shared.wanted
    shared.shards.take(shared.name, shared.info, wanted)
    assert wanted == {f"{shared.root}/0.gguf"}


@pytest.mark.parametrize("name", ["", "x", "../../agents/x", f"{'0' * 32}", "a-0001\n"])
def test_what_is_no_name_of_a_shard_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no name of a shard"):
        scan_of_shard(name)


def test_a_name_says_its_scan(shared: Scan) -> None:
    assert scan_of_shard(shared.name) == shared.info.id
    with pytest.raises(ValueError, match="is no name of a shard"):
        scan_of_shard(f"{shared.name}\n")


def test_a_list_leads_nowhere_else(shared: Scan, tmp_path: Path) -> None:
    elsewhere = str(tmp_path / "elsewhere.gguf")

    def lead_away(artifact: Artifact) -> Artifact:
        return artifact._replace(objects=(artifact.objects[0]._replace(url=elsewhere),))

    for change in (lead_away, lambda artifact: artifact._replace(url=f"{shared.root}-2/x.gguf")):
        name = shared.offer(change)
        with pytest.raises(StorageError, match="names something that is not below the root"):
            list(shared.shards.read_list(name, shared.root))


def test_results_that_nobody_asked_for_are_refused(shared: Scan) -> None:
    (first, *_), other = scan(shared.root), f"{shared.root}/other.gguf"
    shared.complete([replace(first, url=other)])
    with pytest.raises(StorageError, match="has results that nobody asked for"):
        shared.shards.take(shared.name, shared.info, shared.wanted)
    shared.complete([first, first])
    with pytest.raises(StorageError, match="has results that nobody asked for"):
        shared.shards.take(shared.name, shared.info, shared.wanted)


def test_results_of_another_version_are_refused(shared: Scan) -> None:
    newer = replace(shared.info, tool_version="99")
    results = list(scan(shared.root))
    shared.complete(
        [replace(one, sbom=replace(one.sbom, tool_version="99")) for one in results], newer
    )
    with pytest.raises(StorageError, match="was examined by version 99 and not"):
        shared.shards.take(shared.name, shared.info, shared.wanted)


def test_only_a_process_that_is_gone_is_lost(shared: Scan, monkeypatch: pytest.MonkeyPatch) -> None:
    name, parts = shared.name, shared.shards
    assert not parts.is_lost(name, 1), "not begun"
    with parts.work_at(name, 1, "run"):
        assert not parts.is_lost(name, 1)
        assert not parts.is_lost(name, 2)
    assert not parts.is_lost(name, 1), "it has said that it ends"
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()

    def gone(flow_run: str) -> Claimant:
        return replace(this_claimant(flow_run), pid=ended.pid, start_time="1")

    monkeypatch.setattr(shards, "this_claimant", gone)
    with parts.work_at(name, 2, "run"):
        assert parts.is_lost(name, 2)
        assert not parts.is_lost(name, 1)


def test_parts_that_nobody_took_go_after_a_week(shared: Scan) -> None:
    folder = shared.folder / "table/shards" / os.listdir(shared.folder / "table/shards")[0]
    old, fresh = f"20200101T000000000000Z-{'0' * 8}-0000", shared.name
    for name in (f"{old}-list.parquet", f"{old}-1.json"):
        (folder / name).write_bytes(b"{}")
    shared.shards.clear([])
    assert {path.name for path in folder.iterdir()} == {f"{fresh}-list.parquet"}
