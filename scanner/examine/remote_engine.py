"""Examine remote artifacts concurrently, on the store's own event loop.

That loop runs in fsspec's thread, so a scan can be started from anywhere, also from inside another
running loop. Artifacts are handed over in batches and results come back through one queue, because
waking another thread costs more than parsing a small header. Results are yielded in order; those
behind a slow artifact are examined meanwhile.
"""

import asyncio
from collections.abc import Iterable, Iterator
from itertools import islice
from queue import SimpleQueue
from typing import Final

from prefect_mutagen.scanner.examine.driver import drive
from prefect_mutagen.scanner.examine.examiner import Examiner
from prefect_mutagen.scanner.examine.overridden import examiner_at
from prefect_mutagen.scanner.examine.retries import RequestServer, SharedRequests
from prefect_mutagen.scanner.examine.unexamined import guarded
from prefect_mutagen.scanner.listing.artifacts import Artifact
from prefect_mutagen.scanner.results import ScanResult
from prefect_mutagen.scanner.storage.pacing import ConcurrencyLimit, Slots
from prefect_mutagen.scanner.storage.requests import Cost
from prefect_mutagen.scanner.storage.store import Store

__all__ = ["examine_remote", "share_requests"]

_AHEAD: Final = 2
"""Artifacts in progress per allowed request: enough to hide the latency of a batch."""
_BATCH: Final = 32
_GATHER_SECONDS: Final = 0.01
"""Delay before results are handed over: both threads need the GIL, and each switch costs as much
as parsing a small header."""

_Done = dict[int, ScanResult | Exception]


def share_requests(store: Store, concurrency: int) -> SharedRequests:
    """Return the request limit and deduplication that examinations of a store share.

    Args:
        store: A store with an event loop.
        concurrency: Maximum concurrent requests.
    """
    most = max(1, concurrency)
    return SharedRequests(store, ConcurrencyLimit(most), Slots(_AHEAD * most))


def examine_remote(
    artifacts: Iterable[Artifact], examiner: Examiner, shared: SharedRequests
) -> Iterator[ScanResult]:
    """Examine artifacts of a store with a loop; see `scanner.scan`."""
    loop, slots = shared.store.loop, shared.slots
    if loop is None:
        raise ValueError("this store has no event loop")
    workers = _Workers(examiner, shared)
    source = _Source(artifacts)
    results: _Done = {}
    begun = given = 0
    try:
        while True:
            while free := slots.acquire(_BATCH, wait=begun == given):
                batch = source.take(free)
                slots.release(free - len(batch))
                if not batch:
                    break
                loop.call_soon_threadsafe(workers.begin, begun, batch)
                begun += len(batch)
            if given == begun:
                break
            while given not in results:
                results.update(workers.done.get())
            while given in results:
                result = results.pop(given)
                given += 1
                slots.release(1)
                if isinstance(result, Exception):
                    raise result
                yield result
        if source.fault is not None:
            raise source.fault
    finally:
        slots.release(begun - given)
        loop.call_soon_threadsafe(workers.cancel)


class _Source:
    """Artifacts from a listing; if it fails, those before the failure are still examined."""

    def __init__(self, artifacts: Iterable[Artifact]) -> None:
        self.fault: Exception | None = None
        self._artifacts = iter(artifacts)

    def take(self, most: int) -> list[Artifact]:
        batch: list[Artifact] = []
        if self.fault is None:
            try:
                for artifact in islice(self._artifacts, most):
                    batch.append(artifact)  # noqa: PERF402 - keeps those before a failure
            except Exception as problem:  # noqa: BLE001 - raised again after the results before it
                self.fault = problem
        return batch


class _Workers:
    """The part of a scan that runs on the store's event loop."""

    def __init__(self, examiner: Examiner, shared: SharedRequests) -> None:
        self.done: SimpleQueue[_Done] = SimpleQueue()
        self._examiner = examiner
        self._shared = shared
        self._tasks: set[asyncio.Task[None]] = set()
        self._finished: _Done = {}

    def begin(self, first: int, batch: list[Artifact]) -> None:
        for number, artifact in enumerate(batch, first):
            task = asyncio.ensure_future(self._examine(number, artifact))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def cancel(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _examine(self, number: int, artifact: Artifact) -> None:
        result: ScanResult | Exception
        try:
            result = await guarded(self._examined(artifact), artifact)
        except Exception as problem:  # noqa: BLE001 - the consumer must not wait for ever
            result = problem
        if not self._finished:
            alone = len(self._tasks) == 1
            asyncio.get_running_loop().call_later(0 if alone else _GATHER_SECONDS, self._hand_over)
        self._finished[number] = result

    async def _examined(self, artifact: Artifact) -> ScanResult:
        cost = Cost()
        server = RequestServer(self._shared, cost)
        try:
            examiner = examiner_at(self._examiner, artifact.url)
            return await drive(examiner.examine(artifact, cost), server.serve)
        finally:
            await server.close()

    def _hand_over(self) -> None:
        self.done.put(self._finished)
        self._finished = {}
