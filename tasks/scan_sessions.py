"""Sessions shared by the task runs of one flow run in one process.

The concurrency limit applies to all of them together, shared requests are sent once, and the small
files of a folder are read once, whether a task run examines one artifact or a thousand. Storage is
opened once, and its block is loaded once.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from prefect.context import TaskRunContext

from prefect_mutagen.scanner.content.folders import Folders
from prefect_mutagen.scanner.storage.opening import open_store
from prefect_mutagen.scanner.storage.store import Store
from prefect_mutagen.tasks.storage_blocks import storage_options

if TYPE_CHECKING:
    from prefect_mutagen.scanner.examine.retries import SharedRequests

__all__ = ["ScanSession", "Storage", "join_session"]

_IDLE_SESSIONS: Final = 4
"""Unused sessions to keep open for the next task run."""


class Storage(NamedTuple):
    """What a session reads from."""

    source: str
    block: str
    all_versions: bool
    concurrency: int
    """Maximum concurrent requests."""


@dataclass(slots=True)
class ScanSession:
    """An open root, and what examinations below it share."""

    store: Store
    shared: "SharedRequests | None"
    """None for local files."""
    folders: Folders = field(default_factory=Folders)
    begun_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat())


@dataclass(slots=True)
class _SharedSession:
    """A session, its number of users, and a lock for opening it."""

    users: int = 0
    session: ScanSession | None = None
    opening: threading.Lock = field(default_factory=threading.Lock)


_sessions: Final[dict[tuple[str, int, Storage], _SharedSession]] = {}
_lock: Final = threading.Lock()


@contextmanager
def join_session(storage: Storage) -> Iterator[ScanSession]:
    """Join the session of the current flow run; outside a flow run, open one.

    Args:
        storage: What it reads from.

    Raises:
        StorageError: The kind of storage is unknown.
        ValueError: There is no such block.
    """
    context = TaskRunContext.get()
    if context is None or context.task_run.flow_run_id is None:
        yield _open(storage)
        return
    run = context.task_run
    # A retry of a flow run gets a new session: storage may have changed since.
    key = str(run.flow_run_id), run.flow_run_run_count, storage
    with _lock:
        entry = _sessions.pop(key) if key in _sessions else _SharedSession()
        _sessions[key] = entry  # most recently used last
        entry.users += 1
    try:
        with entry.opening:
            if entry.session is None:
                entry.session = _open(storage)
        yield entry.session
    finally:
        with _lock:
            entry.users -= 1
            idle = [each for each, other in _sessions.items() if not other.users]
            for each in idle[:-_IDLE_SESSIONS]:
                del _sessions[each]


def _open(storage: Storage) -> ScanSession:
    options = storage_options(storage.block)
    store = open_store(storage.source, options, versions=storage.all_versions)
    if store.loop is None:
        return ScanSession(store, None)
    from prefect_mutagen.scanner.examine.remote_engine import share_requests

    return ScanSession(store, share_requests(store, storage.concurrency))
