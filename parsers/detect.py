"""Identify a file by its first bytes, above all when it is not a model.

The content decides the format, never the name: loaders look at the bytes too. The name only states
an expectation, and a mismatch between the two is a finding.

Sources: the magic of ggml's ``gguf.h``; the safetensors README; the git-lfs pointer specification
(version line, then ``oid sha256:…`` and ``size …``); the magic numbers of the archive formats and
of executables; AppleDouble (RFC 1740).
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
    "absurd_length",
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
_LFS_SIZE: Final = re.compile(rb"^size (\d{1,20})\r?$", re.MULTILINE)
_SIGNATURES: Final = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), kind, description)
    for pattern, kind, description in (
        (
            rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype|html|head|!--)",
            "web-page",
            "a web page",
        ),
        (rb"(?:\xef\xbb\xbf)?\s*[{\[]\s*[\"{\[\]}]", "json-document", "a JSON document"),
        (rb"(?:\xef\xbb\xbf)?\s*<(?:\?xml|[a-z][\w:.-]*[\s/>])", "web-page", "an XML document"),
        (
            rb"\x80[\x02-\x05][\x00\x28-\x8f\x95]",
            "archive",
            "a Python pickle, which runs code when it is loaded",
        ),
        (
            rb"(?:\(+[ld]p?\d*\n|\(*c[a-z_][\w.]*\n[a-z_][\w.]*\n)",  # protocol 0 is ASCII
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
        (rb"\x7fELF", "executable", "an ELF executable"),
        (
            rb"\xfe\xed\xfa[\xce\xcf]|[\xce\xcf]\xfa\xed\xfe|\xca\xfe\xba\xbe\0\0\0",
            "executable",
            "a Mach-O executable",
        ),
        (rb"MZ[^\x20-\x7e]", "executable", "a Windows executable"),
        (
            rb"\x00\x05\x16[\x00\x07]",
            "apple-double",
            "an AppleDouble file: the attributes that a Mac keeps beside a file, not its content",
        ),
    )
)
_JSON_WHITESPACE: Final = b" \t\r\n"
_ENCODINGS: Final = (
    (b"\xef\xbb\xbf", "utf-8", ""),
    (b"\xff\xfe", "utf-16-le", " in UTF-16"),
    (b"\xfe\xff", "utf-16-be", " in UTF-16"),
    (b"", "utf-8", ""),
)
"""Byte order mark, encoding, and how a message says so."""
_SMALLEST_TEXT: Final = 3
"""Fewer printable bytes may as well be the start of a length."""
_NO_TEXT: Final = re.compile(r"[\0-\x08\x0e-\x1a\x1c-\x1f\x7f\ufffd]")
# What a link contains that was copied as a file: ../../blobs/<sha256> in the hub's cache.
_LINK: Final = re.compile(r"(?:\.{1,2}/|/)[^\s/]+(?:/[^\s/]+)*\s?")
_QUOTED: Final = 160
"""Characters of a text that a message quotes: enough for a link of the hub's cache."""


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
            return Content(None, kind, description + _quote_document(kind, head, size))
    if not head.strip(b"\0"):
        return Content(None, "zeros", "zero bytes")
    text = _identify_text(head, size)
    if text is not None:
        return text
    return Content(None, "bad-magic", f"the bytes {shown(head[:8])}")


def absurd_length(head: bytes) -> bool:
    """Whether the first bytes are no length of a safetensors header.

    What exceeds the limit is none, as the first eight bytes of any text do; unless a header
    follows, whose length was damaged.
    """
    if len(head) < 8 or int.from_bytes(head[:8], "little") <= SAFETENSORS_LIMIT:
        return False
    return head[8:].lstrip(_JSON_WHITESPACE)[:1] not in (b"{", b"")


def _quote_document(kind: str, head: bytes, size: int) -> str:
    """Return the text of a short JSON or XML document as a clause: mostly an error message."""
    if kind not in ("json-document", "web-page") or size > len(head) or b"<html" in head.lower():
        return ""
    return f": {_quote(head.strip().decode('utf-8', 'replace'))}"


def _identify_text(head: bytes, size: int) -> Content | None:
    """Identify a text, such as a server's message that was saved as a model; None if it is none."""
    mark, encoding, how = next(entry for entry in _ENCODINGS if head.startswith(entry[0]))
    text = head[len(mark) :].decode(encoding, "replace")
    if size > len(head):
        text = text.removesuffix("\ufffd")  # a character at the end of what was read
    words = text.strip()
    if len(words) < _SMALLEST_TEXT or _NO_TEXT.search(text) or GGUF_MAGIC.startswith(head):
        return None
    if size > len(head):
        return Content(None, "text", f"a text{how} that starts with {_quote(words)}")
    if _LINK.fullmatch(text):
        return Content(None, "link-text", f"a link that was copied as a text: {_quote(words)}")
    return Content(None, "text", f"a text{how}: {_quote(words)}")


def _quote(text: str) -> str:
    return ascii(text) if len(text) <= _QUOTED else f"{text[:_QUOTED]!a}..."


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
