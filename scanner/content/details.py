"""Facts beyond the SBOM's 20 fields: lineage, experts, rope scaling, templates.

They appear in the report's ``facts`` and in the table. Values are verbatim, except that strings and
lists are truncated to a readable length. What no source states is omitted.

Keys: the GGUF specification and llama.cpp; ``config.json`` as transformers writes it;
``adapter_config.json`` of PEFT; the model card's front matter.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

from prefect_mutagen.parsers import ArrayValue, GgufHeader
from prefect_mutagen.scanner.content.facts import fits, gguf_type, plain_text, whole_number
from prefect_mutagen.scanner.content.lineage import gguf_lineage, source_lineage
from prefect_mutagen.scanner.content.templates import Template

__all__ = ["card_details", "config_details", "gguf_details", "template_details"]

_TEXT_LIMIT: Final = 1000
_LIST_LIMIT: Final = 100
_GGUF_TEXTS: Final = {
    "name": "general.name",
    "author": "general.author",
    "organization": "general.organization",
    "basename": "general.basename",
    "finetune": "general.finetune",
    "version": "general.version",
    "license_name": "general.license.name",
    "license_link": "general.license.link",
    "size_label": "general.size_label",
    "quantized_by": "general.quantized_by",
    "url": "general.url",
    "repo_url": "general.repo_url",
    "source_url": "general.source.url",
    "source_repo_url": "general.source.repo_url",
    "tokenizer": "tokenizer.ggml.model",
    "tokenizer_pre": "tokenizer.ggml.pre",
}
_GGUF_LISTS: Final = {
    "tags": "general.tags",
    "languages": "general.languages",
    "datasets": "general.datasets",
}
_GENERATION_KEYS: Final = (
    "do_sample",
    "temperature",
    "top_k",
    "top_p",
    "repetition_penalty",
    "max_length",
    "max_new_tokens",
)
_EXPERT_COUNT_KEYS: Final = ("num_experts", "num_local_experts", "n_routed_experts")
_EXPERTS_USED_KEYS: Final = ("num_experts_per_tok", "num_experts_per_token", "moe_topk")


def _truncated(value: Any) -> Any:
    """Truncate strings and lists; return numbers and booleans unchanged."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int):
        return value if fits(value) else None
    if isinstance(value, ArrayValue):
        value = list(value.preview)
    if isinstance(value, list):
        texts = (plain_text(item) for item in value[:_LIST_LIMIT])
        return [text[:_TEXT_LIMIT] for text in texts if text] or None
    text = plain_text(value)
    return text[:_TEXT_LIMIT] if text else None


def _number(value: Any) -> Any:
    return _truncated(value) if isinstance(value, bool | int | float) else None


def _present(details: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries that have a value."""
    return {name: value for name, value in details.items() if value not in (None, {}, [])}


def gguf_details(header: GgufHeader) -> dict[str, Any]:
    """Return the facts of a GGUF header beyond the SBOM's fields."""
    values: dict[str, Any] = {}
    for entry in header.metadata:
        values.setdefault(entry.key, entry.value)
    arch = plain_text(values.get("general.architecture")) or ""
    details: dict[str, Any] = {
        name: _truncated(values.get(key)) for name, key in (_GGUF_TEXTS | _GGUF_LISTS).items()
    }
    details["type"] = _truncated(gguf_type(header))
    details["base_models"] = [
        *gguf_lineage(values, "general.base_model"),
        *source_lineage(values),
    ]
    details["datasets"] = (
        details["datasets"] or gguf_lineage(values, "general.dataset")[:_LIST_LIMIT]
    )
    details["experts"] = _numbers(
        values, arch, {"count": "expert_count", "used": "expert_used_count"}
    )
    details["rope_scaling"] = _present(
        {
            "type": _truncated(values.get(f"{arch}.rope.scaling.type")),
            "factor": _truncated(values.get(f"{arch}.rope.scaling.factor")),
            "original_context_length": whole_number(
                values.get(f"{arch}.rope.scaling.original_context_length")
            ),
        }
    )
    details["adapter"] = _present(
        {
            "type": _truncated(values.get("adapter.type")),
            "lora_alpha": _truncated(values.get("adapter.lora.alpha")),
        }
    )
    return _present(details)


def _numbers(values: Mapping[str, Any], arch: str, keys: Mapping[str, str]) -> dict[str, Any]:
    found = {name: whole_number(values.get(f"{arch}.{key}")) for name, key in keys.items()}
    return _present(found)


def config_details(
    config: Mapping[str, Any], generation: Mapping[str, Any], adapter: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the facts of config.json, including ``text_config``, and of the other JSON files."""
    nested = config.get("text_config")
    sources = [config, nested if isinstance(nested, dict) else {}]
    details: dict[str, Any] = {
        "experts": _present(
            {
                "count": _first(sources, _EXPERT_COUNT_KEYS),
                "used": _first(sources, _EXPERTS_USED_KEYS),
            }
        ),
        "generation": _present({key: _number(generation.get(key)) for key in _GENERATION_KEYS}),
        "adapter": _present(
            {
                "type": _truncated(adapter.get("peft_type")),
                "rank": whole_number(adapter.get("r")),
                "lora_alpha": _truncated(adapter.get("lora_alpha")),
            }
        ),
    }
    for source in sources:
        scaling = source.get("rope_scaling")
        if isinstance(scaling, dict):
            original = scaling.get("original_max_position_embeddings")
            details["rope_scaling"] = _present(
                {
                    "type": _truncated(scaling.get("rope_type") or scaling.get("type")),
                    "factor": _truncated(scaling.get("factor")),
                    "original_context_length": whole_number(original),
                }
            )
            break
    return _present(details)


def _first(sources: Iterable[Mapping[str, Any]], keys: Iterable[str]) -> int | None:
    for source in sources:
        for key in keys:
            number = whole_number(source.get(key))
            if number is not None:
                return number
    return None


def card_details(card: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts of a model card's front matter beyond licence and base model."""

    def as_list(key: str) -> Any:
        value = card.get(key)
        return _truncated(value if isinstance(value, list) else [value])

    return _present(
        {
            "tags": as_list("tags"),
            "languages": as_list("language"),
            "datasets": as_list("datasets"),
            "library": _truncated(card.get("library_name")),
            "pipeline": _truncated(card.get("pipeline_tag")),
            "relation": _truncated(card.get("base_model_relation")),
            "license_name": _truncated(card.get("license_name")),
            "license_link": _truncated(card.get("license_link")),
        }
    )


def template_details(templates: Iterable[Template]) -> list[dict[str, Any]]:
    """Describe chat templates without their text: place, length, SHA-256."""
    return [
        _present(
            {
                "place": template.place[:_TEXT_LIMIT],
                "length": template.length,
                "sha256": template.sha256,
            }
        )
        for template in templates
    ]
