"""Any other storage that fsspec supports, through ``info``, ``find`` and ``cat_file``.

These calls cannot be pinned to a version, so the object is looked up again after each read.
"""

import asyncio
import importlib.util
import os
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

import fsspec
from fsspec.asyn import get_loop

from prefect_mutagen.scanner.pins import size_pin, time_pin
from prefect_mutagen.scanner.storage.address import ACCOUNT_VARIABLE, HUB, Address
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.hashing import HUB_OID
from prefect_mutagen.scanner.storage.local import storage_error
from prefect_mutagen.scanner.storage.store import RangeReply, StoredObject, Wanted

__all__ = ["GenericStore"]

# The hub's buckets have no blob_id: the hash of Xet, its storage, names the bytes.
_VERSIONS: Final = (
    *("version_id", "generation", "ETag", "etag", "md5Hash", "blob_id", "sha", "oid"),
    "xet_hash",
)
_OTHER_OID: Final = "LFS oid"
"""The source where another server, such as a mirror, answers: it may state what it likes."""
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_PACKAGES: Final = {
    **dict.fromkeys(("gs", "gcs"), "gcsfs"),
    **dict.fromkeys(("az", "abfs", "abfss", "adl"), "adlfs"),
    "hf": "huggingface_hub",
}
_STATUS: Final = {
    401: ("storage/credentials", "the credentials are not accepted"),
    403: ("storage/denied", "access denied"),
    404: ("storage/not-found", "there is no such object"),
    429: ("storage/throttled", "the storage throttles requests"),
}
_HUB_ERRORS: Final = (
    (
        "GatedRepoError",
        "storage/denied",
        (
            "the repository is gated: accept its terms on the hub, then set HF_TOKEN, or the "
            "option token of a storage block, to a token of that account"
        ),
    ),
    (
        "RevisionNotFoundError",
        "storage/not-found",
        "the repository has no such revision; write it behind an @, with %2F for a slash",
    ),
    (
        "RepositoryNotFoundError",
        "storage/not-found",
        (
            "there is no such repository, or it is private and the token is missing (HF_TOKEN, or "
            "the option token of a storage block)"
        ),
    ),
)
"""Classes of the hub's client, and what each means."""
_MOST_CLASSES: Final = 64
_TIMES: Final = (
    "mtime",
    "LastModified",
    "last_modified",
    "updated",
    "modified",
    "created",
    "uploaded_at",
)


class GenericStore:
    """A folder or an object in any storage."""

    def __init__(self, address: Address, options: Mapping[str, Any]) -> None:
        """Open it.

        Args:
            address: One that fsspec supports.
            options: Options of its file system.

        Raises:
            StorageError: There is no such file system, or it does not accept the options.
        """
        self.root = address.text
        try:
            self._fs, self._path = fsspec.core.url_to_fs(address.secret_text, **options)
        except ImportError as problem:
            reason = _missing_package(address.scheme, options) or str(problem)
            raise StorageError("storage/unsupported", self.root, reason) from None
        except (TypeError, ValueError) as problem:
            unknown = "Protocol not known" in str(problem)
            reason = "unknown kind of storage" if unknown else "the storage options are not valid"
            raise StorageError("storage/unsupported", self.root, reason) from None
        self.loop = self._fs.loop if self._fs.async_impl else get_loop()
        endpoint = str(getattr(self._fs, "endpoint", "")).rstrip("/")
        self._oid_source = HUB_OID if endpoint == HUB else _OTHER_OID

    def list_objects(self, wanted: Wanted) -> Iterator[StoredObject]:
        """See `Store.list_objects`."""
        info = self._call(self._fs.info, self._path)
        if info.get("type") == "file":
            yield self._describe(info, self.root)
            return
        found = self._call(self._fs.find, self._path, detail=True)
        for name in sorted(found):
            if wanted(name, _size_of(found[name])):
                inside = name.removeprefix(self._path.rstrip("/"))
                yield self._describe(found[name], self.root.rstrip("/") + inside)

    def list_folder(self, folder: str, wanted: Wanted) -> Iterator[StoredObject]:
        """See `Store.list_folder`."""
        path = self._fs._strip_protocol(folder)
        for info in self._call(self._fs.ls, path, detail=True):
            name = str(info["name"])
            if info.get("type") == "file" and wanted(name, _size_of(info)):
                yield self._describe(info, folder + name.rpartition("/")[2])

    def list_tree(self, folder: str, wanted: Wanted) -> Iterator[StoredObject]:
        """See `Store.list_tree`."""
        path = self._fs._strip_protocol(folder).rstrip("/")
        found = self._call(self._fs.find, path, detail=True)
        for name in sorted(found):
            if wanted(name, _size_of(found[name])):
                inside = name.removeprefix(path).lstrip("/")
                yield self._describe(found[name], folder + inside)

    async def find(self, url: str) -> StoredObject:
        """See `Store.find`."""
        return self._describe(await self._request("info", url), url)

    async def read(self, item: StoredObject, start: int, end: int) -> RangeReply:
        """See `Store.read`."""
        data: bytes = await self._request("cat_file", item.url, start=start, end=end)
        after = self._describe(await self._request("info", item.url), item.url)
        if item.pin and after.pin != item.pin:
            raise StorageError(
                "storage/changed-during-scan", item.url, "the object was replaced during the scan"
            )
        if len(data) != min(end, after.size) - start:
            raise StorageError("storage/failed", item.url, "the response was cut off")
        return RangeReply(data, after.size, after.pin)

    async def stored_sha256(self, item: StoredObject) -> str:  # noqa: ARG002 - a contract
        """See `Store.stored_sha256`."""
        return ""

    async def _request(self, method: str, url: str, **kwargs: Any) -> Any:
        path = self._fs._strip_protocol(url)
        try:
            if self._fs.async_impl:
                return await getattr(self._fs, f"_{method}")(path, **kwargs)
            return await asyncio.to_thread(getattr(self._fs, method), path, **kwargs)
        except Exception as problem:  # noqa: BLE001 - every file system raises its own errors
            raise _storage_error(problem, url) from None

    def _describe(self, info: Mapping[str, Any], url: str) -> StoredObject:
        return _describe(info, url, self._oid_source)

    def _call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except Exception as problem:  # noqa: BLE001 - every file system raises its own errors
            raise _storage_error(problem, self.root) from None


def _describe(info: Mapping[str, Any], url: str, oid_source: str) -> StoredObject:
    size = _size_of(info)
    modified = next((info[key] for key in _TIMES if info.get(key)), None)
    if isinstance(modified, datetime):
        # The memory file system has a number in listings and a datetime in ``info``.
        modified = modified.timestamp()
    version = next((info[key] for key in _VERSIONS if info.get(key)), None)
    if version is not None:
        pin = f"etag:{version}"
    elif modified is not None:
        pin = time_pin(modified, size)
    else:
        pin = size_pin(size)
    oid = _hub_sha256(info)
    return StoredObject(
        url,
        size,
        pin,
        float(modified) if isinstance(modified, int | float) else None,
        sha256=oid,
        sha256_source=oid_source if oid else "",
    )


def _size_of(info: Mapping[str, Any]) -> int:
    return int(info.get("size") or 0)


def _hub_sha256(info: Mapping[str, Any]) -> str:
    """Return the SHA-256 that a file system lists for an LFS object; empty if none."""
    lfs = info.get("lfs")
    if not isinstance(lfs, Mapping):
        return ""
    oid = str(lfs.get("sha256") or lfs.get("oid") or "").removeprefix("sha256:")
    return oid if _SHA256.fullmatch(oid) else ""


def _missing_package(scheme: str, options: Mapping[str, Any]) -> str:
    """Return which package has to be installed for a scheme, in a clause; empty if unknown."""
    package = _PACKAGES.get(scheme)
    if package is None:
        return ""
    if scheme not in ("gs", "gcs", "az"):
        return f"{scheme}:// needs the package {package} (pip install {package})"
    if importlib.util.find_spec("obstore") is None:
        return f"{scheme}:// needs a package (pip install 'prefect-mutagen[fast]', or {package})"
    if scheme == "az" and not (options.get("account_name") or os.environ.get(ACCOUNT_VARIABLE)):
        named = f"set {ACCOUNT_VARIABLE}, or account_name in the storage options"
        return f"the storage account is missing; {named}"
    return f"these storage options need the package {package} (pip install {package})"


def _hub_error(problem: Exception, url: str) -> StorageError | None:
    """Return what the hub's client says in classes of its own; None for everything else."""
    kinds: set[str] = set()
    cause: BaseException | None = problem
    while cause is not None and len(kinds) < _MOST_CLASSES:
        kinds.update(kind.__name__ for kind in type(cause).__mro__)
        cause = cause.__cause__ or cause.__context__
    for kind, code, reason in _HUB_ERRORS:
        if kind in kinds:
            return StorageError(code, url, reason)
    return None


def _storage_error(problem: Exception, url: str) -> StorageError:
    if url.startswith("hf://") and (found := _hub_error(problem, url)) is not None:
        return found
    if isinstance(problem, FileNotFoundError):
        return StorageError("storage/not-found", url, "there is no such object")
    if isinstance(problem, PermissionError):
        return StorageError("storage/denied", url, "access denied")
    if isinstance(problem, TimeoutError):
        return StorageError("storage/timeout", url, "the storage did not respond in time")
    if isinstance(problem, OSError) and problem.errno:
        return storage_error(problem, url)
    status = getattr(getattr(problem, "response", None), "status_code", None)
    if status in _STATUS:
        return StorageError(_STATUS[status][0], url, _STATUS[status][1])
    if "Connect" in type(problem).__name__:  # every file system has its own HTTP library
        return StorageError("storage/unreachable", url, "the storage cannot be reached")
    return StorageError("storage/failed", url, f"the storage failed ({type(problem).__name__})")
