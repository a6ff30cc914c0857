"""Read a GGUF header, strictly and in one pass, from chunks of any size.

A file is a preamble, ``n_kv`` metadata entries, ``n_tensors`` tensor infos, padding, data. The
reader is a cursor over a sliding window of the file. Each step claims the bytes of a field. If they
have not been received, the cursor is rewound to the last commit and `NeedBytes` requests more.
Steps commit after each key, value and tensor; inside long arrays and strings they commit at the end
of the buffer. So nothing is read twice, parsed bytes are dropped, nothing recurses, and no memory
is allocated for a *declared* count.

Counts and lengths are checked against the file size at the field that declares them. A file that is
too small for them is reported as truncated there, however much of it has been received.

References: ggml's ``gguf.cpp`` for what loads, ``gguf.md`` for what is specified. Where they
differ, `prefect_mutagen.parsers.rules` decides by the severity of the code.
"""

from dataclasses import dataclass
from typing import Final

from prefect_mutagen.parsers.detect import GGUF_MAGIC
from prefect_mutagen.parsers.error_list import ErrorList
from prefect_mutagen.parsers.errors import HeaderError, named, shown
from prefect_mutagen.parsers.ggml_types import UINT32, VALUE_TYPES
from prefect_mutagen.parsers.gguf_tensors import TensorLayout
from prefect_mutagen.parsers.gguf_values import MetadataEntry, Value, ValueReader
from prefect_mutagen.parsers.need import NeedBytes
from prefect_mutagen.parsers.rules import make_error
from prefect_mutagen.parsers.tensor import TensorInfo
from prefect_mutagen.parsers.window import ByteOrder, Incomplete, Window

__all__ = ["GgufHeader", "GgufReader"]

_DEFAULT_ALIGNMENT: Final = 32
_NEWEST_VERSION: Final = 3
_SMALLEST_ENTRY: Final = {8: 14, 4: 10}  # key length, one character, value type, one byte
_SMALLEST_TENSOR: Final = {8: 24, 4: 20}  # name length, n_dims, type, offset
_KEY_LIMIT: Final = 65535
# No known model comes near these limits; a larger header is an attack on its reader.
_HEADER_LIMIT: Final = 1 << 29
_ENTRY_LIMIT: Final = 1 << 17
_TENSOR_LIMIT: Final = 1 << 18
_PADDING_LIMIT: Final = 4096


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """The contents of a GGUF header."""

    version: int
    """1, 2 or 3; 0 if the file ends before it."""
    byte_order: ByteOrder
    tensor_count: int
    """Declared number of tensors."""
    metadata: tuple[MetadataEntry, ...]
    """The entries in file order, as far as they could be read; keys may repeat."""
    tensors: tuple[TensorInfo, ...]
    """The tensors in file order, as far as they could be read."""
    alignment: int
    """Alignment of tensor data in bytes."""
    header_size: int
    """Size of everything before the data section if `complete`, else of what could be parsed."""
    data_size: int
    """Size of the data section in bytes, up to the end of its last tensor."""
    errors: tuple[HeaderError, ...]
    """Errors and observations, in file order."""
    complete: bool
    """Whether the header could be read to its end."""


class GgufReader:
    """State machine that reads one GGUF header; feed it until it returns a header."""

    __slots__ = (
        "_alignment",
        "_entries",
        "_errors",
        "_key",
        "_keys",
        "_kind",
        "_layout",
        "_n_entries",
        "_n_tensors",
        "_padding",
        "_stage",
        "_values",
        "_version",
        "_window",
    )

    def __init__(self, size: int, known: tuple[HeaderError, ...] = ()) -> None:
        """Start at offset 0.

        Args:
            size: Size of the whole file in bytes.
            known: Errors found before this reader was chosen.
        """
        self._window = Window(size)
        self._errors = ErrorList(known)
        self._version = 0
        self._n_tensors = self._n_entries = 0
        self._alignment = _DEFAULT_ALIGNMENT
        self._entries: list[MetadataEntry] = []
        self._keys: set[bytes] = set()
        self._key: str | None = None
        self._kind: tuple[int, int] | None = None
        self._values = ValueReader(self._window, self._errors)
        self._layout = TensorLayout(self._window, self._errors)
        self._padding = 0
        self._stage = 0

    def feed(self, data: bytes) -> NeedBytes | GgufHeader:
        """Consume the next bytes; see `prefect_mutagen.parsers.header.HeaderReader.feed`."""
        window = self._window
        window.append(data)
        stages = (self._read_preamble, self._read_metadata, self._read_tensors, self._read_padding)
        try:
            while self._stage < len(stages):
                stages[self._stage]()
                self._stage += 1
        except Incomplete as incomplete:
            window.rewind()
            upto = min(incomplete.upto, window.size)
            if upto <= _HEADER_LIMIT:
                return NeedBytes(upto)
            limit = f"at most {_HEADER_LIMIT} bytes"
            self._errors.add(_too_large(window.mark, limit, f"at least {upto} bytes"))
        except HeaderError as error:
            self._errors.add(error)
        return self._finish(complete=self._stage == len(stages))

    def _read_preamble(self) -> None:
        window = self._window
        at = window.claim(4, "magic")
        magic = bytes(window.buffer[at : at + 4])
        if magic != GGUF_MAGIC:
            raise make_error(
                "gguf/bad-magic",
                offset=0,
                field="magic",
                expected=shown(GGUF_MAGIC),
                found=shown(magic),
            )
        version = window.u32("version")
        order: ByteOrder = "little"
        if version and not version & 0xFFFF:  # gguf.cpp's test for a foreign byte order
            version = int.from_bytes(version.to_bytes(4, "little"), "big")
            order = "big"
        self._version = version
        self._judge_version(version, order)
        window.set_encoding(order, 4 if version == 1 else 8)
        smallest = _SMALLEST_TENSOR[window.width]
        self._n_tensors = self._read_count("tensor count", smallest, _TENSOR_LIMIT)
        smallest = _SMALLEST_ENTRY[window.width]
        self._n_entries = self._read_count("key count", smallest, _ENTRY_LIMIT)
        self._values.set_encoding()
        window.commit()

    def _judge_version(self, version: int, order: ByteOrder) -> None:
        if order == "big":
            self._note("gguf/big-endian", 4, "version", "little-endian", "a big-endian file")
        if version == 1:
            self._note("gguf/version-1", 4, "version", "version 2 or 3", "version 1")
        elif not 1 < version <= _NEWEST_VERSION:
            raise make_error(
                "gguf/unknown-version",
                offset=4,
                field="version",
                expected=f"version 2 or {_NEWEST_VERSION}",
                found=f"version {version}",
            )

    def _read_count(self, field: str, smallest: int, limit: int) -> int:
        window = self._window
        start = window.cursor
        count = window.word(field)
        if window.width == 8 and count >= 1 << 63:
            raise make_error(
                "gguf/negative-count",
                offset=start,
                field=field,
                expected="0 or more",
                found=str(count - (1 << 64)),
            )
        if count * smallest > window.size:
            raise make_error(
                "gguf/truncated",
                offset=start,
                field=field,
                expected=f"at most {window.size // smallest} in a file of {window.size} bytes",
                found=f"{count} declared",
            )
        if count > limit:
            raise _too_large(start, f"at most {limit}", f"{count} declared", field)
        return count

    def _read_metadata(self) -> None:
        while len(self._entries) < self._n_entries:
            if self._key is None:
                self._key = self._read_key()
            key = self._key
            if self._kind is None:
                self._kind = self._read_kind(key)
            kind, kind_offset = self._kind
            value = self._values.read(kind, f"value of {named(key)}")
            self._entries.append(MetadataEntry(key, value, VALUE_TYPES[kind].name, kind_offset + 4))
            if key == "general.alignment":
                self._judge_alignment(kind, kind_offset, value)
            self._key = self._kind = None
        self._judge_architecture()
        self._layout.set_encoding(self._alignment)

    def _read_key(self) -> str:
        window = self._window
        start = window.cursor
        field = f"key {len(self._entries)}"
        length = window.string_length(field)
        at = window.claim(length, field, start)
        raw = bytes(window.buffer[at : at + length])
        if not raw:
            raise make_error(
                "gguf/empty-key", offset=start, field=field, expected="a name", found="no name"
            )
        if raw in self._keys:
            self._note("gguf/duplicate-key", start, field, "a unique name", f"{shown(raw)} again")
        self._keys.add(raw)
        if length > _KEY_LIMIT:
            limit = f"at most {_KEY_LIMIT} bytes"
            self._note("gguf/long-key", start, field, limit, f"{length} bytes")
        if not raw.isascii():
            self._note("gguf/non-ascii-key", start, field, "ASCII", shown(raw))
        window.commit()
        return raw.decode("utf-8", "replace")

    def _read_kind(self, key: str) -> tuple[int, int]:
        window = self._window
        start = window.cursor
        kind = window.u32(f"type of {named(key)}")
        if kind not in VALUE_TYPES:
            raise make_error(
                "gguf/bad-value-type",
                offset=start,
                field=f"type of {named(key)}",
                expected="a type from 0 to 12",
                found=f"type {kind}",
            )
        window.commit()
        return kind, start

    def _judge_alignment(self, kind: int, kind_offset: int, value: Value) -> None:
        field = "general.alignment"
        if kind != UINT32 or not isinstance(value, int):
            found = f"a value of type {VALUE_TYPES[kind].name}"
            raise make_error(
                "gguf/bad-alignment",
                offset=kind_offset,
                field=field,
                expected="a value of type UINT32",
                found=found,
            )
        if value == 0 or value & (value - 1):
            raise make_error(
                "gguf/bad-alignment",
                offset=kind_offset + 4,
                field=field,
                expected="a power of two",
                found=str(value),
            )
        if value % 8:
            self._note("gguf/odd-alignment", kind_offset + 4, field, "a multiple of 8", str(value))
        self._alignment = value

    def _judge_architecture(self) -> None:
        field = "general.architecture"
        for entry in self._entries:
            if entry.key == field:
                if entry.type != "STRING":
                    self._note(
                        "gguf/missing-architecture", entry.offset - 4, field, "a text", entry.type
                    )
                return
        kinds = (entry.value for entry in self._entries if entry.key == "general.type")
        if "imatrix" not in kinds:  # llama.cpp writes importance matrices without the key
            self._note("gguf/missing-architecture", 16, field, "the key", "no such key")

    def _read_tensors(self) -> None:
        layout = self._layout
        while len(layout.tensors) < self._n_tensors:
            layout.read()
        if not self._n_tensors:
            self._note("gguf/no-tensors", 8, "tensor count", "tensors", "none")
        self._padding = -self._window.cursor % self._alignment
        # Writers may, and need not, pad what no tensors follow.
        if not self._n_tensors and self._window.cursor + self._padding > self._window.size:
            self._padding = 0

    def _read_padding(self) -> None:
        window = self._window
        start = window.cursor
        # Loaders seek over the padding, so it is checked only if present and of ordinary size.
        if 0 < self._padding <= _PADDING_LIMIT and start + self._padding <= window.size:
            at = window.claim(self._padding, "padding")
            padding = bytes(window.buffer[at : at + self._padding])
            if padding.strip(b"\0"):
                first = len(padding) - len(padding.lstrip(b"\0"))
                self._note(
                    "gguf/nonzero-padding", start + first, "padding", "zero bytes", "other bytes"
                )
            window.commit()
        self._judge_data(start + self._padding)

    def _judge_data(self, data_start: int) -> None:
        layout, size = self._layout, self._window.size
        if not layout.sound:
            return  # the end of the data is unknown
        end = data_start + layout.data_size
        if end > size:
            self._note(
                "gguf/truncated-data",
                size,
                "tensor data",
                f"a file of at least {end} bytes",
                f"the file ends at byte {size}, {end - size} bytes early",
            )
            return
        padded_end = data_start + layout.padded_size
        if size > padded_end:
            self._note(
                "gguf/trailing-data",
                padded_end,
                "end of file",
                f"the end at byte {padded_end}",
                f"{size - padded_end} more bytes",
            )
        elif size < padded_end:
            self._note(
                "gguf/missing-padding",
                size,
                "end of file",
                f"padding up to byte {padded_end}",
                f"the end at byte {size}",
            )

    def _note(self, code: str, offset: int, field: str, expected: str, found: str) -> None:
        self._errors.add(
            make_error(code, offset=offset, field=field, expected=expected, found=found)
        )

    def _finish(self, *, complete: bool) -> GgufHeader:
        window, layout = self._window, self._layout
        header_size = window.mark
        if complete and self._padding > _PADDING_LIMIT:
            header_size += self._padding
        return GgufHeader(
            version=self._version,
            byte_order=window.order,
            tensor_count=self._n_tensors,
            metadata=tuple(self._entries),
            tensors=tuple(layout.tensors),
            alignment=self._alignment,
            header_size=header_size,
            data_size=layout.data_size,
            errors=self._errors.finish(),
            complete=complete,
        )


def _too_large(offset: int, expected: str, found: str, field: str = "header") -> HeaderError:
    return make_error(
        "gguf/header-too-large",
        offset=offset,
        field=field,
        expected=expected,
        found=found,
    )
