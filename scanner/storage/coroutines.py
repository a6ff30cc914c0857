"""Run a store's coroutines from synchronous code.

Local stores have no event loop: their coroutines never suspend and run in place. Those of remote
stores run on an event loop in another thread.
"""

from collections.abc import Coroutine
from typing import Any, TypeVar

from prefect_mutagen.scanner.storage.store import Store

__all__ = ["finish", "run"]

_T = TypeVar("_T")


def run(store: Store, work: Coroutine[Any, Any, _T]) -> _T:
    """Run a store's coroutine to completion, from outside its event loop."""
    if store.loop is None:
        return finish(work)
    import asyncio  # a tenth of the command's start, which local files do not need

    return asyncio.run_coroutine_threadsafe(work, store.loop).result()


def finish(work: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine that never suspends."""
    try:
        work.send(None)
    except StopIteration as stop:
        result: _T = stop.value
        return result
    raise RuntimeError("a coroutine of a store without an event loop suspended")
