"""Drive an examination: serve its requests until it has its result.

The examination is a machine without I/O (`prefect_mutagen.scanner.examine.examiner`); who drives it
decides how its requests are served.
"""

from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any, Final, TypeVar

from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.requests import Cost, Digest, Find, LookUp, Parts, Request
from prefect_mutagen.scanner.storage.store import Store

__all__ = ["answer", "drive"]

_LOCAL_PIECE: Final = 192 << 10

_T = TypeVar("_T")


async def drive(
    work: Generator[Request, Any, _T], answer_one: Callable[[Request], Coroutine[Any, Any, Any]]
) -> _T:
    """Answer an examination's requests until it has its result."""
    try:
        request = next(work)
        while True:
            try:
                reply = await answer_one(request)
            except StorageError as problem:
                request = work.throw(problem)
            else:
                request = work.send(reply)
    except StopIteration as stop:
        result: _T = stop.value
        return result


async def answer(store: Store, cost: Cost, request: Request) -> Any:
    """Do what an examination asks for, one thing after the other, and count what it costs."""
    if isinstance(request, Digest):
        return request.digest.update(request.data)
    if isinstance(request, Parts):
        return [await drive(part, partial(answer, store, cost)) for part in request.parts]
    cost.requests += 1
    if isinstance(request, Find):
        return await store.find(request.url)
    if isinstance(request, LookUp):
        return await store.stored_sha256(request.item)
    end = request.end
    if request.upto and store.loop is None:
        # Small pieces stay in the processor's cache: a third of the time of large ones.
        end = min(end, max(request.upto, request.start + _LOCAL_PIECE))
    reply = await store.read(request.item, request.start, end)
    cost.bytes_read += len(reply.data)
    return reply
