"""Requests that an examination yields; it does no I/O itself (`scanner.examine.examiner`)."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.store import UNKNOWN_SIZE, RangeReply, StoredObject

if TYPE_CHECKING:
    from hashlib import _Hash

__all__ = [
    "Cost",
    "Digest",
    "Find",
    "LookUp",
    "Parts",
    "Read",
    "Request",
    "StorageRequest",
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


@dataclass(frozen=True, slots=True)
class Find:
    """Look an object up again; the reply is a `StoredObject`."""

    url: str


@dataclass(frozen=True, slots=True)
class LookUp:
    """Look up the SHA-256 that storage keeps; the reply is hexadecimal, or empty."""

    item: StoredObject


@dataclass(frozen=True, slots=True)
class Digest:
    """Update a digest where that blocks no one else; the reply is None."""

    digest: "_Hash"
    data: bytes


@dataclass(frozen=True, slots=True)
class Parts:
    """Run examinations of several objects concurrently; the reply is their results."""

    parts: tuple[Generator["Request", Any, Any], ...]


StorageRequest = Read | Find | LookUp
"""Requests that go to storage."""
Request = StorageRequest | Digest | Parts


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
