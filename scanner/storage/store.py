"""Where objects lie: what is known about one, how a range of it is read, what can go wrong.

One contract, one store per kind of storage (``stores/``). Listing gives size and pin; a read names
the pin it wants and proves what it got. `fs.open` is never used: it asks twice, reads megabytes
ahead and cannot be pinned.

S3, Google's and Azure's storage have a second, faster engine, obstore (the extra ``fast``). It is
taken by itself where it is installed and can do what the options ask for; results, findings and
errors are the same.
"""

import importlib.util
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, Self, runtime_checkable
from urllib.parse import SplitResult, urlsplit, urlunsplit

if TYPE_CHECKING:
    import asyncio

__all__ = [
    "ACCOUNT_VARIABLE",
    "ENGINE_VARIABLE",
    "OPTIONS_VARIABLE",
    "UNKNOWN_SIZE",
    "VERSION_MARK",
    "RangeReply",
    "RangeStream",
    "StorageError",
    "Store",
    "StoredObject",
    "StreamingStore",
    "check_address",
    "clean_url",
    "is_local",
    "open_store",
    "storable",
]

UNKNOWN_SIZE: Final = -1
VERSION_MARK: Final = "?versionId="
"""Stands in the address of one version of an object, before its id."""
OPTIONS_VARIABLE: Final = "PREFECT_MUTAGEN_STORAGE_OPTIONS"
"""Names the variable with the storage options of whoever gives none."""
ENGINE_VARIABLE: Final = "PREFECT_MUTAGEN_ENGINE"
ACCOUNT_VARIABLE: Final = "AZURE_STORAGE_ACCOUNT_NAME"
"""Names the variable with the account that ``az://`` addresses are in."""
_LOCAL: Final = ("file", "local")
_FAST_SCHEMES: Final = ("s3", "s3a", "gs", "gcs", "az")
_HOSTS: Final = dict.fromkeys(_FAST_SCHEMES, "bucket") | dict.fromkeys(("http", "https"), "server")
"""What an address of each kind has to name first."""
_TRANSIENT: Final = ("storage/throttled", "storage/timeout", "storage/unreachable")


class StorageError(Exception):
    """Storage did not give what was asked for.

    Attributes:
        code: A finding code, ``storage/…``; it says what the caller can do.
        url: What was asked for, free of secrets.
        reason: One clause that says why, free of secrets.
        transient: Whether the same request may well succeed a moment later.
    """

    def __init__(self, code: str, url: str, reason: str, *, transient: bool = False) -> None:
        """Keep the facts; the text is drawn from them."""
        super().__init__(code, url, reason)
        self.code = code
        self.url = url
        self.reason = reason
        self.transient = transient or code in _TRANSIENT

    def to_plain(self) -> tuple[str, str, str, bool]:
        """Give code, address, reason, and whether another try may help."""
        return self.code, self.url, self.reason, self.transient

    def __str__(self) -> str:
        """Draw one sentence."""
        return f"{self.url}: {self.reason}" if self.url else self.reason


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
        return name.partition(VERSION_MARK)[0] if VERSION_MARK in name else name

    @property
    def version(self) -> str:
        """Id of the version that the address names; empty for the newest one."""
        if VERSION_MARK not in self.url:
            return ""
        return self.url.rpartition("/")[2].partition(VERSION_MARK)[2]

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
    """Address of the root, free of secrets."""
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


def split_url(url: str) -> SplitResult:
    """Take an address apart; a plain path has the scheme ``file``."""
    if "://" not in url:
        return SplitResult("file", "", url, "", "")
    scheme, _, rest = url.partition("://")
    scheme = scheme.strip().lower()
    if scheme in ("http", "https"):
        return urlsplit(url.strip())
    # Keys may hold any character; only http gives ? and # a meaning.
    netloc, slash, path = rest.partition("/")
    return SplitResult(scheme, netloc, slash + path, "", "")


def clean_url(url: str) -> str:
    """Take secrets out of an address: user, password, query (signatures live there).

    A local path is made absolute, and ``~`` becomes the home folder.

    Raises:
        StorageError: It is blank: it names nothing, and never the current folder.
    """
    parts = split_url(url)
    host = parts.netloc.rpartition("@")[2]
    if parts.scheme in _LOCAL:
        path = parts.path if parts.netloc == "localhost" else parts.netloc + parts.path
        if not path.strip():
            raise StorageError("storage/not-found", "", "the address is empty and names nothing")
        return os.path.abspath(os.path.expanduser(path))
    if parts.scheme in ("http", "https"):
        return urlunsplit((parts.scheme, host, parts.path, "", ""))
    return f"{parts.scheme}://{host}{parts.path}"


def is_local(url: str) -> bool:
    """Whether an address is one of a file or folder of this machine."""
    return split_url(url).scheme in _LOCAL


def check_address(url: str) -> None:
    """Make sure that an address names something, before anything is asked of a storage.

    Raises:
        StorageError: It is blank, or lacks the bucket or the server.
    """
    cleaned, parts = clean_url(url), split_url(url)
    missing = "" if parts.netloc.rpartition("@")[2].strip() else _HOSTS.get(parts.scheme, "")
    if missing:
        raise StorageError("storage/not-found", cleaned, f"the address names no {missing}")


def has_secrets(url: str) -> bool:
    """Say whether an address carries a user, a password or a query."""
    parts = split_url(url)
    return "@" in parts.netloc or bool(parts.query)


def storable(url: str) -> str:
    """Write an address as Unicode: a file name in no encoding keeps its odd bytes as escapes."""
    return url if url.isascii() else url.encode("utf-8", "backslashreplace").decode()


def open_store(
    url: str, options: Mapping[str, Any] | None = None, *, versions: bool = False
) -> Store:
    """Open the storage that an address points into.

    Args:
        url: A path, or an address of any kind that fsspec knows.
        options: Options for fsspec's file system: credentials, endpoint and kin.
        versions: Whether its listing shows older versions of objects too.

    Raises:
        StorageError: The address names nothing, there is no such kind of storage, or the options
            do not fit it.
    """
    check_address(url)
    parts = split_url(url)
    given = dict(options or {})
    if versions and parts.scheme not in ("s3", "s3a"):
        reason = "versions can only be listed on S3"
        raise StorageError("storage/unsupported", clean_url(url), reason)
    # Each store brings its own libraries; none is imported for a root that does not need it.
    if parts.scheme in _LOCAL:
        from prefect_mutagen.scanner.storage.local import LocalStore

        return LocalStore(clean_url(url))
    if parts.scheme in ("s3", "s3a") and (versions or VERSION_MARK in url):
        from prefect_mutagen.scanner.storage.s3_versions import S3VersionStore

        return S3VersionStore(url, given)
    if parts.scheme in _FAST_SCHEMES:
        store = _open_fast(url, given)
        if store is not None:
            return store
    if parts.scheme in ("s3", "s3a"):
        from prefect_mutagen.scanner.storage.s3 import S3Store

        return S3Store(url, given)
    if parts.scheme in ("http", "https"):
        from prefect_mutagen.scanner.storage.http import HttpStore

        return HttpStore(url, given)
    from prefect_mutagen.scanner.storage.generic import GenericStore

    return GenericStore(url, given)


def _open_fast(url: str, options: Mapping[str, Any]) -> Store | None:
    """Try obstore, unless PREFECT_MUTAGEN_ENGINE forbids it; it may also insist, for tests."""
    engine = os.environ.get(ENGINE_VARIABLE, "")
    if engine not in ("", "fsspec", "obstore"):
        reason = f"{ENGINE_VARIABLE} is neither fsspec nor obstore"
        raise StorageError("storage/unsupported", clean_url(url), reason)
    store: Store | None = None
    if engine != "fsspec" and importlib.util.find_spec("obstore") is not None:
        from prefect_mutagen.scanner.storage.fast import open_fast_store

        store = open_fast_store(url, options)
    if store is None and engine == "obstore":
        reason = "obstore is not installed, or has no such options"
        raise StorageError("storage/unsupported", clean_url(url), reason)
    return store
