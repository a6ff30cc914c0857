"""Examine remote artifacts, a bounded number at a time, on the store's own event loop.

That loop lives in a thread of its own (fsspec's), so a scan can be started from anywhere, from
inside another running loop as well. Artifacts are handed to it in batches and results come back
through one queue, because waking another thread costs more than parsing a small header. Results are
given in order; what is behind a slow one goes on meanwhile.
"""

import asyncio
from collections.abc import Iterable, Iterator
from itertools import islice
from queue import SimpleQueue
from typing import Final

from prefect_mutagen.scanner.examine.driver import drive
from prefect_mutagen.scanner.examine.examiner import Examiner
from prefect_mutagen.scanner.examine.retries import Answers, Sharing
from prefect_mutagen.scanner.examine.unexamined import guarded
from prefect_mutagen.scanner.listing.artifacts import Artifact
from prefect_mutagen.scanner.results import ScanResult
from prefect_mutagen.scanner.storage.pacing import Pace, Room
from prefect_mutagen.scanner.storage.requests import Cost
from prefect_mutagen.scanner.storage.store import Store

__all__ = ["examine_remote", "share"]

_AHEAD: Final = 2
"""Artifacts under way for each request that may be: enough to hide how long a batch takes."""
_BATCH: Final = 32
_GATHER: Final = 0.01
"""Seconds in which results are gathered before the other thread is woken: both want the
interpreter, and each change of hands costs as much as a small header."""

_Done = dict[int, ScanResult | Exception]


def share(store: Store, concurrency: int) -> Sharing:
    """Let examinations of a store share its requests: each once, and so many at a time.

    Args:
        store: One with a loop.
        concurrency: Requests under way at a time.
    """
    most = max(1, concurrency)
    return Sharing(store, Pace(most), Room(_AHEAD * most))


def examine_remote(
    artifacts: Iterable[Artifact], examiner: Examiner, sharing: Sharing
) -> Iterator[ScanResult]:
    """Examine artifacts of a store with a loop; see `scanner.scan`."""
    loop, room = sharing.store.loop, sharing.room
    if loop is None:
        raise ValueError("this store has no loop")
    crew = _Crew(examiner, sharing)
    source = _Source(artifacts)
    results: _Done = {}
    begun = given = 0
    try:
        while True:
            while places := room.take(_BATCH, wait=begun == given):
                batch = source.take(places)
                room.give_back(places - len(batch))
                if not batch:
                    break
                loop.call_soon_threadsafe(crew.begin, begun, batch)
                begun += len(batch)
            if given == begun:
                break
            while given not in results:
                results.update(crew.done.get())
            while given in results:
                result = results.pop(given)
                given += 1
                room.give_back(1)
                if isinstance(result, Exception):
                    raise result
                yield result
        if source.fault is not None:
            raise source.fault
    finally:
        room.give_back(begun - given)
        loop.call_soon_threadsafe(crew.dismiss)


class _Source:
    """Artifacts as the listing gives them; where it breaks, those before count all the same."""

    def __init__(self, artifacts: Iterable[Artifact]) -> None:
        self.fault: Exception | None = None
        self._artifacts = iter(artifacts)

    def take(self, most: int) -> list[Artifact]:
        batch: list[Artifact] = []
        if self.fault is None:
            try:
                for artifact in islice(self._artifacts, most):
                    batch.append(artifact)  # noqa: PERF402 - those before a fault are kept
            except Exception as problem:  # noqa: BLE001 - raised again behind the results before it
                self.fault = problem
        return batch


class _Crew:
    """The half of a scan that lives in the store's loop."""

    def __init__(self, examiner: Examiner, sharing: Sharing) -> None:
        self.done: SimpleQueue[_Done] = SimpleQueue()
        self._examiner = examiner
        self._sharing = sharing
        self._tasks: set[asyncio.Task[None]] = set()
        self._finished: _Done = {}

    def begin(self, first: int, batch: list[Artifact]) -> None:
        for number, artifact in enumerate(batch, first):
            task = asyncio.ensure_future(self._examine(number, artifact))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def dismiss(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _examine(self, number: int, artifact: Artifact) -> None:
        result: ScanResult | Exception
        try:
            result = await guarded(self._examined(artifact), artifact)
        except Exception as problem:  # noqa: BLE001 - who waits for a result must not wait for ever
            result = problem
        if not self._finished:
            alone = len(self._tasks) == 1
            asyncio.get_running_loop().call_later(0 if alone else _GATHER, self._hand_over)
        self._finished[number] = result

    async def _examined(self, artifact: Artifact) -> ScanResult:
        cost = Cost()
        answers = Answers(self._sharing, cost)
        try:
            return await drive(self._examiner.examine(artifact, cost), answers.answer)
        finally:
            await answers.close()

    def _hand_over(self) -> None:
        self.done.put(self._finished)
        self._finished = {}
