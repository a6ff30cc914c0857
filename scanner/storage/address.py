"""Storage addresses, parsed once on entry; everything below works with `Address`, not text.

An address names a local path, a bucket with a prefix, an object, or one version of an object. Its
text is free of secrets and parses to the same address again. Keys may hold any character: only HTTP
gives ``?`` and ``#`` a meaning.
"""

import os
import re
from dataclasses import dataclass, field, replace
from typing import Final, Self
from urllib.parse import urlsplit

from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.names import original_address
from prefect_mutagen.scanner.storage.secret_parts import (
    holds_secrets,
    refuse_secrets,
    without_secrets,
)

__all__ = [
    "ACCOUNT_VARIABLE",
    "BUCKETS",
    "VERSION_MARK",
    "Address",
    "below",
    "split_version",
    "versioned",
]

VERSION_MARK: Final = "?versionId="
"""Separates the key from the version id in the address of one object version."""
ACCOUNT_VARIABLE: Final = "AZURE_STORAGE_ACCOUNT_NAME"
"""Environment variable with the storage account of ``az://`` addresses."""
BUCKETS: Final = ("s3", "gs", "az")
"""Schemes whose addresses start with a bucket."""
_SCHEMES: Final = {"local": "file", "s3a": "s3", "gcs": "gs"}
"""Aliases of schemes."""
_WEB: Final = ("http", "https")
_WITHOUT_EFFECT: Final = re.compile(r"download(?:=[A-Za-z0-9]*)?")
"""Query of a web address that changes nothing about what is read."""
_CONTAINERS: Final = ("abfs", "abfss")
"""Schemes whose host may start with ``container@``, which is not a user."""
_PATHS: Final = ("/", "./", "../", "~/")
"""Prefixes of local paths, whatever follows."""
_SHOWN: Final = (
    "the address contains a secret, which would be shown: put credentials into the storage options"
)
_NO_SERVER: Final = "the address names no server"
_HOSTS: Final = dict.fromkeys(BUCKETS, "bucket") | dict.fromkeys(_WEB, "server")
"""What the first part of an address must name, by scheme."""


@dataclass(frozen=True, slots=True)
class Address:
    """A location: local path, bucket prefix, object, or one version of an object."""

    scheme: str
    """In lower case; ``file`` for local paths."""
    bucket: str
    """Bucket or host; empty for local paths."""
    key: str
    """Absolute local path, path on a web server, or the object key without a leading slash."""
    version: str = ""
    """Id of one object version; empty for the latest."""
    user: str = field(default="", repr=False)
    """User and password, secret."""
    query: str = field(default="", repr=False)
    """Query string of a web address; secret, because signed URLs carry the signature there."""

    @classmethod
    def parse(cls, text: "str | Address") -> Self:
        """Parse an address as users write it; an `Address` is returned unchanged.

        Local paths are made absolute and ``~`` is expanded. The URI of a path that is not UTF-8 is
        taken as `scanner.storage.names` shows it.

        Raises:
            StorageError: It is blank, or lacks the bucket or server; a blank address never means
                the current folder. Or it holds a secret in a part that is shown and stored.
        """
        if not isinstance(text, str):
            assert isinstance(text, cls)  # noqa: S101 - there are no subclasses
            return text
        address = cls.parse_found(original_address(text))
        # What parses as a local path may have been meant as an address.
        given = text if address.is_local else address.text
        if holds_secrets(given) or (address.user and address.scheme in BUCKETS):
            raise StorageError("storage/unsupported", without_secrets(text), _SHOWN)
        return address

    @classmethod
    def parse_clear(cls, text: str, named: str = "the address") -> Self:
        """Parse an address that is stored in clear text, such as a parameter of a flow.

        Args:
            text: The address as it was given.
            named: What the message calls it.

        Raises:
            StorageError: As for `parse`.
            ValueError: It holds a secret, or a query, which would be lost.
        """
        refuse_secrets(text, named)
        address = cls.parse(text)
        if address.query and not _WITHOUT_EFFECT.fullmatch(address.query):
            raise ValueError(f"{named} has a query, which is not stored: name the file without it")
        return address

    @classmethod
    def parse_found(cls, text: str) -> Self:
        """Parse an address that a storage has listed, whatever its names look like.

        Raises:
            StorageError: It is blank, or lacks the bucket or server.
        """
        scheme, separator, rest = text.partition("://")
        if not separator or text.startswith(_PATHS):
            return cls("file", "", _local_path(text))
        scheme = scheme.strip().lower()
        scheme = _SCHEMES.get(scheme, scheme)
        if scheme == "file":
            return cls(scheme, "", _local_path(_without_localhost(rest)))
        if scheme in _WEB:
            return cls._parse_web(text)
        host, _, key = rest.partition("/")
        user, at, bucket = ("", "", host) if scheme in _CONTAINERS else host.rpartition("@")
        version = ""
        if scheme == "s3" and VERSION_MARK in key:
            key, _, version = key.rpartition(VERSION_MARK)
        address = cls(scheme, bucket, key, version, user + at)
        address._check()
        return address

    @classmethod
    def _parse_web(cls, text: str) -> Self:
        try:
            parts = urlsplit(text.strip())
        except ValueError:  # brackets without a valid IP address
            scheme = text.strip().partition(":")[0].lower()
            raise StorageError("storage/not-found", f"{scheme}://", _NO_SERVER) from None
        user, at, host = parts.netloc.rpartition("@")
        address = cls(parts.scheme, host, parts.path, "", user + at, parts.query)
        address._check()
        return address

    def _check(self) -> None:
        missing = "" if self.bucket.strip() else _HOSTS.get(self.scheme, "")
        if missing:
            raise StorageError("storage/not-found", self.text, f"the address names no {missing}")

    @property
    def text(self) -> str:
        """The address without secrets; a plain path for a local one."""
        if self.scheme == "file":
            return self.key
        if self.scheme in _WEB:
            return f"{self.scheme}://{self.bucket}{self.key}"
        text = f"{self.scheme}://{self.bucket}"
        if self.key:
            text += f"/{self.key}"
        return versioned(text, self.version) if self.scheme == "s3" else text

    @property
    def secret_text(self) -> str:
        """The address with its secrets, for opening it; never shown, logged or stored."""
        if not self.has_secrets:
            return self.text
        start = f"{self.scheme}://"
        query = f"?{self.query}" if self.query else ""
        return f"{start}{self.user}{self.text.removeprefix(start)}{query}"

    @property
    def has_secrets(self) -> bool:
        """Whether it contains a user, password or query string."""
        return bool(self.user or self.query)

    @property
    def name(self) -> str:
        """Last part of the key; empty for a bucket, and for a key with a trailing slash."""
        return self.key.rpartition("/")[2]

    @property
    def folder(self) -> Self:
        """The folder that it lies in, of the newest version of what is there."""
        above = self.key.rpartition("/")[0]
        return replace(self, key=above or ("/" if self.is_local else ""), version="")

    @property
    def is_local(self) -> bool:
        """Whether it is a local path."""
        return self.scheme == "file"

    def shares_storage(self, other: "Address") -> bool:
        """Whether both may use the same credentials."""
        return self.scheme == other.scheme

    def __str__(self) -> str:
        """Return the address without secrets."""
        return self.text


def _without_localhost(rest: str) -> str:
    """Remove the host of ``file://localhost/path``."""
    return rest.removeprefix("localhost") if rest.startswith("localhost/") else rest


def _local_path(path: str) -> str:
    if not path.strip():
        raise StorageError("storage/not-found", "", "the address is empty")
    return os.path.abspath(os.path.expanduser(path))


def versioned(url: str, version: str) -> str:
    """Return the address of an S3 object, or of one version of it, as text.

    A key that contains `VERSION_MARK` itself gets an empty version id appended, so that it is not
    parsed as a version.

    Args:
        url: ``s3://``, bucket and key.
        version: Id of the version; empty for the latest.
    """
    return f"{url}{VERSION_MARK}{version}" if version or VERSION_MARK in url else url


def split_version(url: str) -> tuple[str, str]:
    """Split the address of an object, as text, into that of its newest version and a version id.

    Only S3 has versions; elsewhere a name that looks like one is a name.

    Returns:
        The address, and the id; empty for the newest.
    """
    if VERSION_MARK not in url or not url.startswith("s3://"):
        return url, ""
    plain, _, version = url.rpartition(VERSION_MARK)
    return plain, version


def below(folder: str, path: str) -> str:
    """Return the address of a file below a folder, as text.

    Args:
        folder: Address of the folder, with a trailing slash.
        path: Path of the file; whatever it holds, it never means an older version.
    """
    url = folder + path
    return versioned(url, "") if url.startswith("s3://") else url
