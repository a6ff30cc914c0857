"""Read a safetensors header: 8 bytes of length N, N bytes of JSON, then data.

The JSON has a fixed schema: an object of three-field objects, and one map of strings. A scanner
that knows the schema sees what JSON libraries hide (duplicates, positions, ``true`` for 1) and
needs little more memory than its result. Each tensor is first tried on a fast path, which reads the
form that every known writer uses. Everything else goes through the strict scanner of
`prefect_mutagen.parsers.json_text`, which accepts the same input and reports what is wrong.

References: ``safetensors/src/tensor.rs`` of the Rust crate for what loads, the README of the format
for what is specified. The Rust reader uses serde, so it also accepts a tensor written as an array
of its three values, and a dtype written as ``{"F32": null}``. No other reader does: a warning.
"""

from dataclasses import dataclass, replace
from typing import Final

from prefect_mutagen.parsers import walks
from prefect_mutagen.parsers.detect import SAFETENSORS_LIMIT
from prefect_mutagen.parsers.error_list import ErrorList
from prefect_mutagen.parsers.errors import HeaderError
from prefect_mutagen.parsers.json_text import JsonText, compile_spaced, find_invalid_utf8
from prefect_mutagen.parsers.need import NeedBytes
from prefect_mutagen.parsers.rules import make_error
from prefect_mutagen.parsers.safetensors_tensors import TensorReader
from prefect_mutagen.parsers.tensor import TensorTable

__all__ = ["SafetensorsHeader", "SafetensorsReader"]

_LENGTH_SIZE: Final = 8
_METADATA_KEY: Final = "__metadata__"


@dataclass(frozen=True, slots=True)
class SafetensorsHeader:
    """The contents of a safetensors header."""

    metadata: tuple[tuple[str, str], ...]
    """The strings of ``__metadata__`` in file order; keys may repeat."""
    tensors: TensorTable
    """The tensors in file order, as far as they could be read. Records are created on demand, so
    that a header of many thousands of tensors costs little."""
    header_size: int
    """Size in bytes of everything before the data section, including the length prefix."""
    data_size: int
    """Size of the data section in bytes, up to the end of its last tensor."""
    errors: tuple[HeaderError, ...]
    """Errors and observations, in file order."""
    complete: bool
    """Whether the header could be read to its end."""


class SafetensorsReader:
    """State machine that reads one safetensors header; feed it until it returns a header."""

    __slots__ = ("_errors", "_here", "_pieces", "_size")

    def __init__(self, size: int, known: tuple[HeaderError, ...] = ()) -> None:
        """Start at offset 0.

        Args:
            size: Size of the whole file in bytes.
            known: Errors found before this reader was chosen.
        """
        self._size = size
        self._errors = ErrorList(known)
        self._pieces: list[bytes] = []
        self._here = 0

    def feed(self, data: bytes) -> NeedBytes | SafetensorsHeader:
        """Consume the next bytes; see `prefect_mutagen.parsers.header.HeaderReader.feed`."""
        self._pieces.append(data)
        self._here += len(data)
        if self._here < _LENGTH_SIZE:
            if self._size >= _LENGTH_SIZE:
                return NeedBytes(_LENGTH_SIZE)
            return self._reject(
                "safetensors/truncated",
                "a length of 8 bytes",
                f"the file ends at byte {self._size}",
            )
        if len(self._pieces[0]) < _LENGTH_SIZE:
            self._pieces = [b"".join(self._pieces)]
        length = int.from_bytes(self._pieces[0][:_LENGTH_SIZE], "little")
        if length > SAFETENSORS_LIMIT:
            return self._reject(
                "safetensors/header-too-large",
                f"at most {SAFETENSORS_LIMIT} bytes of header",
                f"{length} bytes declared",
            )
        end = _LENGTH_SIZE + length
        stop = min(end, self._size)
        if self._here < stop:
            return NeedBytes(stop)
        raw = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces = []
        if end > self._size:
            return self._read_truncated(raw, end)
        return self._read_whole(raw, end)

    def _reject(self, code: str, expected: str, found: str) -> SafetensorsHeader:
        self._errors.add(
            make_error(code, offset=0, field="header length", expected=expected, found=found)
        )
        no_tensors = TensorTable(walks.TensorColumns(b"", 0))
        return SafetensorsHeader((), no_tensors, 0, 0, self._errors.finish(), complete=False)

    def _read_whole(self, raw: bytes, end: int) -> SafetensorsHeader:
        walk = _Walk(raw, end, self._errors)
        complete = walk.run()
        if complete:
            walk.tensors.judge_tiling(end, self._size)
        return walk.result(end, complete=complete)

    def _read_truncated(self, raw: bytes, end: int) -> SafetensorsHeader:
        """Read what is there of a header that extends beyond the end of the file."""
        ignored = ErrorList()  # an error at the cut would only repeat the one below
        walk = _Walk(raw, self._size, ignored)
        walk.run()
        partial = walk.result(self._size, complete=False)
        self._errors.add(
            make_error(
                "safetensors/truncated",
                offset=0,
                field="header length",
                expected=f"a file of at least {end} bytes",
                found=f"the file ends at byte {self._size}",
            )
        )
        return replace(partial, data_size=0, errors=self._errors.finish())


_PAIR: Final = compile_spaced(r' "([^"\\\x00-\x1f]*)" : "([^"\\\x00-\x1f]*)" ([,}])')
_OTHER_VALUES: Final = b'["-0123456789tfn'
_METADATA_LIMIT: Final = 1 << 17


class _Walk:
    """One pass over the JSON, up to the first fatal error."""

    def __init__(self, raw: bytes, stop: int, errors: ErrorList) -> None:
        self._text = JsonText(raw, _LENGTH_SIZE, stop, errors)
        self._errors = errors
        self._metadata: list[tuple[str, str]] = []
        self._seen_metadata = False
        self.tensors = TensorReader(self._text, errors)

    def run(self) -> bool:
        """Read the JSON; return whether its end was reached."""
        try:
            self._judge_encoding()
            self._read_object()
        except HeaderError as error:
            self._errors.add(error)
            return False
        return True

    def result(self, header_size: int, *, complete: bool) -> SafetensorsHeader:
        """Return the header as far as it was read."""
        return SafetensorsHeader(
            metadata=tuple(self._metadata),
            tensors=TensorTable(self.tensors.columns),
            header_size=header_size,
            data_size=self.tensors.columns.data_end,
            errors=self._errors.finish(),
            complete=complete,
        )

    def _judge_encoding(self) -> None:
        at = find_invalid_utf8(self._text.raw, self._text.at, self._text.stop)
        if at is not None:
            raise make_error(
                "safetensors/not-utf8",
                offset=at,
                field="header",
                expected="UTF-8",
                found=f"byte 0x{self._text.raw[at]:02x}",
            )

    def _read_object(self) -> None:
        text = self._text
        first = text.peek()
        if first != b"{":
            if first and first in _OTHER_VALUES:
                raise make_error(
                    "safetensors/not-an-object",
                    offset=text.at,
                    field="header",
                    expected="a JSON object",
                    found=f"a value that starts with {first.decode()!r}",
                )
            raise text.syntax_error("a JSON object")
        if text.at > _LENGTH_SIZE:
            self._errors.add(
                make_error(
                    "safetensors/leading-space",
                    offset=_LENGTH_SIZE,
                    field="header",
                    expected="'{' as the first byte",
                    found=f"{text.at - _LENGTH_SIZE} bytes of whitespace before it",
                )
            )
        text.at += 1
        more = not text.accept(b"}")
        while more:
            more = self.tensors.read_common() and self._read_member()
        if text.peek():
            raise text.syntax_error("only whitespace after the JSON object")

    def _read_member(self) -> bool:
        """Read one member on the strict path; return whether a comma follows it."""
        text = self._text
        if text.peek() != b'"':
            raise text.syntax_error("a tensor's name")
        name = text.string()
        text.expect(b":")
        text.skip_space()
        if name == _METADATA_KEY:
            self._read_metadata()
        else:
            self.tensors.read(name)
        if text.accept(b","):
            return True
        text.expect(b"}")
        return False

    def _read_metadata(self) -> None:
        text = self._text
        start = text.at
        if self._seen_metadata:
            text.note_duplicate(_METADATA_KEY)
        self._seen_metadata = True
        if text.peek() != b"{":
            text.skip_value(1)
            if text.raw[start : text.at] == b"null":
                code, expected = "safetensors/null-metadata", "an object, or no such key"
            else:
                code, expected = "safetensors/bad-metadata", "an object of texts"
            self._note(code, start, expected, "another value")
            return
        text.at += 1
        if text.accept(b"}"):
            return
        keys: set[str] = set()
        while self._read_pair(keys):
            if len(keys) > _METADATA_LIMIT:
                raise text.too_complex("keys in __metadata__", _METADATA_LIMIT)

    def _read_pair(self, keys: set[str]) -> bool:
        """Read one key and its string; return whether a comma follows."""
        text = self._text
        plain = _PAIR.match(text.raw, text.at, text.stop)
        if plain:
            key = plain[1].decode()
            if key in keys:
                text.note_duplicate(key, plain.start(2) - 1)
            keys.add(key)
            self._metadata.append((key, plain[2].decode()))
            text.at = plain.end()
            return plain[3] == b","
        if text.peek() != b'"':
            raise text.syntax_error("a key")
        key = text.string()
        text.expect(b":")
        text.skip_space()
        if key in keys:
            text.note_duplicate(key)
        keys.add(key)
        start = text.at
        if text.peek() == b'"':
            self._metadata.append((key, text.string()))
        else:
            text.skip_value(2)
            self._note("safetensors/bad-metadata", start, "a text", "another value")
        if text.accept(b","):
            return True
        text.expect(b"}")
        return False

    def _note(self, code: str, at: int, expected: str, found: str) -> None:
        self._errors.add(
            make_error(code, offset=at, field=_METADATA_KEY, expected=expected, found=found)
        )
