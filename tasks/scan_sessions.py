"""What the task runs of one flow run have in common, in each process that runs some of them.

They ask storage as one: the limit of requests under way holds for all of them together, what
several want is asked for once, and the small files of a folder are read once, whether a task run
takes one artifact or a thousand. Storage is opened once, and its block is loaded once.
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

_IDLE: Final = 4
"""Sessions that are kept while no task run is in them: the next one may come in a moment."""


class Storage(NamedTuple):
    """What a session reads from."""

    source: str
    block: str
    all_versions: bool
    concurrency: int
    """Requests under way at a time."""


@dataclass(slots=True)
class ScanSession:
    """An opened root, and what examinations below it share."""

    store: Store
    shared: "SharedRequests | None"
    """None for local files."""
    folders: Folders = field(default_factory=Folders)
    begun_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat())


@dataclass(slots=True)
class _Seat:
    """A session, who is in it, and a lock for who opens it."""

    users: int = 0
    session: ScanSession | None = None
    opening: threading.Lock = field(default_factory=threading.Lock)


_seats: Final[dict[tuple[str, int, Storage], _Seat]] = {}
_lock: Final = threading.Lock()


@contextmanager
def join_session(storage: Storage) -> Iterator[ScanSession]:
    """Join the session of the current flow run; outside of any, have one alone.

    Args:
        storage: What it reads from.

    Raises:
        StorageError: There is no such kind of storage.
        ValueError: There is no such block.
    """
    context = TaskRunContext.get()
    if context is None or context.task_run.flow_run_id is None:
        yield _open(storage)
        return
    run = context.task_run
    # A flow run that is tried again begins anew: storage may have changed since.
    key = str(run.flow_run_id), run.flow_run_run_count, storage
    with _lock:
        seat = _seats.pop(key) if key in _seats else _Seat()
        _seats[key] = seat  # the newest comes last
        seat.users += 1
    try:
        with seat.opening:
            if seat.session is None:
                seat.session = _open(storage)
        yield seat.session
    finally:
        with _lock:
            seat.users -= 1
            idle = [each for each, other in _seats.items() if not other.users]
            for each in idle[:-_IDLE]:
                del _seats[each]


def _open(storage: Storage) -> ScanSession:
    options = storage_options(storage.block)
    store = open_store(storage.source, options, versions=storage.all_versions)
    if store.loop is None:
        return ScanSession(store, None)
    from prefect_mutagen.scanner.examine.remote_engine import share_requests

    return ScanSession(store, share_requests(store, storage.concurrency))
