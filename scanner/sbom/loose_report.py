"""What pickles and other weights state besides the fields of the document."""

from typing import Any, Final

from prefect_mutagen.parsers.errors import shown
from prefect_mutagen.parsers.pickle_header import PickleHeader
from prefect_mutagen.parsers.weights_header import OtherWeightsHeader

__all__ = ["loose_report"]

_GLOBALS_SHOWN: Final = 64


def loose_report(header: PickleHeader | OtherWeightsHeader) -> dict[str, Any]:
    """Return what a pickle, or a file of other weights, states, as metadata of its SBOM.

    Args:
        header: Its header.
    """
    if isinstance(header, OtherWeightsHeader):
        return _other_report(header)
    globals_ = sorted({f"{use.module}.{use.name}" for use in header.globals})
    return {
        "layout": header.format,
        "protocol": header.protocol,
        "tensor_count": len(header.tensors),
        "global_count": len(globals_),
        "globals": [shown(name) for name in globals_[:_GLOBALS_SHOWN]],
        **_tensor_report(header),
    }


def _other_report(header: OtherWeightsHeader) -> dict[str, Any]:
    files = [shown(name) for name in header.external_files[:_GLOBALS_SHOWN]]
    return {
        "layout": header.description,
        "tensor_count": len(header.tensors),
        **({"external_files": files} if files else {}),
        **_tensor_report(header),
    }


def _tensor_report(header: PickleHeader | OtherWeightsHeader) -> dict[str, Any]:
    """Return names, dtypes and shapes of tensors, under the names that safetensors have."""
    if not header.tensors:
        return {}
    return {
        "layer_names": [tensor.name for tensor in header.tensors],
        "tensor_dtypes": {tensor.name: tensor.dtype for tensor in header.tensors},
        "tensor_shapes": {tensor.name: list(tensor.shape) for tensor in header.tensors},
    }
