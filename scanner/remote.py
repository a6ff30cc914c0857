"""Examine remote artifacts, a bounded number at a time, on the store's own event loop.

That loop lives in a thread of its own (fsspec's), so a scan can be started from anywhere, from
inside another running loop as well. Artifacts are handed to it in batches and results come back
through one queue, because waking another thread costs more than parsing a small header. Results are
given in order; what is behind a slow one goes on meanwhile.
"""

import asyncio
from collections.abc import Coroutine, Iterable, Iterator
from queue import SimpleQueue
from typing import Any, Final, TypeVar

from prefect_mutagen.scanner.answering import Answers, Sharing
from prefect_mutagen.scanner.artifacts import Artifact
from prefect_mutagen.scanner.examine import Examiner
from prefect_mutagen.scanner.pacing import Pace
from prefect_mutagen.scanner.results import ScanResult
from prefect_mutagen.scanner.scan import drive
from prefect_mutagen.scanner.storage import Store

__all__ = ["examine_remote", "run_in_loop"]

_AHEAD: Final = 2
"""Artifacts under way for each request that may be: enough to hide how long a batch takes."""

_T = TypeVar("_T")
_Done = tuple[int, ScanResult | BaseException]


def run_in_loop(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine in a loop of another thread, and wait for it."""
    return asyncio.run_coroutine_threadsafe(work, loop).result()


def examine_remote(
    store: Store, artifacts: Iterable[Artifact], examiner: Examiner, concurrency: int
) -> Iterator[ScanResult]:
    """Examine artifacts of a store with a loop; see `prefect_mutagen.scanner.scan`."""
    if store.loop is None:
        raise ValueError("this store has no loop")
    crew = _Crew(store, examiner, max(1, concurrency))
    most = _AHEAD * max(1, concurrency)
    waiting = iter(artifacts)
    results: dict[int, ScanResult | BaseException] = {}
    begun = given = 0
    broken: BaseException | None = None
    exhausted = False
    try:
        while not exhausted or given < begun:
            batch: list[tuple[int, Artifact]] = []
            while not exhausted and begun - given < most:
                try:
                    artifact = next(waiting, None)
                except Exception as problem:  # noqa: BLE001 - raised behind the results before it
                    artifact, broken = None, problem
                if artifact is None:
                    exhausted = True
                else:
                    batch.append((begun, artifact))
                    begun += 1
            if batch:
                store.loop.call_soon_threadsafe(crew.begin, batch)
            while given < begun and given not in results:
                number, result = crew.done.get()
                results[number] = result
            while given in results:
                ready = results.pop(given)
                given += 1
                if isinstance(ready, BaseException):
                    raise ready
                yield ready
        if broken is not None:
            raise broken
    finally:
        store.loop.call_soon_threadsafe(crew.dismiss)


class _Crew:
    """The half of a scan that lives in the store's loop."""

    def __init__(self, store: Store, examiner: Examiner, concurrency: int) -> None:
        self.done: SimpleQueue[_Done] = SimpleQueue()
        self._examiner = examiner
        self._sharing = Sharing(store, Pace(concurrency))
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, batch: list[tuple[int, Artifact]]) -> None:
        for number, artifact in batch:
            task = asyncio.ensure_future(self._examine(number, artifact))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def dismiss(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _examine(self, number: int, artifact: Artifact) -> None:
        answers = Answers(self._sharing)
        result: ScanResult | BaseException
        try:
            result = await drive(self._examiner.examine(artifact), answers.answer)
        except Exception as problem:  # noqa: BLE001 - a bug is raised where the results are taken
            result = problem
        finally:
            await answers.close()
        self.done.put((number, result))
