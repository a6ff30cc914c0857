"""GGUF metadata values: numbers, booleans, strings, arrays.

A value may be gigabytes long. A string beyond `TEXT_LIMIT` is kept as its head, length and SHA-256;
an array as its first `PREVIEW` elements and its length. Reading of both resumes where it stopped
when more bytes arrive.
"""

import hashlib
import math
from dataclasses import dataclass
from struct import Struct
from typing import Final

from prefect_mutagen.parsers import walks
from prefect_mutagen.parsers.error_list import ErrorList
from prefect_mutagen.parsers.errors import shown
from prefect_mutagen.parsers.ggml_types import ARRAY, BOOL, STRING, VALUE_TYPES
from prefect_mutagen.parsers.rules import make_error
from prefect_mutagen.parsers.window import Incomplete, Window

__all__ = [
    "PREVIEW",
    "TEXT_LIMIT",
    "ArrayValue",
    "LongText",
    "MetadataEntry",
    "Value",
    "ValueReader",
]

PREVIEW: Final = 16
"""Number of array elements that are kept; as many as l-bom shows."""
TEXT_LIMIT: Final = 1 << 20
"""Longest string, in bytes, that is kept whole."""
_HEAD_SIZE: Final = 1 << 16
_ARRAY_LIMIT: Final = 1 << 30


@dataclass(frozen=True, slots=True)
class LongText:
    """A string that is too long to keep whole."""

    head: str
    """Its first 64 KiB, decoded."""
    length: int
    """Length of the whole string in bytes."""
    sha256: str
    """SHA-256 of the whole string, in hexadecimal."""


@dataclass(frozen=True, slots=True)
class ArrayValue:
    """An array; only the first elements are kept."""

    element_type: str
    """Name of the element type, such as ``STRING``."""
    count: int
    """Number of elements in the file."""
    preview: tuple["Scalar", ...]
    """The first `PREVIEW` elements, or all of a shorter array."""


Scalar = int | float | bool | str | LongText
Value = Scalar | ArrayValue


@dataclass(frozen=True, slots=True)
class MetadataEntry:
    """One metadata key and its value."""

    key: str
    value: Value
    type: str
    """Name of the value type, such as ``UINT32``."""
    offset: int
    """File offset of the value: a string's length prefix, an array's element type."""


class _PendingText:
    __slots__ = ("digest", "head", "length", "remaining", "start")

    def __init__(self, start: int, length: int) -> None:
        self.start = start
        self.length = self.remaining = length
        self.head = bytearray()
        self.digest = hashlib.sha256()


class _PendingArray:
    __slots__ = ("count", "element", "preview", "remaining", "skip", "start")

    def __init__(self, start: int, element: int, count: int) -> None:
        self.start = start
        self.element = element
        self.count = count
        self.remaining = count  # elements not yet read
        self.skip = 0  # bytes to skip at the cursor
        self.preview: list[Scalar] = []


class ValueReader:
    """Reads one value at a time; resumes inside strings and arrays."""

    __slots__ = ("_array", "_errors", "_structs", "_text", "_window")

    def __init__(self, window: Window, errors: ErrorList) -> None:
        """Read from a window; add irregularities to a list of errors."""
        self._window = window
        self._errors = errors
        self._text: _PendingText | None = None
        self._array: _PendingArray | None = None

    def set_encoding(self) -> None:
        """Copy the byte order from the window, once it is known."""
        sign = "<" if self._window.order == "little" else ">"
        self._structs = {
            kind: Struct(sign + value.code) for kind, value in VALUE_TYPES.items() if value.code
        }

    def read(self, kind: int, field: str) -> Value:
        """Read the value at the cursor and commit it.

        Args:
            kind: Id of its type; a key of `VALUE_TYPES`.
            field: Name of the value, for errors.

        Raises:
            HeaderError: The value cannot be read.
            Incomplete: More bytes are needed; call again with the same arguments.
        """
        if kind == ARRAY:
            return self._read_array(field)
        if kind == STRING:
            return self._read_text(field)
        start = self._window.cursor
        at = self._window.claim(VALUE_TYPES[kind].size, field)
        (number,) = self._structs[kind].unpack_from(self._window.buffer, at)
        self._window.commit()
        return self._number(kind, number, start, field)

    def _number(self, kind: int, number: float, start: int, field: str) -> Scalar:
        if kind == BOOL:
            if number > 1:
                self._note_bool(int(number), start, field)
            return number != 0
        if isinstance(number, float) and not math.isfinite(number):
            self._errors.add(
                make_error(
                    "gguf/non-finite-number",
                    offset=start,
                    field=field,
                    expected="a finite number",
                    found=str(number),
                )
            )
        return number

    def _note_bool(self, byte: int, start: int, field: str) -> None:
        self._errors.add(
            make_error(
                "gguf/bad-bool", offset=start, field=field, expected="0 or 1", found=str(byte)
            )
        )

    def _read_text(self, field: str) -> str | LongText:
        window = self._window
        text = self._text
        if text is None:
            start = window.cursor
            length = window.string_length(field)
            if length <= TEXT_LIMIT:
                at = window.claim(length, field)
                whole = self._decode(bytes(window.buffer[at : at + length]), start, field)
                window.commit()
                return whole
            window.commit()
            text = self._text = _PendingText(start, length)
        while text.remaining:
            piece = window.take(text.remaining)
            if piece is None:
                raise Incomplete(window.cursor + text.remaining)
            text.remaining -= len(piece)
            text.digest.update(piece)
            if len(text.head) < _HEAD_SIZE:
                text.head += piece[: _HEAD_SIZE - len(text.head)]
            piece.release()
        self._text = None
        # The head may end inside a character, which is not an error of the file.
        head = self._decode(bytes(text.head), text.start, field, cut=True)
        return LongText(head, text.length, text.digest.hexdigest())

    def _decode(self, raw: bytes, start: int, field: str, *, cut: bool = False) -> str:
        try:
            return raw.decode()
        except UnicodeDecodeError as problem:
            if cut and problem.end == len(raw) and len(raw) - problem.start < 4:
                return raw[: problem.start].decode()
            invalid = shown(raw[problem.start : problem.start + 4])
            self._errors.add(
                make_error(
                    "gguf/invalid-utf8",
                    offset=start,
                    field=field,
                    expected="UTF-8",
                    found=f"{invalid} at its byte {problem.start}",
                )
            )
            return raw.decode("utf-8", "replace")

    def _read_array(self, field: str) -> ArrayValue:
        array = self._array or self._open_array(field)
        try:
            if array.element == STRING:
                self._walk_strings(array, field)
            else:
                self._walk_numbers(array, field)
        except Incomplete as incomplete:
            # Request the remaining elements too: each has at least a length prefix.
            smallest = VALUE_TYPES[array.element].size or self._window.width
            rest = array.skip + array.remaining * smallest
            raise Incomplete(max(incomplete.upto, self._window.mark + rest)) from None
        self._array = None
        return ArrayValue(VALUE_TYPES[array.element].name, array.count, tuple(array.preview))

    def _open_array(self, field: str) -> _PendingArray:
        window = self._window
        start = window.cursor
        element = window.u32(f"{field}, element type")
        if element == ARRAY:
            raise make_error(
                "gguf/nested-array",
                offset=start,
                field=f"{field}, element type",
                expected="numbers, booleans or strings",
                found="an array of arrays",
            )
        if element not in VALUE_TYPES:
            raise make_error(
                "gguf/bad-value-type",
                offset=start,
                field=f"{field}, element type",
                expected="a type from 0 to 12",
                found=f"type {element}",
            )
        count_offset = window.cursor
        count = window.word(f"{field}, count")
        if count > _ARRAY_LIMIT:
            raise make_error(
                "gguf/array-too-long",
                offset=count_offset,
                field=f"{field}, count",
                expected=f"at most {_ARRAY_LIMIT} elements",
                found=f"{count} elements",
            )
        smallest = VALUE_TYPES[element].size or window.width
        if window.cursor + count * smallest > window.size:
            raise make_error(
                "gguf/truncated",
                offset=start,
                field=field,
                expected=f"at most {(window.size - window.cursor) // smallest} elements here",
                found=f"an array of {count} elements",
            )
        window.commit()
        self._array = array = _PendingArray(start, element, count)
        return array

    def _walk_strings(self, array: _PendingArray, field: str) -> None:
        window = self._window
        while array.remaining and len(array.preview) < PREVIEW:
            array.preview.append(self._read_text(f"{field}, element {len(array.preview)}"))
            array.remaining -= 1
        while array.remaining or array.skip:
            if array.skip:
                self._skip(array)
            at, array.remaining = walks.walk_strings(
                window.buffer,
                window.cursor - window.base,
                array.remaining,
                window.order,
                window.width,
            )
            window.cursor = window.base + at
            window.commit()
            if array.remaining:
                # The next string is incomplete: skip its bytes as they arrive.
                index = array.count - array.remaining
                array.skip = window.string_length(f"{field}, element {index}")
                window.commit()
                array.remaining -= 1

    def _walk_numbers(self, array: _PendingArray, field: str) -> None:
        window = self._window
        size = VALUE_TYPES[array.element].size
        unpack = self._structs[array.element].unpack_from
        while array.remaining and len(array.preview) < PREVIEW:
            start = window.cursor
            at = window.claim(size, field)
            (number,) = unpack(window.buffer, at)
            window.commit()
            array.preview.append(self._number(array.element, number, start, field))
            array.remaining -= 1
            if array.remaining and len(array.preview) == PREVIEW:
                array.skip, array.remaining = array.remaining * size, 0
        if array.skip:
            self._skip(array, field if array.element == BOOL else None)

    def _skip(self, array: _PendingArray, bool_field: str | None = None) -> None:
        window = self._window
        while array.skip:
            start = window.cursor
            piece = window.take(array.skip)
            if piece is None:
                raise Incomplete(window.cursor + array.skip)
            array.skip -= len(piece)
            if bool_field is not None:
                raw = bytes(piece)
                invalid = raw.translate(None, b"\x00\x01")
                if invalid:
                    self._note_bool(invalid[0], start + raw.index(invalid[:1]), bool_field)
            piece.release()
