"""Answer an artifact's requests: in time, in turn, again where it helps, and nothing twice.

A read that does not know how much it needs (a GGUF header) opens a stream, and the next one goes
on from there. Requests that artifacts of one folder have in common are asked once. A request that
fails for a moment's reason is repeated a few times, after a pause, with fewer requests under way.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass, field
from typing import Any, Final

from prefect_mutagen.scanner.examine.driver import answer, drive
from prefect_mutagen.scanner.examine.read_plan import STREAM, piece_size
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.pacing import Pace, Patience, Room, too_late
from prefect_mutagen.scanner.storage.requests import (
    Cost,
    Digest,
    Find,
    Parts,
    Read,
    Request,
    StorageRequest,
)
from prefect_mutagen.scanner.storage.store import RangeReply, RangeStream, Store, StreamingStore

__all__ = ["Answers", "Sharing"]

_PARTS: Final = 16
_KEPT_BYTES: Final = 8 << 20
_OVERHEAD: Final = 2 << 10
"""Bytes that a kept reply takes beyond its data."""
_SOON: Final = 256 << 10
"""Bytes that are hashed sooner than another thread is asked to, and no loop misses the time."""


@dataclass(slots=True)
class Sharing:
    """What the artifacts of one scan have in common: how many requests, and which.

    Several examinations may share it, as long as they run in the same loop.
    """

    store: Store
    pace: Pace
    room: Room
    """How many artifacts may be under way."""
    kept_bytes: int = _KEPT_BYTES
    """Bytes of replies that are kept for artifacts to come."""
    streams: StreamingStore | None = field(init=False)
    """The store, where it streams."""
    _tasks: dict[Read, asyncio.Task[RangeReply]] = field(default_factory=dict)
    """Requests that several artifacts want: under way, wanted by one that is, or kept."""
    _holders: Counter[Read] = field(default_factory=Counter)
    """How many artifacts under way have asked for each."""
    _kept: dict[Read, int] = field(default_factory=dict)
    """Bytes of those that nobody holds, the oldest first."""
    _kept_now: int = 0

    def __post_init__(self) -> None:
        """Look once at what the store can do."""
        self.streams = self.store if isinstance(self.store, StreamingStore) else None

    def hold(
        self, request: Read, ask: Callable[[Read], Coroutine[Any, Any, RangeReply]]
    ) -> asyncio.Task[RangeReply]:
        """Join a request that others may want, too, and be one of its holders until `release`.

        Args:
            request: What is wanted.
            ask: How to have it, when nobody has asked yet.
        """
        task = self._tasks.get(request)
        if task is None:
            task = self._tasks[request] = asyncio.ensure_future(ask(request))
        self._kept_now -= self._kept.pop(request, 0)
        self._holders[request] += 1
        return task

    def release(self, request: Read) -> None:
        """Let go of a request: without holders, its reply is kept as far as there is room."""
        self._holders[request] -= 1
        if self._holders[request]:
            return
        del self._holders[request]
        task = self._tasks[request]
        if not task.done() or task.cancelled() or task.exception() is not None:
            del self._tasks[request]
            task.cancel()
            return
        self._kept[request] = len(task.result().data) + _OVERHEAD
        self._kept_now += self._kept[request]
        while self._kept_now > self.kept_bytes:
            oldest = next(iter(self._kept))
            self._kept_now -= self._kept.pop(oldest)
            del self._tasks[oldest]


class Answers:
    """Answers the requests of one artifact."""

    __slots__ = ("_cost", "_entered", "_held", "_patience", "_place", "_sharing", "_stream")

    def __init__(self, sharing: Sharing, cost: Cost) -> None:
        """Begin with full patience and no stream.

        Args:
            sharing: What it has in common with others.
            cost: Grows with each request that is sent.
        """
        self._sharing = sharing
        self._cost = cost
        self._patience = Patience()
        self._entered = False
        """Whether it holds a place among the requests under way; an open stream keeps it."""
        self._held: dict[Read, asyncio.Task[RangeReply]] = {}
        self._stream: RangeStream | None = None
        self._place = ("", 0)
        """Object of the stream and offset of its next byte."""

    async def answer(self, request: Request) -> Any:
        """Do what an examination asks for.

        Raises:
            StorageError: It cannot be had, or not in time.
        """
        if isinstance(request, Digest):
            if len(request.data) <= _SOON:
                return request.digest.update(request.data)
            # Hashing lets go of the interpreter; the loop serves others meanwhile.
            return await asyncio.to_thread(request.digest.update, request.data)
        if isinstance(request, Parts):
            return await self._answer_parts(request)
        if isinstance(request, Read) and request.shared:
            return await self._answer_once(request)
        return await self.answer_alone(request)

    async def _answer_parts(self, request: Parts) -> list[Any]:
        """Examine the shards of a set side by side, each with a patience of its own."""
        await self._leave_stream()
        gate = asyncio.Semaphore(_PARTS)

        async def one(part: Generator[Request, Any, Any]) -> Any:
            answers = Answers(self._sharing, self._cost)
            async with gate:
                try:
                    return await drive(part, answers.answer)
                finally:
                    await answers.close()

        return list(await asyncio.gather(*map(one, request.parts)))

    async def close(self) -> None:
        """Let go of all: the artifact has its result."""
        await self._leave_stream()
        for request in self._held:
            self._sharing.release(request)
        self._held.clear()

    async def _leave_stream(self) -> None:
        """End what is under way, and give its place back."""
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
            self._sharing.pace.leave()

    async def _answer_once(self, request: Read) -> RangeReply:
        await self._leave_stream()
        task = self._held.get(request)
        if task is None:
            # Others may wait for it when this artifact does not any more, so it has a patience
            # of its own. Who asks first pays.
            first = Answers(self._sharing, self._cost)
            task = self._held[request] = self._sharing.hold(request, first.answer_alone)
        return await asyncio.shield(task)

    async def answer_alone(self, request: StorageRequest) -> Any:
        """Do what an examination asks for, for this artifact alone; see `answer`."""
        pace, patience = self._sharing.pace, self._patience
        while True:
            if not self._entered:
                await pace.enter()
                self._entered = True
            begun = time.monotonic()
            received = 0
            try:
                async with asyncio.timeout(max(0.0, patience.seconds)):
                    reply = await self._answer(request)
                if isinstance(reply, RangeReply):
                    received = len(reply.data)
            except TimeoutError:
                await self._close_stream()
                url = request.url if isinstance(request, Find) else request.item.url
                raise too_late(url) from None
            except StorageError as problem:
                await self._close_stream()
                if not problem.transient:
                    raise
                pace.slow_down(begun)
                pause = patience.pause()
                if pause is None:
                    raise
            else:
                pace.speed_up()
                return reply
            finally:
                if self._stream is None:
                    self._leave()
                patience.spend(time.monotonic() - begun, received)
            patience.spend(pause)
            await asyncio.sleep(pause)

    async def _answer(self, request: StorageRequest) -> Any:
        store = self._sharing.streams
        if store is None or not isinstance(request, Read) or not request.upto:
            await self._close_stream()
            return await answer(self._sharing.store, self._cost, request)
        item, start = request.item, request.start
        if self._stream is not None and self._place != (item.url, start):
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
        self._place = (item.url, start + len(data))
        if len(data) < least:
            await self._close_stream()  # its range has ended, so the next read begins another
        return RangeReply(data, stream.size, stream.pin)
