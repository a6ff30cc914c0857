"""What a header says about one tensor, the same for both formats."""

from typing import NamedTuple

__all__ = ["TensorInfo"]


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
