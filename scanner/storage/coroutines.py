"""Run a store's coroutines from synchronous code.

Local stores have no event loop: their coroutines never suspend and run in place. Those of remote
stores run on an event loop in another thread.
"""

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from prefect_mutagen.scanner.storage.store import Store

__all__ = ["finish", "run", "run_repeated"]

_T = TypeVar("_T")


def run(store: Store, work: Coroutine[Any, Any, _T]) -> _T:
    """Run a store's coroutine to completion, from outside its event loop."""
    if store.loop is None:
        return finish(work)
    import asyncio  # a tenth of the command's start, which local files do not need

    return asyncio.run_coroutine_threadsafe(work, store.loop).result()


def run_repeated(store: Store, work: Callable[[], Coroutine[Any, Any, _T]], url: str) -> _T:
    """Run a store's request as `run` does, and repeat it where storage asks for patience.

    Args:
        store: The store.
        work: Makes the coroutine of one attempt.
        url: Address of the object, for errors.

    Raises:
        StorageError: It fails for another reason, or too often.
    """
    if store.loop is None:
        return finish(work())
    from prefect_mutagen.scanner.storage.pacing import repeat  # it needs asyncio

    return run(store, repeat(work, url))


def finish(work: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine that never suspends."""
    try:
        work.send(None)
    except StopIteration as stop:
        result: _T = stop.value
        return result
    raise RuntimeError("a coroutine of a store without an event loop suspended")
