"""Decode the arguments of opcodes that push a value: numbers, strings, bytes.

A value is decoded as far as it could be a name, a shape or a key; everything else is `OPAQUE`.
"""

import codecs
from collections.abc import Callable
from typing import Any, Final

from prefect_mutagen.parsers.pickle_values import OPAQUE

__all__ = ["DECODERS", "TEXT_LIMIT", "Broken", "index_of", "name_of"]

TEXT_LIMIT: Final = 256
"""Longest text, in bytes, that is kept; no name on the list is nearly as long."""
_NUMBER_SIZE: Final = 16
_NUMBER_DIGITS: Final = 40


class Broken(Exception):  # noqa: N818 - control flow, not an error
    """An unpickler stops here."""

    def __init__(self, expected: str, found: str) -> None:
        """Store what would have let it go on, and what is there instead."""
        super().__init__(expected, found)
        self.expected, self.found = expected, found


def name_of(line: bytes | None) -> str | None:
    """Decode a module or a name; None for one that is longer than is kept.

    Raises:
        Broken: It is not UTF-8.
    """
    try:
        return None if line is None else line.decode()
    except UnicodeDecodeError:
        raise Broken("a name in UTF-8", "other bytes") from None


def index_of(line: bytes | None) -> int:
    """Decode the number of a memo entry.

    Raises:
        Broken: It is no number.
    """
    try:
        return int(line or b"")
    except ValueError:
        raise Broken("the number of a memo entry", "another text") from None


def _opaque(data: bytes | None) -> Any:
    del data
    return OPAQUE


def _signed(data: bytes) -> int:
    return int.from_bytes(data, "little", signed=True)


def _unsigned(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _long(data: bytes | None) -> Any:
    return OPAQUE if data is None or len(data) > _NUMBER_SIZE else _signed(data)


def _number(line: bytes | None) -> Any:
    if line is None or len(line) > _NUMBER_DIGITS:
        return OPAQUE
    if line in (b"00", b"01"):
        return line == b"01"
    try:
        return int(line.rstrip(b"L"), 0)
    except ValueError:
        return OPAQUE  # an unpickler stops here; nothing is looked up by going on


def _bytes_text(data: bytes | None) -> Any:
    # A string of Python 2: the loader says which encoding it has. Names that are allowed are ASCII.
    return OPAQUE if data is None else data.decode("latin-1")


def _text(data: bytes | None) -> Any:
    try:
        return OPAQUE if data is None else data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        raise Broken("a string in UTF-8", "other bytes") from None


def _quoted(line: bytes | None) -> Any:
    if line is None:
        return OPAQUE
    text = line.rstrip()
    if len(text) < 2 or text[:1] != text[-1:] or text[:1] not in (b"'", b'"'):
        raise Broken("a string in quotes", "another text")
    try:
        return _bytes_text(codecs.escape_decode(text[1:-1])[0])
    except ValueError:
        raise Broken("a string with escapes that exist", "another text") from None


def _escaped(line: bytes | None) -> Any:
    try:
        return OPAQUE if line is None else line.decode("raw-unicode-escape")
    except UnicodeDecodeError:
        raise Broken("a string with escapes that exist", "another text") from None


DECODERS: Final[dict[str, Callable[[Any], Any]]] = {
    "BININT": _signed,
    "BININT1": _unsigned,
    "BININT2": _unsigned,
    "BINFLOAT": _opaque,
    "LONG1": _long,
    "LONG4": _long,
    "BINSTRING": _bytes_text,
    "SHORT_BINSTRING": _bytes_text,
    "BINBYTES": _opaque,
    "SHORT_BINBYTES": _opaque,
    "BINBYTES8": _opaque,
    "BYTEARRAY8": _opaque,
    "SHORT_BINUNICODE": _text,
    "BINUNICODE": _text,
    "BINUNICODE8": _text,
    "INT": _number,
    "LONG": _number,
    "FLOAT": _opaque,
    "STRING": _quoted,
    "UNICODE": _escaped,
    "PERSID": _opaque,
}
"""How each opcode's argument becomes the value that it pushes. The argument is None where it is
longer than is kept; a line has lost its end."""
