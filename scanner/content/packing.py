"""Count the parameters of models whose weights are packed into wider integers.

AWQ, GPTQ and similar methods store eight 4-bit weights in one 32-bit integer, bitsandbytes two in a
byte. The header's element count is then off by that factor, and its dtype is not that of the
weights. ``quantization_config`` of config.json states method and bits. Tensor names tell packed
weights from the auxiliary tensors that unpack them.

Sources: the checkpoint layouts of AutoAWQ, GPTQModel, bitsandbytes and compressed-tensors.
"""

from collections.abc import Mapping
from typing import Any, Final

from prefect_mutagen.parsers import SafetensorsHeader
from prefect_mutagen.scanner.content.facts import Stated, plain_text, whole_number

__all__ = ["logical_parameters", "packed_quantization"]

_SOURCE: Final = "config.json:quantization_config"
# Per method: name suffix of packed weights, and suffixes of auxiliary tensors.
_LAYOUTS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "awq": (".qweight", (".qzeros", ".scales")),
    "gptq": (".qweight", (".qzeros", ".scales", ".g_idx")),
    "bitsandbytes": (
        ".weight",
        (
            ".absmax",
            ".quant_map",
            ".nested_absmax",
            ".nested_quant_map",
            ".quant_state.bitsandbytes__nf4",
            ".quant_state.bitsandbytes__fp4",
        ),
    ),
    "compressed-tensors": (".weight_packed", (".weight_scale", ".weight_shape", ".weight_g_idx")),
}
_WIDTHS: Final = {"I32": 32, "U32": 32, "I8": 8, "U8": 8}


def packed_quantization(packing: Mapping[str, Any]) -> Stated | None:
    """Return the quantization that config.json states, such as ``awq-4bit``."""
    method = plain_text(packing.get("quant_method"))
    if method is None:
        return None
    bits = _bits(packing)
    return Stated(f"{method}-{bits}bit" if bits else method, _SOURCE)


def _bits(packing: Mapping[str, Any]) -> int | None:
    bits = whole_number(packing.get("bits"))
    if bits is None and packing.get("load_in_4bit") is True:
        bits = 4
    if bits is None and packing.get("load_in_8bit") is True:
        bits = 8
    if bits is None:
        bits = _group_bits(packing.get("config_groups"))
    return bits if bits is not None and 0 < bits <= 32 else None


def _group_bits(groups: Any) -> int | None:
    """Return the bits that compressed-tensors states, if they are equal in all groups."""
    if not isinstance(groups, dict):
        return None
    found = {
        whole_number(group["weights"].get("num_bits"))
        for group in groups.values()
        if isinstance(group, dict) and isinstance(group.get("weights"), dict)
    }
    return found.pop() if len(found) == 1 else None


def logical_parameters(header: SafetensorsHeader, packing: Mapping[str, Any]) -> int | None:
    """Return the number of weights after unpacking.

    Returns:
        Their number; None if method or layout is unknown, or if nothing is packed.
    """
    layout = _LAYOUTS.get(plain_text(packing.get("quant_method")) or "")
    bits = _bits(packing)
    if layout is None or bits is None:
        return None
    packed_suffix, auxiliary_suffixes = layout
    total = packed = 0
    for tensor in header.tensors:
        width = _WIDTHS.get(tensor.dtype)
        if tensor.name.endswith(auxiliary_suffixes):
            continue
        if tensor.name.endswith(packed_suffix) and width is not None and width > bits:
            total += tensor.parameters * width // bits
            packed += 1
        else:
            total += tensor.parameters
    return total if packed else None
