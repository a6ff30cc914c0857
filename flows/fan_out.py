"""Examine artifacts in task runs: how many there are, and what happens when one breaks.

Prefect's client starts about a hundred task runs a second, and its server records about ten. So
many artifacts share a task run, and only few of them get one each. Threads of the flow's process
leave their results in its temporary folder; workers elsewhere return them, in batches that are
small enough for that.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from prefect.futures import PrefectFuture, as_completed, wait

from prefect_mutagen.flows.arrows import Arrow, arrows_from
from prefect_mutagen.flows.run_log import flow_logger
from prefect_mutagen.flows.scan_progress import ScanProgress
from prefect_mutagen.flows.task_runners import WORKERS, Engine, current_engine
from prefect_mutagen.scanner.internal_errors import location_of
from prefect_mutagen.scanner.listing.manifest import Batch, Manifest
from prefect_mutagen.scanner.outputs.visible import counted, visible
from prefect_mutagen.scanner.results import Summary
from prefect_mutagen.scanner.storage.address import Address
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.hashing import HashLevel
from prefect_mutagen.scanner.table.carried import CarriedRows
from prefect_mutagen.scanner.table.staging import Rescan
from prefect_mutagen.scanner.table.table_scan import TableScan
from prefect_mutagen.tasks.ending import ends_with, run_key
from prefect_mutagen.tasks.quoting import opened, quoted
from prefect_mutagen.tasks.scan_selection import Versions
from prefect_mutagen.tasks.scanning import scan_rows
from prefect_mutagen.tasks.storage_blocks import UnusableBlock

__all__ = ["Examine", "Examined", "Reading", "ScanBroken", "examine"]

_BATCH: Final = 5000
"""Artifacts in a batch where there are many: what is lost with a task run that breaks."""
_CARRIED_BATCH: Final = 1000
"""Artifacts in a batch whose results are returned by value: some megabytes."""
_THREADS: Final = 4
"""Task runs that threads work at, if they hold as many artifacts as requests may be under way. They
share an interpreter: with 16 a scan takes twice the processor time and 100 MB more, because they
wait for each other."""
_MOST_TASK_RUNS: Final = 250
"""So many are recorded by any server within half a minute."""
_BROKEN_SHARE: Final = 0.05
"""Share of task runs, beyond one, from which on a scan that they broke in is not published."""
_LAST_SECONDS: Final = 2.0
"""Seconds that task runs have to notice that their scan is ending: an artifact, or a request."""
_ARROWS: Final = 64
"""Task runs that one is drawn to depend on; more arrows are a black area."""


class ScanBroken(Exception):  # noqa: N818 - it names what happened, as it is read in the UI
    """Too many task runs broke, so nothing was published: the table is as it was before."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Fan-out limits of a scan and parameters of its tasks."""

    task_runs: int
    """Number of task runs if there are so many artifacts; 0: what suits engine and artifacts."""
    concurrency: int
    storage: str
    hash: HashLevel
    versions: Versions
    table: str = ""
    """Table in whose staging area results are kept; empty: none."""
    rescan: Rescan = "changed"
    table_storage: str = ""
    """Block with the table's credentials; empty: it has none of its own."""

    def width(self, artifacts: int, engine: Engine) -> int:
        """Return the number of task runs.

        Few artifacts get one each. Many are dealt out evenly to the workers, twice on a cluster,
        whose workers differ; and very many in batches of limited size.
        """
        batch = _BATCH if engine.shares_files else _CARRIED_BATCH
        batches = -(-artifacts // batch)
        if self.task_runs:
            asked = self.task_runs if engine.shares_files else max(self.task_runs, batches)
            return min(artifacts, asked)
        if engine.shares_files:
            batches = min(batches, _MOST_TASK_RUNS)
        workers = engine.workers if engine.shares_files else max(WORKERS, 2 * engine.workers)
        return min(artifacts, max(workers, batches))


@dataclass(slots=True)
class Examined:
    """What became of the task runs of a scan."""

    task_runs: int = 0
    arrows: list[Arrow] = field(default_factory=list)
    """What a task that needs their results waits for: the first of them."""
    broken: Counter[str] = field(default_factory=Counter)
    """Artifacts that were not examined, by what broke their task runs."""

    @property
    def left_out(self) -> int:
        """Number of artifacts that were not examined."""
        return self.broken.total()

    def describe(self) -> str:
        """Return one sentence on what was not examined; empty if everything was."""
        if not self.broken:
            return ""
        artifacts = counted(self.left_out, "artifact")
        were = "was" if self.left_out == 1 else "were"
        reason = next(iter(self.broken))
        return f"{artifacts} {were} not examined and stay as they were known: {reason}"


Examine = Callable[[TableScan, Summary, Manifest, Sequence[Arrow]], Examined]
"""Examines the artifacts of a manifest, and adds results to a scan and its counts."""


def examine(
    table_scan: TableScan,
    summary: Summary,
    manifest: Manifest,
    after: Sequence[Arrow],
    reading: Reading,
) -> Examined:
    """Examine artifacts in a bounded window of task runs, and record their results.

    An artifact whose task run broke keeps the row that it has in the table; a new one is not
    recorded. The next scan examines both. Clusters give the batch of a worker that died to others
    by themselves, a few times, before its task run counts as broken.

    Args:
        table_scan: The scan.
        summary: Its counts; results are added.
        manifest: The artifacts.
        after: Arrows from the task runs that these depend on.
        reading: How they are read.

    Raises:
        ScanBroken: More than one task run and 5 % of them broke, or all.
    """
    return _FanOut(table_scan, summary, manifest, reading, after).run()


class _FanOut:
    """The task runs of one scan."""

    def __init__(
        self,
        table_scan: TableScan,
        summary: Summary,
        manifest: Manifest,
        reading: Reading,
        after: Sequence[Arrow],
    ) -> None:
        self._table_scan, self._summary = table_scan, summary
        self._manifest, self._reading, self._after = manifest, reading, after
        self._engine = engine = current_engine()
        self._width = reading.width(len(manifest), engine)
        self._window = 2 * max(WORKERS, engine.workers)
        self._is_local = Address.parse(table_scan.recording.scan.source).is_local
        if engine.shares_files:
            # Small batches have fewer artifacts than requests may be under way.
            batch = max(1, len(manifest) // max(1, self._width))
            # Twice as many, because some begin while others end.
            wanted = 0 if self._is_local else 2 * -(-reading.concurrency // batch)
            self._window = min(max(_THREADS, wanted), engine.workers)
        # Workers elsewhere would write a local table where nobody finds it: then it is done here.
        self._table = reading.table
        if not engine.is_here and self._table and Address.parse(self._table).is_local:
            self._table = ""
        self._waiting: dict[PrefectFuture[Any], Batch] = {}
        self._broken_runs = 0
        self._done = Examined()
        self._progress = ScanProgress(len(manifest), is_counted_here=self._engine.shares_files)

    def run(self) -> Examined:
        with self._progress, ends_with(run_key(), self._let_end):
            for batch in self._manifest.batches(self._width):
                self._submit(batch)
                if len(self._waiting) >= self._window:
                    self._collect(self._next())
            while self._waiting:
                self._collect(self._next())
        return self._done

    def _let_end(self) -> None:
        """Wait for task runs that are left behind: they write into a folder that is deleted."""
        if self._engine.shares_files:
            wait(list(self._waiting), timeout=_LAST_SECONDS)

    def _next(self) -> PrefectFuture[Any]:
        """Wait for a task run: the first that ends, or the oldest where that is not told."""
        waiting = list(self._waiting)
        return next(as_completed(waiting)) if self._engine.shares_files else waiting[0]

    def _submit(self, batch: Batch) -> None:
        reading, recording = self._reading, self._table_scan.recording
        shares_files = self._engine.shares_files
        # Local files are read one at a time in a task run, or hashed in so many threads.
        threads = max(1, reading.concurrency // max(1, min(self._width, self._window)))
        future: PrefectFuture[Any] = scan_rows.submit(
            artifacts=quoted(batch if shares_files else batch.carried()),
            scan=quoted(recording.scan),
            folder=quoted(recording.folder if shares_files else ""),
            storage=quoted(reading.storage),
            hash=quoted(reading.hash),
            concurrency=quoted(threads if self._is_local else reading.concurrency),
            versions=quoted(reading.versions),
            table=quoted(self._table),
            rescan=quoted(reading.rescan),
            table_storage=quoted(reading.table_storage),
            wait_for=self._after,
            return_state=False,
        )
        self._waiting[future] = batch
        self._done.task_runs += 1

    def _collect(self, future: PrefectFuture[Any]) -> None:
        """Record what a task run found; leave its batch out if it broke."""
        batch, recording = self._waiting.pop(future), self._table_scan.recording
        try:
            found = opened(future.result())
            self._progress.add(len(batch))
        except Exception as problem:  # noqa: BLE001 - each engine raises its own for a lost worker
            self._break(batch, problem)
            return
        if isinstance(found, CarriedRows):
            found = found.put(f"{recording.folder}/carried")
            if recording.staging is not None and not self._table:
                found.keep(recording.staging)
        recording.adopt(found, self._summary)
        if len(self._done.arrows) < _ARROWS:
            self._done.arrows += arrows_from(future.task_run_id)

    def _break(self, batch: Batch, problem: Exception) -> None:
        reason = _reason(problem)
        flow_logger().error("a task run with %s broke: %s", counted(len(batch), "artifact"), reason)
        self._broken_runs += 1
        self._done.broken[reason] += len(batch)
        for artifact in batch.read():
            self._table_scan.leave_out(artifact, self._summary)
        if self._broken_runs > max(1, _BROKEN_SHARE * self._width) or (
            self._broken_runs == self._width
        ):
            runs = f"{self._broken_runs} of {counted(self._width, 'task run')} broke"
            first = next(iter(self._done.broken))
            raise ScanBroken(f"{runs}, and nothing was published; the first: {first}")


def _reason(problem: Exception) -> str:
    """Return a clause; messages of others may quote what they should not, so only ours are told."""
    if isinstance(problem, StorageError | UnusableBlock):
        return visible(str(problem), 500)
    return location_of(problem)
