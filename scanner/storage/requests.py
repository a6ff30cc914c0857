"""What an examination asks for: it has no I/O of its own (`scanner.examine.examiner`)."""

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
    """Wants a range of an object; the reply is a `RangeReply`."""

    item: StoredObject
    start: int
    end: int
    shared: bool = False
    """Whether other artifacts of the folder want the very same range."""
    upto: int = 0
    """Where not 0: bytes up to this offset are enough, and more than ``end`` says is welcome."""


@dataclass(frozen=True, slots=True)
class Find:
    """Wants an object looked up again; the reply is a `StoredObject`."""

    url: str


@dataclass(frozen=True, slots=True)
class LookUp:
    """Wants the SHA-256 that storage keeps of an object; the reply is hexadecimal, or empty."""

    item: StoredObject


@dataclass(frozen=True, slots=True)
class Digest:
    """Wants bytes added to a digest, where that holds nobody up; the reply is None."""

    digest: "_Hash"
    data: bytes


@dataclass(frozen=True, slots=True)
class Parts:
    """Wants examinations of several objects run side by side; the reply is their results."""

    parts: tuple[Generator["Request", Any, Any], ...]


StorageRequest = Read | Find | LookUp
"""What storage is asked for."""
Request = StorageRequest | Digest | Parts


@dataclass(slots=True)
class Cost:
    """What an examination has cost so far; whoever answers its requests counts.

    A reply cannot say: one that several artifacts share was sent once, and one that never came may
    have been asked for four times.
    """

    bytes_read: int = 0
    """Bytes of objects that came."""
    requests: int = 0
    """Requests that were sent, those in vain included."""


def read(request: Read) -> Generator[Request, Any, RangeReply]:
    """Read a range, and see that the object is still as long as it was listed.

    Raises:
        StorageError: ``storage/changed-during-scan`` when it is not.
    """
    reply: RangeReply = yield request
    if request.item.size not in (UNKNOWN_SIZE, reply.size):
        raise StorageError(
            "storage/changed-during-scan",
            request.item.url,
            f"the object has {reply.size} bytes instead of the listed {request.item.size}",
        )
    return reply
