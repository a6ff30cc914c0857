"""The tensors of a safetensors header as columns: the walk of the usual form, in pure Python.

Every known writer writes a tensor the same way: name, dtype, shape, data_offsets, with or without
blanks between them. Such members are walked in one go and kept as numbers: where name and shape
stand in the JSON, and begin, end and count of the data. Texts and records are made when somebody
asks for them. The walk stops at the first member that is written otherwise, or about which anything
at all is wrong; the strict reader takes that one (`prefect_mutagen.parsers.safetensors_tensors`)
and hands the walk back. So the walk never has to say what is wrong.

`prefect_mutagen.parsers._tensor_columns` has the same class compiled; the same tests hold both.
"""

import re
from array import array
from types import MappingProxyType
from typing import Final

from prefect_mutagen.parsers.tensor import TensorInfo

__all__ = [
    "COUNT_LIMIT",
    "DTYPE_BITS",
    "ENDED",
    "SHAPE_LIMIT",
    "UNUSUAL",
    "TensorColumns",
    "count_elements",
]

ENDED, UNUSUAL = 0, 1
COUNT_LIMIT: Final = 1 << 20
"""Tensors that are read; no known model comes near."""
SHAPE_LIMIT: Final = 4096
"""Bytes of a shape that the walk takes."""

DTYPE_BITS: Final = MappingProxyType(
    {
        "F4": 4,
        "F6_E2M3": 6,
        "F6_E3M2": 6,
        "BOOL": 8,
        "U8": 8,
        "I8": 8,
        "F8_E5M2": 8,
        "F8_E4M3": 8,
        "F8_E8M0": 8,
        "F8_E4M3FNUZ": 8,
        "F8_E5M2FNUZ": 8,
        "I16": 16,
        "U16": 16,
        "F16": 16,
        "BF16": 16,
        "I32": 32,
        "U32": 32,
        "F32": 32,
        "C64": 64,
        "F64": 64,
        "I64": 64,
        "U64": 64,
    }
)
"""Bits of one element, for every dtype of the Rust crate."""

_DTYPES: Final = tuple(DTYPE_BITS)
_ODD: Final = 255
_METADATA: Final = b"__metadata__"
_UINT64_MAX: Final = 2**64 - 1
_INT: Final = "((?:0|[1-9][0-9]{0,18}))"  # 19 digits always fit into 64 bits
_BLANK: Final = r"[ \t\n\r]*"


def _form(before: str, colon: str, comma: str, inside: str) -> re.Pattern[bytes]:
    """Compile a member with this white space around its signs."""
    parts = (
        (before, r'"([^"\\\x00-\x1f]*)"', colon, r"\{", inside),
        ('"dtype"', colon, '"([A-Z0-9_]+)"', comma),
        ('"shape"', colon, r"\[([^\]]*)\]", comma),
        ('"data_offsets"', colon, r"\[", inside, _INT, comma, _INT, inside, r"\]"),
        (inside, r"\}", inside, "([,}])"),
    )
    return re.compile("".join("".join(part) for part in parts).encode())


# As compact writers and json.dumps write it, and with any white space that JSON allows.
_FORMS: Final = (
    _form("", ":", ",", ""),
    _form(" ?", ": ", ", ", ""),
    _form(_BLANK, f"{_BLANK}:{_BLANK}", f"{_BLANK},{_BLANK}", _BLANK),
)
_NUMBERS: Final = re.compile(rf"{_BLANK}(?:{_INT}{_BLANK}(?:,{_BLANK}{_INT}{_BLANK})*)?".encode())


class TensorColumns:
    """The tensors that were read so far, as columns.

    Attributes:
        parameters: Number of elements of all tensors.
        data_end: End of the last tensor's data, in bytes from the start of the data section.
    """

    __slots__ = (
        "_begins",
        "_counts",
        "_dtypes",
        "_ends",
        "_form",
        "_name_ends",
        "_names",
        "_names_at",
        "_odd",
        "_offsets_at",
        "_raw",
        "_shape_ends",
        "_shapes_at",
        "_sizes",
        "_stop",
        "data_end",
        "parameters",
    )

    def __init__(self, raw: bytes, stop: int) -> None:
        """Start without tensors.

        Args:
            raw: Bytes that hold the header's JSON.
            stop: Index behind its last byte.
        """
        self._raw = raw
        self._stop = stop
        self._form = 0
        self._names: set[bytes] = set()
        self._sizes: dict[tuple[bytes, bytes], tuple[int, int, int]] = {}
        self._odd: dict[int, TensorInfo] = {}
        self._dtypes = bytearray()
        self._names_at, self._name_ends = array("I"), array("I")
        self._shapes_at, self._shape_ends = array("I"), array("I")
        self._offsets_at = array("I")
        self._begins, self._ends, self._counts = array("Q"), array("Q"), array("Q")
        self.parameters = 0
        self.data_end = 0

    def __len__(self) -> int:
        """Count the tensors."""
        return len(self._dtypes)

    def walk(self, at: int) -> tuple[int, int]:
        """Read members as long as they are sound tensors in the usual form.

        Args:
            at: Index of the first one, or of white space before it.

        Returns:
            The index where it stopped, and why: `ENDED` behind the object's closing brace,
            `UNUSUAL` before a member that somebody else has to look at.
        """
        raw, stop, names, sizes = self._raw, self._stop, self._names, self._sizes
        match = _FORMS[self._form].match
        while len(self._dtypes) < COUNT_LIMIT:
            found = match(raw, at, stop)
            if found is None:
                found = self._try_other_forms(at)
                if found is None:
                    return at, UNUSUAL
                match = _FORMS[self._form].match
            name, dtype, shape, first, last, separator = found.groups()
            sized = sizes.get((dtype, shape)) or self._size_up(dtype, shape)
            begin, end = int(first), int(last)
            if begin > end or end - begin != sized[2] or name in names or name == _METADATA:
                return at, UNUSUAL
            names.add(name)
            self._dtypes.append(sized[0])
            self._names_at.append(found.start(1))
            self._name_ends.append(found.end(1))
            self._shapes_at.append(found.start(3))
            self._shape_ends.append(found.end(3))
            self._offsets_at.append(found.end(3))
            self._begins.append(begin)
            self._ends.append(end)
            self._counts.append(sized[1])
            self.parameters += sized[1]
            self.data_end = max(self.data_end, end)
            at = found.end()
            if separator == b"}":
                return at, ENDED
        return at, UNUSUAL

    def _try_other_forms(self, at: int) -> re.Match[bytes] | None:
        for number, form in enumerate(_FORMS):
            found = form.match(self._raw, at, self._stop)
            if found is not None:
                self._form = number
                return found
        return None

    def _size_up(self, dtype: bytes, shape: bytes) -> tuple[int, int, int]:
        """Work out a tensor once for all alike: dtype, elements, bytes; -1 for no sense."""
        name = dtype.decode()
        if name not in DTYPE_BITS or len(shape) > SHAPE_LIMIT or not _NUMBERS.fullmatch(shape):
            return _ODD, 0, -1
        count = count_elements(tuple(map(int, shape.split(b","))) if shape.strip() else ())
        bits = 0 if count is None else count * DTYPE_BITS[name]
        if count is None or bits > _UINT64_MAX or bits % 8:
            return _ODD, 0, -1
        sized = self._sizes[dtype, shape] = (_DTYPES.index(name), count, bits // 8)
        return sized

    def knows(self, name: bytes) -> bool:
        """Say whether a tensor of this name, in UTF-8, was read."""
        return name in self._names

    def append(self, info: TensorInfo, offsets_at: int) -> None:
        """Add a tensor that was read elsewhere; ``offsets_at`` is where its data_offsets stand."""
        self._odd[len(self)] = info
        self._names.add(info.name.encode())
        self._dtypes.append(_ODD)
        for column in (self._names_at, self._name_ends, self._shapes_at, self._shape_ends):
            column.append(0)
        self._offsets_at.append(offsets_at)
        end = info.offset + info.size
        self._begins.append(info.offset)
        self._ends.append(end)
        self._counts.append(0)
        self.parameters += info.parameters
        self.data_end = max(self.data_end, end)

    def offsets_at(self, index: int) -> int:
        """Give an index at, or shortly before, a tensor's data_offsets."""
        return self._offsets_at[index]

    def first_misplaced(self) -> tuple[int, int] | None:
        """Find the first tensor, in the order of the data, that does not start where it should.

        Returns:
            Its index, and where it should start; None when the tensors tile the data from 0 on.
        """
        begins, ends = self._begins, self._ends
        position = 0
        for index in sorted(range(len(self)), key=lambda i: (begins[i], ends[i])):
            if begins[index] != position:
                return index, position
            position = ends[index]
        return None

    def info(self, index: int) -> TensorInfo:
        """Make the record of one tensor."""
        if index in self._odd:
            return self._odd[index]
        raw = self._raw
        shape = raw[self._shapes_at[index] : self._shape_ends[index]]
        begin, end = self._begins[index], self._ends[index]
        return TensorInfo(
            raw[self._names_at[index] : self._name_ends[index]].decode(),
            tuple(map(int, shape.split(b","))) if shape.strip() else (),
            _DTYPES[self._dtypes[index]],
            begin,
            end - begin,
            self._counts[index],
        )

    def names(self) -> list[str]:
        """Give all names, in the order of the file."""
        raw = self._raw
        ranges = zip(self._names_at, self._name_ends, strict=True)
        names = [raw[start:end].decode() for start, end in ranges]
        for index, info in self._odd.items():
            names[index] = info.name
        return names

    def dtypes(self) -> list[str]:
        """Give all dtypes, in the order of the file."""
        named = dict(enumerate(_DTYPES)) | {_ODD: ""}
        dtypes = [named[number] for number in self._dtypes]
        for index, info in self._odd.items():
            dtypes[index] = info.dtype
        return dtypes


def count_elements(shape: tuple[int, ...]) -> int | None:
    """Multiply dimensions in their order, as the Rust reader does; None when 64 bits overflow."""
    count = 1
    for dim in shape:
        count *= dim
        if count > _UINT64_MAX:
            return None
    return count
