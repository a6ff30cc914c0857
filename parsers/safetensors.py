"""Read a safetensors header: 8 bytes of length N, N bytes of JSON, then data.

The JSON has a fixed schema, an object of three-field objects and one map of texts. A walk that
knows the schema sees what JSON libraries hide (duplicates, positions, ``true`` for 1) and needs
little more memory than the result. Each tensor is first tried against one pattern, the form in
which every known writer writes it; whatever does not fit goes piece by piece through the strict
scanner of `prefect_mutagen.parsers.json_text`, which accepts the same and can say what is wrong.

Ruled by ``safetensors/src/tensor.rs`` of the Rust crate (what loads) and the README of the format
(what is specified). That reader goes through serde, so it also takes a tensor written as an array
of its three values, or a dtype written as ``{"F32": null}``; no other reader does: a warning.
"""

from dataclasses import dataclass, replace
from typing import Final

from prefect_mutagen.parsers import walks
from prefect_mutagen.parsers.detect import SAFETENSORS_LIMIT
from prefect_mutagen.parsers.error_list import ErrorList
from prefect_mutagen.parsers.errors import HeaderError
from prefect_mutagen.parsers.json_text import JsonText, find_invalid_utf8, spaced
from prefect_mutagen.parsers.need import NeedBytes
from prefect_mutagen.parsers.rules import fault
from prefect_mutagen.parsers.safetensors_tensors import TensorReader
from prefect_mutagen.parsers.tensor import TensorTable

__all__ = ["SafetensorsHeader", "SafetensorsReader"]

_LENGTH_SIZE: Final = 8
_METADATA: Final = "__metadata__"


@dataclass(frozen=True, slots=True)
class SafetensorsHeader:
    """All that a safetensors header says."""

    metadata: tuple[tuple[str, str], ...]
    """The texts of ``__metadata__`` in the order of the file; a key may repeat."""
    tensors: TensorTable
    """The tensors in the order of the file, as far as they could be read; each record is made when
    it is asked for, so that a header of many thousands costs little."""
    header_size: int
    """Bytes before the data section, the length prefix included."""
    data_size: int
    """Bytes of the data section up to the end of its last tensor."""
    errors: tuple[HeaderError, ...]
    """What is wrong or worth knowing, in the order of the file."""
    complete: bool
    """Whether the header could be read to its end."""


class SafetensorsReader:
    """Reads one safetensors header; feed it bytes until it gives a header."""

    __slots__ = ("_errors", "_here", "_pieces", "_size")

    def __init__(self, size: int, known: tuple[HeaderError, ...] = ()) -> None:
        """Wait for the first byte.

        Args:
            size: Size of the whole file in bytes.
            known: Errors that were found before this reader was chosen.
        """
        self._size = size
        self._errors = ErrorList(known)
        self._pieces: list[bytes] = []
        self._here = 0

    def feed(self, data: bytes) -> NeedBytes | SafetensorsHeader:
        """Take the next bytes; see `prefect_mutagen.parsers.header.HeaderReader.feed`."""
        self._pieces.append(data)
        self._here += len(data)
        if self._here < _LENGTH_SIZE:
            if self._size >= _LENGTH_SIZE:
                return NeedBytes(_LENGTH_SIZE)
            return self._give_up(
                "safetensors/truncated",
                "a length of 8 bytes",
                f"the file ends at byte {self._size}",
            )
        if len(self._pieces[0]) < _LENGTH_SIZE:
            self._pieces = [b"".join(self._pieces)]
        length = int.from_bytes(self._pieces[0][:_LENGTH_SIZE], "little")
        if length > SAFETENSORS_LIMIT:
            return self._give_up(
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
            return self._read_torn(raw, end)
        return self._read_whole(raw, end)

    def _give_up(self, code: str, expected: str, found: str) -> SafetensorsHeader:
        self._errors.add(
            fault(code, offset=0, field="header length", expected=expected, found=found)
        )
        nothing = TensorTable(walks.TensorColumns(b"", 0))
        return SafetensorsHeader((), nothing, 0, 0, self._errors.finish(), complete=False)

    def _read_whole(self, raw: bytes, end: int) -> SafetensorsHeader:
        walk = _Walk(raw, end, self._errors)
        complete = walk.run()
        if complete:
            walk.tensors.judge_tiling(end, self._size)
        return walk.result(end, complete=complete)

    def _read_torn(self, raw: bytes, end: int) -> SafetensorsHeader:
        """Save what can be read of a header that the file has not all of."""
        scraps = ErrorList()  # complaints about the torn edge would only repeat the one below
        walk = _Walk(raw, self._size, scraps)
        walk.run()
        saved = walk.result(self._size, complete=False)
        self._errors.add(
            fault(
                "safetensors/truncated",
                offset=0,
                field="header length",
                expected=f"a file of at least {end} bytes",
                found=f"the file ends at byte {self._size}",
            )
        )
        return replace(saved, data_size=0, errors=self._errors.finish())


_PAIR: Final = spaced(r' "([^"\\\x00-\x1f]*)" : "([^"\\\x00-\x1f]*)" ([,}])')
_OTHER_VALUES: Final = b'["-0123456789tfn'
_METADATA_LIMIT: Final = 1 << 20


class _Walk:
    """One pass over the JSON; reads as much as it can before the first fatal fault."""

    def __init__(self, raw: bytes, stop: int, errors: ErrorList) -> None:
        self._text = JsonText(raw, _LENGTH_SIZE, stop, errors)
        self._errors = errors
        self._metadata: list[tuple[str, str]] = []
        self._seen_metadata = False
        self.tensors = TensorReader(self._text, errors)

    def run(self) -> bool:
        """Walk; say whether the end was reached."""
        try:
            self._judge_encoding()
            self._read_object()
        except HeaderError as error:
            self._errors.add(error)
            return False
        return True

    def result(self, header_size: int, *, complete: bool) -> SafetensorsHeader:
        """Give what was read."""
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
            raise fault(
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
                raise fault(
                    "safetensors/not-an-object",
                    offset=text.at,
                    field="header",
                    expected="a JSON object",
                    found=f"a value that starts with {first.decode()!r}",
                )
            raise text.complaint("a JSON object")
        if text.at > _LENGTH_SIZE:
            self._errors.add(
                fault(
                    "safetensors/leading-space",
                    offset=_LENGTH_SIZE,
                    field="header",
                    expected="'{' as the first byte",
                    found=f"{text.at - _LENGTH_SIZE} bytes of white space before it",
                )
            )
        text.at += 1
        more = not text.accept(b"}")
        while more:
            more = self.tensors.read_usual() and self._read_member()
        if text.peek():
            raise text.complaint("only white space behind the header")

    def _read_member(self) -> bool:
        """Read one member the slow way; say whether a comma follows it."""
        text = self._text
        if text.peek() != b'"':
            raise text.complaint("a tensor's name")
        name = text.string()
        text.expect(b":")
        text.skip_space()
        if name == _METADATA:
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
            text.note_duplicate(_METADATA)
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
        """Read one key and its text; say whether a comma follows."""
        text = self._text
        usual = _PAIR.match(text.raw, text.at, text.stop)
        if usual:
            key = usual[1].decode()
            if key in keys:
                text.note_duplicate(key, usual.start(2) - 1)
            keys.add(key)
            self._metadata.append((key, usual[2].decode()))
            text.at = usual.end()
            return usual[3] == b","
        if text.peek() != b'"':
            raise text.complaint("a key")
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
        self._errors.add(fault(code, offset=at, field=_METADATA, expected=expected, found=found))
