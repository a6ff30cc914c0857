"""Examine remote artifacts, a bounded number at a time, on the store's own event loop.

That loop lives in a thread of its own (fsspec's), so a scan can be started from anywhere, from
inside another running loop as well. Results come in order; what is behind them goes on meanwhile.
"""

import asyncio
from collections import deque
from collections.abc import Coroutine, Generator, Iterable, Iterator
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from prefect_mutagen.scanner.artifacts import Artifact
from prefect_mutagen.scanner.examine import Examiner
from prefect_mutagen.scanner.request import Digest, Find, Parts, Read, Request
from prefect_mutagen.scanner.results import ScanResult
from prefect_mutagen.scanner.scan import answer, drive
from prefect_mutagen.scanner.storage import StorageError, Store

__all__ = ["examine_remote", "run_in_loop"]

_DEADLINE: Final = 60.0
"""Seconds that storage has for one request, retries included."""

_SHARDS_AT_A_TIME: Final = 16

_T = TypeVar("_T")


def run_in_loop(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine in a loop of another thread, and wait for it."""
    return asyncio.run_coroutine_threadsafe(work, loop).result()


def examine_remote(
    store: Store, artifacts: Iterable[Artifact], examiner: Examiner, concurrency: int
) -> Iterator[ScanResult]:
    """Examine artifacts of a store with a loop; see `prefect_mutagen.scanner.scan`."""
    if store.loop is None:
        raise ValueError("this store has no loop")
    window = _Window(store)
    waiting: deque[Future[ScanResult]] = deque()
    try:
        for artifact in artifacts:
            work = drive(examiner.examine(artifact), window.answer)
            waiting.append(asyncio.run_coroutine_threadsafe(work, store.loop))
            if len(waiting) >= max(1, concurrency):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


class _Window:
    """Answers requests in time, and equal ones of artifacts of one folder only once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._shared: dict[Request, asyncio.Task[Any]] = {}

    async def answer(self, request: Request) -> Any:
        if isinstance(request, Digest):
            # Hashing lets go of the interpreter; the loop serves others meanwhile.
            return await asyncio.to_thread(request.digest.update, request.data)
        if isinstance(request, Parts):
            return await self._answer_parts(request)
        try:
            async with asyncio.timeout(_DEADLINE):
                if isinstance(request, Read) and request.shared:
                    return await self._answer_once(request)
                return await answer(self._store, request)
        except TimeoutError:
            url = request.url if isinstance(request, Find) else request.item.url
            reason = f"the storage did not answer within {_DEADLINE:.0f} seconds"
            raise StorageError("storage/timeout", url, reason) from None

    async def _answer_parts(self, request: Parts) -> list[Any]:
        """Read the shards of a set side by side, a few at a time."""
        gate = asyncio.Semaphore(_SHARDS_AT_A_TIME)

        async def one(part: Generator[Request, Any, Any]) -> Any:
            async with gate:
                return await drive(part, self.answer)

        return list(await asyncio.gather(*(one(part) for part in request.parts)))

    async def _answer_once(self, request: Request) -> Any:
        task = self._shared.get(request)
        if task is None:
            task = asyncio.ensure_future(answer(self._store, request))
            self._shared[request] = task
            task.add_done_callback(lambda _: self._shared.pop(request, None))
        return await asyncio.shield(task)
