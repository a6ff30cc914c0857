"""S3 and compatible storage, through s3fs.

s3fs's own range reads cannot be pinned: ``cat_file`` takes no condition and ``open`` ignores one.
So its ``get_object`` call is used, with ``IfMatch``: one GET, whose response states the version
read. Both of s3fs's retry layers are off, because their defaults multiply to 25 requests for one
throttled read; `scanner.examine.retries` retries instead.
"""

import asyncio
import base64
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from aiobotocore.session import AioSession
from botocore import exceptions as boto
from botocore.utils import parse_timestamp
from s3fs import S3FileSystem

from prefect_mutagen import __version__
from prefect_mutagen.scanner.pins import etag_of, etag_pin
from prefect_mutagen.scanner.storage.address import VERSION_MARK, Address, versioned
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.pacing import repeat
from prefect_mutagen.scanner.storage.s3_replies import reply_error
from prefect_mutagen.scanner.storage.store import RangeReply, StoredObject, Wanted

__all__ = ["S3Store"]

_PAGE: Final = 1000
_PIECE: Final = 64 << 10
_SHA256_BYTES: Final = 32
_FAILURES: Final[tuple[tuple[type[BaseException], str, str], ...]] = (
    (boto.NoCredentialsError, "storage/credentials", "no credentials were found"),
    (boto.PartialCredentialsError, "storage/credentials", "the credentials are incomplete"),
    (boto.ProfileNotFound, "storage/credentials", "there is no such profile"),
    (boto.CredentialRetrievalError, "storage/credentials", "the credentials cannot be retrieved"),
    (boto.TokenRetrievalError, "storage/credentials", "the session has expired"),
    (boto.SSOError, "storage/credentials", "the session has expired"),
    (boto.ReadTimeoutError, "storage/timeout", "the storage did not respond in time"),
    (boto.ConnectTimeoutError, "storage/unreachable", "the storage cannot be reached"),
    (boto.ConnectionError, "storage/unreachable", "the storage cannot be reached"),
    (boto.HTTPClientError, "storage/unreachable", "the storage cannot be reached"),
    (TimeoutError, "storage/timeout", "the storage did not respond in time"),
    (TypeError, "storage/unsupported", "the storage options are not valid for S3"),
    (boto.ParamValidationError, "storage/unsupported", "the name is not one that S3 allows"),
)


class _NoRetries(S3FileSystem):  # type: ignore[misc] # s3fs has no types
    """s3fs without its own retries; other users of s3fs in this process keep theirs."""

    retries = 1

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        if options.get("session") is None:
            session: Any = AioSession(**self.kwargs)
            # botocore's guessing of timestamp formats takes a tenth of a request's time, and half
            # of a listing's.
            factory = session.get_component("response_parser_factory")
            factory.set_parser_defaults(timestamp_parser=_parse_time)
            self.session = session


class S3Store:
    """A bucket, a prefix or one object."""

    def __init__(self, address: Address, options: Mapping[str, Any]) -> None:
        """Open it; sends no request yet.

        Args:
            address: A bucket, with an optional prefix or key.
            options: Options of `s3fs.S3FileSystem`.

        Raises:
            StorageError: The file system does not accept the options.
        """
        self.root = address.text
        self._bucket, self._key = address.bucket, address.key
        config = {
            "retries": {"total_max_attempts": 1, "mode": "standard"},
            "connect_timeout": 10,
            "read_timeout": 30,
            "max_pool_connections": 512,
            "user_agent": f"prefect-mutagen/{__version__}",
            # Neither applies to range requests, and each costs time in every one.
            "parameter_validation": False,
            "response_checksum_validation": "when_required",
        }
        given = dict(options)
        given["config_kwargs"] = config | dict(given.get("config_kwargs") or {})
        # A cached listing would hide changes since the last scan.
        given["use_listings_cache"] = False
        try:
            self._fs = _NoRetries(**given)
        except (TypeError, ValueError, boto.BotoCoreError):
            raise StorageError(
                "storage/unsupported", self.root, "the storage options are not valid for S3"
            ) from None
        self.loop = self._fs.loop

    def list_objects(self, wanted: Wanted, after: str = "") -> Iterator[StoredObject]:
        """See `Store.list_objects`.

        Args:
            wanted: Whether the caller wants a file, by its path.
            after: Key to continue after; the root is then a folder.
        """
        prefix = self._key
        if prefix and not prefix.endswith("/"):
            contents = self._wait_for_page(self._request_page(prefix, most=1))["Contents"]
            first = contents[0] if contents else None
            if first is not None and first["Key"] == prefix and not after:
                yield self._describe(first)
                return
            prefix += "/"
        seen = bool(after)
        pending = self._request_page(prefix, after=after)
        while True:
            page = self._wait_for_page(pending)
            token = page.get("NextContinuationToken") or ""
            if token:
                # Prefetch the next page while this one is processed.
                pending = self._request_page(prefix, token=token)
            for entry in page["Contents"]:
                seen = True
                key = entry["Key"]
                if not key.endswith("/") and wanted(key, entry["Size"]):
                    yield self._describe(entry)
            if not token:
                break
        if prefix and not seen:
            raise StorageError("storage/not-found", self.root, "there is nothing under this prefix")

    def list_folder(self, folder: str, wanted: Wanted) -> Iterator[StoredObject]:
        """See `Store.list_folder`."""
        return self._list(folder, wanted, "/")

    def list_tree(self, folder: str, wanted: Wanted) -> Iterator[StoredObject]:
        """See `Store.list_tree`."""
        return self._list(folder, wanted, "")

    def _list(self, folder: str, wanted: Wanted, delimiter: str) -> Iterator[StoredObject]:
        token = ""
        while True:
            page = self._wait_for_page(
                self._request_page(self._key_of(folder), token=token, delimiter=delimiter)
            )
            for entry in page["Contents"]:
                key = entry["Key"]
                if not key.endswith("/") and wanted(key, entry["Size"]):
                    yield self._describe(entry)
            token = page.get("NextContinuationToken") or ""
            if not token:
                return

    def has_keys(self, prefix: str) -> bool:
        """Whether any key starts with a prefix.

        Raises:
            StorageError: The bucket cannot be listed.
        """
        return bool(self._wait_for_page(self._request_page(prefix, most=1))["Contents"])

    def _request_page(
        self,
        prefix: str,
        *,
        token: str = "",
        after: str = "",
        most: int = _PAGE,
        delimiter: str = "",
    ) -> Future[dict[str, Any]]:
        request: dict[str, Any] = {"Bucket": self._bucket, "Prefix": prefix, "MaxKeys": most}
        if delimiter:
            request["Delimiter"] = delimiter
        if token:
            request["ContinuationToken"] = token
        if after:
            request["StartAfter"] = after
        work = repeat(lambda: self._call("list_objects_v2", self.root, request), self.root)
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def _wait_for_page(self, pending: Future[dict[str, Any]]) -> dict[str, Any]:
        page = pending.result()
        page.setdefault("Contents", [])
        return page

    def _describe(self, entry: Mapping[str, Any]) -> StoredObject:
        url = versioned(f"s3://{self._bucket}/{entry['Key']}", "")
        # Whether an object in an archive class was restored, only a read tells.
        return StoredObject(
            url,
            int(entry["Size"]),
            _pin(entry),
            entry["LastModified"].timestamp(),
            str(entry.get("StorageClass") or ""),
        )

    async def find(self, url: str) -> StoredObject:
        """See `Store.find`."""
        request = {"Bucket": self._bucket, "Key": self._key_of(url)}
        head = await self._call("head_object", url, request)
        return self._describe({**head, "Key": request["Key"], "Size": head["ContentLength"]})

    async def read(self, item: StoredObject, start: int, end: int) -> RangeReply:
        """See `Store.read`."""
        stream = await self.stream(item, start, end)
        return RangeReply(await stream.read(stream.left), stream.size, stream.pin)

    async def stream(self, item: StoredObject, start: int, end: int) -> "_Stream":
        """See `StreamingStore.stream`."""
        request = {
            "Bucket": self._bucket,
            "Key": self._key_of(item.url),
            "Range": f"bytes={start}-{end - 1}",
            **_pin_condition(item),
        }
        reply = await self._call("get_object", item.url, request)
        size = int(
            str(reply.get("ContentRange") or f"/{reply['ContentLength']}").rpartition("/")[2]
        )
        pin = item.pin if "VersionId" in request else _pin(reply)
        stream = _Stream(reply["Body"], item.url, size, pin, min(end, size) - start)
        try:
            # A server may ignore the condition; and equal tags need not be equal bytes.
            item.refuse_other(pin)
        except StorageError:
            await stream.close()
            raise
        return stream

    async def stored_sha256(self, item: StoredObject) -> str:
        """See `Store.stored_sha256`.

        For multipart uploads the same field holds a checksum of the parts' checksums; only one of
        type ``FULL_OBJECT`` is that of the object.
        """
        request = {
            "Bucket": self._bucket,
            "Key": self._key_of(item.url),
            "ChecksumMode": "ENABLED",
            **_pin_condition(item),
        }
        head = await self._call("head_object", item.url, request)
        if head.get("ChecksumType") != "FULL_OBJECT" or not head.get("ChecksumSHA256"):
            return ""
        try:
            kept = base64.b64decode(head["ChecksumSHA256"], validate=True)
        except ValueError:
            return ""
        return kept.hex() if len(kept) == _SHA256_BYTES else ""

    async def tags(self, item: StoredObject) -> dict[str, str]:
        """See `TaggedStore.tags`."""
        request = {"Bucket": self._bucket, "Key": self._key_of(item.url)}
        if item.version:
            request["VersionId"] = item.version
        reply = await self._call("get_object_tagging", item.url, request)
        return {str(tag["Key"]): str(tag["Value"]) for tag in reply.get("TagSet") or ()}

    def _key_of(self, url: str) -> str:
        key = url.removeprefix(f"s3://{self._bucket}/")
        return key.rpartition(VERSION_MARK)[0] if VERSION_MARK in key else key

    async def _call(self, method: str, url: str, request: Mapping[str, Any]) -> dict[str, Any]:
        try:
            reply: dict[str, Any] = await self._fs._call_s3(method, **request)
        except Exception as problem:  # noqa: BLE001 - s3fs passes on whatever botocore and aiohttp raise
            raise _storage_error(problem, url) from None
        return reply


def _pin_condition(item: StoredObject) -> dict[str, str]:
    """Return the request parameters that accept only the pinned version."""
    if etag := etag_of(item.pin):
        return {"IfMatch": f'"{etag}"'}
    kind, _, value = item.pin.partition(":")
    return {"VersionId": value} if kind == "version" else {}


class _Stream:
    """The body of one response; see `RangeStream`."""

    __slots__ = ("_body", "_url", "left", "pin", "size")
    real = ""

    def __init__(self, body: Any, url: str, size: int, pin: str, left: int) -> None:
        self.size = size
        self.pin = pin
        self.left = left
        """Bytes of the range not received yet."""
        self._body = body
        self._url = url

    async def read(self, least: int) -> bytes:
        pieces = []
        wanted = min(least, self.left)
        try:
            while wanted > 0 and (piece := await self._body.read(max(wanted, _PIECE))):
                pieces.append(piece)
                wanted -= len(piece)
                self.left -= len(piece)
        except Exception as problem:  # noqa: BLE001 - aiohttp's and botocore's errors have no common base
            raise _storage_error(problem, self._url, truncated=True) from None
        finally:
            if wanted > 0 or not self.left:
                await self.close()
        if wanted > 0:
            raise _truncated(self._url)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def close(self) -> None:
        await self._body.__aexit__(None, None, None)


def _parse_time(text: Any) -> datetime:
    """Parse a timestamp of a listing (ISO 8601) or of a header (RFC 9110)."""
    try:
        if text[-1] == "Z":
            return datetime.fromisoformat(text)
        return parsedate_to_datetime(text)
    except (TypeError, ValueError, LookupError):
        parsed: datetime = parse_timestamp(text)
        return parsed


def _pin(reply: Mapping[str, Any]) -> str:
    etag = str(reply.get("ETag") or "").strip('"')
    modified = reply.get("LastModified")
    return etag_pin(etag, modified.timestamp() if modified else None) if etag else ""


def _truncated(url: str) -> StorageError:
    return StorageError("storage/failed", url, "the response was cut off", transient=True)


def _storage_error(problem: BaseException, url: str, *, truncated: bool = False) -> StorageError:
    """Translate an error without the server's own text, which may name accounts and keys."""
    cause = problem.__cause__ or problem
    response = getattr(cause, "response", None)
    if isinstance(response, dict):
        status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)
        return reply_error(str(response.get("Error", {}).get("Code") or ""), status, url)
    for kind, code, reason in _FAILURES:
        if isinstance(problem, kind) or isinstance(cause, kind):
            return StorageError(code, url, reason)
    if truncated:
        return _truncated(url)
    reason = f"the connection failed ({type(cause).__name__})"
    return StorageError("storage/failed", url, reason, transient=True)
