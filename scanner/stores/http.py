"""Web servers, through the session of fsspec's HTTP file system.

A server may ignore ``Range`` and send the whole object; then only the bytes that were asked for are
read before the connection is dropped. User, password and query stay out of every address that is
shown: the query of a signed address is a secret.
"""

from collections.abc import Callable, Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import unquote, urlsplit, urlunsplit

import aiohttp
import fsspec
from fsspec.asyn import sync

from prefect_mutagen.scanner.storage import (
    UNKNOWN_SIZE,
    RangeReply,
    StorageError,
    StoredObject,
    clean_url,
)

__all__ = ["HttpStore"]

_MISSING: Final = ("storage/not-found", "there is no such object")
_CHANGED: Final = ("storage/changed-during-scan", "the object was replaced meanwhile")
_STATUS: Final = {
    401: ("storage/credentials", "the credentials are not accepted"),
    403: ("storage/denied", "access denied"),
    404: _MISSING,
    410: _MISSING,
    412: _CHANGED,
    416: _CHANGED,
    408: ("storage/timeout", "the server did not answer in time"),
    429: ("storage/throttled", "the server asks to slow down"),
    503: ("storage/throttled", "the server asks to slow down"),
    504: ("storage/timeout", "the server did not answer in time"),
}
_FOLDER_LIMIT: Final = 100_000


class HttpStore:
    """A page with links below it, or one object."""

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        """Open it; nothing is asked of the server yet.

        Args:
            url: Address of an object or of a page that links to objects.
            options: Options of fsspec's ``HTTPFileSystem``.

        Raises:
            StorageError: The options do not fit.
        """
        self.root = clean_url(url)
        self._secret = urlsplit(url)
        try:
            self._fs = fsspec.filesystem("http", use_listings_cache=False, **options)
        except (TypeError, ValueError, ImportError):
            raise StorageError(
                "storage/unsupported", self.root, "the storage options are not what HTTP takes"
            ) from None
        self.loop = self._fs.loop

    def list_objects(self, wanted: Callable[[str], bool]) -> Iterator[StoredObject]:
        """See `prefect_mutagen.scanner.storage.Store.list_objects`."""
        if not self.root.endswith("/") and wanted(unquote(self.root.rpartition("/")[2])):
            yield sync(self.loop, self.find, self.root)
            return
        top = self.root.rstrip("/") + "/"  # servers write links relative to this form
        folders, seen = [top], {top}
        while folders:
            folder = folders.pop()
            links = sorted({clean_url(link) for link in self._links(folder)})
            for link in links:
                if link.startswith(folder) and not link.endswith("/"):
                    name = link.removeprefix(folder)
                    if "/" not in name and wanted(unquote(name)):
                        yield StoredObject(link, UNKNOWN_SIZE, "")
            for link in reversed(links):
                inside = link.startswith(folder) and link.endswith("/") and link not in seen
                if inside and len(seen) < _FOLDER_LIMIT:
                    seen.add(link)
                    folders.append(link)

    def _links(self, folder: str) -> list[str]:
        try:
            found: list[str] = sync(self.loop, self._fs._ls, self._reveal(folder), detail=False)
        except FileNotFoundError:
            raise StorageError(*_reply(404, folder.rstrip("/"))) from None
        except aiohttp.ClientResponseError as problem:
            raise StorageError(*_reply(problem.status, folder.rstrip("/"))) from None
        except (aiohttp.ClientError, TimeoutError, OSError) as problem:
            raise _unreachable(problem, folder.rstrip("/")) from None
        return found

    def list_folder(self, folder: str, wanted: Callable[[str], bool]) -> None:
        """See `prefect_mutagen.scanner.storage.Store.list_folder`; a web server has none."""

    async def find(self, url: str) -> StoredObject:
        """See `prefect_mutagen.scanner.storage.Store.find`."""
        # A HEAD would do, but signed addresses allow one method only, and some servers none.
        reply = await self.read(StoredObject(url, UNKNOWN_SIZE, ""), 0, 1)
        return StoredObject(url, reply.size, reply.pin, _time_in(reply.pin))

    async def read(self, item: StoredObject, start: int, end: int) -> RangeReply:
        """See `prefect_mutagen.scanner.storage.Store.read`."""
        headers = {"Range": f"bytes={start}-{end - 1}", "Accept-Encoding": "identity"}
        if item.pin.startswith('etag:"'):
            headers["If-Match"] = item.pin.removeprefix("etag:")
        try:
            session = await self._fs.set_session()
            async with session.get(self._reveal(item.url), headers=headers) as reply:
                if reply.status == 416 and item.size == UNKNOWN_SIZE:
                    return RangeReply(b"", 0, _pin(reply.headers, 0))  # an empty object
                if reply.status not in (200, 206):
                    raise StorageError(*_reply(reply.status, item.url))
                size = _size(reply.headers, partial=reply.status == 206)
                skip = start if reply.status == 200 else 0
                wanted = skip + (end - start if size == UNKNOWN_SIZE else min(end, size) - start)
                data = await _read_exactly(reply.content, wanted)
                known = skip + len(data) if size == UNKNOWN_SIZE else size
                pin = _pin(reply.headers, known)
        except (aiohttp.ClientError, TimeoutError, OSError) as problem:
            raise _unreachable(problem, item.url) from None
        if item.pin and pin != item.pin:
            raise StorageError(_CHANGED[0], item.url, _CHANGED[1])
        if len(data) < wanted and size != UNKNOWN_SIZE:
            raise StorageError("storage/failed", item.url, "the reply broke off")
        return RangeReply(data[skip:], known, pin)

    async def stored_sha256(self, item: StoredObject) -> str:  # noqa: ARG002 - a contract
        """See `prefect_mutagen.scanner.storage.Store.stored_sha256`; web servers keep none."""
        return ""

    def _reveal(self, url: str) -> str:
        """Put back what `clean_url` took out."""
        parts = urlsplit(url)
        query = self._secret.query if url == self.root else ""
        return urlunsplit((parts.scheme, self._secret.netloc, parts.path, query, ""))


async def _read_exactly(stream: aiohttp.StreamReader, count: int) -> bytes:
    pieces = []
    while count > 0:
        piece = await stream.read(min(count, 1 << 20))
        if not piece:
            break
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)


def _size(headers: Mapping[str, str], *, partial: bool) -> int:
    text = headers.get("Content-Range", "").rpartition("/")[2] if partial else ""
    text = text or ("" if partial else headers.get("Content-Length", ""))
    return int(text) if text.isdecimal() else UNKNOWN_SIZE


def _pin(headers: Mapping[str, str], size: int) -> str:
    if headers.get("ETag"):
        return f"etag:{headers['ETag']}"
    if headers.get("Last-Modified"):
        return f"time:{headers['Last-Modified']}; {size}"
    return f"size:{size}"


def _time_in(pin: str) -> float | None:
    if not pin.startswith("time:"):
        return None
    try:
        return parsedate_to_datetime(pin.removeprefix("time:").partition(";")[0]).timestamp()
    except ValueError:
        return None


def _reply(status: int, url: str) -> tuple[str, str, str]:
    code, reason = _STATUS.get(status, ("storage/failed", f"the server answered {status}"))
    return code, url, reason


def _unreachable(problem: BaseException, url: str) -> StorageError:
    if isinstance(problem, TimeoutError):
        return StorageError("storage/timeout", url, "the server did not answer in time")
    if isinstance(problem, aiohttp.ClientPayloadError):
        return StorageError("storage/failed", url, "the reply broke off")
    return StorageError("storage/unreachable", url, "the server cannot be reached")
