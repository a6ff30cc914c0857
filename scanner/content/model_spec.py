"""Read what image-model tools write into the metadata of safetensors files.

ModelSpec is the standard of Stability AI (https://github.com/Stability-AI/ModelSpec): keys under
``modelspec.``. ``ss_*`` is what the LoRA trainers after kohya's sd-scripts write;
``_quantization_metadata`` lists the quantized layers of a ComfyUI checkpoint. All values are texts.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from prefect_mutagen.scanner.content.facts import Facts, Stated, plain_text
from prefect_mutagen.scanner.content.lineage import repository_of
from prefect_mutagen.scanner.content.safe_load import load_json

__all__ = ["metadata_details", "metadata_facts"]

_SPEC: Final = "modelspec."
_SOURCE: Final = "safetensors:__metadata__."
_TEXT_LIMIT: Final = 1000
_LEFT_OUT: Final = frozenset({"thumbnail"})  # a picture
_UNQUANTIZED: Final = frozenset({"fp16", "fp32", "bf16", "float16", "float32", "bfloat16"})


def metadata_facts(metadata: Mapping[str, str]) -> Facts:
    """Return the SBOM fields that the metadata states, each with its source."""
    facts: Facts = {}
    for field, candidates in (
        ("architecture", _architectures(metadata)),
        ("base_model", _base_models(metadata)),
        ("quantization", _quantizations(metadata)),
    ):
        stated = next(candidates, None)
        if stated is not None:
            facts[field] = stated
    return facts


def _architectures(metadata: Mapping[str, str]) -> Iterator[Stated]:
    text = _text(metadata, f"{_SPEC}architecture")
    if text:
        yield Stated(text, f"{_SOURCE}{_SPEC}architecture")


def _base_models(metadata: Mapping[str, str]) -> Iterator[Stated]:
    """Yield the base model of a LoRA: a repository before the version, a bare file name last."""
    name, version = _text(metadata, "ss_sd_model_name"), _text(metadata, "ss_base_model_version")
    repository = repository_of(name)
    if repository:
        yield Stated(repository, f"{_SOURCE}ss_sd_model_name")
    if version:
        yield Stated(version, f"{_SOURCE}ss_base_model_version")
    if name:
        yield Stated(name.replace("\\", "/").rpartition("/")[2], f"{_SOURCE}ss_sd_model_name")
    merged = _text(metadata, f"{_SPEC}merged_from").partition(",")[0].strip()
    if merged:
        yield Stated(repository_of(merged) or merged, f"{_SOURCE}{_SPEC}merged_from")


def _quantizations(metadata: Mapping[str, str]) -> Iterator[Stated]:
    formats = _layer_formats(metadata)
    if formats:
        yield Stated(formats.most_common(1)[0][0], f"{_SOURCE}_quantization_metadata")
    text = _text(metadata, f"{_SPEC}data_format")
    if text and text.lower() not in _UNQUANTIZED:
        yield Stated(text, f"{_SOURCE}{_SPEC}data_format")


def _layer_formats(metadata: Mapping[str, str]) -> Counter[str]:
    """Count the formats of the layers that ComfyUI's metadata lists."""
    text = metadata.get("_quantization_metadata")
    layers = load_json(text.encode("utf-8", "replace")).values.get("layers") if text else None
    formats: Counter[str] = Counter()
    for layer in layers.values() if isinstance(layers, dict) else ():
        name = plain_text(layer.get("format") if isinstance(layer, dict) else layer)
        if name:
            formats[name[:_TEXT_LIMIT]] += 1
    return formats


def metadata_details(metadata: Mapping[str, str]) -> dict[str, Any]:
    """Return the facts beyond the SBOM's fields: ModelSpec, and the parameters of a LoRA."""
    spec = {
        key.removeprefix(_SPEC): text
        for key in metadata
        if key.startswith(_SPEC) and key.removeprefix(_SPEC) not in _LEFT_OUT
        if (text := _text(metadata, key))
    }
    adapter: dict[str, Any] = {
        "type": _text(metadata, "ss_network_module"),
        "rank": _number(metadata, "ss_network_dim"),
        "lora_alpha": _number(metadata, "ss_network_alpha"),
        "name": _text(metadata, "ss_output_name"),
        "base_model_version": _text(metadata, "ss_base_model_version"),
    }
    details: dict[str, Any] = {
        "modelspec": spec,
        "adapter": {name: value for name, value in adapter.items() if value not in (None, "")},
        "quantized_layers": dict(_layer_formats(metadata)),
        "name": spec.get("title"),
        "author": spec.get("author"),
    }
    return {name: value for name, value in details.items() if value not in (None, "", {})}


def _text(metadata: Mapping[str, str], key: str) -> str:
    return (plain_text(metadata.get(key)) or "")[:_TEXT_LIMIT]


def _number(metadata: Mapping[str, str], key: str) -> Any:
    """Return a number that is written as text; the text where it is none, such as ``Dynamic``."""
    text = _text(metadata, key)
    try:
        number = float(text)
    except ValueError:
        return text or None
    return (int(number) if number.is_integer() else number) if abs(number) < 1e15 else text
