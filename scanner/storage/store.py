"""Where objects lie: what is known about one, how a range of it is read, what can go wrong.

One contract, one store per kind of storage (``stores/``). Listing gives size and pin; a read names
the pin it wants and proves what it got. `fs.open` is never used: it asks twice, reads megabytes
ahead and cannot be pinned.

S3, Google's and Azure's storage have a second, faster engine, obstore (the extra ``fast``). It is
taken by itself where it is installed and can do what the options ask for; results, findings and
errors are the same.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, Self, runtime_checkable

from prefect_mutagen.scanner.storage.address import VERSION_MARK
from prefect_mutagen.scanner.storage.errors import StorageError

if TYPE_CHECKING:
    import asyncio

__all__ = [
    "UNKNOWN_SIZE",
    "RangeReply",
    "RangeStream",
    "Store",
    "StoredObject",
    "StreamingStore",
]

UNKNOWN_SIZE: Final = -1


class StoredObject(NamedTuple):
    """One file in storage, as the listing shows it.

    A listing makes millions of them: a named tuple is made in a third of a data class's time.
    """

    url: str
    """Address, free of secrets; a plain absolute path for a local file."""
    size: int
    """Bytes; `UNKNOWN_SIZE` where the listing does not say."""
    pin: str
    """What names these very bytes: ``version:``, ``etag:``, ``stat:`` or ``time:`` and a value;
    empty where the listing does not say."""
    modified: float | None = None
    """Time of the last change in seconds since 1970, where known."""
    storage_class: str = ""
    """Name of the class where storage has several."""
    fault: StorageError | None = None
    """Why it cannot even be looked at: a dangling link, a folder that may not be listed."""
    sha256: str = ""
    """SHA-256 of its bytes where the storage states it without being asked, in hexadecimal."""
    sha256_source: str = ""
    """Who states it."""

    @property
    def name(self) -> str:
        """Last part of the address, without a version."""
        name = self.url.rpartition("/")[2] or self.url.rstrip("/").rpartition("/")[2]
        if VERSION_MARK in name and self._may_have_a_version:
            return name.rpartition(VERSION_MARK)[0]
        return name

    @property
    def version(self) -> str:
        """Id of the version that the address names; empty for the newest one."""
        if VERSION_MARK in self.url and self._may_have_a_version:
            return self.url.rpartition(VERSION_MARK)[2]
        return ""

    @property
    def _may_have_a_version(self) -> bool:
        return self.url.startswith("s3://")

    @property
    def folder(self) -> str:
        """Address without its last part, with the slash."""
        bare = self.url.rstrip("/")
        return bare[: len(bare) - len(bare.rpartition("/")[2])]

    def to_plain(self) -> tuple[Any, ...]:
        """Give its fields as values that every format can hold."""
        fault: Any = self.fault and self.fault.to_plain()
        return tuple(self._replace(fault=fault))

    @classmethod
    def from_plain(cls, plain: Iterable[Any]) -> Self:
        """Make one of what `to_plain` gave, lists in place of tuples included."""
        item = cls(*plain)
        fault: Any = item.fault
        if fault is None:
            return item
        code, url, reason, transient = fault
        return item._replace(fault=StorageError(code, url, reason, transient=transient))


@dataclass(frozen=True, slots=True)
class RangeReply:
    """What one read gave."""

    data: bytes
    size: int
    """Size of the whole object in bytes."""
    pin: str
    """Pin of what was read."""


class RangeStream(Protocol):
    """A range that is taken piece by piece, from one request and one version of the object."""

    size: int
    """Size of the whole object in bytes."""
    pin: str
    """Pin of what is read."""

    async def read(self, least: int) -> bytes:
        """Take the next bytes.

        Args:
            least: How many to wait for; what has come besides is given, too.

        Returns:
            The bytes; fewer than ``least`` only at the end of the range.

        Raises:
            StorageError: They cannot be had.
        """
        ...

    async def close(self) -> None:
        """Let go of the rest, which is not read; harmless at the end."""
        ...


class Store(Protocol):
    """One root in one storage."""

    root: str
    """Address of the root as text, free of secrets."""
    loop: "asyncio.AbstractEventLoop | None"
    """Loop in which its coroutines run; None when they never wait and need none."""

    def list_objects(self, wanted: Callable[[str], bool]) -> Iterator[StoredObject]:
        """List the objects below the root, or the root itself when it is one object.

        Args:
            wanted: Says for a file's name whether the caller has a use for it. An object that is
                itself the root is given whatever its name.

        Yields:
            Objects, a folder's own ones not interrupted by those of folders beside it.

        Raises:
            StorageError: The root does not exist or cannot be listed.
        """
        ...

    def list_folder(
        self, folder: str, wanted: Callable[[str], bool]
    ) -> Iterator[StoredObject] | None:
        """List the objects directly in one folder, beside the root when that is one object.

        Args:
            folder: Address of the folder, with the slash.
            wanted: As for `list_objects`.

        Returns:
            The objects; None where there are no folders to list.

        Raises:
            StorageError: The folder cannot be listed; also while the objects are taken.
        """
        ...

    async def find(self, url: str) -> StoredObject:
        """Look one object up.

        Raises:
            StorageError: It does not exist or cannot be looked at.
        """
        ...

    async def read(self, item: StoredObject, start: int, end: int) -> RangeReply:
        """Read a range of one object, from one version of it.

        Args:
            item: The object; if it has a pin, only these very bytes will do.
            start: Offset of the first byte.
            end: Offset behind the last byte; beyond the end of the object is fine.

        Returns:
            The bytes; fewer than asked for only at the end of the object.

        Raises:
            StorageError: They cannot be had; ``storage/changed-during-scan`` when the object is
                another one than ``item`` says.
        """
        ...

    async def stored_sha256(self, item: StoredObject) -> str:
        """Ask for the SHA-256 that storage keeps of an object: of all its bytes, in hexadecimal.

        Returns:
            The digest; empty when none is kept, or one of another kind.

        Raises:
            StorageError: The object cannot be looked at.
        """
        ...


@runtime_checkable
class StreamingStore(Store, Protocol):
    """A store that can be read piece by piece, so that nobody has to guess how much is needed."""

    async def stream(self, item: StoredObject, start: int, end: int) -> RangeStream:
        """Begin to read a range; see `Store.read`, which reads all of it."""
        ...
