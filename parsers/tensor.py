"""Tensor records, the same for both formats."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol, overload

__all__ = ["Columns", "TensorInfo", "TensorTable"]


class TensorInfo(NamedTuple):
    """One tensor as the header declares it."""

    name: str
    shape: tuple[int, ...]
    """Elements per dimension in file order; GGUF stores the fastest-varying dimension first."""
    dtype: str
    """Name of the element type, such as ``Q4_K`` or ``BF16``. An undefined GGUF type n is
    ``UNKNOWN_n``; an undefined safetensors dtype is the file's own string."""
    offset: int
    """Declared start of its data, in bytes from the start of the data section."""
    size: int
    """Size of its data in bytes, without padding; 0 if type or shape is invalid."""
    parameters: int
    """Number of elements; 0 if the shape is invalid."""


class Columns(Protocol):
    """Tensors stored as columns; records are created on demand."""

    parameters: int
    """Number of elements of all tensors."""

    def __len__(self) -> int:
        """Return the number of tensors."""
        ...

    def info(self, index: int) -> TensorInfo:
        """Return the record of one tensor."""
        ...

    def names(self) -> list[str]:
        """Return all names in file order."""
        ...

    def dtypes(self) -> list[str]:
        """Return all dtypes in file order."""
        ...

    def counts(self) -> list[int]:
        """Return the number of elements of each tensor in file order."""
        ...


class TensorTable(Sequence[TensorInfo]):
    """The tensors of a header in file order, as a sequence.

    Attributes:
        parameters: Number of elements of all tensors.
    """

    __slots__ = ("_columns", "parameters")

    def __init__(self, columns: Columns) -> None:
        """Wrap columns as a sequence of records."""
        self._columns = columns
        self.parameters = columns.parameters

    def __len__(self) -> int:
        """Return the number of tensors."""
        return len(self._columns)

    @overload
    def __getitem__(self, index: int) -> TensorInfo: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[TensorInfo, ...]: ...
    def __getitem__(self, index: int | slice) -> TensorInfo | tuple[TensorInfo, ...]:
        """Return one record, or a tuple of records for a slice."""
        numbers = range(len(self))[index]
        if isinstance(numbers, int):
            return self._columns.info(numbers)
        return tuple(map(self._columns.info, numbers))

    def __iter__(self) -> Iterator[TensorInfo]:
        """Yield the records one by one."""
        return map(self._columns.info, range(len(self)))

    def names(self) -> list[str]:
        """Return all names in file order."""
        return self._columns.names()

    def dtypes(self) -> list[str]:
        """Return all dtypes in file order."""
        return self._columns.dtypes()

    def counts(self) -> list[int]:
        """Return the number of elements of each tensor in file order."""
        return self._columns.counts()

    def __eq__(self, other: object) -> bool:
        """Whether another sequence holds the same records."""
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        """Return the hash of the tuple of records."""
        return hash(tuple(self))

    def __repr__(self) -> str:
        """Return a representation that lists the records."""
        return f"TensorTable({list(self)!r})"
