"""The metadata values of GGUF: numbers, truth values, texts, arrays.

A value may be gigabytes. So texts beyond `TEXT_LIMIT` are kept as head, length and SHA-256, arrays
as their first `PREVIEW` elements and their length, and both go on where they stopped when more
bytes come.
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
from prefect_mutagen.parsers.rules import fault
from prefect_mutagen.parsers.window import Wanted, Window

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
"""Elements of an array that are kept; as many as l-bom shows."""
TEXT_LIMIT: Final = 1 << 20
"""Bytes of one text that are kept whole."""
_HEAD: Final = 1 << 16
_ARRAY_LIMIT: Final = 1 << 30
_NOT_BOOLS: Final = bytes(range(2, 256))


@dataclass(frozen=True, slots=True)
class LongText:
    """A text too long to keep."""

    head: str
    """Its first 64 KiB."""
    length: int
    """Length of the whole text in bytes."""
    sha256: str
    """SHA-256 of the whole text, in hexadecimal."""


@dataclass(frozen=True, slots=True)
class ArrayValue:
    """An array, of which only the first elements are kept."""

    element_type: str
    """Name of the elements' type, such as ``STRING``."""
    count: int
    """Number of elements in the file."""
    preview: tuple["Scalar", ...]
    """The first `PREVIEW` elements, or all of a shorter array."""


Scalar = int | float | bool | str | LongText
Value = Scalar | ArrayValue


@dataclass(frozen=True, slots=True)
class MetadataEntry:
    """One key and its value."""

    key: str
    value: Value
    type: str
    """Name of the value's type, such as ``UINT32``."""
    offset: int
    """Where the value starts in the file, in bytes; a text's length prefix, an array's type."""


class _PendingText:
    __slots__ = ("digest", "head", "left", "length", "start")

    def __init__(self, start: int, length: int) -> None:
        self.start = start
        self.length = self.left = length
        self.head = bytearray()
        self.digest = hashlib.sha256()


class _PendingArray:
    __slots__ = ("count", "element", "left", "preview", "skip", "start")

    def __init__(self, start: int, element: int, count: int) -> None:
        self.start = start
        self.element = element
        self.count = count
        self.left = count  # elements not yet read
        self.skip = 0  # bytes of the element under the cursor
        self.preview: list[Scalar] = []


class ValueReader:
    """Reads one value at a time and remembers how far it came in it."""

    __slots__ = ("_array", "_errors", "_structs", "_text", "_window")

    def __init__(self, window: Window, errors: ErrorList) -> None:
        """Read from this window and note what is irregular."""
        self._window = window
        self._errors = errors
        self._text: _PendingText | None = None
        self._array: _PendingArray | None = None

    def arrange(self) -> None:
        """Take over the byte order from the window, once it is known."""
        sign = "<" if self._window.order == "little" else ">"
        self._structs = {
            kind: Struct(sign + value.code) for kind, value in VALUE_TYPES.items() if value.code
        }

    def read(self, kind: int, field: str) -> Value:
        """Read the value under the cursor and commit it.

        Args:
            kind: Number of its type; one of `VALUE_TYPES`.
            field: What it belongs to, for errors.

        Raises:
            HeaderError: It cannot be read.
            Wanted: More bytes are needed; call again with the same arguments.
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
                fault(
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
            fault("gguf/bad-bool", offset=start, field=field, expected="0 or 1", found=str(byte))
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
        while text.left:
            piece = window.take(text.left)
            if piece is None:
                raise Wanted(window.cursor + text.left)
            text.left -= len(piece)
            text.digest.update(piece)
            if len(text.head) < _HEAD:
                text.head += piece[: _HEAD - len(text.head)]
            piece.release()
        self._text = None
        # The head may end inside a character; what is left of it is not the file's fault.
        head = self._decode(bytes(text.head), text.start, field, cut=True)
        return LongText(head, text.length, text.digest.hexdigest())

    def _decode(self, raw: bytes, start: int, field: str, *, cut: bool = False) -> str:
        try:
            return raw.decode()
        except UnicodeDecodeError as problem:
            if cut and problem.end == len(raw) and len(raw) - problem.start < 4:
                return raw[: problem.start].decode()
            odd = shown(raw[problem.start : problem.start + 4])
            self._errors.add(
                fault(
                    "gguf/invalid-utf8",
                    offset=start,
                    field=field,
                    expected="UTF-8",
                    found=f"{odd} at its byte {problem.start}",
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
        except Wanted as wanted:
            # Elements that were not even begun need bytes too: at least a length prefix each.
            least = VALUE_TYPES[array.element].size or self._window.width
            rest = array.skip + array.left * least
            raise Wanted(max(wanted.upto, self._window.mark + rest)) from None
        self._array = None
        return ArrayValue(VALUE_TYPES[array.element].name, array.count, tuple(array.preview))

    def _open_array(self, field: str) -> _PendingArray:
        window = self._window
        start = window.cursor
        element = window.u32(f"{field}, element type")
        if element == ARRAY:
            raise fault(
                "gguf/nested-array",
                offset=start,
                field=f"{field}, element type",
                expected="numbers, truth values or strings",
                found="an array of arrays",
            )
        if element not in VALUE_TYPES:
            raise fault(
                "gguf/bad-value-type",
                offset=start,
                field=f"{field}, element type",
                expected="a type from 0 to 12",
                found=f"type {element}",
            )
        count_at = window.cursor
        count = window.word(f"{field}, count")
        if count > _ARRAY_LIMIT:
            raise fault(
                "gguf/array-too-long",
                offset=count_at,
                field=f"{field}, count",
                expected=f"at most {_ARRAY_LIMIT} elements",
                found=f"{count} elements",
            )
        least = VALUE_TYPES[element].size or window.width
        if window.cursor + count * least > window.size:
            raise fault(
                "gguf/truncated",
                offset=start,
                field=field,
                expected=f"at most {(window.size - window.cursor) // least} elements here",
                found=f"an array of {count} elements",
            )
        window.commit()
        self._array = array = _PendingArray(start, element, count)
        return array

    def _walk_strings(self, array: _PendingArray, field: str) -> None:
        window = self._window
        while array.left and len(array.preview) < PREVIEW:
            array.preview.append(self._read_text(f"{field}, element {len(array.preview)}"))
            array.left -= 1
        while array.left or array.skip:
            if array.skip:
                self._skip(array)
            at, array.left = walks.walk_strings(
                window.buffer, window.cursor - window.base, array.left, window.order, window.width
            )
            window.cursor = window.base + at
            window.commit()
            if array.left:
                # The next string is not here as a whole; judge its length, then step over it.
                array.skip = window.string_length(f"{field}, element {array.count - array.left}")
                window.commit()
                array.left -= 1

    def _walk_numbers(self, array: _PendingArray, field: str) -> None:
        window = self._window
        size = VALUE_TYPES[array.element].size
        unpack = self._structs[array.element].unpack_from
        while array.left and len(array.preview) < PREVIEW:
            start = window.cursor
            at = window.claim(size, field)
            (number,) = unpack(window.buffer, at)
            window.commit()
            array.preview.append(self._number(array.element, number, start, field))
            array.left -= 1
            if array.left and len(array.preview) == PREVIEW:
                array.skip, array.left = array.left * size, 0
        if array.skip:
            self._skip(array, field if array.element == BOOL else None)

    def _skip(self, array: _PendingArray, bools: str | None = None) -> None:
        window = self._window
        while array.skip:
            start = window.cursor
            piece = window.take(array.skip)
            if piece is None:
                raise Wanted(window.cursor + array.skip)
            array.skip -= len(piece)
            if bools is not None:
                raw = bytes(piece)
                odd = raw.translate(None, b"\x00\x01")
                if odd:
                    self._note_bool(odd[0], start + raw.index(odd[:1]), bools)
            piece.release()
