"""S3, Google Cloud Storage and Azure Blob Storage through obstore: a tenth of the CPU time of s3fs.

obstore splits keys into segments and joins them again. Keys that do not survive this (empty
segments, control characters) are left to s3fs; a leading or trailing slash that obstore drops is
detected, because such keys would be mistaken for others. Listings have no storage class, so an
archived object is only noticed when it is read. Requests are not retried here; see
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

from prefect_mutagen.scanner.pins import etag_of, etag_pin, time_pin
from prefect_mutagen.scanner.storage.address import VERSION_MARK, Address
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.fast_options import make_obstore
from prefect_mutagen.scanner.storage.pacing import repeat
from prefect_mutagen.scanner.storage.s3_replies import reply_error
from prefect_mutagen.scanner.storage.store import RangeReply, StoredObject, Wanted

if TYPE_CHECKING:
    from prefect_mutagen.scanner.storage.s3 import S3Store

__all__ = ["FastStore", "open_fast_store"]

_PAGE: Final = 1000
_CHUNK: Final = 64 << 10
_STATUS: Final = re.compile(r"status code: (\d{3})")
_CODE: Final = re.compile(r"<Code>(\w{1,64})</Code>")
_MISSIGNED: Final = frozenset(" ~*")
"""Characters that obstore encodes differently in the query string and in its signature."""
_ELSEWHERE: Final = frozenset(
    {"AuthorizationHeaderMalformed", "PermanentRedirect", "TemporaryRedirect"}
)

_T = TypeVar("_T")
_Meta = Mapping[str, Any]
_Native = Any


class _NotSupported(Exception):  # noqa: N818 - not an error: the other engine takes over
    """Obstore does not support this request."""


def open_fast_store(address: Address, options: Mapping[str, Any]) -> "FastStore | None":
    """Open a root with obstore.

    Args:
        address: A bucket in S3, Google Cloud Storage or Azure, with an optional prefix or key.
        options: Options of fsspec's file system for this storage.

    Returns:
        The store; None if obstore does not support the options and fsspec has to be used.
    """
    native = make_obstore(address.scheme, address.bucket, options)
    return None if native is None else FastStore(address, native, options)


class FastStore:
    """A bucket, a prefix or one object."""

    def __init__(self, address: Address, native: _Native, options: Mapping[str, Any]) -> None:
        """Wrap obstore's store for the bucket of a root; sends no request yet."""
        self.root = address.text
        self._address = address
        self.loop = get_loop()
        self._native = native
        self._options = options
        self._key = address.key
        self._bucket_url = f"{address.scheme}://{address.bucket}/"
        self._other: S3Store | None = None
        self._elsewhere = False

    def list_objects(self, wanted: Wanted) -> Iterator[StoredObject]:
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
                if (
                    name
                    and wanted(key, meta["size"])
                    and (meta["size"] or not self._is_folder(key))
                ):
                    yield self._describe(meta)
        except _NotSupported:
            yield from self._plain().list_objects(wanted, last)
            return
        if self._key and not last:
            raise StorageError("storage/not-found", self.root, "there is nothing under this prefix")

    def _find_root(self) -> StoredObject | None:
        """Return the root if it is a single object."""
        if self._elsewhere or not _is_expressible(self._key.removesuffix("/")):
            raise _NotSupported
        if not self._key or self._key.endswith("/"):
            return None
        try:
            return self._wait(repeat(lambda: self.find(self.root), self.root))
        except StorageError as problem:
            if problem.transient:
                raise
            return None  # the listing reports better than a HEAD what is wrong

    def _walk(self) -> Iterator[tuple[str, _Meta]]:
        """Yield exact keys in order, each once; raise `_NotSupported` where obstore alters them."""
        if not self._key and self._has_leading_slashes():
            raise _NotSupported
        last = ""
        for meta in self._list(self._key.removesuffix("/") or None):
            key = meta["path"]
            if key <= last and not meta["size"]:
                key += "/"  # a folder marker
            if key <= last:
                raise _NotSupported
            if VERSION_MARK in key:
                raise _NotSupported  # s3fs escapes such a key in its address
            last = key
            yield key, meta

    def _list(
        self, prefix: str | None, after: str | None = None, *, ahead: bool = True
    ) -> Iterator[_Meta]:
        """List keys; ``ahead`` prefetches the next page while one is processed."""
        stream: AsyncIterator[Sequence[_Meta]] | None = None
        offset = after

        async def fetch() -> Sequence[_Meta]:
            nonlocal stream
            if stream is None:
                if _MISSIGNED & set(f"{prefix}{offset}"):
                    raise _NotSupported
                pages = obstore.list(self._native, prefix, offset=offset, chunk_size=_PAGE)
                stream = aiter(pages)
            try:
                return await anext(stream)  # its two-argument form does not take obstore's streams
            except StopAsyncIteration:
                return ()
            except (BaseError, OSError, ValueError) as problem:
                stream = None  # the retry continues after the last key received
                raise self._error(problem, self.root) from None

        def submit() -> Future[Sequence[_Meta]]:
            return asyncio.run_coroutine_threadsafe(repeat(fetch, self.root), self.loop)

        page_ahead = submit()
        while page := page_ahead.result():
            offset = page[-1]["path"]
            if ahead:
                page_ahead = submit()
            yield from page
            if not ahead:
                page_ahead = submit()

    def _has_leading_slashes(self) -> bool:
        """Whether the bucket has keys with a leading slash, which obstore drops.

        They sort between keys that start with ``.`` and ``0``, so listings that start at these two
        are equal exactly when there are none.
        """
        from_dot, from_zero = (
            [
                (meta["path"], meta["e_tag"])
                for meta in islice(self._list(None, after, ahead=False), _PAGE)
            ]
            for after in (".z", "0")
        )
        if from_dot and from_dot[0][0] == "0":
            del from_dot[0]
        both = min(len(from_dot), len(from_zero))
        return len(from_dot) > len(from_zero) or from_dot[:both] != from_zero[:both]

    def _is_folder(self, key: str) -> bool:
        """Whether an empty object is a folder marker, whose trailing slash obstore drops."""
        try:
            self._wait(repeat(lambda: self.find(self._bucket_url + key), self.root))
        except StorageError as problem:
            if problem.code == "storage/not-found":
                return True
            raise
        return False

    def list_folder(self, folder: str, wanted: Wanted) -> Iterator[StoredObject]:
        """See `Store.list_folder`."""

        async def fast(key: str) -> Sequence[_Meta]:
            found = await obstore.list_with_delimiter_async(self._native, key or None)
            return found["objects"]

        async def plain() -> None:
            return None

        url = self._bucket_url + folder.removeprefix(self._bucket_url).removesuffix("/")
        inside = self._wait(repeat(lambda: self._request(url, fast, plain), self.root))
        if inside is None:
            yield from self._plain().list_folder(folder, wanted)
            return
        for meta in inside:
            if wanted(meta["path"], meta["size"]):
                yield self._describe(meta)

    def list_tree(self, folder: str, wanted: Wanted) -> Iterator[StoredObject]:
        """See `Store.list_tree`; by fsspec, because it is asked for rarely."""
        yield from self._plain().list_tree(folder, wanted)

    async def find(self, url: str) -> StoredObject:
        """See `Store.find`."""

        async def fast(key: str) -> StoredObject:
            return self._describe(await obstore.head_async(self._native, key))

        return await self._request(url, fast, lambda: self._plain().find(url))

    async def read(self, item: StoredObject, start: int, end: int) -> RangeReply:
        """See `Store.read`."""

        async def fast(key: str) -> RangeReply:
            reply = await self._get(item, key, start, end)
            size, pin = _verified(reply, item)
            data = bytes(await reply.bytes_async())
            if len(data) != min(end, size) - start:
                raise _truncated(item.url)
            return RangeReply(data, size, pin)

        return await self._request(item.url, fast, lambda: self._plain().read(item, start, end))

    async def stream(self, item: StoredObject, start: int, end: int) -> Any:
        """See `StreamingStore.stream`."""

        async def fast(key: str) -> "_Stream":
            reply = await self._get(item, key, start, end)
            size, pin = _verified(reply, item)
            return _Stream(self, item.url, reply, size, pin, min(end, size) - start)

        return await self._request(item.url, fast, lambda: self._plain().stream(item, start, end))

    async def stored_sha256(self, item: StoredObject) -> str:
        """See `Store.stored_sha256`; obstore has no such request."""
        return await self._plain().stored_sha256(item) if self._address.scheme == "s3" else ""

    async def tags(self, item: StoredObject) -> dict[str, str]:
        """See `TaggedStore.tags`; obstore has no such request."""
        return await self._plain().tags(item) if self._address.scheme == "s3" else {}

    async def _get(self, item: StoredObject, key: str, start: int, end: int) -> Any:
        options: obstore.GetOptions = {"range": (start, end)}
        if etag := etag_of(item.pin):
            options["if_match"] = f'"{etag}"'
        elif item.pin.startswith("version:"):
            options["version"] = item.pin.removeprefix("version:")
        return await obstore.get_async(self._native, key, options=options)

    async def _request(
        self,
        url: str,
        fast: Callable[[str], Awaitable[_T]],
        plain: Callable[[], Awaitable[_T]],
    ) -> _T:
        """Send a request through obstore, or through s3fs where obstore does not support it."""
        key = url.removeprefix(self._bucket_url)
        if self._elsewhere or not _is_expressible(key):
            return await plain()
        try:
            return await fast(key)
        except (BaseError, OSError, ValueError) as problem:
            try:
                fault = self._error(problem, url)
            except _NotSupported:
                return await plain()
            raise fault from None

    def _wait(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()

    def _plain(self) -> "S3Store":
        if self._address.scheme != "s3":
            raise StorageError("storage/unsupported", self.root, "obstore does not support a name")
        if self._other is None:
            # Takes a second to import; most scans do not need it.
            from prefect_mutagen.scanner.storage.s3 import S3Store

            self._other = S3Store(self._address, self._options)
        return self._other

    def _describe(self, meta: _Meta) -> StoredObject:
        url = self._bucket_url + meta["path"]
        return StoredObject(url, meta["size"], _pin(meta), meta["last_modified"].timestamp())

    def _error(self, problem: Exception, url: str) -> StorageError:
        """Translate an error without obstore's own text, which quotes addresses and responses."""
        # The text contains the key, which may look like anything.
        text = str(problem).replace(url.removeprefix(self._bucket_url), "")
        status = int(found[1]) if (found := _STATUS.search(text)) else 0
        code = found[1] if (found := _CODE.search(text)) else ""
        if isinstance(problem, InvalidPathError | ValueError) and not status:
            raise _NotSupported
        if code in _ELSEWHERE or "redirect without LOCATION" in text:
            self._elsewhere = True  # s3fs looks up the bucket's region
            raise _NotSupported
        if status:
            return reply_error(code, status, url)
        if isinstance(problem, UnauthenticatedError):
            return reply_error("", 401, url)  # an expired session
        for sign, known, reason in _FAILURES:
            if sign in text:
                return StorageError(known, url, reason)
        return (
            _truncated(url)
            if "body" in text
            else StorageError("storage/failed", url, "the connection failed", transient=True)
        )


class _Stream:
    """The body of one response; see `RangeStream`."""

    __slots__ = ("_left", "_pieces", "_store", "_url", "pin", "size")
    real = ""

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
                raise _truncated(self._url) from None
            except (BaseError, OSError) as problem:
                raise self._store._error(problem, self._url) from None
            pieces.append(piece)
            wanted -= len(piece)
            self._left -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def close(self) -> None:
        self._pieces = None  # dropping the last reference closes the connection


_FAILURES: Final = (
    ("timed out", "storage/timeout", "the storage did not respond in time"),
    ("TimedOut", "storage/timeout", "the storage did not respond in time"),
    ("kind: Connect", "storage/unreachable", "the storage cannot be reached"),
)


def _is_expressible(key: str) -> bool:
    """Whether obstore leaves a key unchanged or refuses it."""
    odd = "//" in key or key.startswith("/") or key.endswith("/")
    return not odd and VERSION_MARK not in key


def _pin(meta: _Meta) -> str:
    etag = str(meta["e_tag"] or "").strip('"')
    time = meta["last_modified"].timestamp()
    return etag_pin(etag, time) if etag else time_pin(time, meta["size"])


def _verified(reply: Any, item: StoredObject) -> tuple[int, str]:
    """Return size and pin of a response; raise if it is of another version than the item."""
    meta = reply.meta
    if item.pin.startswith("version:"):
        return meta["size"], item.pin
    pin = _pin(meta)
    item.refuse_other(pin)
    return meta["size"], pin


def _truncated(url: str) -> StorageError:
    return StorageError("storage/failed", url, "the response was cut off", transient=True)
