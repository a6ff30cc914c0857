"""What a file of weights in another format states."""

from dataclasses import dataclass

from prefect_mutagen.parsers.errors import HeaderError
from prefect_mutagen.parsers.tensor import TensorInfo

__all__ = ["OtherWeightsHeader"]


@dataclass(frozen=True, slots=True)
class OtherWeightsHeader:
    """What a file of weights states that is neither GGUF nor safetensors."""

    format: str
    """``onnx``, ``keras``, ``hdf5``, ``tensorflow``, ``tflite``, …; "" for none that is known."""
    description: str
    """One clause for people, such as ``ONNX, IR version 8, producer pytorch 2.1``."""
    holds_pickles: bool
    """Whether it is a container whose entries may be pickles: `read_pickle` judges those."""
    framework: str
    """Framework that wrote it, or ""."""
    tensors: tuple[TensorInfo, ...]
    """Tensors, where the header states them and all of it was read."""
    errors: tuple[HeaderError, ...]
    """Errors and observations, in file order."""
    complete: bool
    """Whether everything in it that could run code or reach outside was looked at."""
    header_size: int
    """Bytes that were read."""
    external_files: tuple[str, ...] = ()
    """Files that its loader reads besides, by the names that it states."""

    @property
    def parameters(self) -> int:
        """Number of elements of all tensors that are known."""
        return sum(tensor.parameters for tensor in self.tensors)

    @property
    def data_size(self) -> int:
        """Bytes of all tensors that are known."""
        return sum(tensor.size for tensor in self.tensors)
