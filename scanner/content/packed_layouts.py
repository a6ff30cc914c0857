"""The layouts of packed weights, one row each: how a packed tensor is recognized and counted.

Where a layer's own shapes tell the number of its weights, they decide; what config.json states is
for layouts where they do not. The next layout is the next row of `LAYOUTS`.

Sources: transformers' integrations, AutoAWQ, GPTQModel, auto-round, bitsandbytes,
compressed-tensors, ModelOpt, Quark, mlx-lm, HQQ, AQLM, VPTQ, ExLlamaV2 and V3, optimum-quanto,
torchao, EETQ, FP-Quant and ComfyUI.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, NamedTuple

from prefect_mutagen.parsers import TensorInfo
from prefect_mutagen.scanner.content.facts import whole_number
from prefect_mutagen.scanner.content.quantization import Quantization

__all__ = ["BYTES", "LAYOUTS", "METHODS", "WIDTHS", "Layout", "Packed"]

WIDTHS: Final[Mapping[str, int]] = {
    "U8": 8, "I8": 8, "U16": 16, "I16": 16, "U32": 32, "I32": 32
}  # fmt: skip
"""Bits of an integer that packs weights."""
BYTES: Final = ("F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ")
"""Floats of one byte: weights that are narrow, yet one to an element."""


class Packed(NamedTuple):
    """A packed tensor among those of its model."""

    tensor: TensorInfo
    base: str
    """Its name without the layout's suffix."""
    tensors: Mapping[str, TensorInfo]
    scheme: Quantization

    def peer(self, suffix: str) -> TensorInfo | None:
        """Return the tensor of the same layer with another suffix; None if there is none."""
        return self.tensors.get(self.base + suffix)


_Values = Callable[[Packed], int | None]


def _unpacked(tensor: TensorInfo, bits: float | Fraction | None) -> int | None:
    """Return how many values of so many bits a tensor holds; None if they do not fill it."""
    width = WIDTHS.get(tensor.dtype, 8)
    if bits is None or not 0 < bits <= width:
        return None
    if isinstance(bits, float):
        bits = Fraction(bits)
    values, rest = divmod(tensor.parameters * width, bits)
    return int(values) if not rest else None


def _of(bits: int) -> _Values:
    return lambda packed: _unpacked(packed.tensor, bits)


def _stated(packed: Packed) -> int | None:
    return _unpacked(packed.tensor, packed.scheme.bits_of(packed.base))


def _product(one: int | None, other: int | None) -> int | None:
    return one * other if one and other and one > 0 and other > 0 else None


def _last(tensor: TensorInfo | None) -> int | None:
    return tensor.shape[-1] if tensor is not None and tensor.shape else None


def _gptq(packed: Packed) -> int | None:
    """GPTQ and AWQ: zero points are packed like weights and are as many as scales."""
    zeros, scales = packed.peer(".qzeros"), packed.peer(".scales")
    if zeros is not None and scales is not None and scales.parameters:
        bits = Fraction(zeros.parameters * WIDTHS.get(zeros.dtype, 0), scales.parameters)
        if bits.denominator == 1 and 2 <= bits <= 8:
            return _unpacked(packed.tensor, int(bits))
    return _stated(packed)


def _compressed(packed: Packed) -> int | None:
    """compressed-tensors: groups of layers may differ in bits and in the size of their groups."""
    groups = set(packed.scheme.groups())
    scales, zeros = packed.peer(".weight_scale"), packed.peer(".weight_zero_point")
    if packed.peer(".meta") is not None:
        return None  # 2:4 sparse
    if len(groups) <= 1 or len({bits for bits, _ in groups}) == 1:
        found = _stated(packed)
        sizes = {size for _, size in groups}
        size = sizes.pop() if len(sizes) == 1 else None
        if found is None and scales is not None and size and size > 0:
            return scales.parameters * size  # rows end inside a word
        return found
    if zeros is not None and scales is not None and scales.parameters:
        bits = Fraction(zeros.parameters * WIDTHS.get(zeros.dtype, 0), scales.parameters)
        return _unpacked(packed.tensor, int(bits)) if bits.denominator == 1 else None
    fitting = {
        found
        for bits, size in groups
        if (found := _unpacked(packed.tensor, bits)) is not None
        and scales is not None
        and size is not None
        and found == scales.parameters * size
    }
    return fitting.pop() if len(fitting) == 1 else None


def _mlx(packed: Packed) -> int | None:
    scheme, layer = packed.scheme, packed.base
    bits = scheme.bits_of(layer) or {"mxfp4": 4, "nvfp4": 4, "mxfp8": 8}.get(scheme.method)
    found = _unpacked(packed.tensor, bits)
    scales, size = packed.peer(".scales"), scheme.group_size_of(layer)
    if scales is not None and size and found != scales.parameters * size:
        return None  # the statement is not about this layer
    return found


def _hqq(packed: Packed) -> int | None:
    groups = set(packed.scheme.groups())
    if len(groups) != 1:
        return None
    bits, size = groups.pop()
    scale = packed.peer(".scale")
    if bits == 3:  # ten values in 32 bits, in rows that are padded
        return scale.parameters * size if scale is not None and size else None
    return _unpacked(packed.tensor, 8 if bits in (5, 6) else bits)


def _aqlm(packed: Packed) -> int | None:
    keys = ("in_group_size", "out_group_size", "num_codebooks")
    size, height, books = (whole_number(packed.scheme.config.get(key)) for key in keys)
    if not size or not height or not books or packed.tensor.parameters % books:
        return None
    return packed.tensor.parameters // books * size * height


def _vptq(packed: Packed) -> int | None:
    config = packed.scheme.config
    for key, name in (
        ("config_for_layers", packed.base),
        ("shared_layer_config", packed.base.rpartition(".")[2]),
    ):
        layers = config.get(key)
        layer = layers.get(name) if isinstance(layers, dict) else None
        if isinstance(layer, dict):
            return _product(
                whole_number(layer.get("in_features")), whole_number(layer.get("out_features"))
            )
    return None


def _exl2(packed: Packed) -> int | None:
    rows = packed.peer(".q_invperm") or packed.peer(".q_perm")
    return _product(rows.parameters if rows is not None else None, _last(packed.tensor))


def _exl3(packed: Packed) -> int | None:
    shape = packed.tensor.shape
    return shape[0] * shape[1] * 256 if len(shape) == 3 else None


def _expert(packed: Packed) -> int | None:
    """DeepSeek: routed experts are narrower than the rest of an FP8 model."""
    narrow = packed.scheme.expert_dtype.lower() in ("fp4", "mxfp4", "nvfp4", "int4")
    routed = ".experts." in packed.base and "shared_expert" not in packed.base
    return _unpacked(packed.tensor, 4) if narrow and routed else None


@dataclass(frozen=True, slots=True)
class Layout:
    """How one kind of packed tensor is recognized and counted."""

    methods: tuple[str, ...]
    """Methods that use it; empty if names and shapes are proof enough."""
    suffix: str
    """Ending of a packed tensor's name."""
    dtypes: tuple[str, ...]
    values: _Values
    """Return the number of its weights; None if it cannot be told."""
    auxiliary: tuple[str, ...] = ()
    """Endings of the tensors beside it that are no weights."""
    needs: tuple[str, ...] = ()
    """Those of them without which it is something else."""


_WORDS: Final = ("I32", "U32", "I16", "U16", "I8", "U8")
_NF4, _FP4 = ".quant_state.bitsandbytes__nf4", ".quant_state.bitsandbytes__fp4"
_HQQ: Final = tuple(
    f".{name}"
    for name in (
        *("nbits", "group_size", "shape", "scale", "zero", "axis", "packing", "unpack_view_dtype"),
        *(
            "view_as_float",
            "compute_dtype",
            "quant_zero",
            "quant_scale",
            "offload_meta",
            "optimize",
        ),
        *("encoded_state_dict", "stores_quant_config", "channel_wise", "round_zero", "zero_scale"),
    )
)
_VPTQ: Final = tuple(
    f".{name}"
    for name in (
        *("centroids.weight", "res_centroids.weight", "res_indices", "outlier_indices", "perm"),
        *("outlier_centroids.weight", "weight_scale", "weight_bias"),
    )
)
LAYOUTS: Final = (
    Layout(("fp-quant",), ".qweight", ("U8",), _of(4), (".scales", ".act_global_scale",
            ".forward_hadamard_matrix", ".backward_hadamard_matrix", ".weight")),
    Layout((), ".qweight", _WORDS, _gptq,
            (".scales", ".zeros", ".scaled_zeros", ".perm")),
    Layout(("gptq", "marlin", "qqq"), ".B", ("I32",), _stated,
            (".s", ".s_group", ".s_channel", ".workspace")),
    Layout((), ".weight_packed", ("U8",), _of(4)),
    Layout((), ".weight_packed", ("I32",), _compressed, (".meta",)),
    Layout(("compressed-tensors",), ".bitmask", ("U8",), _of(1),
            (".compressed", ".row_offsets", ".shape")),
    Layout((), "_blocks", ("U8",), _of(4), ("_scales",), ("_scales",)),
    Layout((), "", ("U8",), _of(4), (), (_NF4,)),
    Layout((), "", ("U8",), _of(4), (), (_FP4,)),
    Layout(("bitsandbytes",), "", ("U8",), _stated),
    Layout((), ".weight", ("I8",), _of(8), (), (".SCB",)),
    Layout(("bitsandbytes",), ".weight", ("I8",), _of(8)),
    Layout((), ".weight", ("U8",), _of(4), (), (".weight_scale", ".weight_scale_2")),
    Layout(("comfyui",), ".weight", ("U8", "I8"), _stated),
    Layout(("modelopt",), "", ("U8",), _of(4)),
    Layout(("bitnet",), ".weight", ("U8",), _of(2)),
    Layout(("eetq",), ".weight", ("I8",), _of(8), (".weight_scales",)),
    Layout(("compressed-tensors", "modelopt", "auto-round"), ".weight", ("I8",), _of(8)),
    Layout(("quark",), ".weight", ("U8", "I32", "I8"), _stated),
    Layout(("fp8",), "", ("I8",), _expert),
    Layout(("mlx", "metal"), ".weight", ("U32",), _mlx),
    Layout((), ".weight", ("U32",), _mlx, (".scales", ".biases", ".qbiases"), (".scales",)),
    Layout(("hqq",), ".W_q", ("U8", "I32"), _hqq, _HQQ),
    Layout(("aqlm",), ".codes", ("I8", "I16", "I32"), _aqlm, (".codebooks", ".scales")),
    Layout(("vptq",), ".indices", ("I16", "I32", "U16", "F16"), _vptq, _VPTQ),
    Layout((), ".q_weight", ("I32",), _exl2,
            (".q_scale",)),
    Layout((), ".trellis", ("I16",), _exl3,
            (".suh", ".svh", ".su", ".sv", ".mcg", ".mul1"), (".suh", ".svh")),
    Layout(("quanto",), "._data._data", ("U8", "I8"), _stated, ("._scale", "._shift")),
    Layout(("quanto",), "._data", ("U8", "I8", *BYTES), _stated, ("._scale", "._shift")),
    Layout(("torchao",), "qdata", (*_WORDS, *BYTES), _stated,
            ("scale", "zero_point", "act_pre_scale", "scale_and_zero")),
    Layout((), ".weight", BYTES, _of(8), (".scale", ".weight_scales", ".scales")),
    Layout((), "", BYTES, _of(8), ("_scale", "_scale_inv", "_scales")),
)  # fmt: skip
"""The first row that fits a tensor is used."""
# Methods that are known although they need no row of their own.
_SELF_EVIDENT: Final = ("awq", "mxfp4", "mxfp8", "nvfp4", "fbgemm-fp8", "exl2", "exl3")
METHODS: Final = frozenset(_SELF_EVIDENT).union(*(layout.methods for layout in LAYOUTS))
"""Methods whose layouts are known."""
