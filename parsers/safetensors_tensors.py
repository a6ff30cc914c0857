"""Read the tensors of a safetensors header; check each one, then how they tile the data section.

Valid tensors in the common form are read on the fast path (`prefect_mutagen.parsers.tensor_columns`
or its compiled equivalent). All others are read here, field by field, by the strict scanner, which
accepts the same input and reports what is wrong, and where.
"""

from typing import Final

from prefect_mutagen.parsers import walks
from prefect_mutagen.parsers.error_list import ErrorList
from prefect_mutagen.parsers.errors import named, shown
from prefect_mutagen.parsers.json_text import JsonText, compile_spaced
from prefect_mutagen.parsers.rules import make_error
from prefect_mutagen.parsers.tensor import TensorInfo
from prefect_mutagen.parsers.tensor_columns import (
    COUNT_LIMIT,
    DTYPE_BITS,
    count_elements,
)

__all__ = ["TensorReader"]

_UINT64_MAX: Final = 2**64 - 1
_STRICT_LIMIT: Final = 1 << 16  # the strict path takes a hundred times as long per tensor
_FIELDS: Final = ("dtype", "shape", "data_offsets")
_UNIT_VARIANT: Final = compile_spaced(r'\{ "([A-Z0-9_]+)" : null \}')


class _Draft:
    """A tensor while it is being read; missing and invalid fields are None."""

    __slots__ = (
        "dtype",
        "dtype_at",
        "label",
        "name",
        "offsets",
        "offsets_at",
        "seen",
        "shape",
        "shape_at",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.label = f"tensor {named(name)}"
        self.seen: set[str] = set()
        self.dtype: str | None = None
        self.shape: tuple[int, ...] | None = None
        self.offsets: tuple[int, int] | None = None
        self.dtype_at = self.shape_at = self.offsets_at = 0


class TensorReader:
    """Reads tensors into columns.

    Attributes:
        columns: The tensors read so far.
    """

    __slots__ = ("_errors", "_placed", "_strict_count", "_text", "columns")

    def __init__(self, text: JsonText, errors: ErrorList) -> None:
        """Read from the cursor of a JSON text."""
        self._text = text
        self._errors = errors
        self._strict_count = 0
        self._placed = True  # whether every tensor has valid data_offsets
        self.columns = walks.TensorColumns(text.raw, text.stop)

    def read_common(self) -> bool:
        """Read tensors in the common form; return whether another member follows."""
        self._text.at, ended = self.columns.walk(self._text.at)
        if len(self.columns) >= COUNT_LIMIT:
            raise self._text.too_complex("tensors", COUNT_LIMIT)
        return not ended

    def read(self, name: str) -> None:
        """Read a tensor in any form; the cursor is at its value.

        Raises:
            HeaderError: The value is not JSON, or has more parts than this reader examines.
        """
        text = self._text
        start = text.at
        self._strict_count += 1
        if self._strict_count > _STRICT_LIMIT:
            raise text.too_complex("tensors in an unusual form", _STRICT_LIMIT)
        if self.columns.contains(name.encode()):
            text.note_duplicate(name)
        draft = _Draft(name)
        first = text.peek()
        if first == b"{":
            self._read_fields(draft)
        elif first == b"[":
            self._read_array(draft, start)
        else:
            text.skip_value(1)
            self._note("bad-tensor", start, draft.label, "an object", "another value")
            return
        missing = [field for field in _FIELDS if field not in draft.seen]
        if missing:
            found = f"no {', no '.join(missing)}"
            self._note("missing-field", start, draft.label, ", ".join(_FIELDS), found)
        self._judge(draft)

    def _read_fields(self, draft: _Draft) -> None:
        text = self._text
        text.at += 1
        more = not text.accept(b"}")
        while more:
            if text.peek() != b'"':
                raise text.syntax_error("a field's name")
            field = text.string()
            text.expect(b":")
            text.skip_space()
            if field in draft.seen:
                text.note_duplicate(field)
                text.skip_value(2)
            elif field in _FIELDS:
                self._read_field(draft, field)
            else:
                known = ", ".join(_FIELDS)
                self._note("unknown-field", text.at, draft.label, known, shown(field))
                text.skip_value(2)
            draft.seen.add(field)
            more = text.accept(b",")
            if not more:
                text.expect(b"}")

    def _read_array(self, draft: _Draft, start: int) -> None:
        text = self._text
        text.at += 1
        expected = "an object of three fields"
        fields = list(_FIELDS)
        more = not text.accept(b"]")
        while more and fields:
            text.skip_space()
            draft.seen.add(fields[0])
            self._read_field(draft, fields.pop(0))
            more = text.accept(b",")
            if not more:
                text.expect(b"]")
        if more:
            text.at = start
            text.skip_value(1)
            self._note("bad-tensor", start, draft.label, expected, "an array of more")
        else:
            self._note("unusual-tensor", start, draft.label, expected, "an array")

    def _read_field(self, draft: _Draft, field: str) -> None:
        text = self._text
        at = text.at
        label = f"{field} of {draft.label}"
        if field == "dtype":
            draft.dtype_at = at
            draft.dtype = self._read_dtype(label)
        elif field == "shape":
            draft.shape_at = at
            draft.shape = self._text.numbers()
            if draft.shape is None:
                self._note(
                    "bad-shape", at, label, "a list of non-negative integers", "another value"
                )
        else:
            draft.offsets_at = at
            pair = self._text.numbers()
            if pair is None or len(pair) != 2:
                self._note("bad-offsets", at, label, "two non-negative integers", "another value")
            elif pair[0] > pair[1]:
                self._note("bad-offsets", at, label, "the start before the end", str(list(pair)))
            else:
                draft.offsets = (pair[0], pair[1])

    def _read_dtype(self, label: str) -> str | None:
        text = self._text
        at = text.at
        variant = _UNIT_VARIANT.match(text.raw, at, text.stop)
        if variant:
            text.at = variant.end()
            self._note("unusual-tensor", at, label, "a text", "an object")
            dtype = variant[1].decode()
        elif text.peek() == b'"':
            dtype = text.string()
        else:
            text.skip_value(2)
            self._note("bad-dtype", at, label, "a text", "another value")
            return None
        if dtype not in DTYPE_BITS:
            self._note("bad-dtype", at, label, "a dtype of the format", shown(dtype))
        return dtype

    def _judge(self, draft: _Draft) -> None:
        """Check that the fields of a tensor are consistent, and add it to the columns."""
        label = draft.label
        bits = DTYPE_BITS.get(draft.dtype or "")
        count = None if draft.shape is None else count_elements(draft.shape)
        begin, end = draft.offsets or (0, 0)
        if draft.shape is not None and (count is None or count * (bits or 1) > _UINT64_MAX):
            found = "more" if count is None else f"{count} elements"
            self._note("tensor-too-large", draft.shape_at, f"shape of {label}", "64 bits", found)
        elif count is not None and bits is not None:
            size, rest = divmod(count * bits, 8)
            if rest:
                field, found = f"shape of {label}", f"{count * bits} bits"
                self._note("partial-byte", draft.shape_at, field, "whole bytes", found)
            elif draft.offsets is not None and end - begin != size:
                expected, found = f"{size} bytes for shape and dtype", f"{end - begin} bytes"
                field = f"data_offsets of {label}"
                self._note("size-mismatch", draft.offsets_at, field, expected, found)
        if draft.offsets is None:
            self._placed = False
        self.columns.append(
            TensorInfo(
                draft.name, draft.shape or (), draft.dtype or "", begin, end - begin, count or 0
            ),
            draft.offsets_at,
        )

    def judge_tiling(self, data_start: int, size: int) -> None:
        """Check that the tensors cover the data section without holes, overlaps or trailing bytes.

        Args:
            data_start: File offset of the data section.
            size: Size of the whole file in bytes.
        """
        available = size - data_start
        tiled = self._placed and self._judge_order()
        field = "tensor data"
        if self.columns.data_end > available:
            end = data_start + self.columns.data_end
            early = f"the file ends at byte {size}, {end - size} bytes early"
            self._errors.add(
                make_error(
                    "safetensors/truncated-data",
                    offset=size,
                    field=field,
                    expected=f"a file of at least {end} bytes",
                    found=early,
                )
            )
        elif tiled and self.columns.data_end < available:
            end = data_start + self.columns.data_end
            self._errors.add(
                make_error(
                    "safetensors/trailing-data",
                    offset=end,
                    field=field,
                    expected=f"the end of the file at byte {end}",
                    found=f"{size - end} more bytes",
                )
            )

    def _judge_order(self) -> bool:
        """Return whether the tensors are contiguous; add one error if not."""
        misplaced = self.columns.first_misplaced()
        if misplaced is None:
            return True
        index, position = misplaced
        row = self.columns.info(index)
        self._note(
            "hole" if row.offset > position else "overlap",
            self._text.raw.index(b"[", self.columns.offsets_at(index)),
            f"data_offsets of tensor {named(row.name)}",
            f"a start at {position}",
            str(row.offset),
        )
        return False

    def _note(self, name: str, at: int, field: str, expected: str, found: str) -> None:
        self._errors.add(
            make_error(
                f"safetensors/{name}",
                offset=at,
                field=field,
                expected=expected,
                found=found,
            )
        )
