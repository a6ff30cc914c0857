"""Web servers, through the session of fsspec's HTTP file system.

A server may ignore ``Range`` and send the whole object; then the connection is dropped after the
requested bytes. It may not state the size either; then a small object is read to its end, and a
large one is asked for its size with HEAD. User, password and query string are never part of an
address that is shown: the query of a signed URL is a secret.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

import aiohttp
import fsspec
from fsspec.asyn import sync

from prefect_mutagen.scanner.pins import size_pin, time_pin
from prefect_mutagen.scanner.storage.address import Address
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.html_links import PAGE_LIMIT, TAG_LIMIT, find_links
from prefect_mutagen.scanner.storage.pacing import repeat
from prefect_mutagen.scanner.storage.store import UNKNOWN_SIZE, RangeReply, StoredObject, Wanted

__all__ = ["HttpStore"]

_MISSING: Final = ("storage/not-found", "there is no such object")
_CHANGED: Final = ("storage/changed-during-scan", "the object was replaced during the scan")
_SIZELESS: Final = ("storage/size-unknown", "the server does not say how large the object is")
_STATUS: Final = {
    401: ("storage/credentials", "the credentials are not accepted"),
    403: ("storage/denied", "access denied"),
    404: _MISSING,
    410: _MISSING,
    412: _CHANGED,
    416: _CHANGED,
    408: ("storage/timeout", "the server did not respond in time"),
    429: ("storage/throttled", "the server throttles requests"),
    503: ("storage/throttled", "the server throttles requests"),
    504: ("storage/timeout", "the server did not respond in time"),
}
_FOLDER_LIMIT: Final = 100_000
# A server chooses the encoding, and some decoders take time in the square of the length.
_ENCODINGS: Final = ("utf-8", "iso-8859-1", "windows-1252", "us-ascii")
_AT_ONCE: Final = 16
_MOST_FOUND: Final = 2_000
"""Most files beside a root that are looked up."""
_PIECE: Final = 64 << 10
_UNKNOWN_LENGTH_LIMIT: Final = 8 << 20
"""Bytes that are read of an object of unknown size to find its end."""


class HttpStore:
    """An index page and the links below it, or one object."""

    def __init__(self, address: Address, options: Mapping[str, Any]) -> None:
        """Open it; sends no request yet.

        Args:
            address: An object, or an index page.
            options: Options of fsspec's ``HTTPFileSystem``.

        Raises:
            StorageError: The file system does not accept the options.
        """
        self.root = address.text
        self._address = address
        try:
            self._fs = fsspec.filesystem("http", use_listings_cache=False, **options)
        except (TypeError, ValueError, ImportError):
            raise StorageError(
                "storage/unsupported", self.root, "the storage options are not valid for HTTP"
            ) from None
        self.loop = self._fs.loop

    def list_objects(self, wanted: Wanted) -> Iterator[StoredObject]:
        """See `Store.list_objects`."""
        if not self.root.endswith("/") and wanted(unquote(self.root), UNKNOWN_SIZE):
            try:
                yield sync(self.loop, repeat, lambda: self.find(self.root), self.root)
            except StorageError as problem:
                if problem.code != _SIZELESS[0]:
                    raise
                yield StoredObject(self.root, UNKNOWN_SIZE, "", fault=problem)
            return
        top = self.root.rstrip("/") + "/"  # links are relative to this form
        folders, seen = [top], {top}
        while folders:
            folder = folders.pop()
            page = sync(self.loop, repeat, partial(self._read_page, folder), folder)
            links = sorted({Address.parse_found(link).text for link in page.links})
            inside = [link for link in links if link.startswith(folder) and link not in seen]
            if page.problem:
                yield _unread(folder, page.problem)
            for link in inside:
                if "/" not in link.removeprefix(folder) and wanted(unquote(link), UNKNOWN_SIZE):
                    yield StoredObject(link, UNKNOWN_SIZE, "")
            for link in reversed([link for link in inside if link.endswith("/")]):
                if len(seen) == _FOLDER_LIMIT:
                    most = f"this tool looks into {_FOLDER_LIMIT:,} folders of a web server"
                    yield _unread(link, f"it is not looked into: {most}")
                    return
                seen.add(link)
                folders.append(link)

    async def _read_page(self, folder: str) -> "_Page":
        """Read the page of a folder; without its slash if it has no links."""
        page = await self._read_links(folder, folder)
        return page if page.links or page.problem else await self._read_links(folder[:-1], folder)

    async def _read_links(self, url: str, folder: str) -> "_Page":
        try:
            session = await self._fs.set_session()
            address = self._fs.encode_url(self._with_secrets(url))
            async with session.get(address, **self._fs.kwargs) as reply:
                if reply.status >= 400:
                    code, shown, reason = _status_error(reply.status, folder.rstrip("/"))
                    raise StorageError(code, shown, reason, transient=reply.status >= 500)
                if reply.content_type != "text/html":
                    return _Page()
                raw = bytearray()
                while len(raw) <= PAGE_LIMIT and (piece := await reply.content.read(_PIECE)):
                    raw += piece
                encoding = (reply.charset or "").lower()
        except (aiohttp.ClientError, TimeoutError, OSError) as problem:
            raise _unreachable(problem, folder.rstrip("/")) from None
        text = raw[:PAGE_LIMIT].decode(encoding if encoding in _ENCODINGS else "utf-8", "replace")
        links, complete = find_links(text, folder)
        if len(raw) > PAGE_LIMIT:
            return _Page(links, f"its page is larger than the {PAGE_LIMIT:,} bytes that are read")
        return _Page(
            links, "" if complete else f"its page has more than {TAG_LIMIT:,} tags and attributes"
        )

    def list_folder(self, folder: str, wanted: Wanted) -> Iterator[StoredObject] | None:
        """See `Store.list_folder`; None where the page of a folder is no list of its files.

        The page of the root's own folder counts if it lists the root.
        """
        try:
            page = sync(self.loop, repeat, partial(self._read_page, folder), folder)
        except StorageError:
            return None
        names = {unquote(link): Address.parse_found(link).text for link in page.links}
        own = self.root[: self.root.rfind("/") + 1]
        if page.problem or not names or (folder == own and unquote(self.root) not in names):
            return None
        inside = [
            link
            for name, link in sorted(names.items())
            if link.startswith(folder)
            and "/" not in link.removeprefix(folder)
            and wanted(name, UNKNOWN_SIZE)
        ]
        found: list[StoredObject] = sync(self.loop, self._find_all, inside)
        return iter(found)

    async def _find_all(self, links: list[str]) -> list[StoredObject]:
        """Look objects up, some at a time: a page states neither size nor version."""
        slots = asyncio.Semaphore(_AT_ONCE)

        async def find(link: str) -> StoredObject | None:
            try:
                async with slots:
                    return await repeat(lambda: self.find(link), link)
            except StorageError as problem:
                if problem.code == _MISSING[0]:
                    return None
                return StoredObject(link, UNKNOWN_SIZE, "", fault=problem)

        looked_up = await asyncio.gather(*map(find, links[:_MOST_FOUND]))
        found = [item for item in looked_up if item is not None]
        reason = f"more than {_MOST_FOUND:,} files lie in its folder"
        for link in links[_MOST_FOUND:]:
            fault = StorageError("storage/unsupported", link, reason)
            found.append(StoredObject(link, UNKNOWN_SIZE, "", fault=fault))
        return found

    def list_tree(self, folder: str, wanted: Wanted) -> None:
        """See `Store.list_tree`; web servers have no folders."""

    async def find(self, url: str) -> StoredObject:
        """See `Store.find`."""
        # Not a HEAD: signed URLs allow one method only, and some servers do not support it.
        reply = await self.read(StoredObject(url, UNKNOWN_SIZE, ""), 0, 1)
        time = _time_in(reply.pin)
        return StoredObject(url, reply.size, reply.pin, time, real=reply.real)

    async def read(self, item: StoredObject, start: int, end: int) -> RangeReply:
        """See `Store.read`."""
        stream = await self.stream(item, start, end)
        try:
            data = await stream.read(end - start)
            return RangeReply(data, stream.size, stream.pin, stream.real)
        finally:
            await stream.close()

    async def stream(self, item: StoredObject, start: int, end: int) -> "_Stream":
        """See `StreamingStore.stream`."""
        headers = {"Range": f"bytes={start}-{end - 1}", "Accept-Encoding": "identity"}
        if item.pin.startswith('etag:"'):
            headers["If-Match"] = item.pin.removeprefix("etag:")
        try:
            session = await self._fs.set_session()
            reply = await session.get(self._with_secrets(item.url), headers=headers)
        except (aiohttp.ClientError, TimeoutError, OSError) as problem:
            raise _unreachable(problem, item.url) from None
        try:
            size = _size(reply.headers, partial=reply.status == 206)
            if size == UNKNOWN_SIZE:
                size = item.size
            if size == UNKNOWN_SIZE and reply.status in (200, 206):
                size = await self._look_up_size(session, item.url)
            stream = _Stream(reply, item, start, end, size)
            await stream.begin(item.pin)
        except BaseException:
            reply.close()
            raise
        return stream

    async def stored_sha256(self, item: StoredObject) -> str:  # noqa: ARG002 - a contract
        """See `Store.stored_sha256`; web servers keep none."""
        return ""

    async def _look_up_size(self, session: aiohttp.ClientSession, url: str) -> int:
        """Ask for the size of an object whose reply does not state it; some servers say it here."""
        headers = {"Accept-Encoding": "identity"}
        try:
            async with session.head(
                self._with_secrets(url), headers=headers, allow_redirects=True
            ) as reply:
                found = reply.status == 200
                return _size(reply.headers, partial=False) if found else UNKNOWN_SIZE
        except (aiohttp.ClientError, TimeoutError, OSError):
            return UNKNOWN_SIZE

    def _with_secrets(self, url: str) -> str:
        """Add the root's secrets to an address: they may open what lies beside it, too."""
        scheme, _, rest = url.partition("://")
        query = f"?{self._address.query}" if self._address.query else ""
        return f"{scheme}://{self._address.user}{rest}{query}"


class _Page(NamedTuple):
    """The page of a folder."""

    links: Sequence[str] = ()
    problem: str = ""
    """Why these may not be all, as a clause about the folder."""


def _unread(folder: str, problem: str) -> StoredObject:
    """Return what stands for the files of a folder that are not known."""
    fault = StorageError("storage/unexamined", folder, problem)
    return StoredObject(folder, 0, "", fault=fault)


class _Stream:
    """The body of one response; see `RangeStream`."""

    __slots__ = ("_kept", "_left", "_reply", "_skip", "_url", "pin", "real", "size")

    def __init__(
        self, reply: aiohttp.ClientResponse, item: StoredObject, start: int, end: int, size: int
    ) -> None:
        self._reply = reply
        self._url = item.url
        self.real = _final_address(reply, item.url)
        empty = reply.status == 416 and item.size == UNKNOWN_SIZE
        if reply.status not in (200, 206) and not empty:
            raise StorageError(
                *_status_error(reply.status, item.url), transient=reply.status >= 500
            )
        self.size = 0 if empty else size
        # A server without range support sends the whole object.
        self._skip = start if reply.status == 200 else 0
        self._left = (end if self.size == UNKNOWN_SIZE else min(end, self.size)) - start
        self._kept = b""
        self.pin = ""

    async def begin(self, pin: str) -> None:
        """Skip to the start of the range and check the pin."""
        start = self._skip
        while self._skip > 0 and (piece := await self._take(self._skip)):
            self._skip -= len(piece)
        if self.size == UNKNOWN_SIZE:
            await self._read_to_the_end(start)
        self.pin = _pin(self._reply.headers, self.size)
        if pin and self.pin != pin:
            raise StorageError(_CHANGED[0], self._url, _CHANGED[1])

    async def _read_to_the_end(self, start: int) -> None:
        """Find the size of a small object by its end; the range asked for is kept."""
        if self._reply.status == 206:
            raise StorageError(_SIZELESS[0], self._url, _SIZELESS[1])
        wanted = self._left
        pieces, total = [], 0
        while total <= _UNKNOWN_LENGTH_LIMIT and (piece := await self._take(_PIECE)):
            pieces.append(piece)
            total += len(piece)
        if total > _UNKNOWN_LENGTH_LIMIT:
            raise StorageError(_SIZELESS[0], self._url, _SIZELESS[1])
        self._kept = b"".join(pieces)[:wanted]
        self._left = len(self._kept)
        self.size = start - self._skip + total

    async def read(self, least: int) -> bytes:
        if self._kept:
            kept, self._kept, self._left = self._kept, b"", 0
            return kept
        pieces: list[bytes] = []
        wanted = min(least, self._left)
        while wanted > 0 and (piece := await self._take(min(self._left, max(wanted, _PIECE)))):
            pieces.append(piece)
            wanted -= len(piece)
            self._left -= len(piece)
        if wanted > 0:
            raise _truncated(self._url)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def close(self) -> None:
        if self._reply.content.at_eof():
            self._reply.release()
        else:
            self._reply.close()

    async def _take(self, most: int) -> bytes:
        try:
            return await self._reply.content.read(most)
        except (aiohttp.ClientError, TimeoutError, OSError) as problem:
            raise _unreachable(problem, self._url) from None


def _final_address(reply: aiohttp.ClientResponse, url: str) -> str:
    """Return where a reply came from, without secrets, if that is not the address asked for."""
    final = Address.parse_found(str(reply.url)).text
    return "" if unquote(final) == unquote(url) else final


def _size(headers: Mapping[str, str], *, partial: bool) -> int:
    if not partial and headers.get("Content-Encoding", "identity") != "identity":
        return UNKNOWN_SIZE  # the length is that of the compressed bytes
    text = headers.get("Content-Range", "").rpartition("/")[2] if partial else ""
    text = text or ("" if partial else headers.get("Content-Length", ""))
    return int(text) if text.isdecimal() else UNKNOWN_SIZE


def _pin(headers: Mapping[str, str], size: int) -> str:
    if headers.get("ETag"):
        return f"etag:{headers['ETag']}"
    if headers.get("Last-Modified"):
        return time_pin(headers["Last-Modified"], size)
    return size_pin(size)


def _time_in(pin: str) -> float | None:
    if not pin.startswith("time:"):
        return None
    try:
        return parsedate_to_datetime(pin.removeprefix("time:").partition(";")[0]).timestamp()
    except ValueError:
        return None


def _status_error(status: int, url: str) -> tuple[str, str, str]:
    code, reason = _STATUS.get(status, ("storage/failed", f"the server answered {status}"))
    return code, url, reason


def _unreachable(problem: BaseException, url: str) -> StorageError:
    if isinstance(problem, TimeoutError):
        return StorageError("storage/timeout", url, "the server did not respond in time")
    if isinstance(problem, aiohttp.ClientPayloadError):
        return _truncated(url)
    return StorageError("storage/unreachable", url, "the server cannot be reached")


def _truncated(url: str) -> StorageError:
    return StorageError("storage/failed", url, "the response was cut off", transient=True)
