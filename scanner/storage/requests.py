"""Requests that an examination yields; it does no I/O itself (`scanner.examine.examiner`)."""

from collections.abc import Callable, Generator, Hashable
from dataclasses import dataclass, field
from threading import RLock
from typing import TYPE_CHECKING, Any

from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.store import UNKNOWN_SIZE, RangeReply, StoredObject

if TYPE_CHECKING:
    from hashlib import _Hash

__all__ = [
    "Cost",
    "Digest",
    "Find",
    "ListBelow",
    "LookUp",
    "Once",
    "Parts",
    "Read",
    "Request",
    "StorageRequest",
    "Tags",
    "read",
]


@dataclass(frozen=True, slots=True)
class Read:
    """Read a range of an object; the reply is a `RangeReply`."""

    item: StoredObject
    start: int
    end: int
    shared: bool = False
    """Whether other artifacts of the folder read the same range."""
    upto: int = 0
    """If not 0: bytes up to this offset suffice, and bytes beyond ``end`` are welcome."""

    @property
    def url(self) -> str:
        """Address of the object."""
        return self.item.url


@dataclass(frozen=True, slots=True)
class Find:
    """Look an object up again; the reply is a `StoredObject`."""

    url: str


@dataclass(frozen=True, slots=True)
class LookUp:
    """Look up the SHA-256 that storage keeps; the reply is hexadecimal, or empty."""

    item: StoredObject

    @property
    def url(self) -> str:
        """Address of the object."""
        return self.item.url


@dataclass(frozen=True, slots=True)
class Tags:
    """Look up the tags of an object; the reply is a dict, empty where storage has none."""

    item: StoredObject

    @property
    def url(self) -> str:
        """Address of the object."""
        return self.item.url


@dataclass(frozen=True, slots=True)
class ListBelow:
    """List all objects below a folder; the reply is a tuple of them, None without listings."""

    url: str
    """Address of the folder, with a trailing slash."""
    most: int
    """Largest number of objects that are returned."""


@dataclass(frozen=True, slots=True)
class Digest:
    """Update a digest where that blocks no one else; the reply is None."""

    digest: "_Hash"
    data: bytes


@dataclass(frozen=True, slots=True)
class Parts:
    """Run examinations of several objects concurrently; the reply is their results."""

    parts: tuple[Generator["Request", Any, Any], ...]


@dataclass(frozen=True, slots=True)
class Once:
    """Do what several artifacts have in common; those that ask meanwhile wait for its result.

    The work has to keep its result for those that ask later, and to return what it kept.
    """

    key: Hashable
    work: Callable[[], Generator["Request", Any, Any]]
    lock: RLock = field(default_factory=RLock, compare=False)
    """Held by the thread that does the work, where artifacts are examined in threads."""


StorageRequest = Read | Find | LookUp | Tags | ListBelow
"""Requests that go to storage."""
Request = StorageRequest | Digest | Parts | Once


@dataclass(slots=True)
class Cost:
    """What an examination has cost so far; counted by whatever serves its requests.

    Replies cannot tell: a shared one was requested once for several artifacts, and a failed one may
    have been requested four times.
    """

    bytes_read: int = 0
    """Object bytes received."""
    requests: int = 0
    """Requests sent, failed ones included."""


def read(request: Read) -> Generator[Request, Any, RangeReply]:
    """Read a range and check that the object still has its listed size.

    Raises:
        StorageError: ``storage/changed-during-scan`` if it does not.
    """
    reply: RangeReply = yield request
    if request.item.size not in (UNKNOWN_SIZE, reply.size):
        raise StorageError(
            "storage/changed-during-scan",
            request.item.url,
            f"the object has {reply.size} bytes instead of the listed {request.item.size}",
        )
    return reply
