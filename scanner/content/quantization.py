"""Find what a model's files state about its quantization: method, bits, exceptions.

Writers state it in different places: ``quantization_config`` of config.json (transformers), also
within ``text_config`` and its like; ``quantization`` (MLX); ``compression_config`` (older
compressed-tensors); ``hf_quant_config.json`` (NVIDIA ModelOpt); ``_quantization_metadata`` in the
header itself (ComfyUI).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from prefect_mutagen.scanner.content.facts import Stated, plain_text, whole_number
from prefect_mutagen.scanner.content.safe_load import load_json

__all__ = ["Quantization", "find_quantization", "header_quantization"]

_KEYS: Final = ("quantization_config", "compression_config")
_DEPTH: Final = 3
_METADATA_LIMIT: Final = 16 << 20
_ALIASES: Final = {
    "intel/auto-round": "auto-round",
    "autoround": "auto-round",
    "bitsandbytes-4bit": "bitsandbytes",
    "bitsandbytes-8bit": "bitsandbytes",
    "gptqmodel": "gptq",
    "modelopt-fp4": "modelopt",
    "modelopt-mixed": "modelopt",
    "nvidia-modelopt": "modelopt",
    "w8a8-compressed-tensors": "compressed-tensors",
}
_BITS_KEYS: Final = ("bits", "w_bit", "nbits", "num_bits", "weight_bits")
# Bits of the weights in the name of a type; one that names activations as well says which is which.
_WEIGHT_BITS: Final = re.compile(r"(\d{1,2})_?weight")
_TYPE_BITS: Final = re.compile(r"(?:int|fp|float)(\d{1,2})")
# Bits of a ComfyUI layer's weight by the name of its format; other formats are not known.
_COMFYUI_BITS: Final = {
    "float8_e4m3fn": 8,
    "float8_e5m2": 8,
    "int8_tensorwise": 8,
    "mxfp8": 8,
    "mxfp4": 4,
    "nvfp4": 4,
}
_MLX_BITS: Final = {"affine": 4, "mxfp4": 4, "nvfp4": 4, "mxfp8": 8}


@dataclass(frozen=True, slots=True)
class Quantization:
    """A statement of how a model's weights are quantized."""

    method: str
    """Method in lower case with hyphens, such as ``gptq``; ``mlx`` and ``comfyui`` for statements
    that name none; empty if it cannot be told."""
    config: Mapping[str, Any]
    """The statement itself."""
    source: str
    """Its place, for example ``config.json:quantization_config``."""
    expert_dtype: str = ""
    """``expert_dtype`` of config.json: narrower experts in a model of another method."""

    @property
    def named(self) -> Stated | None:
        """The quantization as its writer names it, such as ``awq-4bit`` or ``modelopt-nvfp4``."""
        method = plain_text(self.config.get("quant_method")) or self.method
        if not method or self.method == "comfyui":
            return self._named_by_layers()
        if self.method == "mlx":
            mode = self.mode
            return Stated(f"mlx-affine-{self.bits}bit" if mode == "affine" else mode, self.source)
        algorithm = plain_text(self.config.get("quant_algo"))
        if algorithm:
            return Stated(f"{method}-{algorithm.lower()}", self.source)
        return Stated(f"{method}-{self.bits:g}bit" if self.bits else method, self.source)

    def _named_by_layers(self) -> Stated | None:
        layers = self.config.get("layers")
        entries = list(layers.values()) if isinstance(layers, dict) else []
        names = [plain_text(one.get("format")) for one in entries if isinstance(one, dict)]
        found = [name for name in names if name]
        return Stated(max(sorted(set(found)), key=found.count), self.source) if found else None

    @property
    def mode(self) -> str:
        """Mode of MLX."""
        return plain_text(self.config.get("mode")) or "affine"

    @property
    def bits(self) -> float | None:
        """Bits of a weight; None if layers differ or none is stated."""
        found = next(self._bits(), None)
        return found if found is not None and 0 < found <= 32 else None

    def bits_of(self, layer: str) -> float | None:
        """Return the bits of one layer's weights, which its own entry may state.

        Args:
            layer: Name of the module, as tensors are named after it.
        """
        if self.method == "comfyui":
            layers = self.config.get("layers")
            entry = layers.get(layer) if isinstance(layers, dict) else None
            name = plain_text(entry.get("format")) if isinstance(entry, dict) else None
            return _COMFYUI_BITS.get(name or "")
        for entries in (self.config, self.config.get("extra_config")):
            entry = entries.get(layer) if isinstance(entries, dict) else None
            if isinstance(entry, dict):
                return _first_number(entry, _BITS_KEYS) or self.bits
        return self.bits

    def group_size_of(self, layer: str) -> int | None:
        """Return the number of weights that share a scale in one layer."""
        for entry in (self.config.get(layer), self.config):
            if isinstance(entry, dict):
                found = whole_number(entry.get("group_size"))
                if found is not None:
                    return found
        return None

    def _bits(self) -> Iterator[float | None]:
        config = self.config
        stated = _first_number(config, _BITS_KEYS)
        if stated is not None:
            yield stated
        if config.get("load_in_4bit") is True:
            yield 4
        if config.get("load_in_8bit") is True:
            yield 8
        if self.method == "mlx":
            yield _MLX_BITS.get(self.mode)
        groups = list(self.groups())
        if groups:
            bits = {bits for bits, _ in groups}
            yield bits.pop() if len(bits) == 1 else None
        yield from self._bits_by_type()

    def groups(self) -> Iterator[tuple[int | None, int | None]]:
        """Yield bits and group size of each group of compressed-tensors, or of HQQ's layers."""
        stated = self.config.get("config_groups")
        for group in stated.values() if isinstance(stated, dict) else ():
            weights = group.get("weights") if isinstance(group, dict) else None
            if isinstance(weights, dict):
                yield whole_number(weights.get("num_bits")), whole_number(weights.get("group_size"))
        stated = self.config.get("quant_config")
        if isinstance(stated, dict):
            for entry in (stated, *stated.values()):
                weights = entry.get("weight_quant_params") if isinstance(entry, dict) else None
                if isinstance(weights, dict):
                    bits = whole_number(weights.get("nbits"))
                    yield bits, whole_number(weights.get("group_size"))

    def _bits_by_type(self) -> Iterator[float | None]:
        """Yield the bits in the name of a type, such as ``Int4WeightOnlyConfig``."""
        named = [name.lower() for name in _type_names(self.config)]
        matches = [_WEIGHT_BITS.search(name) or _TYPE_BITS.search(name) for name in named]
        bits = {int(match[1]) if match else None for match in matches}
        if bits:
            yield bits.pop() if len(bits) == 1 else None


def _type_names(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of weight types of quanto, torchao and Quark."""
    weights = plain_text(config.get("weights")) or plain_text(config.get("weights_dtype"))
    if weights:
        yield weights
    kinds = config.get("quant_type")
    if plain_text(kinds):
        yield str(kinds)
    elif isinstance(kinds, dict):
        for kind in kinds.values():
            name = plain_text(kind.get("_type")) if isinstance(kind, dict) else plain_text(kind)
            if name:
                yield name
    quark = [config.get("global_quant_config")]
    layers = config.get("layer_quant_config")
    quark += layers.values() if isinstance(layers, dict) else []
    for entry in quark:
        weight = entry.get("weight") if isinstance(entry, dict) else None
        name = plain_text(weight.get("dtype")) if isinstance(weight, dict) else None
        if name:
            yield name


def _first_number(values: Mapping[str, Any], keys: tuple[str, ...]) -> float | None:
    for key in keys:
        value = values.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 32:
            return whole_number(value) or float(value)
    return None


def find_quantization(
    config: Mapping[str, Any], hf_quant_config: Mapping[str, Any] | None = None
) -> Quantization | None:
    """Find the statement of quantization of a model.

    Args:
        config: Content of its config.json.
        hf_quant_config: Content of its hf_quant_config.json.

    Returns:
        The statement; None if there is none.
    """
    places = list(_places(config, "", _DEPTH))
    experts = next(filter(None, (plain_text(one.get("expert_dtype")) for _, one in places)), "")
    mlx = config.get("quantization")
    if isinstance(mlx, dict) and _first_number(mlx, ("bits", "group_size")) is not None:
        return Quantization(_plain_method(mlx) or "mlx", mlx, "config.json:quantization", experts)
    for path, values in places:
        for key in (*_KEYS, "quantization"):
            stated = values.get(key)
            if isinstance(stated, dict) and (key in _KEYS or _first_number(stated, ("bits",))):
                source = f"config.json:{path}{key}"
                return Quantization(_method(stated), stated, source, experts)
    stated = (hf_quant_config or {}).get("quantization")
    if isinstance(stated, dict) and plain_text(stated.get("quant_algo")):
        return Quantization("modelopt", stated, "hf_quant_config.json:quantization", experts)
    return None


def _places(
    config: Mapping[str, Any], path: str, depth: int
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the configuration and those nested in it, such as ``text_config``."""
    yield path, config
    if depth:
        for key, value in config.items():
            if isinstance(value, dict) and key.endswith("_config") and key not in _KEYS:
                yield from _places(value, f"{path}{key}.", depth - 1)


def _plain_method(stated: Mapping[str, Any]) -> str:
    """Return the ``quant_method`` of a statement in its usual spelling; empty without one."""
    text = plain_text(stated.get("quant_method")) or plain_text(stated.get("method"))
    name = text.lower().replace("_", "-") if text else ""
    return _ALIASES.get(name, name)


def _method(stated: Mapping[str, Any]) -> str:
    method = _plain_method(stated)
    if method:
        return method
    if stated.get("load_in_4bit") is True or stated.get("load_in_8bit") is True:
        return "bitsandbytes"
    if plain_text(stated.get("quant_algo")):
        return "modelopt"
    if isinstance(stated.get("config_groups"), dict):
        return "compressed-tensors"
    return "mlx" if _first_number(stated, ("bits",)) and "group_size" in stated else ""


def header_quantization(metadata: tuple[tuple[str, str], ...]) -> Quantization | None:
    """Find the statement of quantization in a safetensors header; None if there is none."""
    for key, value in metadata:
        if key not in ("_quantization_metadata", "quantization_config"):
            continue
        if len(value) > _METADATA_LIMIT:
            return Quantization("", {}, f"safetensors:__metadata__.{key}")
        stated = load_json(value.encode()).values
        method = "comfyui" if key == "_quantization_metadata" else _method(stated)
        return Quantization(method, stated, f"safetensors:__metadata__.{key}")
    return None
