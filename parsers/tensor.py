"""What a header says about one tensor, the same for both formats."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol, overload

__all__ = ["Columns", "TensorInfo", "TensorTable"]


class TensorInfo(NamedTuple):
    """One tensor as declared."""

    name: str
    shape: tuple[int, ...]
    """Elements per dimension in the order of the file: GGUF stores the fastest one first."""
    dtype: str
    """Name of the element type, such as ``Q4_K`` or ``BF16``; ``UNKNOWN_n`` for a GGUF type that
    does not exist, the file's own text for a dtype that does not."""
    offset: int
    """Start of its data as declared, in bytes from the start of the data section."""
    size: int
    """Bytes of its data without padding; 0 when type or shape make no sense."""
    parameters: int
    """Number of elements; 0 when the shape makes no sense."""


class Columns(Protocol):
    """Tensors kept as columns of numbers; a record is made when it is asked for."""

    parameters: int
    """Number of elements of all tensors."""

    def __len__(self) -> int:
        """Count the tensors."""
        ...

    def info(self, index: int) -> TensorInfo:
        """Make the record of one tensor."""
        ...

    def names(self) -> list[str]:
        """Give all names, in the order of the file."""
        ...

    def dtypes(self) -> list[str]:
        """Give all dtypes, in the order of the file."""
        ...


class TensorTable(Sequence[TensorInfo]):
    """The tensors of a header, in the order of the file.

    Attributes:
        parameters: Number of elements of all of them.
    """

    __slots__ = ("_columns", "parameters")

    def __init__(self, columns: Columns) -> None:
        """Show these columns as a sequence of records."""
        self._columns = columns
        self.parameters = columns.parameters

    def __len__(self) -> int:
        """Count the tensors."""
        return len(self._columns)

    @overload
    def __getitem__(self, index: int) -> TensorInfo: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[TensorInfo, ...]: ...
    def __getitem__(self, index: int | slice) -> TensorInfo | tuple[TensorInfo, ...]:
        """Make one record, or some."""
        numbers = range(len(self))[index]
        if isinstance(numbers, int):
            return self._columns.info(numbers)
        return tuple(map(self._columns.info, numbers))

    def __iter__(self) -> Iterator[TensorInfo]:
        """Make the records one by one."""
        return map(self._columns.info, range(len(self)))

    def names(self) -> list[str]:
        """Give all names."""
        return self._columns.names()

    def dtypes(self) -> list[str]:
        """Give all dtypes."""
        return self._columns.dtypes()

    def __eq__(self, other: object) -> bool:
        """Compare with any sequence of records."""
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        """Hash like the tuple of the records."""
        return hash(tuple(self))

    def __repr__(self) -> str:
        """Show what the records are."""
        return f"TensorTable({list(self)!r})"
