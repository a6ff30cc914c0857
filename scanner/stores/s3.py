"""S3 and what speaks its language, through s3fs.

s3fs's own ways to read a range cannot be pinned: ``cat_file`` takes no condition and ``open``
ignores one. Its ``get_object`` call takes ``IfMatch``, so that is what is used: one GET, and the
reply proves which bytes came. Both of its retry layers are set, because their defaults multiply to
25 requests for one throttled read.
"""

import base64
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from botocore import exceptions as boto
from fsspec.asyn import sync
from s3fs import S3FileSystem

from prefect_mutagen.scanner.storage import RangeReply, StorageError, StoredObject, clean_url

__all__ = ["S3Store"]

_ATTEMPTS: Final = 3
_PAGE: Final = 1000
_ARCHIVED: Final = frozenset({"GLACIER", "DEEP_ARCHIVE"})
_CREDENTIALS: Final = ("storage/credentials", "the credentials are not accepted")
_DENIED: Final = ("storage/denied", "access denied")
_THROTTLED: Final = ("storage/throttled", "the storage asks to slow down")
_MISSING: Final = ("storage/not-found", "there is no such object")
_CHANGED: Final = ("storage/changed-during-scan", "the object was replaced meanwhile")
_REPLIES: Final = {
    "NoSuchKey": _MISSING,
    "NoSuchVersion": _MISSING,
    "404": _MISSING,
    "NoSuchBucket": ("storage/not-found", "there is no such bucket"),
    "AccessDenied": _DENIED,
    "AllAccessDisabled": _DENIED,
    "403": _DENIED,
    "InvalidAccessKeyId": _CREDENTIALS,
    "SignatureDoesNotMatch": _CREDENTIALS,
    "ExpiredToken": _CREDENTIALS,
    "InvalidToken": _CREDENTIALS,
    "InvalidClientTokenId": _CREDENTIALS,
    "RequestTimeTooSkewed": ("storage/credentials", "the clocks differ too much"),
    "InvalidObjectState": ("storage/archived", "the object is archived"),
    "PreconditionFailed": _CHANGED,
    "412": _CHANGED,
    "InvalidRange": _CHANGED,  # only ranges inside the listed size are asked for
    "416": _CHANGED,
    "SlowDown": _THROTTLED,
    "ServiceUnavailable": _THROTTLED,
    "Throttling": _THROTTLED,
    "503": _THROTTLED,
    "RequestTimeout": ("storage/timeout", "the storage did not answer in time"),
}
_FAILURES: Final[tuple[tuple[type[BaseException], str, str], ...]] = (
    (boto.NoCredentialsError, "storage/credentials", "there are no credentials"),
    (boto.PartialCredentialsError, "storage/credentials", "the credentials are incomplete"),
    (boto.ProfileNotFound, "storage/credentials", "there is no such profile"),
    (boto.TokenRetrievalError, "storage/credentials", "the session has expired"),
    (boto.SSOError, "storage/credentials", "the session has expired"),
    (boto.ReadTimeoutError, "storage/timeout", "the storage did not answer in time"),
    (boto.ConnectTimeoutError, "storage/unreachable", "the storage cannot be reached"),
    (boto.ConnectionError, "storage/unreachable", "the storage cannot be reached"),
    (boto.HTTPClientError, "storage/unreachable", "the storage cannot be reached"),
    (TimeoutError, "storage/timeout", "the storage did not answer in time"),
    (boto.ParamValidationError, "storage/unsupported", "the name is not one that S3 allows"),
)


class S3Store:
    """A bucket, a prefix or one object."""

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        """Open it; nothing is asked of the server yet.

        Args:
            url: ``s3://bucket``, with a prefix or a key behind it.
            options: Options of `s3fs.S3FileSystem`.

        Raises:
            StorageError: The options do not fit.
        """
        self.root = clean_url(url).replace("s3a://", "s3://", 1)
        self._bucket, _, self._key = self.root.removeprefix("s3://").partition("/")
        if not self._bucket:
            raise StorageError("storage/unsupported", self.root, "the address names no bucket")
        config = {
            "retries": {"total_max_attempts": _ATTEMPTS, "mode": "standard"},
            "connect_timeout": 10,
            "read_timeout": 30,
            "max_pool_connections": 128,
        }
        given = dict(options)
        given["config_kwargs"] = config | dict(given.get("config_kwargs") or {})
        # A cached listing would hide what has changed since the last scan.
        given["use_listings_cache"] = False
        try:
            self._fs = S3FileSystem(**given)
        except (TypeError, ValueError, boto.BotoCoreError):
            raise StorageError(
                "storage/unsupported", self.root, "the storage options are not what S3 takes"
            ) from None
        self._fs.retries = 1
        self.loop = self._fs.loop

    def list_objects(self, wanted: Callable[[str], bool]) -> Iterator[StoredObject]:
        """See `prefect_mutagen.scanner.storage.Store.list_objects`."""
        prefix = self._key
        if prefix and not prefix.endswith("/"):
            (first, *_) = self._page(prefix, most=1)["Contents"] or [None]
            if first is not None and first["Key"] == prefix:
                yield self._describe(first)
                return
            prefix += "/"
        seen = False
        for entry in self._entries(prefix):
            seen = True
            name = entry["Key"].rpartition("/")[2]
            if name and wanted(name):
                yield self._describe(entry)
        if prefix and not seen:
            raise StorageError("storage/not-found", self.root, "there is nothing under this prefix")

    def list_folder(self, folder: str, wanted: Callable[[str], bool]) -> Iterator[StoredObject]:
        """See `prefect_mutagen.scanner.storage.Store.list_folder`."""
        for entry in self._entries(self._key_of(folder), delimiter="/"):
            name = entry["Key"].rpartition("/")[2]
            if name and wanted(name):
                yield self._describe(entry)

    def _entries(self, prefix: str, delimiter: str = "") -> Iterator[dict[str, Any]]:
        token = ""
        while True:
            page = self._page(prefix, token, delimiter=delimiter)
            yield from page["Contents"]
            token = page.get("NextContinuationToken") or ""
            if not token:
                return

    def _page(
        self, prefix: str, token: str = "", most: int = _PAGE, delimiter: str = ""
    ) -> dict[str, Any]:
        request: dict[str, Any] = {"Bucket": self._bucket, "Prefix": prefix, "MaxKeys": most}
        if delimiter:
            request["Delimiter"] = delimiter
        if token:
            request["ContinuationToken"] = token
        page: dict[str, Any] = sync(self.loop, self._call, "list_objects_v2", self.root, request)
        page.setdefault("Contents", [])
        return page

    def _describe(self, entry: Mapping[str, Any]) -> StoredObject:
        url = f"s3://{self._bucket}/{entry['Key']}"
        storage_class = str(entry.get("StorageClass") or "")
        fault = None
        if storage_class in _ARCHIVED:
            fault = StorageError("storage/archived", url, f"the object is in {storage_class}")
        return StoredObject(
            url,
            int(entry["Size"]),
            _pin(entry),
            entry["LastModified"].timestamp(),
            storage_class,
            fault,
        )

    async def find(self, url: str) -> StoredObject:
        """See `prefect_mutagen.scanner.storage.Store.find`."""
        request = {"Bucket": self._bucket, "Key": self._key_of(url)}
        head = await self._call("head_object", url, request)
        return self._describe({**head, "Key": request["Key"], "Size": head["ContentLength"]})

    async def read(self, item: StoredObject, start: int, end: int) -> RangeReply:
        """See `prefect_mutagen.scanner.storage.Store.read`."""
        request = {
            "Bucket": self._bucket,
            "Key": self._key_of(item.url),
            "Range": f"bytes={start}-{end - 1}",
        }
        if item.pin.startswith("etag:"):
            request["IfMatch"] = f'"{item.pin.removeprefix("etag:")}"'
        reply = await self._call("get_object", item.url, request)
        try:
            async with reply["Body"] as body:
                data = await body.read()
        except Exception as problem:  # noqa: BLE001 - aiohttp's and botocore's trees have no common root
            raise _storage_error(problem, item.url) from None
        size = int(str(reply.get("ContentRange") or f"/{len(data)}").rpartition("/")[2])
        if len(data) != min(end, size) - start:
            raise StorageError("storage/failed", item.url, "the reply broke off")
        return RangeReply(data, size, _pin(reply))

    async def stored_sha256(self, item: StoredObject) -> str:
        """See `prefect_mutagen.scanner.storage.Store.stored_sha256`.

        S3 keeps a checksum of the checksums of an upload's parts under the same name; only one of
        type ``FULL_OBJECT`` is the file's.
        """
        request = {
            "Bucket": self._bucket,
            "Key": self._key_of(item.url),
            "ChecksumMode": "ENABLED",
        }
        head = await self._call("head_object", item.url, request)
        if head.get("ChecksumType") != "FULL_OBJECT" or not head.get("ChecksumSHA256"):
            return ""
        return base64.b64decode(head["ChecksumSHA256"]).hex()

    def _key_of(self, url: str) -> str:
        return url.removeprefix(f"s3://{self._bucket}/")

    async def _call(self, method: str, url: str, request: Mapping[str, Any]) -> dict[str, Any]:
        try:
            reply: dict[str, Any] = await self._fs._call_s3(method, **request)
        except Exception as problem:  # noqa: BLE001 - s3fs hands on whatever botocore and aiohttp raise
            raise _storage_error(problem, url) from None
        return reply


def _pin(reply: Mapping[str, Any]) -> str:
    etag = str(reply.get("ETag") or "").strip('"')
    return f"etag:{etag}" if etag else ""


def _storage_error(problem: BaseException, url: str) -> StorageError:
    """Say what went wrong without the server's own words, which may name accounts and keys."""
    cause = problem.__cause__ or problem
    response = getattr(cause, "response", None)
    if isinstance(response, dict):
        name = str(response.get("Error", {}).get("Code") or "an error without a name")
        code, reason = _REPLIES.get(name, ("storage/failed", f"the storage answered {name}"))
        return StorageError(code, url, reason)
    for kind, code, reason in _FAILURES:
        if isinstance(problem, kind) or isinstance(cause, kind):
            return StorageError(code, url, reason)
    return StorageError("storage/failed", url, f"the connection failed ({type(cause).__name__})")
