"""Read JSON from a header's bytes by hand: strictly, with positions, and seeing duplicates.

JSON libraries keep the last of two equal keys without a word, and give no positions. This scanner
knows nothing of tensors. It moves over strings, numbers and whole values, says where a fault is,
and needs memory only for the keys of the objects it stands in. It accepts what serde_json accepts,
because the Rust reader of safetensors is built on it: RFC 8259, nesting up to 127, numbers that
fit a double, no lone surrogates.
"""

import json
import math
import re
from typing import Final

from prefect_mutagen.parsers.error_list import ErrorList
from prefect_mutagen.parsers.errors import HeaderError, shown
from prefect_mutagen.parsers.rules import fault

__all__ = ["JsonText", "find_invalid_utf8", "spaced"]

_SPACE: Final = re.compile(rb"[ \t\n\r]*")
_PLAIN_STRING: Final = re.compile(rb'"([^"\\\x00-\x1f]*)"')
_STRING: Final = re.compile(rb'"(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+')
_NUMBER: Final = re.compile(rb"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_LITERAL: Final = re.compile(rb"true|false|null")
_UNSIGNED: Final = re.compile(rb"0|[1-9][0-9]*")
_QUOTE: Final = ord('"')
_UINT64_DIGITS: Final = 20
_UINT64_MAX: Final = 2**64 - 1
_NUMBERS: Final = re.compile(
    rb"\[([ \t\n\r]*+(?:0|[1-9][0-9]{0,18}+)(?:[ \t\n\r]*+,[ \t\n\r]*+(?:0|[1-9][0-9]{0,18}+))*+)"
    rb"[ \t\n\r]*+\]"
)
# Elements of an array that hold nothing: nothing in them can be wrong but where they end.
_PLAIN_ELEMENTS: Final = re.compile(
    rb'(?:[ \t\n\r]*+(?:"[^"\\\x00-\x1f]*+"|-?(?:0|[1-9][0-9]{0,17}+)|true|false|null|\[\]|\{\})'
    rb"[ \t\n\r]*+,)++"
)
_NESTING: Final = 127
# Values in fields that nobody defined are only walked over; this many are enough to say so.
_PARTS_LIMIT: Final = 1 << 17
_NUMBERS_LIMIT: Final = 1 << 16
_PIECE: Final = 1 << 20


class JsonText:
    """A cursor over the JSON of a header.

    Attributes:
        raw: The file's first bytes, so that an index into them is an offset in the file.
        at: Index of the next byte to look at.
        stop: Index behind the last byte of the JSON.
    """

    __slots__ = ("_errors", "_parts", "at", "raw", "stop")

    def __init__(self, raw: bytes, start: int, stop: int, errors: ErrorList) -> None:
        """Read the JSON between two indices."""
        self.raw = raw
        self.at = start
        self.stop = stop
        self._errors = errors
        self._parts = 0

    def complaint(self, expected: str, at: int | None = None) -> HeaderError:
        """Make the error for text that is not JSON, or not what has to stand here."""
        where = self.at if at is None else at
        found = (
            shown(self.raw[where : min(where + 8, self.stop)]) if where < self.stop else "its end"
        )
        return fault(
            "safetensors/bad-json",
            offset=where,
            field="header",
            expected=expected,
            found=found,
        )

    def skip_space(self) -> None:
        """Move over white space."""
        self.at = _SPACE.match(self.raw, self.at, self.stop).end()  # type: ignore[union-attr]

    def peek(self) -> bytes:
        """Give the next byte behind white space, b"" at the end; the cursor moves to it."""
        self.skip_space()
        return self.raw[self.at : min(self.at + 1, self.stop)]

    def accept(self, byte: bytes) -> bool:
        """Move over this byte if it is the next one behind white space."""
        if self.peek() != byte:
            return False
        self.at += 1
        return True

    def expect(self, byte: bytes) -> None:
        """Move over this byte; raise `MalformedError` when something else stands there."""
        if not self.accept(byte):
            raise self.complaint(repr(byte.decode()))

    def string(self) -> str:
        """Read a string and move behind it.

        Raises:
            MalformedError: It is no string, or not a proper one.
        """
        start = self.at
        plain = _PLAIN_STRING.match(self.raw, start, self.stop)
        if plain:
            self.at = plain.end()
            return plain[1].decode()
        body = _STRING.match(self.raw, start, self.stop)
        if body is None:
            raise self.complaint("a string")
        if body.end() >= self.stop or self.raw[body.end()] != _QUOTE:
            raise self.complaint("a character or an escape that JSON allows", body.end())
        self.at = body.end() + 1
        text: str = json.loads(self.raw[start : self.at])
        try:
            text.encode()
        except UnicodeEncodeError:
            raise self.complaint("no escape of half a character", start) from None
        return text

    def unsigned(self) -> int | None:
        """Read an unsigned 64-bit integer and move behind it.

        Returns:
            The number; None for any other value, which is then stepped over.

        Raises:
            MalformedError: It is not even JSON.
        """
        start = self.at
        digits = _UNSIGNED.match(self.raw, start, self.stop)
        if digits is None or self.raw[digits.end() : digits.end() + 1] in (b".", b"e", b"E"):
            self.skip_value()
            return None
        self.at = digits.end()
        if digits.end() - start > _UINT64_DIGITS:
            self._judge_number(digits[0], start)
            return None
        number = int(digits[0])
        return number if number <= _UINT64_MAX else None

    def numbers(self) -> tuple[int, ...] | None:
        """Read a list of unsigned 64-bit integers and move behind it.

        Returns:
            The numbers; None for any other value, which is then stepped over.

        Raises:
            MalformedError: It is not even JSON.
            UnsupportedError: There are more of them than any tensor has dimensions.
        """
        if self.peek() != b"[":
            self.skip_value()
            return None
        usual = _NUMBERS.match(self.raw, self.at, self.stop)
        if usual is not None:
            if self.raw.count(b",", self.at, usual.end()) >= _NUMBERS_LIMIT:
                raise self.too_complex("numbers in a list", _NUMBERS_LIMIT)
            self.at = usual.end()
            return tuple(map(int, usual[1].split(b",")))
        self.at += 1
        numbers: list[int] = []
        sound = True
        more = not self.accept(b"]")
        while more:
            self.skip_space()
            number = self.unsigned()
            if number is None:
                sound = False
            else:
                numbers.append(number)
            if len(numbers) > _NUMBERS_LIMIT:
                raise self.too_complex("numbers in a list", _NUMBERS_LIMIT)
            more = self.accept(b",")
            if not more:
                self.expect(b"]")
        return tuple(numbers) if sound else None

    def skip_scalar(self) -> bool:
        """Move over a string, a number or a literal; say whether there was one."""
        byte = self.peek()
        if byte == b'"':
            self.string()
            return True
        literal = _LITERAL.match(self.raw, self.at, self.stop)
        if literal:
            self.at = literal.end()
            return True
        number = _NUMBER.match(self.raw, self.at, self.stop)
        if number is None:
            return False
        self._judge_number(number[0], self.at)
        self.at = number.end()
        return True

    def _judge_number(self, digits: bytes, start: int) -> None:
        if len(digits) > 300 and math.isinf(float(digits)):
            raise self.complaint("a number in the range of a double", start)
        if (b"e" in digits or b"E" in digits) and math.isinf(float(digits)):
            raise self.complaint("a number in the range of a double", start)

    def skip_value(self, depth: int = 2) -> None:
        """Move over any value, checking it and looking for duplicate keys in it.

        Args:
            depth: How many objects and arrays the value stands in.

        Raises:
            MalformedError: It is not JSON, or nested deeper than loaders read.
            UnsupportedError: It has more parts than are examined.
        """
        open_keys: list[set[str] | None] = []  # one for each open object, None for an array
        while True:
            self._parts += 1
            if self._parts > _PARTS_LIMIT:
                raise self.too_complex("values in unknown fields", _PARTS_LIMIT)
            byte = self.peek()
            if byte in (b"{", b"["):
                if depth + len(open_keys) >= _NESTING:
                    raise fault(
                        "safetensors/nesting-too-deep",
                        offset=self.at,
                        field="header",
                        expected=f"at most {_NESTING} levels",
                        found="one more",
                    )
                self.at += 1
                open_keys.append(set() if byte == b"{" else None)
                if not self.accept(b"}" if byte == b"{" else b"]"):
                    self._enter_member(open_keys[-1])
                    continue
                open_keys.pop()
            elif not self.skip_scalar():
                raise self.complaint("a value")
            while open_keys:
                if self.accept(b","):
                    self._enter_member(open_keys[-1])
                    break
                self.expect(b"]" if open_keys[-1] is None else b"}")
                open_keys.pop()
            else:
                return

    def _enter_member(self, keys: set[str] | None) -> None:
        if keys is None:
            plain = _PLAIN_ELEMENTS.match(self.raw, self.at, self.stop)
            if plain:
                self.at = plain.end()
            return
        if self.peek() != b'"':
            raise self.complaint("a key")
        key = self.string()
        self.expect(b":")
        self.skip_space()
        if key in keys:
            self.note_duplicate(key)
        keys.add(key)

    def note_duplicate(self, key: str, at: int | None = None) -> None:
        """Note that this key stood here before; its value is at this index, or the cursor's."""
        self._errors.add(
            fault(
                "safetensors/duplicate-key",
                offset=self.at if at is None else at,
                field="header",
                expected="each key once",
                found=f"{shown(key)} again",
            )
        )

    def too_complex(self, what: str, limit: int) -> HeaderError:
        """Make the error for a header with more parts than are examined."""
        return fault(
            "safetensors/too-complex",
            offset=self.at,
            field="header",
            expected=f"at most {limit} {what}",
            found="more",
        )


def spaced(pattern: str) -> re.Pattern[bytes]:
    """Compile a pattern in which each blank stands for any white space that JSON allows."""
    return re.compile(pattern.replace(" ", r"[ \t\n\r]*").encode())


def find_invalid_utf8(raw: bytes, start: int, stop: int) -> int | None:
    """Find the first byte that is not UTF-8.

    Looks at a megabyte at a time: decoding a header whole could take four times its size.

    Returns:
        Its index, or None when all is well.
    """
    while start < stop:
        end = min(start + _PIECE, stop)
        # Do not cut inside a character: its later bytes are 10xxxxxx, at most three of them.
        for _ in range(3):
            if end < stop and raw[end] & 0xC0 == 0x80:
                end -= 1
        piece = raw[start:end]
        if not piece.isascii():
            try:
                piece.decode()
            except UnicodeDecodeError as problem:
                return start + problem.start
        start = end
    return None
