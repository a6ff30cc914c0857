"""Examine artifacts in a bounded window of task runs."""

from collections import deque
from dataclasses import dataclass
from typing import Any

from prefect.futures import PrefectFuture

from prefect_mutagen.flows.run_log import flow_logger
from prefect_mutagen.flows.starting import quoted
from prefect_mutagen.scanner.examine.unexamined import crashed
from prefect_mutagen.scanner.listing.manifest import Batch, Manifest
from prefect_mutagen.scanner.results import Summary
from prefect_mutagen.scanner.storage.address import Address
from prefect_mutagen.scanner.storage.hashing import HashLevel
from prefect_mutagen.scanner.table.recording import Recording
from prefect_mutagen.scanner.table.spool import Spooled
from prefect_mutagen.tasks.scan_selection import Versions
from prefect_mutagen.tasks.scanning import scan_artifact, scan_rows

__all__ = ["WORKERS", "Reading", "examine"]

WORKERS = 16
_WINDOW = 2 * WORKERS


@dataclass(frozen=True, slots=True)
class Reading:
    """Fan-out limits of a scan and parameters of its tasks."""

    task_runs: int
    concurrency: int
    storage: str
    hash: HashLevel
    versions: Versions

    def width(self, artifacts: int, *, local: bool) -> int:
        """Return the number of task runs.

        Prefect starts about a hundred task runs per second, so remote artifacts are batched: into
        one batch per worker, or, for large scans, into batches of `concurrency` artifacts, so that
        each task run alone can use the whole request limit.
        """
        if local or artifacts <= WORKERS:
            return min(artifacts, self.task_runs)
        return min(max(WORKERS, artifacts // self.concurrency), self.task_runs)


def examine(recording: Recording, summary: Summary, manifest: Manifest, reading: Reading) -> int:
    """Examine artifacts in a bounded window of task runs; return the number of task runs."""
    scan = quoted(recording.scan)
    local = Address.parse(recording.scan.source).is_local
    width = reading.width(len(manifest), local=local)
    # Local files are examined one at a time, or with one thread per core for full hashing.
    most = max(1, reading.concurrency // WORKERS) if local else reading.concurrency
    storage, level, versions = reading.storage, reading.hash, reading.versions
    waiting: deque[tuple[Batch, PrefectFuture[Any]]] = deque()
    for batch in manifest.batches(width):
        future: PrefectFuture[Any]
        if width == len(manifest):
            (artifact,) = batch.read()
            future = scan_artifact.submit(
                artifact=quoted(artifact),
                source=recording.scan.source,
                policy=quoted(recording.scan.policy),
                storage=storage,
                hash=level,
                versions=versions,
                concurrency=most,
            )
        else:
            future = scan_rows.submit(
                artifacts=quoted(batch),
                scan=scan,
                folder=recording.folder,
                storage=storage,
                hash=level,
                concurrency=most,
                versions=versions,
            )
        waiting.append((batch, future))
        if len(waiting) >= _WINDOW:
            _collect(recording, summary, *waiting.popleft())
    while waiting:
        _collect(recording, summary, *waiting.popleft())
    return width


def _collect(
    recording: Recording, summary: Summary, batch: Batch, future: PrefectFuture[Any]
) -> None:
    """Record the results of a task run; if it crashed, record that for each of its artifacts."""
    future.wait()
    if future.state.is_completed():
        got = future.result()
        if isinstance(got, Spooled):
            recording.adopt(got, summary)
        else:
            summary.add(recording.add(got))
        return
    flow_logger().error("%s ended as %s", "a scan task", future.state.name)
    for artifact in batch.read():
        result = crashed(artifact, future.state.name or "failed")
        summary.add(recording.add(result))
