"""The contract of a store: list objects, read ranges of one version.

There is one implementation per kind of storage. Listings return size and pin; a read is pinned, and
its reply states the pin of what was read. `fs.open` is never used: it sends two requests, reads
megabytes ahead and cannot be pinned.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, Self, runtime_checkable

from prefect_mutagen.scanner.pins import relation_of
from prefect_mutagen.scanner.storage.address import VERSION_MARK, folder_of, split_version
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
    "TaggedStore",
    "VersionedStore",
    "Wanted",
]

UNKNOWN_SIZE: Final = -1

Wanted = Callable[[str, int], bool]
"""Whether the caller of a listing wants a file, by its path and its size in bytes. It is called for
each listed file once, and so may count them."""


class StoredObject(NamedTuple):
    """One file in storage, as listed.

    Listings create millions: a named tuple takes a third of a data class's time.
    """

    url: str
    """Address without secrets; an absolute path for a local file."""
    size: int
    """Bytes; `UNKNOWN_SIZE` if not listed."""
    pin: str
    """Identifies the exact bytes, as far as storage can; see `scanner.pins`. Empty if not
    listed."""
    modified: float | None = None
    """Time of last modification in seconds since 1970, if known."""
    storage_class: str = ""
    """Storage class, if there are several."""
    fault: StorageError | None = None
    """Why it cannot be accessed: a dangling link, a folder that cannot be listed."""
    sha256: str = ""
    """SHA-256 in hexadecimal, if the listing states it."""
    sha256_source: str = ""
    """Where it comes from."""
    real: str = ""
    """Where it really lies, if that is not its address: behind a link, or a redirect."""

    @property
    def name(self) -> str:
        """Last part of the address, without a version."""
        url = self.url
        if VERSION_MARK in url:
            url = self.plain_url
        return url.rpartition("/")[2] or url.rstrip("/").rpartition("/")[2]

    @property
    def version(self) -> str:
        """Version id in the address; empty for the latest."""
        return split_version(self.url)[1]

    @property
    def plain_url(self) -> str:
        """The address without a version."""
        return split_version(self.url)[0] if VERSION_MARK in self.url else self.url

    @property
    def folder(self) -> str:
        """Address without its last part, with a trailing slash."""
        return folder_of(self.url)

    def refuse_other(self, pin: str) -> None:
        """Refuse a reply of another version, by its pin in any form.

        Raises:
            StorageError: ``storage/changed-during-scan``.
        """
        if self.pin and relation_of(self.pin, pin) == "other":
            reason = "the object was replaced during the scan"
            raise StorageError("storage/changed-during-scan", self.url, reason)

    def as_read(self, reply: "RangeReply") -> Self:
        """Return it as a reply describes it."""
        if (reply.size, reply.pin, reply.real or self.real) == (self.size, self.pin, self.real):
            return self
        return self._replace(size=reply.size, pin=reply.pin, real=reply.real or self.real)

    def to_plain(self) -> tuple[Any, ...]:
        """Return its fields as plain values that any format can serialise."""
        fault: Any = self.fault and self.fault.to_plain()
        return tuple(self._replace(fault=fault))

    @classmethod
    def from_plain(cls, plain: Iterable[Any]) -> Self:
        """Restore one from `to_plain`; lists may stand for tuples."""
        item = cls(*plain)
        fault: Any = item.fault
        if fault is None:
            return item
        code, url, reason, transient = fault
        return item._replace(fault=StorageError(code, url, reason, transient=transient))


@dataclass(frozen=True, slots=True)
class RangeReply:
    """The reply to one read."""

    data: bytes
    size: int
    """Size of the whole object in bytes."""
    pin: str
    """Pin of what was read."""
    real: str = ""
    """Where it was read from, if that is not its address."""


class RangeStream(Protocol):
    """A range read incrementally, from one request and one version of the object."""

    size: int
    """Size of the whole object in bytes."""
    pin: str
    """Pin of what is read."""
    real: str
    """Where it is read from, if that is not its address; else empty."""

    async def read(self, least: int) -> bytes:
        """Return the next bytes.

        Args:
            least: How many to wait for; more are returned if they have arrived.

        Returns:
            The bytes; fewer than ``least`` only at the end of the range.

        Raises:
            StorageError: They cannot be read.
        """
        ...

    async def close(self) -> None:
        """Drop what is left unread; harmless at the end."""
        ...


class Store(Protocol):
    """One root in one storage."""

    root: str
    """Address of the root as text, without secrets."""
    loop: "asyncio.AbstractEventLoop | None"
    """Event loop of its coroutines; None if they never suspend."""

    def list_objects(self, wanted: Wanted) -> Iterator[StoredObject]:
        """List the objects below the root, or the root itself if it is one object.

        Args:
            wanted: Whether the caller wants a file. A root that is one object is listed whatever
                its name.

        Yields:
            Objects; those directly in a folder are not interrupted by those of its siblings.

        Raises:
            StorageError: The root does not exist or cannot be listed.
        """
        ...

    def list_folder(self, folder: str, wanted: Wanted) -> Iterator[StoredObject] | None:
        """List the objects directly in one folder, such as the neighbours of a root that is a file.

        Args:
            folder: Address of the folder, with a trailing slash.
            wanted: As for `list_objects`.

        Returns:
            The objects; None if the storage has no folders.

        Raises:
            StorageError: The folder cannot be listed; may be raised during iteration.
        """
        ...

    def list_tree(self, folder: str, wanted: Wanted) -> Iterator[StoredObject] | None:
        """List the objects below any folder of the storage, such as one beside the root's.

        Args:
            folder: Address of the folder, with a trailing slash.
            wanted: As for `list_objects`.

        Returns:
            The objects; None if the storage has no folders.

        Raises:
            StorageError: The folder does not exist or cannot be listed; may be raised during
                iteration.
        """
        ...

    async def find(self, url: str) -> StoredObject:
        """Look one object up.

        Raises:
            StorageError: It does not exist or cannot be accessed.
        """
        ...

    async def read(self, item: StoredObject, start: int, end: int) -> RangeReply:
        """Read a range of one object, from one version of it.

        Args:
            item: The object; if it has a pin, only that version is accepted.
            start: Offset of the first byte.
            end: Offset after the last byte; may be beyond the end of the object.

        Returns:
            The bytes; fewer than requested only at the end of the object.

        Raises:
            StorageError: They cannot be read; ``storage/changed-during-scan`` if the object is
                another version than ``item``.
        """
        ...

    async def stored_sha256(self, item: StoredObject) -> str:
        """Look up the SHA-256 of a whole object that storage keeps.

        Returns:
            The digest in hexadecimal; empty if there is none, or one of another kind.

        Raises:
            StorageError: The object cannot be accessed.
        """
        ...


@runtime_checkable
class VersionedStore(Store, Protocol):
    """A store that can read older versions of its objects."""

    async def is_newest(self, item: StoredObject) -> bool:
        """Whether a version of an object is the newest one.

        Raises:
            StorageError: The object cannot be accessed.
        """
        ...


@runtime_checkable
class TaggedStore(Store, Protocol):
    """A store whose objects may have tags."""

    async def tags(self, item: StoredObject) -> dict[str, str]:
        """Return the tags of an object.

        Raises:
            StorageError: They cannot be read.
        """
        ...


@runtime_checkable
class StreamingStore(Store, Protocol):
    """A store that can stream a range, so that reads need not guess how much is needed."""

    async def stream(self, item: StoredObject, start: int, end: int) -> RangeStream:
        """Open a stream over a range; see `Store.read`, which reads all of it."""
        ...
