"""Identify a file by its first bytes, above all when it is not a model.

The content decides the format, never the name: loaders look at the bytes too. The name only states
an expectation, and a mismatch between the two is a finding.

Sources: the magic of ggml's ``gguf.h``; the safetensors README; the git-lfs pointer specification
(version line, then ``oid sha256:…`` and ``size …``); the magic numbers of the archive formats.
"""

import re
from typing import Final, Literal, NamedTuple

from prefect_mutagen.parsers.errors import HeaderError, shown
from prefect_mutagen.parsers.rules import make_error

__all__ = [
    "GGUF_MAGIC",
    "HEAD_SIZE",
    "SAFETENSORS_LIMIT",
    "SUFFIXES",
    "Content",
    "Format",
    "format_of",
    "identify",
    "not_a_model",
]

Format = Literal["gguf", "safetensors"]

SUFFIXES: Final[dict[str, Format]] = {".gguf": "gguf", ".safetensors": "safetensors"}
"""Expected format for each file name extension."""

GGUF_MAGIC: Final = b"GGUF"
SAFETENSORS_LIMIT: Final = 100_000_000
"""Largest header, in bytes, that the Rust reader accepts."""
HEAD_SIZE: Final = 1024
"""Bytes read before a file is identified; fewer when the file is shorter."""

_LFS_VERSION: Final = b"version https://git-lfs.github.com/spec/"
_LFS_SIZE: Final = re.compile(rb"^size (\d{1,20})$", re.MULTILINE)
_SIGNATURES: Final = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), kind, description)
    for pattern, kind, description in (
        (
            rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype|html|head|\?xml|!--)",
            "web-page",
            "a web page",
        ),
        (rb"(?:\xef\xbb\xbf)?\s*[{\[]\s*[\"{\[\]}]", "json-document", "a JSON document"),
        (
            rb"\x80[\x02-\x05][\x00\x28-\x8f\x95]",
            "archive",
            "a Python pickle, which runs code when it is loaded",
        ),
        (rb"PK\x03\x04", "archive", "a zip archive (PyTorch saves pickles in one)"),
        (rb"PK\x05\x06", "archive", "an empty zip archive"),
        (rb"\x1f\x8b", "archive", "a gzip archive"),
        (rb"\x28\xb5\x2f\xfd", "archive", "a zstd archive"),
        (rb"BZh\d", "archive", "a bzip2 archive"),
        (rb"\xfd7zXZ\0", "archive", "an xz archive"),
        (rb"7z\xbc\xaf\x27\x1c", "archive", "a 7z archive"),
        (rb".{257}ustar", "archive", "a tar archive"),
        (rb"\x89HDF\r\n\x1a\n", "archive", "an HDF5 file"),
        (rb".{4}TFL3", "archive", "a TensorFlow Lite file"),
        (rb"ggml|lmgg", "archive", "a GGML file, the format before GGUF"),
        (rb"ggjt|tjgg|ggla|algg", "archive", "a GGJT file, a format before GGUF"),
    )
)
_JSON_WHITESPACE: Final = b" \t\r\n"


class Content(NamedTuple):
    """What the first bytes of a file contain."""

    format: Format | None
    """The model format; None when the file is not a model."""
    kind: str
    """Last part of the finding code, such as ``web-page``; the format's name for a model."""
    description: str
    """Noun phrase for messages, such as ``a zip archive``."""


def format_of(name: str) -> Format | None:
    """Return the format that a file's extension promises; None for any other extension."""
    _, dot, suffix = name.rpartition(".")
    return SUFFIXES.get(dot + suffix.lower())


def identify(head: bytes, size: int) -> Content:
    """Identify the content of a file.

    Args:
        head: Its first bytes, at least ``min(size, HEAD_SIZE)`` of them.
        size: Size of the whole file in bytes.

    Returns:
        The model format, or what the file contains instead. A safetensors file is recognised by a
        plausible header length followed by an opening brace, optionally after whitespace.
    """
    if size == 0:
        return Content(None, "empty-file", "an empty file")
    if head.startswith(GGUF_MAGIC):
        return Content("gguf", "gguf", "a GGUF file")
    if _opens_like_safetensors(head):
        return Content("safetensors", "safetensors", "a safetensors file")
    if head.startswith(_LFS_VERSION):
        match = _LFS_SIZE.search(head)
        target = f" to a file of {int(match[1])} bytes" if match else ""
        return Content(None, "lfs-pointer", f"a git-lfs pointer{target}")
    for pattern, kind, description in _SIGNATURES:
        if pattern.match(head):
            return Content(None, kind, description)
    if not head.strip(b"\0"):
        return Content(None, "zeros", "zero bytes")
    return Content(None, "bad-magic", f"the bytes {shown(head[:8])}")


def _opens_like_safetensors(head: bytes) -> bool:
    if len(head) <= 8:
        return False
    length = int.from_bytes(head[:8], "little")
    if not 2 <= length <= SAFETENSORS_LIMIT:
        return False
    return head[8 : min(8 + length, len(head))].lstrip(_JSON_WHITESPACE)[:1] in (b"{", b"")


def not_a_model(content: Content, expected: Format | None) -> HeaderError:
    """Return the error for content that does not match the file's name.

    Args:
        content: The identified content.
        expected: The format the name promises; None when it promises none.
    """
    if expected is None:
        code, wanted = "sbom/not-a-model", "a GGUF or safetensors file"
    else:
        kind = "wrong-format" if content.format else content.kind
        code, wanted = f"{expected}/{kind}", f"a {_DISPLAY_NAMES[expected]} file"
    return make_error(code, offset=0, field="content", expected=wanted, found=content.description)


_DISPLAY_NAMES: Final = {"gguf": "GGUF", "safetensors": "safetensors"}
