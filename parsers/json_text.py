"""A strict JSON scanner that reports positions and duplicate keys.

JSON libraries silently keep the last of two equal keys, and report no positions. This scanner knows
nothing of tensors. It advances over strings, numbers and whole values, locates errors, and holds
only the keys of the objects that are open. It accepts what serde_json accepts, on which the Rust
reader of safetensors is built: RFC 8259, nesting up to 127, numbers in the range of a double, no
lone surrogates.
"""

import json
import math
import re
from typing import Final

from prefect_mutagen.parsers.error_list import ErrorList
from prefect_mutagen.parsers.errors import HeaderError, shown
from prefect_mutagen.parsers.rules import make_error

__all__ = ["JsonText", "compile_spaced", "find_invalid_utf8"]

_WHITESPACE: Final = re.compile(rb"[ \t\n\r]*")
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
# Array elements without members of their own: no duplicate keys and no nesting to check.
_PLAIN_ELEMENTS: Final = re.compile(
    rb'(?:[ \t\n\r]*+(?:"[^"\\\x00-\x1f]*+"|-?(?:0|[1-9][0-9]{0,17}+)|true|false|null|\[\]|\{\})'
    rb"[ \t\n\r]*+,)++"
)
_NESTING_LIMIT: Final = 127
# Values in unknown fields are only skipped; the limit bounds the time that takes.
_PARTS_LIMIT: Final = 1 << 17
_NUMBERS_LIMIT: Final = 1 << 16
_CHUNK_SIZE: Final = 1 << 20


class JsonText:
    """A cursor over the JSON of a header.

    Attributes:
        raw: The file's first bytes, so that an index into them is a file offset.
        at: Index of the next byte.
        stop: Index after the last byte of the JSON.
    """

    __slots__ = ("_errors", "_parts", "at", "raw", "stop")

    def __init__(self, raw: bytes, start: int, stop: int, errors: ErrorList) -> None:
        """Read the JSON between two indices; add duplicate keys to a list of errors."""
        self.raw = raw
        self.at = start
        self.stop = stop
        self._errors = errors
        self._parts = 0

    def syntax_error(self, expected: str, at: int | None = None) -> HeaderError:
        """Return the error for invalid JSON, or for a token that is not allowed here."""
        where = self.at if at is None else at
        found = (
            shown(self.raw[where : min(where + 8, self.stop)]) if where < self.stop else "its end"
        )
        return make_error(
            "safetensors/bad-json",
            offset=where,
            field="header",
            expected=expected,
            found=found,
        )

    def skip_space(self) -> None:
        """Skip whitespace."""
        self.at = _WHITESPACE.match(self.raw, self.at, self.stop).end()  # type: ignore[union-attr]

    def peek(self) -> bytes:
        """Skip whitespace and return the next byte without consuming it; b"" at the end."""
        self.skip_space()
        return self.raw[self.at : min(self.at + 1, self.stop)]

    def accept(self, byte: bytes) -> bool:
        """Consume a byte if it comes next, after optional whitespace; return whether it did."""
        if self.peek() != byte:
            return False
        self.at += 1
        return True

    def expect(self, byte: bytes) -> None:
        """Consume a byte, after optional whitespace.

        Raises:
            MalformedError: Another byte comes next.
        """
        if not self.accept(byte):
            raise self.syntax_error(repr(byte.decode()))

    def string(self) -> str:
        """Consume a string and return it decoded.

        Raises:
            MalformedError: There is no valid string at the cursor.
        """
        start = self.at
        plain = _PLAIN_STRING.match(self.raw, start, self.stop)
        if plain:
            self.at = plain.end()
            return plain[1].decode()
        body = _STRING.match(self.raw, start, self.stop)
        if body is None:
            raise self.syntax_error("a string")
        if body.end() >= self.stop or self.raw[body.end()] != _QUOTE:
            raise self.syntax_error("a character or an escape that JSON allows", body.end())
        self.at = body.end() + 1
        text: str = json.loads(self.raw[start : self.at])
        try:
            text.encode()
        except UnicodeEncodeError:
            raise self.syntax_error("no lone surrogate", start) from None
        return text

    def unsigned(self) -> int | None:
        """Consume a value and return it if it is an unsigned 64-bit integer.

        Returns:
            The number; None for any other value.

        Raises:
            MalformedError: The value is not JSON.
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
        """Consume a value and return it if it is a list of unsigned 64-bit integers.

        Returns:
            The numbers; None for any other value.

        Raises:
            MalformedError: The value is not JSON.
            UnsupportedError: The list has more numbers than any tensor has dimensions.
        """
        if self.peek() != b"[":
            self.skip_value()
            return None
        plain = _NUMBERS.match(self.raw, self.at, self.stop)
        if plain is not None:
            if self.raw.count(b",", self.at, plain.end()) >= _NUMBERS_LIMIT:
                raise self.too_complex("numbers in a list", _NUMBERS_LIMIT)
            self.at = plain.end()
            return tuple(map(int, plain[1].split(b",")))
        self.at += 1
        numbers: list[int] = []
        valid = True
        more = not self.accept(b"]")
        while more:
            self.skip_space()
            number = self.unsigned()
            if number is None:
                valid = False
            else:
                numbers.append(number)
            if len(numbers) > _NUMBERS_LIMIT:
                raise self.too_complex("numbers in a list", _NUMBERS_LIMIT)
            more = self.accept(b",")
            if not more:
                self.expect(b"]")
        return tuple(numbers) if valid else None

    def skip_scalar(self) -> bool:
        """Consume a string, a number or a literal; return whether there was one."""
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
            raise self.syntax_error("a number in the range of a double", start)
        if (b"e" in digits or b"E" in digits) and math.isinf(float(digits)):
            raise self.syntax_error("a number in the range of a double", start)

    def skip_value(self, depth: int = 2) -> None:
        """Consume any value; check its syntax and report duplicate keys in it.

        Args:
            depth: Number of objects and arrays that enclose the value.

        Raises:
            MalformedError: The value is not JSON, or nested deeper than loaders accept.
            UnsupportedError: The value has more parts than this reader examines.
        """
        open_keys: list[set[str] | None] = []  # the keys of each open object; None for an array
        while True:
            self._parts += 1
            if self._parts > _PARTS_LIMIT:
                raise self.too_complex("values in unknown fields", _PARTS_LIMIT)
            byte = self.peek()
            if byte in (b"{", b"["):
                if depth + len(open_keys) >= _NESTING_LIMIT:
                    raise make_error(
                        "safetensors/nesting-too-deep",
                        offset=self.at,
                        field="header",
                        expected=f"at most {_NESTING_LIMIT} levels",
                        found="one more",
                    )
                self.at += 1
                open_keys.append(set() if byte == b"{" else None)
                if not self.accept(b"}" if byte == b"{" else b"]"):
                    self._enter_member(open_keys[-1])
                    continue
                open_keys.pop()
            elif not self.skip_scalar():
                raise self.syntax_error("a value")
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
            raise self.syntax_error("a key")
        key = self.string()
        self.expect(b":")
        self.skip_space()
        if key in keys:
            self.note_duplicate(key)
        keys.add(key)

    def note_duplicate(self, key: str, at: int | None = None) -> None:
        """Add the error for a repeated key; ``at`` is the index of its value, else the cursor."""
        self._errors.add(
            make_error(
                "safetensors/duplicate-key",
                offset=self.at if at is None else at,
                field="header",
                expected="each key once",
                found=f"{shown(key)} again",
            )
        )

    def too_complex(self, what: str, limit: int) -> HeaderError:
        """Return the error for a header with more parts than this reader examines."""
        return make_error(
            "safetensors/too-complex",
            offset=self.at,
            field="header",
            expected=f"at most {limit} {what}",
            found="more",
        )


def compile_spaced(pattern: str) -> re.Pattern[bytes]:
    """Compile a pattern in which each space stands for optional JSON whitespace."""
    return re.compile(pattern.replace(" ", r"[ \t\n\r]*").encode())


def find_invalid_utf8(raw: bytes, start: int, stop: int) -> int | None:
    """Return the index of the first byte that is not UTF-8; None if there is none.

    Decodes a megabyte at a time: decoding a whole header could take four times its size.
    """
    while start < stop:
        end = min(start + _CHUNK_SIZE, stop)
        # Do not split a character: it has at most three continuation bytes (10xxxxxx).
        for _ in range(3):
            if end < stop and raw[end] & 0xC0 == 0x80:
                end -= 1
        chunk = raw[start:end]
        if not chunk.isascii():
            try:
                chunk.decode()
            except UnicodeDecodeError as problem:
                return start + problem.start
        start = end
    return None
