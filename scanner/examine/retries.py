"""Serve one artifact's requests: deadlines, ordering, retries, deduplication.

A read of unknown length (a GGUF header) opens a stream, which the next read continues. Requests
that artifacts of one folder have in common are sent once. Transient failures are retried a few
times with exponential back-off and a lower concurrency limit.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Generator, Hashable
from dataclasses import dataclass, field
from typing import Any, Final

from prefect_mutagen.scanner.examine.driver import drive, serve
from prefect_mutagen.scanner.examine.read_plan import STREAM, piece_size
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.pacing import (
    ConcurrencyLimit,
    RetryBudget,
    Slots,
    timeout_error,
)
from prefect_mutagen.scanner.storage.requests import (
    Cost,
    Digest,
    Once,
    Parts,
    Read,
    Request,
    StorageRequest,
)
from prefect_mutagen.scanner.storage.store import RangeReply, RangeStream, Store, StreamingStore

__all__ = ["RequestServer", "SharedRequests"]

_CONCURRENT_PARTS: Final = 16
_CACHE_BYTES: Final = 8 << 20
_OVERHEAD: Final = 2 << 10
"""Memory of a cached reply beyond its data."""
_HASH_INLINE: Final = 256 << 10
"""Up to this many bytes are hashed on the event loop: faster than handing them to a thread."""


@dataclass(slots=True)
class SharedRequests:
    """Requests and limits that the artifacts of one scan share.

    Several examinations may share it as long as they run on the same event loop.
    """

    store: Store
    limit: ConcurrencyLimit
    slots: Slots
    """Slots for artifacts in progress."""
    cache_bytes: int = _CACHE_BYTES
    """Size of the cache of shared replies."""
    streams: StreamingStore | None = field(init=False)
    """The store, if it supports streaming."""
    _tasks: dict[Read, asyncio.Task[RangeReply]] = field(default_factory=dict)
    """Shared requests: in flight, held by an artifact in progress, or cached."""
    _holders: Counter[Read] = field(default_factory=Counter)
    """Number of artifacts in progress that hold each."""
    _cached: dict[Read, int] = field(default_factory=dict)
    """Sizes of cached replies without holders, oldest first."""
    _cached_bytes: int = 0
    _common: "dict[Hashable, _Common]" = field(default_factory=dict)
    """Work in progress that several artifacts wait for."""

    def __post_init__(self) -> None:
        """Check once whether the store supports streaming."""
        self.streams = self.store if isinstance(self.store, StreamingStore) else None

    def hold(
        self, request: Read, send: Callable[[Read], Coroutine[Any, Any, RangeReply]]
    ) -> asyncio.Task[RangeReply]:
        """Join a shared request as a holder until `release`.

        Args:
            request: The read.
            send: Sends it, if it is neither in flight nor cached.
        """
        task = self._tasks.get(request)
        if task is None:
            task = self._tasks[request] = asyncio.ensure_future(send(request))
        self._cached_bytes -= self._cached.pop(request, 0)
        self._holders[request] += 1
        return task

    async def join(self, key: Hashable, begin: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Wait for work that artifacts have in common, and begin it if nobody has."""
        work = self._common.get(key)
        if work is None:
            work = self._common[key] = _Common(asyncio.ensure_future(begin()))
        work.waiting += 1
        try:
            return await asyncio.shield(work.task)
        finally:
            work.waiting -= 1
            if not work.waiting:
                if self._common.get(key) is work:
                    del self._common[key]
                work.task.cancel()  # nobody wants it any more; without effect once it is done

    def release(self, request: Read) -> None:
        """Stop holding a request; without holders its reply moves to the cache, if it succeeded."""
        self._holders[request] -= 1
        if self._holders[request]:
            return
        del self._holders[request]
        task = self._tasks[request]
        if not task.done() or task.cancelled() or task.exception() is not None:
            del self._tasks[request]
            task.cancel()
            return
        self._cached[request] = len(task.result().data) + _OVERHEAD
        self._cached_bytes += self._cached[request]
        while self._cached_bytes > self.cache_bytes:
            oldest = next(iter(self._cached))
            self._cached_bytes -= self._cached.pop(oldest)
            del self._tasks[oldest]


@dataclass(slots=True)
class _Common:
    """Work that artifacts have in common, and how many wait for it."""

    task: asyncio.Task[Any]
    waiting: int = 0


class RequestServer:
    """Serves the requests of one artifact."""

    __slots__ = ("_budget", "_cost", "_entered", "_held", "_position", "_shared", "_stream")

    def __init__(self, shared: SharedRequests, cost: Cost) -> None:
        """Start with a full retry budget and no stream.

        Args:
            shared: What it shares with other artifacts.
            cost: Updated with each request sent.
        """
        self._shared = shared
        self._cost = cost
        self._budget = RetryBudget()
        self._entered = False
        """Whether it holds a slot of the concurrency limit; an open stream keeps it."""
        self._held: dict[Read, asyncio.Task[RangeReply]] = {}
        self._stream: RangeStream | None = None
        self._position = ("", 0)
        """Address of the streamed object and offset of its next byte."""

    async def serve(self, request: Request) -> Any:
        """Serve one request.

        Raises:
            StorageError: It failed, or missed its deadline.
        """
        if isinstance(request, Digest):
            if len(request.data) <= _HASH_INLINE:
                return request.digest.update(request.data)
            # Hashing releases the GIL; the event loop serves others meanwhile.
            return await asyncio.to_thread(request.digest.update, request.data)
        if isinstance(request, Parts):
            return await self._serve_parts(request)
        if isinstance(request, Once):
            return await self._serve_once(request)
        if isinstance(request, Read) and request.shared:
            return await self._serve_shared(request)
        return await self.serve_alone(request)

    async def _serve_parts(self, request: Parts) -> list[Any]:
        """Examine the shards of a set concurrently, each with its own retry budget."""
        await self._leave_stream()
        gate = asyncio.Semaphore(_CONCURRENT_PARTS)

        async def one(part: Generator[Request, Any, Any]) -> Any:
            server = RequestServer(self._shared, self._cost)
            async with gate:
                try:
                    return await drive(part, server.serve)
                finally:
                    await server.close()

        return list(await asyncio.gather(*map(one, request.parts)))

    async def _serve_once(self, request: Once) -> Any:
        await self._leave_stream()

        async def work() -> Any:
            # As for a shared request: its own retry budget, and its cost counts for the first.
            server = RequestServer(self._shared, self._cost)
            try:
                return await drive(request.work(), server.serve)
            finally:
                await server.close()

        return await self._shared.join(request.key, work)

    async def close(self) -> None:
        """Release everything: the artifact has its result."""
        await self._leave_stream()
        for request in self._held:
            self._shared.release(request)
        self._held.clear()

    async def _leave_stream(self) -> None:
        """Close the stream and release the slot."""
        try:
            await self._close_stream()
        finally:
            self._leave()

    async def _close_stream(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.close()

    def _leave(self) -> None:
        if self._entered:
            self._entered = False
            self._shared.limit.leave()

    async def _serve_shared(self, request: Read) -> RangeReply:
        await self._leave_stream()
        task = self._held.get(request)
        if task is None:
            # Others may still wait for it after this artifact is done, so it has its own retry
            # budget. Its cost counts for the first artifact.
            first = RequestServer(self._shared, self._cost)
            task = self._held[request] = self._shared.hold(request, first.serve_alone)
        return await asyncio.shield(task)

    async def serve_alone(self, request: StorageRequest) -> Any:
        """Serve a request that is not shared; see `serve`."""
        limit, budget = self._shared.limit, self._budget
        while True:
            if not self._entered:
                await limit.enter()
                self._entered = True
            begun = time.monotonic()
            received = 0
            try:
                async with asyncio.timeout(max(0.0, budget.seconds)):
                    reply = await self._send(request)
                if isinstance(reply, RangeReply):
                    received = len(reply.data)
            except TimeoutError:
                await self._close_stream()
                raise timeout_error(request.url) from None
            except StorageError as problem:
                await self._close_stream()
                if not problem.transient:
                    raise
                limit.slow_down(begun)
                backoff = budget.next_backoff()
                if backoff is None:
                    raise
            else:
                limit.speed_up()
                return reply
            finally:
                if self._stream is None:
                    self._leave()
                budget.spend(time.monotonic() - begun, received)
            budget.spend(backoff)
            await asyncio.sleep(backoff)

    async def _send(self, request: StorageRequest) -> Any:
        store = self._shared.streams
        if store is None or not isinstance(request, Read) or not request.upto:
            await self._close_stream()
            return await serve(self._shared.store, self._cost, request)
        item, start = request.item, request.start
        if self._stream is not None and self._position != (item.url, start):
            await self._close_stream()
        if self._stream is None:
            end = start + STREAM
            if item.size >= 0:
                end = min(end, item.size)
            self._cost.requests += 1
            self._stream = await store.stream(item, start, max(end, request.end))
        stream = self._stream
        least = max(request.upto - start, piece_size(start))
        data = await stream.read(least)
        self._cost.bytes_read += len(data)
        self._position = (item.url, start + len(data))
        if len(data) < least:
            await self._close_stream()  # end of its range: the next read opens another
        return RangeReply(data, stream.size, stream.pin, stream.real)
