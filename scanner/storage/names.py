"""Names of files as valid Unicode: a local name is bytes, and Python keeps odd ones as surrogates.

No encoding can represent a lone surrogate, and strict readers reject a whole document for one. So a
path that is not UTF-8 is shown as the URI of its bytes (``file:///models/caf%E9.gguf``), which
`Address.parse` takes back, and a bare name as ``file:`` and the name, in which the bytes and ``%``
are percent-encoded. No other file is shown so, and both can be reversed. Other texts, in which lone
surrogates stand for themselves, get visible escapes.

Source: RFC 8089, which refers to the percent-encoding of RFC 3986.
"""

import re
from typing import Final
from urllib.parse import quote, unquote_to_bytes

__all__ = [
    "has_surrogates",
    "original_address",
    "original_name",
    "readable",
    "storable",
    "storable_name",
]

_SURROGATES: Final = re.compile("[\ud800-\udfff]")
_NO_BYTES: Final = re.compile("[\ud800-\udc7f\udd00-\udfff]")
"""Surrogates that stand for no byte of a file name; they come from JSON."""
_ODD: Final = re.compile("[%\udc80-\udcff]")
_URI: Final = "file://"
_MARK: Final = "file:"


def has_surrogates(text: str) -> bool:
    """Whether a text has lone surrogates, so that it cannot be encoded."""
    return not text.isascii() and _SURROGATES.search(text) is not None


def readable(text: str) -> str:
    """Return a text with its lone surrogates as visible escapes."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def storable(url: str) -> str:
    """Return an address as valid Unicode; a local path that is not UTF-8 becomes a URI."""
    if not has_surrogates(url):
        return url
    if _NO_BYTES.search(url):
        return readable(url)
    scheme, separator, rest = ("", "", url) if url.startswith("/") else url.partition("://")
    start = f"{scheme}://" if separator else _URI if url.startswith("/") else ""
    if not start:
        return storable_name(url)
    return start + quote(rest.encode("utf-8", "surrogateescape"), safe="/~")


def storable_name(name: str) -> str:
    """Return a file name, or a relative path, as valid Unicode."""
    if not has_surrogates(name):
        return f"{_MARK}{_ODD.sub(_encoded, name)}" if name.startswith(_MARK) else name
    return readable(name) if _NO_BYTES.search(name) else f"{_MARK}{_ODD.sub(_encoded, name)}"


def _encoded(match: re.Match[str]) -> str:
    byte = match[0].encode("utf-8", "surrogateescape")
    return f"%{byte[0]:02X}"


def original_address(url: str) -> str:
    """Reverse `storable`; an address that it did not make is returned unchanged.

    Only a URI of bytes that are not UTF-8 is decoded, because in the address of a file with an
    ordinary name a percent sign is a percent sign.
    """
    if not url.startswith(_URI) or "%" not in url:
        return url
    path = _decoded(url.removeprefix(_URI))
    return path if has_surrogates(path) else url


def original_name(name: str) -> str:
    """Reverse `storable_name`."""
    return _decoded(name.removeprefix(_MARK)) if name.startswith(_MARK) else name


def _decoded(text: str) -> str:
    return unquote_to_bytes(text).decode("utf-8", "surrogateescape")
