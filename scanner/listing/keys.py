"""Keys of single objects below a root, as people, programs and notifications of storage name them.

A key is relative to the root, or a whole address below it. It is taken literally: notifications of
S3 have it URL-encoded and relative to the bucket, so who hands them on decodes them first.
"""

import os
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote_plus

from prefect_mutagen.scanner.storage.address import Address, below
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.secret_parts import refuse_secrets

__all__ = ["addresses_of", "decoded"]

_WHOLE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
"""How an address begins, and no key."""
_ENCODED: Final = re.compile(r"%[0-9A-Fa-f]{2}|\+")
_SHOWN: Final = 300
"""Characters of a key in a message."""


def addresses_of(keys: Iterable[str], root: str) -> list[str]:
    """Return the addresses of keys below a root, as a listing has them.

    Args:
        keys: Keys relative to the root, or whole addresses.
        root: Address of the root, as text.

    Returns:
        The addresses as text, sorted, without duplicates.

    Raises:
        ValueError: A key is empty, holds a secret, names a folder or a version, climbs with
            ``..``, or lies outside of the root.
    """
    return sorted({_address_of(key, root) for key in keys})


def _address_of(key: str, root: str) -> str:
    if not key.strip():
        raise ValueError("a key is empty")
    refuse_secrets(key, "a key")
    shown = ascii(key[:_SHOWN])
    if any(part in ("..", ".") for part in key.split("/")):
        raise ValueError(f"the key {shown} has '.' or '..' in its path: name the object itself")
    if key.endswith("/"):
        raise ValueError(f"the key {shown} names a folder: a key names one object")
    base = root.rstrip("/") + "/"
    is_local = base.startswith("/")
    if _WHOLE.match(key) or (is_local and key.startswith("/")):
        try:
            address = Address.parse(key)
        except StorageError as problem:
            raise ValueError(f"the key {shown} is no address: {problem.reason}") from None
        if address.version or address.query:
            raise ValueError(f"the key {shown} has a query: keys mean the newest version")
        url = address.text
    else:
        url = os.path.normpath(base + key) if is_local else below(base, key)
    if not url.startswith(base) or url == base:
        raise ValueError(f"the key {shown} lies outside of the root, {root[:_SHOWN]!a}")
    return url


def decoded(url: str) -> str:
    """Return what an address means if it is URL-encoded as in notifications of S3; else empty."""
    return unquote_plus(url) if _ENCODED.search(url) else ""
