"""Drive an examination: serve its requests until it returns its result.

An examination does no I/O (`prefect_mutagen.scanner.examine.examiner`); its driver decides how the
requests are served.
"""

from collections.abc import Callable, Coroutine, Generator
from functools import partial
from itertools import islice
from typing import Any, Final, TypeVar

from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.requests import (
    Cost,
    Digest,
    Find,
    ListBelow,
    LookUp,
    Once,
    Parts,
    Request,
    Tags,
)
from prefect_mutagen.scanner.storage.store import Store, StoredObject, TaggedStore

__all__ = ["drive", "serve"]

_LOCAL_READ: Final = 192 << 10

_LISTED_AT_A_TIME: Final = 1000
"""Objects that storages return for one request of a listing."""

_T = TypeVar("_T")


async def drive(
    work: Generator[Request, Any, _T], serve_one: Callable[[Request], Coroutine[Any, Any, Any]]
) -> _T:
    """Serve an examination's requests until it returns its result."""
    try:
        request = next(work)
        while True:
            try:
                reply = await serve_one(request)
            except StorageError as problem:
                request = work.throw(problem)
            else:
                request = work.send(reply)
    except StopIteration as stop:
        result: _T = stop.value
        return result


async def serve(store: Store, cost: Cost, request: Request) -> Any:
    """Serve one request of an examination directly from the store, and add up its cost."""
    if isinstance(request, Digest):
        return request.digest.update(request.data)
    if isinstance(request, Parts):
        return [await drive(part, partial(serve, store, cost)) for part in request.parts]
    if isinstance(request, Once):
        with request.lock:  # a store without a loop never suspends
            return await drive(request.work(), partial(serve, store, cost))
    if isinstance(request, Tags):
        if not isinstance(store, TaggedStore):
            return {}
        cost.requests += 1
        return await store.tags(request.item)
    cost.requests += 1
    if isinstance(request, ListBelow):
        found = await _list_below(store, request)
        cost.requests += len(found or ()) // _LISTED_AT_A_TIME
        return found
    if isinstance(request, Find):
        return await store.find(request.url)
    if isinstance(request, LookUp):
        return await store.stored_sha256(request.item)
    end = request.end
    if request.upto and store.loop is None:
        # Small buffers stay in the CPU cache: a third of the time of large ones.
        end = min(end, max(request.upto, request.start + _LOCAL_READ))
    reply = await store.read(request.item, request.start, end)
    cost.bytes_read += len(reply.data)
    return reply


async def _list_below(store: Store, request: ListBelow) -> tuple[StoredObject, ...] | None:
    def listed() -> tuple[StoredObject, ...] | None:
        found = store.list_tree(request.url, lambda *_: True)
        return None if found is None else tuple(islice(found, request.most))

    if store.loop is None:
        return listed()
    import asyncio

    return await asyncio.to_thread(listed)  # a listing waits for the store's loop
