"""Answer an artifact's requests: in time, in turn, again where it helps, and nothing twice.

A read that does not know how much it needs (a GGUF header) opens a stream, and the next one goes
on from there. Requests that artifacts of one folder have in common are asked once. A request that
fails for a moment's reason is repeated a few times, after a pause, with fewer requests under way.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from typing import Any, Final

from prefect_mutagen.scanner.pacing import Pace, Patience, too_late
from prefect_mutagen.scanner.reading import STREAM, piece_size
from prefect_mutagen.scanner.request import (
    Digest,
    Find,
    Parts,
    Read,
    Request,
    StorageRequest,
)
from prefect_mutagen.scanner.scan import answer, drive
from prefect_mutagen.scanner.storage import (
    RangeReply,
    RangeStream,
    StorageError,
    Store,
    StreamingStore,
)

__all__ = ["Answers", "Sharing"]

_PARTS: Final = 16
_SOON: Final = 256 << 10
"""Bytes that are hashed sooner than another thread is asked to, and no loop misses the time."""


@dataclass(slots=True)
class Sharing:
    """What the artifacts of one scan have in common."""

    store: Store
    pace: Pace
    streams: StreamingStore | None = field(init=False)
    """The store, where it streams."""
    tasks: dict[Request, asyncio.Task[Any]] = field(default_factory=dict)
    """Requests that several artifacts want, for as long as one of them is under way: behind that,
    the examiner knows what the folder has."""
    holders: Counter[Request] = field(default_factory=Counter)
    """How many artifacts under way have asked for each."""

    def __post_init__(self) -> None:
        """Look once at what the store can do."""
        self.streams = self.store if isinstance(self.store, StreamingStore) else None


class Answers:
    """Answers the requests of one artifact."""

    __slots__ = ("_asked", "_held", "_patience", "_place", "_sharing", "_stream")

    def __init__(self, sharing: Sharing) -> None:
        """Begin with full patience and no stream."""
        self._sharing = sharing
        self._patience = Patience()
        self._asked = 0
        """Requests sent since the last reply."""
        self._held: set[Request] = set()
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
        gate = asyncio.Semaphore(_PARTS)

        async def one(part: Generator[Request, Any, Any]) -> Any:
            answers = Answers(self._sharing)
            async with gate:
                try:
                    return await drive(part, answers.answer)
                finally:
                    await answers.close()

        return list(await asyncio.gather(*map(one, request.parts)))

    async def close(self) -> None:
        """Let go of all: the artifact has its result."""
        await self._leave_stream()
        sharing = self._sharing
        for request in self._held:
            sharing.holders[request] -= 1
            if not sharing.holders[request]:
                del sharing.holders[request]
                sharing.tasks.pop(request).cancel()
        self._held.clear()

    async def _leave_stream(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.close()

    async def _answer_once(self, request: Read) -> Any:
        await self._leave_stream()
        sharing = self._sharing
        task = sharing.tasks.get(request)
        if task is None:
            # Others may wait for it when this artifact does not any more, so it has a patience
            # of its own.
            task = asyncio.ensure_future(Answers(sharing).answer_alone(request))
            sharing.tasks[request] = task
        if request not in self._held:
            self._held.add(request)
            sharing.holders[request] += 1
        return await asyncio.shield(task)

    async def answer_alone(self, request: StorageRequest) -> Any:
        """Do what an examination asks for, for this artifact alone; see `answer`."""
        pace, patience = self._sharing.pace, self._patience
        self._asked = 0
        while True:
            await pace.enter()
            begun = time.monotonic()
            received = 0
            try:
                async with asyncio.timeout(max(0.0, patience.seconds)):
                    reply = await self._answer(request)
                if isinstance(reply, RangeReply):
                    received = len(reply.data)
                    if reply.requests != self._asked:
                        reply = replace(reply, requests=self._asked)
            except TimeoutError:
                await self._leave_stream()
                url = request.url if isinstance(request, Find) else request.item.url
                raise too_late(url) from None
            except StorageError as problem:
                await self._leave_stream()
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
                pace.leave()
                patience.spend(time.monotonic() - begun, received)
            patience.spend(pause)
            await asyncio.sleep(pause)

    async def _answer(self, request: StorageRequest) -> Any:
        store = self._sharing.streams
        if store is None or not isinstance(request, Read) or not request.upto:
            await self._leave_stream()
            self._asked += 1
            return await answer(self._sharing.store, request)
        item, start = request.item, request.start
        if self._stream is not None and self._place != (item.url, start):
            await self._leave_stream()
        if self._stream is None:
            end = start + STREAM
            if item.size >= 0:
                end = min(end, item.size)
            self._asked += 1
            self._stream = await store.stream(item, start, max(end, request.end))
        stream = self._stream
        least = max(request.upto - start, piece_size(start))
        data = await stream.read(least)
        self._place = (item.url, start + len(data))
        if len(data) < least:
            await self._leave_stream()  # its range has ended, so the next read begins another
        return RangeReply(data, stream.size, stream.pin, self._asked)
