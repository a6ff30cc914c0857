"""What a file of pickles states; kept apart from its reader, which imports much more."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from prefect_mutagen.parsers.errors import HeaderError
from prefect_mutagen.parsers.tensor import TensorInfo

if TYPE_CHECKING:
    from prefect_mutagen.parsers.pickle_report import GlobalUse

__all__ = ["PickleHeader"]


@dataclass(frozen=True, slots=True)
class PickleHeader:
    """What a file of pickles states."""

    format: str
    """``torch-zip``, ``torch-legacy``, ``torch-tar``, ``torchscript``, ``pickle``, ``joblib``,
    ``npy``, ``npz``; ``zip`` or ``tar`` for another archive; "" for a file that is none of them."""
    protocol: int
    """Highest protocol that a stream declares; 0 for the first, which declares none."""
    tensors: tuple[TensorInfo, ...]
    """Tensors and arrays, named by the keys that lead to them; dtypes as in safetensors, offsets
    within their storages."""
    globals: "tuple[GlobalUse, ...]"
    """Each name that a stream imports, where it does so first."""
    data_size: int
    """Bytes of all tensors; storages that several share count once for each."""
    errors: tuple[HeaderError, ...]
    """Errors and observations, in file order."""
    complete: bool
    """Whether all that unpicklers would read could be followed to its end."""
    header_size: int = 0
    """Bytes that were read; a pickle has no header."""

    @property
    def parameters(self) -> int:
        """Number of elements of all tensors."""
        return sum(tensor.parameters for tensor in self.tensors)

    @property
    def framework(self) -> str:
        """``pytorch``, ``numpy``, or "" where the format does not say."""
        if self.format.startswith("torch"):
            return "pytorch"
        return "numpy" if self.format in ("npy", "npz") else ""
