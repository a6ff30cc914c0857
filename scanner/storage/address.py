"""Addresses: their parts, their text free of secrets, and whether they name anything."""

import os
from typing import Final
from urllib.parse import SplitResult, urlsplit, urlunsplit

from prefect_mutagen.scanner.storage.errors import StorageError

__all__ = [
    "ACCOUNT_VARIABLE",
    "BUCKETS",
    "LOCAL",
    "VERSION_MARK",
    "check_address",
    "clean_url",
    "has_secrets",
    "is_local",
    "split_url",
    "storable",
]

VERSION_MARK: Final = "?versionId="
"""Stands in the address of one version of an object, before its id."""
LOCAL: Final = ("file", "local")
"""Schemes of this machine's files."""
ACCOUNT_VARIABLE: Final = "AZURE_STORAGE_ACCOUNT_NAME"
"""Names the variable with the account that ``az://`` addresses are in."""
BUCKETS: Final = ("s3", "s3a", "gs", "gcs", "az")
"""Schemes whose addresses begin with a bucket."""
_HOSTS: Final = dict.fromkeys(BUCKETS, "bucket") | dict.fromkeys(("http", "https"), "server")
"""What an address of each kind has to name first."""


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
    if parts.scheme in LOCAL:
        path = parts.path if parts.netloc == "localhost" else parts.netloc + parts.path
        if not path.strip():
            raise StorageError("storage/not-found", "", "the address is empty and names nothing")
        return os.path.abspath(os.path.expanduser(path))
    if parts.scheme in ("http", "https"):
        return urlunsplit((parts.scheme, host, parts.path, "", ""))
    return f"{parts.scheme}://{host}{parts.path}"


def is_local(url: str) -> bool:
    """Whether an address is one of a file or folder of this machine."""
    return split_url(url).scheme in LOCAL


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
