"""The tensor infos of GGUF and the layout of the data they promise.

ggml lays tensors out one behind the other, each padded to the alignment, and refuses a file whose
offsets say anything else. So the offsets carry no information of their own: they are checked
against the sum of what stands before, in exact integers that cannot wrap.
"""

from struct import Struct
from typing import Final

from prefect_mutagen.parsers.error_list import ErrorList
from prefect_mutagen.parsers.errors import shown
from prefect_mutagen.parsers.ggml_types import REMOVED_TENSOR_TYPES, TENSOR_TYPES, TensorType
from prefect_mutagen.parsers.rules import fault
from prefect_mutagen.parsers.tensor import TensorInfo
from prefect_mutagen.parsers.window import Window

__all__ = ["TensorLayout"]

_NAME_LIMIT: Final = 64  # GGML_MAX_NAME, the closing zero included
_DIMENSION_LIMIT: Final = 4  # GGML_MAX_DIMS
_INT64_MAX: Final = 2**63 - 1


class TensorLayout:
    """Reads tensor infos one by one and keeps account of the data section.

    Attributes:
        tensors: What was read so far.
        data_size: Bytes up to the end of the last tensor, its padding left out.
        padded_size: The same with the padding of the last tensor.
        sound: False once a tensor's size could not be told, or stood at the wrong offset.
    """

    __slots__ = (
        "_alignment",
        "_errors",
        "_fixed",
        "_names",
        "_window",
        "data_size",
        "padded_size",
        "sound",
        "tensors",
    )

    def __init__(self, window: Window, errors: ErrorList) -> None:
        """Read from this window and note what is wrong."""
        self._window = window
        self._errors = errors
        self._names: set[bytes] = set()
        self.tensors: list[TensorInfo] = []
        self.data_size = 0
        self.padded_size = 0
        self.sound = True

    def arrange(self, alignment: int) -> None:
        """Take over byte order and version from the window; data is aligned to these bytes."""
        self._alignment = alignment
        sign = "<" if self._window.order == "little" else ">"
        dimension = "q" if self._window.width == 8 else "I"
        self._fixed = [Struct(f"{sign}{dimension * n}IQ") for n in range(_DIMENSION_LIMIT + 1)]

    def read(self) -> None:
        """Read one tensor info and commit it.

        Raises:
            HeaderError: What follows cannot be read any more.
            Wanted: More bytes are needed; call again.
        """
        window = self._window
        label = f"tensor {len(self.tensors)}"
        start = window.cursor
        length = window.string_length(f"{label}, name")
        name_at = window.claim(length, f"{label}, name", start)
        dimensions_at = window.cursor
        n_dims = window.u32(f"{label}, number of dimensions")
        if n_dims > _DIMENSION_LIMIT:
            raise fault(
                "gguf/too-many-dimensions",
                offset=dimensions_at,
                field=f"{label}, number of dimensions",
                expected=f"at most {_DIMENSION_LIMIT}",
                found=str(n_dims),
            )
        fixed = self._fixed[n_dims]
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
        # The file ends in here: find the first field that is not there as a whole.
        for number in range(n_dims):
            window.claim(window.width, f"{label}, dimension {number}")
        window.claim(4, f"{label}, type")
        return window.claim(8, f"{label}, offset")

    def _judge_name(self, raw: bytes, start: int, label: str) -> str:
        if len(raw) >= _NAME_LIMIT:
            self._errors.add(
                fault(
                    "gguf/long-tensor-name",
                    offset=start,
                    field=f"{label}, name",
                    expected=f"less than {_NAME_LIMIT} bytes",
                    found=f"{shown(raw[:_NAME_LIMIT])}, {len(raw)} bytes",
                )
            )
        # ggml compares C strings: a name ends at its first zero byte.
        known = raw.partition(b"\0")[0]
        if known in self._names:
            self._errors.add(
                fault(
                    "gguf/duplicate-tensor",
                    offset=start,
                    field=f"{label}, name",
                    expected="a name of its own",
                    found=f"{shown(raw)} again",
                )
            )
        self._names.add(known)
        try:
            return raw.decode()
        except UnicodeDecodeError:
            self._errors.add(
                fault(
                    "gguf/invalid-utf8",
                    offset=start,
                    field=f"{label}, name",
                    expected="UTF-8",
                    found=shown(raw),
                )
            )
            return raw.decode("utf-8", "replace")

    def _count(self, dims: tuple[int, ...], start: int, label: str) -> int | None:
        """Multiply the dimensions as ggml's guard does; None when they make no sense."""
        width = self._window.width
        for number, dim in enumerate(dims):
            if dim < 0:
                self._errors.add(
                    fault(
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
                    fault(
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
                fault(
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
            fault(
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
            fault(
                "gguf/tensor-too-large",
                offset=at,
                field=field,
                expected=f"at most {_INT64_MAX} bytes",
                found=f"{size} bytes of {kind.name}",
            )
        )
        return None

    def _place(self, offset: int, size: int | None, at: int, label: str) -> None:
        # Where one size is unknown, all offsets behind it are, and one complaint is enough.
        if self.sound and offset != self.padded_size:
            self._errors.add(
                fault(
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
