"""GGUF tensor infos and the data layout they declare.

ggml requires tensors to be contiguous in file order, each padded to the alignment. So offsets carry
no information of their own: each is checked against the total size of the tensors before it, in
Python integers, which cannot overflow.
"""

from struct import Struct
from typing import Final

from prefect_mutagen.parsers.error_list import ErrorList
from prefect_mutagen.parsers.errors import shown
from prefect_mutagen.parsers.ggml_types import REMOVED_TENSOR_TYPES, TENSOR_TYPES, TensorType
from prefect_mutagen.parsers.rules import make_error
from prefect_mutagen.parsers.tensor import TensorInfo
from prefect_mutagen.parsers.window import Window

__all__ = ["TensorLayout"]

_NAME_LIMIT: Final = 64  # GGML_MAX_NAME, including the terminating zero
_DIMENSION_LIMIT: Final = 4  # GGML_MAX_DIMS
_INT64_MAX: Final = 2**63 - 1


class TensorLayout:
    """Reads tensor infos one by one and tracks the layout of the data section.

    Attributes:
        tensors: The tensors read so far.
        data_size: Size of the data section in bytes, without padding after the last tensor.
        padded_size: The same, including that padding.
        sound: False once a tensor had no known size or a wrong offset.
    """

    __slots__ = (
        "_alignment",
        "_errors",
        "_names",
        "_structs",
        "_window",
        "data_size",
        "padded_size",
        "sound",
        "tensors",
    )

    def __init__(self, window: Window, errors: ErrorList) -> None:
        """Read from a window; add errors to a list."""
        self._window = window
        self._errors = errors
        self._names: set[bytes] = set()
        self.tensors: list[TensorInfo] = []
        self.data_size = 0
        self.padded_size = 0
        self.sound = True

    def set_encoding(self, alignment: int) -> None:
        """Set the alignment; copy byte order and version from the window, once known."""
        self._alignment = alignment
        sign = "<" if self._window.order == "little" else ">"
        dimension = "q" if self._window.width == 8 else "I"
        self._structs = [Struct(f"{sign}{dimension * n}IQ") for n in range(_DIMENSION_LIMIT + 1)]

    def read(self) -> None:
        """Read one tensor info and commit it.

        Raises:
            HeaderError: The rest of the header cannot be read.
            Incomplete: More bytes are needed; call again.
        """
        window = self._window
        label = f"tensor {len(self.tensors)}"
        start = window.cursor
        length = window.string_length(f"{label}, name")
        name_at = window.claim(length, f"{label}, name", start)
        n_dims_offset = window.cursor
        n_dims = window.u32(f"{label}, number of dimensions")
        if n_dims > _DIMENSION_LIMIT:
            raise make_error(
                "gguf/too-many-dimensions",
                offset=n_dims_offset,
                field=f"{label}, number of dimensions",
                expected=f"at most {_DIMENSION_LIMIT}",
                found=str(n_dims),
            )
        fixed = self._structs[n_dims]
        shape_offset = window.cursor
        at = self._claim_rest(fixed, n_dims, label)
        *dims, type_id, offset = fixed.unpack_from(window.buffer, at)
        raw = bytes(window.buffer[name_at : name_at + length])
        type_offset = shape_offset + n_dims * window.width
        name = self._judge_name(raw, start, label)
        parameters = self._count(tuple(dims), shape_offset, label)
        type_name, size = self._measure(type_id, tuple(dims), parameters, type_offset, label)
        self._place(offset, size, type_offset + 4, label)
        self.tensors.append(
            TensorInfo(name, tuple(dims), type_name, offset, size or 0, parameters or 0)
        )
        window.commit()

    def _claim_rest(self, fixed: Struct, n_dims: int, label: str) -> int:
        window = self._window
        if window.cursor + fixed.size <= window.size:
            return window.claim(fixed.size, label)
        # The file ends in here: find the first incomplete field.
        for number in range(n_dims):
            window.claim(window.width, f"{label}, dimension {number}")
        window.claim(4, f"{label}, type")
        return window.claim(8, f"{label}, offset")

    def _judge_name(self, raw: bytes, start: int, label: str) -> str:
        if len(raw) >= _NAME_LIMIT:
            self._errors.add(
                make_error(
                    "gguf/long-tensor-name",
                    offset=start,
                    field=f"{label}, name",
                    expected=f"less than {_NAME_LIMIT} bytes",
                    found=f"{shown(raw[:_NAME_LIMIT])}, {len(raw)} bytes",
                )
            )
        # ggml compares C strings: a name ends at its first zero byte.
        c_name = raw.partition(b"\0")[0]
        if c_name in self._names:
            self._errors.add(
                make_error(
                    "gguf/duplicate-tensor",
                    offset=start,
                    field=f"{label}, name",
                    expected="a unique name",
                    found=f"{shown(raw)} again",
                )
            )
        self._names.add(c_name)
        try:
            return raw.decode()
        except UnicodeDecodeError:
            self._errors.add(
                make_error(
                    "gguf/invalid-utf8",
                    offset=start,
                    field=f"{label}, name",
                    expected="UTF-8",
                    found=shown(raw),
                )
            )
            return raw.decode("utf-8", "replace")

    def _count(self, dims: tuple[int, ...], start: int, label: str) -> int | None:
        """Multiply the dimensions with ggml's overflow checks; None if they are invalid."""
        width = self._window.width
        for number, dim in enumerate(dims):
            if dim < 0:
                self._errors.add(
                    make_error(
                        "gguf/negative-dimension",
                        offset=start + number * width,
                        field=f"{label}, dimension {number}",
                        expected="0 or more",
                        found=str(dim),
                    )
                )
                return None
        if 0 in dims:
            return 0
        count = 1
        for number, dim in enumerate(dims):
            count *= dim
            if count >= _INT64_MAX:
                self._errors.add(
                    make_error(
                        "gguf/tensor-too-large",
                        offset=start + number * width,
                        field=f"{label}, dimension {number}",
                        expected=f"less than {_INT64_MAX} elements in all",
                        found=f"{count} elements up to here",
                    )
                )
                return None
        return count

    def _measure(
        self, type_id: int, dims: tuple[int, ...], parameters: int | None, at: int, label: str
    ) -> tuple[str, int | None]:
        field = f"{label}, type"
        kind = TENSOR_TYPES.get(type_id)
        if kind is None:
            return self._unknown_type(type_id, at, field), None
        if parameters is None:
            return kind.name, None
        row = dims[0] if dims else 1
        if row % kind.block:
            self._errors.add(
                make_error(
                    "gguf/partial-block",
                    offset=at,
                    field=field,
                    expected=f"rows of a multiple of {kind.block} elements for {kind.name}",
                    found=f"rows of {row}",
                )
            )
            return kind.name, None
        return kind.name, self._bytes_of(kind, parameters, at, field)

    def _unknown_type(self, type_id: int, at: int, field: str) -> str:
        removed = REMOVED_TENSOR_TYPES.get(type_id)
        self._errors.add(
            make_error(
                "gguf/removed-tensor-type" if removed else "gguf/bad-tensor-type",
                offset=at,
                field=field,
                expected="a type that ggml loads",
                found=f"type {type_id}" + (f" ({removed})" if removed else ""),
            )
        )
        return removed or f"UNKNOWN_{type_id}"

    def _bytes_of(self, kind: TensorType, parameters: int, at: int, field: str) -> int | None:
        size = parameters // kind.block * kind.size
        if size <= _INT64_MAX:
            return size
        self._errors.add(
            make_error(
                "gguf/tensor-too-large",
                offset=at,
                field=field,
                expected=f"at most {_INT64_MAX} bytes",
                found=f"{size} bytes of {kind.name}",
            )
        )
        return None

    def _place(self, offset: int, size: int | None, at: int, label: str) -> None:
        # After a tensor of unknown size all offsets are unknown, and one error is enough.
        if self.sound and offset != self.padded_size:
            self._errors.add(
                make_error(
                    "gguf/bad-tensor-offset",
                    offset=at,
                    field=f"{label}, offset",
                    expected=str(self.padded_size),
                    found=str(offset),
                )
            )
            self.sound = False
        if size is None:
            self.sound = False
            return
        self.data_size = self.padded_size + size
        self.padded_size = -(-self.data_size // self._alignment) * self._alignment
