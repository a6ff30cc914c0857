"""Addresses: parsed once, where they enter, and never as text below that.

An address names a local path, a bucket with a prefix, an object, or one version of an object. Its
text is free of secrets and parses to the same address again. Keys may hold any character: only HTTP
gives ``?`` and ``#`` a meaning.
"""

import os
from dataclasses import dataclass, field
from typing import Final, Self
from urllib.parse import urlsplit

from prefect_mutagen.scanner.storage.errors import StorageError

__all__ = ["ACCOUNT_VARIABLE", "BUCKETS", "VERSION_MARK", "Address", "storable", "versioned"]

VERSION_MARK: Final = "?versionId="
"""Stands in the address of one version of an object, before its id."""
ACCOUNT_VARIABLE: Final = "AZURE_STORAGE_ACCOUNT_NAME"
"""Names the variable with the account that ``az://`` addresses are in."""
BUCKETS: Final = ("s3", "gs", "az")
"""Schemes whose addresses begin with a bucket."""
_SCHEMES: Final = {"local": "file", "s3a": "s3", "gcs": "gs"}
"""Other spellings of a scheme."""
_WEB: Final = ("http", "https")
_CONTAINERS: Final = ("abfs", "abfss")
"""Schemes whose host may begin with a container and ``@``: that is no user."""
_PATHS: Final = ("/", "./", "../", "~/")
"""What begins so is a local path, whatever it holds."""
_NO_SERVER: Final = "the address names no server"
_HOSTS: Final = dict.fromkeys(BUCKETS, "bucket") | dict.fromkeys(_WEB, "server")
"""What an address of each kind has to name first."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where something lies."""

    scheme: str
    """In lower case; ``file`` for this machine."""
    bucket: str
    """Bucket or host; empty for this machine."""
    key: str
    """Absolute path on this machine, the path on a web server, else what follows the bucket and
    its slash."""
    version: str = ""
    """Id of one version of an object; empty for the newest one."""
    user: str = field(default="", repr=False)
    """User and password, which are secret."""
    query: str = field(default="", repr=False)
    """What follows the ``?`` on a web server: signatures are there, so it is secret."""

    @classmethod
    def parse(cls, text: "str | Address") -> Self:
        """Parse a text as a person writes it; an address stays as it is.

        A local path is made absolute, and ``~`` becomes the home folder.

        Raises:
            StorageError: It is blank, or lacks the bucket or the server: it names nothing, and
                never the current folder.
        """
        if not isinstance(text, str):
            assert isinstance(text, cls)  # noqa: S101 - there is one class of addresses
            return text
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
        except ValueError:  # brackets that hold no address of a host
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
        """The address as text, free of secrets; a plain path for a local one."""
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
        """The address with its secrets, for whoever opens it; never shown, logged or kept."""
        if not self.has_secrets:
            return self.text
        start = f"{self.scheme}://"
        query = f"?{self.query}" if self.query else ""
        return f"{start}{self.user}{self.text.removeprefix(start)}{query}"

    @property
    def has_secrets(self) -> bool:
        """Whether it carries a user, a password or a query."""
        return bool(self.user or self.query)

    @property
    def is_local(self) -> bool:
        """Whether it is one of this machine."""
        return self.scheme == "file"

    def shares_storage(self, other: "Address") -> bool:
        """Whether the same credentials may open both."""
        return self.scheme == other.scheme

    def __str__(self) -> str:
        """Return its text, free of secrets."""
        return self.text


def _without_localhost(rest: str) -> str:
    """Take away the host of ``file://localhost/path``, which is this machine."""
    return rest.removeprefix("localhost") if rest.startswith("localhost/") else rest


def _local_path(path: str) -> str:
    if not path.strip():
        raise StorageError("storage/not-found", "", "the address is empty and names nothing")
    return os.path.abspath(os.path.expanduser(path))


def versioned(url: str, version: str) -> str:
    """Return the text of an object's address in S3, which may name one version.

    A key may hold the mark itself; then its text ends with the mark, so that it is not taken for a
    version's.

    Args:
        url: ``s3://``, bucket and key.
        version: Id of the version; empty for the newest one.
    """
    return f"{url}{VERSION_MARK}{version}" if version or VERSION_MARK in url else url


def storable(url: str) -> str:
    """Write an address as Unicode: a file name in no encoding keeps its odd bytes as escapes."""
    return url if url.isascii() else url.encode("utf-8", "backslashreplace").decode()
