"""Find model files that hold no weights, although their headers are valid.

Training under ZeRO-3 splits each weight over processes and leaves empty tensors in the model. Saved
without gathering, they have the shape [0]; small ones, such as norms, stay whole. PEFT and
transformers refuse such a file for its sizes, at load time.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from prefect_mutagen.parsers import ArrayValue, GgufHeader, SafetensorsHeader
from prefect_mutagen.parsers.errors import shown
from prefect_mutagen.scanner.content.facts import plain_text, whole_number
from prefect_mutagen.scanner.findings import Finding, make_finding

__all__ = ["check_gguf_weights", "check_weights"]

Configs = Mapping[str, Mapping[str, Any]]

_CONFIG_KEYS: Final = ("model_type", "architectures", "_class_name", "hidden_size")
_CAUSE: Final = (
    "training may have saved empty partitions (ZeRO-3); save it again from the gathered weights"
)


def check_weights(
    header: SafetensorsHeader, configs: Configs, url: str, *, quantized: bool
) -> Iterator[Finding]:
    """Check that a safetensors file holds weights.

    Args:
        header: Its header.
        configs: config.json and adapter_config.json beside it, as far as they exist.
        url: Its address.
        quantized: Whether it is stated to be quantized; some methods leave empty tensors.

    Yields:
        A warning; an error if a configuration beside it promises weights.
    """
    tensors = header.tensors
    if not header.complete or any(error.severity == "error" for error in header.errors):
        return
    promise = _promise(configs)
    if not tensors.parameters:
        held = f"all {len(tensors)} tensors are empty" if len(tensors) else "there is no tensor"
        code = "safetensors/no-weights"
    elif not quantized and 0 in (counts := tensors.counts()):
        pairs = zip(tensors.names(), counts, strict=True)
        names = [name for name, count in pairs if not count and _is_weight(name)]
        if not names:
            return
        held = f"{len(names)} of {len(tensors)} tensors are empty, {shown(names[0])} first"
        code = "safetensors/empty-weights"
    else:
        return
    message = f"{held}, although {promise}; {_CAUSE}" if promise else held
    finding = make_finding(code, message, url=url, field="tensors")
    yield replace(finding, severity="error") if promise else finding


def _is_weight(name: str) -> bool:
    return name.endswith("weight") or "lora_" in name


def _promise(configs: Configs) -> str:
    adapter = configs.get("adapter_config.json", {})
    rank = whole_number(adapter.get("r"))
    if rank or plain_text(adapter.get("peft_type")):
        stated = f"r {rank}" if rank else f"peft_type {shown(str(adapter['peft_type']))}"
        return f"adapter_config.json states {stated}"
    config = configs.get("config.json", {})
    for key in _CONFIG_KEYS:
        value = config.get(key)
        value = value[0] if isinstance(value, list) and value else value
        text = plain_text(value) if isinstance(value, str) else whole_number(value)
        if text:
            return f"config.json states {key} {shown(str(text))}"
    return ""


def check_gguf_weights(header: GgufHeader, name: str, url: str) -> Iterator[Finding]:
    """Check that a GGUF file which is a model holds weights.

    A file of a vocabulary alone is no model, and the first of several may hold metadata alone.

    Args:
        header: Its header.
        name: Its file name.
        url: Its address.
    """
    if not header.complete or any(error.severity == "error" for error in header.errors):
        return
    if any(tensor.parameters for tensor in header.tensors):
        return
    values = {entry.key: entry.value for entry in reversed(header.metadata)}
    if (whole_number(values.get("split.count")) or 0) > 1:
        return
    vocabulary = isinstance(values.get("tokenizer.ggml.tokens"), ArrayValue)
    kind = plain_text(values.get("general.type"))
    if header.tensors:
        message = f"all {len(header.tensors)} tensors are empty"
    elif kind is not None and not (vocabulary and (kind != "model" or "vocab" in name.lower())):
        message = f"general.type is {shown(kind)}, and there is no tensor"
    else:
        return
    yield make_finding("gguf/no-weights", message, url=url, field="tensors")
