"""Count the parameters of models whose weights are packed into wider elements.

Methods of quantization store several weights in one element (eight 4-bit ones in 32 bits), and
scales, zero points and tables beside them. The header's element count is off by that factor.
`scanner.content.packed_layouts` has the layouts that are known. One without a row is not counted:
the number is unknown then, never wrong.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from prefect_mutagen.parsers import TensorInfo
from prefect_mutagen.parsers.errors import shown
from prefect_mutagen.scanner.content.packed_layouts import (
    BYTES,
    LAYOUTS,
    METHODS,
    WIDTHS,
    Layout,
    Packed,
)
from prefect_mutagen.scanner.content.quantization import Quantization

__all__ = ["Count", "count_parameters", "may_be_packed"]

_SCALE_ONLY: Final = "F8_E8M0"
_SMALL_FLOATS: Final = ("F4", "F6_E2M3", "F6_E3M2")
_NARROW: Final = frozenset((*WIDTHS, *BYTES, *_SMALL_FLOATS, _SCALE_ONLY))
# In quantized models, tensors with these endings scale or describe weights, whatever the method.
_AUXILIARY: Final = (
    *(
        separator + ending
        for separator in "._"
        for ending in (
            *("weight_scale", "weight_scale_inv", "weight_scale_2", "weight_global_scale"),
            *("weight_zero_point", "weight_shape", "weight_g_idx", "scale_inv"),
            *("input_scale", "input_scale_ub", "input_global_scale", "input_zero_point"),
            *("output_scale", "activation_scale", "k_scale", "v_scale", "q_scale", "weight_scales"),
            "pre_quant_scale",
        )
    ),
    *(".comfy_quant", ".scale_weight", ".scale_input", "scaled_fp8"),
    *(".qzeros", ".g_idx", ".q_invperm", ".q_perm", ".q_scale_max", ".q_groups", ".q_group_map"),
    *(".absmax", ".quant_map", ".nested_absmax", ".nested_quant_map", ".SCB", ".weight_format"),
    *(".quant_state.bitsandbytes__nf4", ".quant_state.bitsandbytes__fp4"),
)
# Endings that are auxiliary in models of one method, wherever the weights lie.
_AUXILIARY_OF: Final[Mapping[str, tuple[str, ...]]] = {
    "awq": (".scales",),
    "auto-round": (".scales",),
    "gptq": (".scales",),
    "metal": (".scales", ".qbiases"),
    "mlx": (".scales", ".biases"),
    "mxfp4": ("_scales",),
}
# Integers of unquantized models: masks and tables.
_BUFFERS: Final = (
    "bias",
    "mask",
    "position_ids",
    "token_type_ids",
    "input_ids",
    "index",
    "coords",
    "tid2eid",
    "num_batches_tracked",
)
_WEIGHT_NAMES: Final = ("weight", "packed", "data", "codes", "_proj")
_BUFFER_SHARE: Final = 100


_UNSTATED: Final = Quantization("", {}, "")


class Count(NamedTuple):
    """Number of weights of a model, after unpacking."""

    parameters: int | None
    """None if some are packed in a way that is not known."""
    packed: Mapping[str, int]
    """Number of weights of each packed tensor, by its name."""
    words: bool = False
    """Whether any are packed into integers, so that the dtype is not theirs."""
    problem: str = ""
    """What is not known, as a clause."""


def may_be_packed(dtypes: Iterable[str], scheme: Quantization | None) -> bool:
    """Whether the elements of a model may be other than its weights."""
    return scheme is not None or not _NARROW.isdisjoint(dtypes)


def count_parameters(tensors: Iterable[TensorInfo], scheme: Quantization | None) -> Count:
    """Count the weights of a model.

    Args:
        tensors: All its tensors; those of a set together, because scales may lie in another shard
            than their weights.
        scheme: What its files state about its quantization.
    """
    named = {tensor.name: tensor for tensor in tensors}
    known = scheme is None or scheme.method in METHODS
    scheme = scheme or _UNSTATED
    auxiliary = _AUXILIARY + _AUXILIARY_OF.get(scheme.method, ())
    layouts = _by_dtype(scheme.method)
    packed: dict[str, int] = {}
    beside: set[str] = set()
    unknown: list[TensorInfo] = []
    for tensor in named.values():
        if tensor.name.endswith(auxiliary) or tensor.dtype == _SCALE_ONLY:
            beside.add(tensor.name)
    for tensor in named.values():
        if tensor.dtype not in layouts or tensor.name in beside:
            continue
        layout = _layout_of(tensor, layouts[tensor.dtype], named)
        if layout is None:
            continue
        base = tensor.name[: len(tensor.name) - len(layout.suffix)]
        beside.update(base + suffix for suffix in layout.auxiliary)
        values = layout.values(Packed(tensor, base, named, scheme))
        if values is None:
            unknown.append(tensor)
        else:
            packed[tensor.name] = values
    packed = {name: values for name, values in packed.items() if name not in beside}
    rest = [one for one in named.values() if one.name not in packed and one.name not in beside]
    total = sum(packed.values()) + sum(one.parameters for one in rest)
    unknown = [one for one in unknown if one.name not in beside]
    unknown += [one for one in rest if one.dtype in WIDTHS and _is_weight(one, total)]
    if unknown:
        tensor = min(unknown, key=lambda one: -one.parameters)
        place = f"{tensor.dtype} in {shown(tensor.name)}"
        return Count(None, packed, words=True, problem=_clause(scheme, place))
    adapter = any("lora_" in one.name for one in rest)
    if not known and not packed and not adapter:
        return Count(None, packed, problem=_clause(scheme, ""))
    words = any(named[name].dtype in WIDTHS for name in packed)
    return Count(total, packed, words=words)


def _by_dtype(method: str) -> dict[str, list[Layout]]:
    """Return the layouts that a method may use, by the dtype of their packed tensors."""
    layouts: dict[str, list[Layout]] = {}
    for layout in LAYOUTS:
        if not layout.methods or method in layout.methods:
            for dtype in layout.dtypes:
                layouts.setdefault(dtype, []).append(layout)
    return layouts


def _layout_of(
    tensor: TensorInfo, layouts: Iterable[Layout], named: Mapping[str, Any]
) -> Layout | None:
    for layout in layouts:
        if tensor.name.endswith(layout.suffix):
            base = tensor.name[: len(tensor.name) - len(layout.suffix)]
            complete = all(base + suffix in named for suffix in layout.needs)
            if complete and (layout.suffix or len(tensor.shape) > 1):
                return layout
    return None


def _is_weight(tensor: TensorInfo, total: int) -> bool:
    """Whether integers that no layout explains are weights rather than masks or tables."""
    if tensor.name.endswith(_WEIGHT_NAMES):
        return True
    if len(tensor.shape) < 2 or tensor.name.endswith(_BUFFERS):
        return False
    return tensor.parameters * _BUFFER_SHARE > total


def _clause(scheme: Quantization, place: str) -> str:
    method = f" for the method {shown(scheme.method)}" if scheme.method else ""
    found = f" ({place})" if place else ""
    return f"the weights are packed in a way that is not known{method}{found}"
