"""The tensors of a safetensors header as columns, and the fast path that reads them.

Every known writer uses the same form: name, dtype, shape, data_offsets, with or without spaces
between tokens. Such members are read in one loop and stored as integers: the positions of name and
shape in the JSON; begin, end and element count of the data. Strings and records are created on
demand. The loop stops before the first member that has another form or is invalid. The strict
reader (`prefect_mutagen.parsers.safetensors_tensors`) reads that one and resumes the loop, so the
loop itself reports no errors.

This is the pure Python version. `prefect_mutagen.parsers._tensor_columns` is the same class,
compiled; the same tests cover both.
"""

import re
from array import array
from types import MappingProxyType
from typing import Final

from prefect_mutagen.parsers.tensor import TensorInfo

__all__ = ["COUNT_LIMIT", "DTYPE_BITS", "SHAPE_LIMIT", "TensorColumns", "count_elements"]

COUNT_LIMIT: Final = 1 << 20
"""Most tensors that are read; no known model comes near."""
SHAPE_LIMIT: Final = 4096
"""Longest shape, in bytes of JSON, that the fast path reads."""

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
_IRREGULAR: Final = 255
_METADATA: Final = b"__metadata__"
_UINT64_MAX: Final = 2**64 - 1
_INT: Final = "((?:0|[1-9][0-9]{0,18}))"  # 19 digits always fit into 64 bits
_SPACE: Final = r"[ \t\n\r]*"


def _member_pattern(before: str, colon: str, comma: str, inside: str) -> re.Pattern[bytes]:
    """Compile the pattern of a member with the given whitespace around its punctuation."""
    parts = (
        (before, r'"([^"\\\x00-\x1f]*)"', colon, r"\{", inside),
        ('"dtype"', colon, '"([A-Z0-9_]+)"', comma),
        ('"shape"', colon, r"\[([^\]]*)\]", comma),
        ('"data_offsets"', colon, r"\[", inside, _INT, comma, _INT, inside, r"\]"),
        (inside, r"\}", inside, "([,}])"),
    )
    return re.compile("".join("".join(part) for part in parts).encode())


# The style of compact writers, that of json.dumps, and any whitespace that JSON allows.
_PATTERNS: Final = (
    _member_pattern("", ":", ",", ""),
    _member_pattern(" ?", ": ", ", ", ""),
    _member_pattern(_SPACE, f"{_SPACE}:{_SPACE}", f"{_SPACE},{_SPACE}", _SPACE),
)
_NUMBERS: Final = re.compile(rf"{_SPACE}(?:{_INT}{_SPACE}(?:,{_SPACE}{_INT}{_SPACE})*)?".encode())


class TensorColumns:
    """The tensors read so far, as columns.

    Attributes:
        parameters: Number of elements of all tensors.
        data_end: Largest end of a tensor's data, in bytes from the start of the data section.
    """

    __slots__ = (
        "_begins",
        "_counts",
        "_dtypes",
        "_ends",
        "_irregular",
        "_name_ends",
        "_names",
        "_names_at",
        "_offsets_at",
        "_pattern",
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
            raw: Bytes that contain the header's JSON.
            stop: Index after the last byte of the JSON.
        """
        self._raw = raw
        self._stop = stop
        self._pattern = 0
        self._names: set[bytes] = set()
        self._sizes: dict[tuple[bytes, bytes], tuple[int, int, int]] = {}
        self._irregular: dict[int, TensorInfo] = {}
        self._dtypes = bytearray()
        self._names_at, self._name_ends = array("I"), array("I")
        self._shapes_at, self._shape_ends = array("I"), array("I")
        self._offsets_at = array("I")
        self._begins, self._ends, self._counts = array("Q"), array("Q"), array("Q")
        self.parameters = 0
        self.data_end = 0

    def __len__(self) -> int:
        """Return the number of tensors."""
        return len(self._dtypes)

    def walk(self, at: int) -> tuple[int, bool]:
        """Read members for as long as they are valid tensors in the common form.

        Args:
            at: Index of the first member, or of whitespace before it.

        Returns:
            The index where the loop stopped, and whether the object ended there. If it did not,
            the next member is for the strict reader.
        """
        raw, stop, names, sizes = self._raw, self._stop, self._names, self._sizes
        match = _PATTERNS[self._pattern].match
        while len(self._dtypes) < COUNT_LIMIT:
            found = match(raw, at, stop)
            if found is None:
                found = self._match_any(at)
                if found is None:
                    return at, False
                match = _PATTERNS[self._pattern].match
            name, dtype, shape, first, last, separator = found.groups()
            sized = sizes.get((dtype, shape)) or self._measure(dtype, shape)
            begin, end = int(first), int(last)
            if begin > end or end - begin != sized[2] or name in names or name == _METADATA:
                return at, False
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
                return at, True
        return at, False

    def _match_any(self, at: int) -> re.Match[bytes] | None:
        for number, pattern in enumerate(_PATTERNS):
            found = pattern.match(self._raw, at, self._stop)
            if found is not None:
                self._pattern = number
                return found
        return None

    def _measure(self, dtype: bytes, shape: bytes) -> tuple[int, int, int]:
        """Return dtype number, elements and bytes, cached; bytes are -1 if anything is invalid."""
        name = dtype.decode()
        if name not in DTYPE_BITS or len(shape) > SHAPE_LIMIT or not _NUMBERS.fullmatch(shape):
            return _IRREGULAR, 0, -1
        count = count_elements(tuple(map(int, shape.split(b","))) if shape.strip() else ())
        bits = 0 if count is None else count * DTYPE_BITS[name]
        if count is None or bits > _UINT64_MAX or bits % 8:
            return _IRREGULAR, 0, -1
        sized = self._sizes[dtype, shape] = (_DTYPES.index(name), count, bits // 8)
        return sized

    def contains(self, name: bytes) -> bool:
        """Whether a tensor of this name, in UTF-8, was read."""
        return name in self._names

    def append(self, info: TensorInfo, offsets_at: int) -> None:
        """Add a tensor from the strict reader; ``offsets_at`` is the index of its data_offsets."""
        self._irregular[len(self)] = info
        self._names.add(info.name.encode())
        self._dtypes.append(_IRREGULAR)
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
        """Return an index at, or shortly before, a tensor's data_offsets."""
        return self._offsets_at[index]

    def first_misplaced(self) -> tuple[int, int] | None:
        """Find the first tensor, in data order, that does not start where the previous one ends.

        Returns:
            Its index and its expected start; None if the tensors are contiguous from 0 on.
        """
        begins, ends = self._begins, self._ends
        position = 0
        for index in sorted(range(len(self)), key=lambda i: (begins[i], ends[i])):
            if begins[index] != position:
                return index, position
            position = ends[index]
        return None

    def info(self, index: int) -> TensorInfo:
        """Return the record of one tensor."""
        if index in self._irregular:
            return self._irregular[index]
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
        """Return all names in file order."""
        raw = self._raw
        ranges = zip(self._names_at, self._name_ends, strict=True)
        names = [raw[start:end].decode() for start, end in ranges]
        for index, info in self._irregular.items():
            names[index] = info.name
        return names

    def dtypes(self) -> list[str]:
        """Return all dtypes in file order."""
        by_number = dict(enumerate(_DTYPES)) | {_IRREGULAR: ""}
        dtypes = [by_number[number] for number in self._dtypes]
        for index, info in self._irregular.items():
            dtypes[index] = info.dtype
        return dtypes

    def counts(self) -> list[int]:
        """Return the number of elements of each tensor in file order."""
        counts = list(self._counts)
        for index, info in self._irregular.items():
            counts[index] = info.parameters
        return counts


def count_elements(shape: tuple[int, ...]) -> int | None:
    """Multiply the dimensions in order, as the Rust reader does; None if 64 bits overflow."""
    count = 1
    for dim in shape:
        count *= dim
        if count > _UINT64_MAX:
            return None
    return count
