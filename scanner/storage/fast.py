"""S3, Google's and Azure's storage through obstore: a tenth of the processor time of s3fs.

obstore takes names apart into segments and puts them together again. What it cannot express (empty
segments, control characters) is left to s3fs, and where it drops a slash at either end this is
noticed: such keys would be mistaken for others. Listings carry no storage class, so an archived
object is found out when it is read. Nothing is repeated here; see
`scanner.examine.retries`.
"""

import asyncio
import re
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterator,
    Mapping,
    Sequence,
)
from concurrent.futures import Future
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

import obstore
from fsspec.asyn import get_loop
from obstore.exceptions import BaseError, InvalidPathError, UnauthenticatedError

from prefect_mutagen.scanner.storage.address import VERSION_MARK, Address
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.fast_options import make_obstore
from prefect_mutagen.scanner.storage.pacing import repeat
from prefect_mutagen.scanner.storage.s3_replies import reply_error
from prefect_mutagen.scanner.storage.store import RangeReply, StoredObject

if TYPE_CHECKING:
    from prefect_mutagen.scanner.storage.s3 import S3Store

__all__ = ["FastStore", "open_fast_store"]

_PAGE: Final = 1000
_CHUNK: Final = 64 << 10
_STATUS: Final = re.compile(r"status code: (\d{3})")
_CODE: Final = re.compile(r"<Code>(\w{1,64})</Code>")
_MISSIGNED: Final = frozenset(" ~*")
"""What obstore writes into a query in another way than it signs it."""
_ELSEWHERE: Final = frozenset(
    {"AuthorizationHeaderMalformed", "PermanentRedirect", "TemporaryRedirect"}
)

_T = TypeVar("_T")
_Meta = Mapping[str, Any]
_Native = Any


class _BeyondObstore(Exception):  # noqa: N818 - no error: the other engine can do it
    """Obstore cannot do this."""


def open_fast_store(address: Address, options: Mapping[str, Any]) -> "FastStore | None":
    """Open a root with obstore.

    Args:
        address: A bucket of S3, Google or Azure, with a prefix or a key behind it.
        options: Options of fsspec's file system for that storage.

    Returns:
        The store; None where fsspec has to do it, because obstore has no such options.
    """
    native = make_obstore(address.scheme, address.bucket, options)
    return None if native is None else FastStore(address, native, options)


class FastStore:
    """A bucket, a prefix or one object."""

    def __init__(self, address: Address, native: _Native, options: Mapping[str, Any]) -> None:
        """Take a root and obstore's store for its bucket; nothing is asked of the server yet."""
        self.root = address.text
        self._address = address
        self.loop = get_loop()
        self._native = native
        self._options = options
        self._key = address.key
        self._bucket_url = f"{address.scheme}://{address.bucket}/"
        self._other: S3Store | None = None
        self._elsewhere = False

    def list_objects(self, wanted: Callable[[str], bool]) -> Iterator[StoredObject]:
        """See `Store.list_objects`."""
        last = ""
        try:
            found = self._find_root()
            if found is not None:
                yield found
                return
            for key, meta in self._walk():
                last = key
                name = key.rpartition("/")[2]
                if name and wanted(name) and (meta["size"] or not self._is_folder(key)):
                    yield self._describe(meta)
        except _BeyondObstore:
            yield from self._plain().list_objects(wanted, last)
            return
        if self._key and not last:
            raise StorageError("storage/not-found", self.root, "there is nothing under this prefix")

    def _find_root(self) -> StoredObject | None:
        """Look whether the root is one object."""
        if self._elsewhere or not _is_expressible(self._key.removesuffix("/")):
            raise _BeyondObstore
        if not self._key or self._key.endswith("/"):
            return None
        try:
            return self._wait(repeat(lambda: self.find(self.root), self.root))
        except StorageError as problem:
            if problem.transient:
                raise
            return None  # the listing says better than a HEAD what is wrong

    def _walk(self) -> Iterator[tuple[str, _Meta]]:
        """List keys as they are, or give up: they come in order, and each once."""
        if not self._key and self._has_leading_slashes():
            raise _BeyondObstore
        last = ""
        for meta in self._list(self._key.removesuffix("/") or None):
            key = meta["path"]
            if key <= last and not meta["size"]:
                key += "/"  # the mark of a folder
            if key <= last:
                raise _BeyondObstore
            if VERSION_MARK in key:
                raise _BeyondObstore  # s3fs writes such an address so that it names no version
            last = key
            yield key, meta

    def _list(
        self, prefix: str | None, after: str | None = None, *, ahead: bool = True
    ) -> Iterator[_Meta]:
        """List keys; with ``ahead``, the next page is under way while one is worked on."""
        stream: AsyncIterator[Sequence[_Meta]] | None = None
        offset = after

        async def ask() -> Sequence[_Meta]:
            nonlocal stream
            if stream is None:
                if _MISSIGNED & set(f"{prefix}{offset}"):
                    raise _BeyondObstore
                pages = obstore.list(self._native, prefix, offset=offset, chunk_size=_PAGE)
                stream = aiter(pages)
            try:
                return await anext(stream)  # its two-argument form does not take obstore's streams
            except StopAsyncIteration:
                return ()
            except (BaseError, OSError, ValueError) as problem:
                stream = None  # the next try begins behind the last key that came
                raise self._error(problem, self.root) from None

        def begin() -> Future[Sequence[_Meta]]:
            return asyncio.run_coroutine_threadsafe(repeat(ask, self.root), self.loop)

        coming = begin()
        while page := coming.result():
            offset = page[-1]["path"]
            if ahead:
                coming = begin()
            yield from page
            if not ahead:
                coming = begin()

    def _has_leading_slashes(self) -> bool:
        """Say whether keys of the bucket begin with a slash, which obstore does not show.

        They sort between those that begin with ``.`` and ``0``, so two listings that begin there
        are the same exactly when there are none.
        """
        before, behind = (
            [
                (meta["path"], meta["e_tag"])
                for meta in islice(self._list(None, after, ahead=False), _PAGE)
            ]
            for after in (".z", "0")
        )
        if before and before[0][0] == "0":
            del before[0]
        both = min(len(before), len(behind))
        return len(before) > len(behind) or before[:both] != behind[:both]

    def _is_folder(self, key: str) -> bool:
        """Say whether an empty object is the mark of a folder: obstore does not show its slash."""
        try:
            self._wait(repeat(lambda: self.find(self._bucket_url + key), self.root))
        except StorageError as problem:
            if problem.code == "storage/not-found":
                return True
            raise
        return False

    def list_folder(self, folder: str, wanted: Callable[[str], bool]) -> Iterator[StoredObject]:
        """See `Store.list_folder`."""

        async def fast(key: str) -> Sequence[_Meta]:
            found = await obstore.list_with_delimiter_async(self._native, key or None)
            return found["objects"]

        async def plain() -> None:
            return None

        url = self._bucket_url + folder.removeprefix(self._bucket_url).removesuffix("/")
        inside = self._wait(repeat(lambda: self._ask(url, fast, plain), self.root))
        if inside is None:
            yield from self._plain().list_folder(folder, wanted)
            return
        for meta in inside:
            if wanted(meta["path"].rpartition("/")[2]):
                yield self._describe(meta)

    async def find(self, url: str) -> StoredObject:
        """See `Store.find`."""

        async def fast(key: str) -> StoredObject:
            return self._describe(await obstore.head_async(self._native, key))

        return await self._ask(url, fast, lambda: self._plain().find(url))

    async def read(self, item: StoredObject, start: int, end: int) -> RangeReply:
        """See `Store.read`."""

        async def fast(key: str) -> RangeReply:
            reply = await self._get(item, key, start, end)
            size, pin = _prove(reply, item)
            data = bytes(await reply.bytes_async())
            if len(data) != min(end, size) - start:
                raise _broken_off(item.url)
            return RangeReply(data, size, pin)

        return await self._ask(item.url, fast, lambda: self._plain().read(item, start, end))

    async def stream(self, item: StoredObject, start: int, end: int) -> Any:
        """See `StreamingStore.stream`."""

        async def fast(key: str) -> "_Stream":
            reply = await self._get(item, key, start, end)
            size, pin = _prove(reply, item)
            return _Stream(self, item.url, reply, size, pin, min(end, size) - start)

        return await self._ask(item.url, fast, lambda: self._plain().stream(item, start, end))

    async def stored_sha256(self, item: StoredObject) -> str:
        """See `Store.stored_sha256`; obstore cannot ask for it."""
        if self._address.scheme != "s3":
            return ""
        return await self._plain().stored_sha256(item)

    async def _get(self, item: StoredObject, key: str, start: int, end: int) -> Any:
        options: obstore.GetOptions = {"range": (start, end)}
        kind, _, value = item.pin.partition(":")
        if kind == "etag":
            options["if_match"] = f'"{value}"'
        elif kind == "version":
            options["version"] = value
        return await obstore.get_async(self._native, key, options=options)

    async def _ask(
        self,
        url: str,
        fast: Callable[[str], Awaitable[_T]],
        plain: Callable[[], Awaitable[_T]],
    ) -> _T:
        """Ask obstore, and s3fs where obstore cannot do it."""
        key = url.removeprefix(self._bucket_url)
        if self._elsewhere or not _is_expressible(key):
            return await plain()
        try:
            return await fast(key)
        except (BaseError, OSError, ValueError) as problem:
            try:
                fault = self._error(problem, url)
            except _BeyondObstore:
                return await plain()
            raise fault from None

    def _wait(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()

    def _plain(self) -> "S3Store":
        if self._address.scheme != "s3":
            raise StorageError("storage/unsupported", self.root, "obstore cannot express a name")
        if self._other is None:
            # A second of imports that most scans do without.
            from prefect_mutagen.scanner.storage.s3 import S3Store

            self._other = S3Store(self._address, self._options)
        return self._other

    def _describe(self, meta: _Meta) -> StoredObject:
        url = self._bucket_url + meta["path"]
        return StoredObject(url, meta["size"], _pin(meta), meta["last_modified"].timestamp())

    def _error(self, problem: Exception, url: str) -> StorageError:
        """Say what went wrong without the words of obstore, which hold addresses and replies."""
        # The name stands in the text, and may look like anything.
        text = str(problem).replace(url.removeprefix(self._bucket_url), "")
        status = int(found[1]) if (found := _STATUS.search(text)) else 0
        code = found[1] if (found := _CODE.search(text)) else ""
        if isinstance(problem, InvalidPathError | ValueError) and not status:
            raise _BeyondObstore
        if code in _ELSEWHERE or "redirect without LOCATION" in text:
            self._elsewhere = True  # s3fs asks where the bucket lies
            raise _BeyondObstore
        if status:
            return reply_error(code, status, url)
        if isinstance(problem, UnauthenticatedError):
            return reply_error("", 401, url)  # a session that has expired meanwhile
        for sign, known, reason in _FAILURES:
            if sign in text:
                return StorageError(known, url, reason)
        return (
            _broken_off(url)
            if "body" in text
            else StorageError("storage/failed", url, "the connection failed", transient=True)
        )


class _Stream:
    """The body of one reply; see `RangeStream`."""

    __slots__ = ("_left", "_pieces", "_store", "_url", "pin", "size")

    def __init__(
        self, store: FastStore, url: str, reply: Any, size: int, pin: str, left: int
    ) -> None:
        self.size = size
        self.pin = pin
        self._store = store
        self._url = url
        self._left = left
        self._pieces: Any = aiter(reply.stream(min_chunk_size=_CHUNK))

    async def read(self, least: int) -> bytes:
        pieces: list[bytes] = []
        wanted = min(least, self._left)
        while wanted > 0:
            try:
                piece = bytes(await anext(self._pieces))
            except StopAsyncIteration:
                raise _broken_off(self._url) from None
            except (BaseError, OSError) as problem:
                raise self._store._error(problem, self._url) from None
            pieces.append(piece)
            wanted -= len(piece)
            self._left -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def close(self) -> None:
        self._pieces = None  # the connection is closed with the last reference to it


_FAILURES: Final = (
    ("timed out", "storage/timeout", "the storage did not answer in time"),
    ("TimedOut", "storage/timeout", "the storage did not answer in time"),
    ("kind: Connect", "storage/unreachable", "the storage cannot be reached"),
)


def _is_expressible(key: str) -> bool:
    """Say whether obstore leaves a key as it is, or refuses it."""
    odd = "//" in key or key.startswith("/") or key.endswith("/")
    return not odd and VERSION_MARK not in key


def _pin(meta: _Meta) -> str:
    etag = str(meta["e_tag"] or "").strip('"')
    return f"etag:{etag}" if etag else f"time:{meta['last_modified'].timestamp()}; {meta['size']}"


def _prove(reply: Any, item: StoredObject) -> tuple[int, str]:
    """Give size and pin of what a reply carries."""
    meta = reply.meta
    if item.pin.startswith("version:"):
        return meta["size"], item.pin
    pin = _pin(meta)
    if item.pin and pin != item.pin:
        raise StorageError(
            "storage/changed-during-scan", item.url, "the object was replaced meanwhile"
        )
    return meta["size"], pin


def _broken_off(url: str) -> StorageError:
    return StorageError("storage/failed", url, "the reply broke off", transient=True)
