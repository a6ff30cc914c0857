"""Run a store's coroutines from synchronous code.

Local stores have no event loop: their coroutines never wait and are run in place. Remote ones live
in a loop of another thread.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from prefect_mutagen.scanner.storage.store import Store

__all__ = ["finish", "run"]

_T = TypeVar("_T")


def run(store: Store, work: Coroutine[Any, Any, _T]) -> _T:
    """Run a store's coroutine to its end, from outside its loop."""
    if store.loop is None:
        return finish(work)
    return asyncio.run_coroutine_threadsafe(work, store.loop).result()


def finish(work: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine that never waits for anything."""
    try:
        work.send(None)
    except StopIteration as stop:
        result: _T = stop.value
        return result
    raise RuntimeError("a store without a loop waited for something")
