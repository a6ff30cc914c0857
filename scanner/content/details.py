"""What a model states beyond the SBOM's 20 fields: lineage, experts, rope scaling, templates.

The report's ``facts`` and the table carry it. Values stand as the source writes them, texts cut to
a length and lists to a number that a person can read; what is not stated is not there.

Keys: the GGUF specification and llama.cpp; ``config.json`` as transformers writes it;
``adapter_config.json`` of PEFT; the model card's front matter.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

from prefect_mutagen.parsers import ArrayValue, GgufHeader
from prefect_mutagen.scanner.content.facts import fits, plain_text, whole_number
from prefect_mutagen.scanner.content.templates import Template

__all__ = ["card_details", "config_details", "gguf_details", "template_details"]

_TEXT: Final = 1000
_LIST: Final = 100
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
    "type": "general.type",
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
_GENERATION: Final = (
    "do_sample",
    "temperature",
    "top_k",
    "top_p",
    "repetition_penalty",
    "max_length",
    "max_new_tokens",
)
_EXPERTS: Final = ("num_experts", "num_local_experts", "n_routed_experts")
_EXPERTS_USED: Final = ("num_experts_per_tok", "num_experts_per_token", "moe_topk")


def _short(value: Any) -> Any:
    """Keep a value readable: numbers and truth values as they are, texts and lists cut."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int):
        return value if fits(value) else None
    if isinstance(value, ArrayValue):
        value = list(value.preview)
    if isinstance(value, list):
        texts = (plain_text(item) for item in value[:_LIST])
        return [text[:_TEXT] for text in texts if text] or None
    text = plain_text(value)
    return text[:_TEXT] if text else None


def _number(value: Any) -> Any:
    return _short(value) if isinstance(value, bool | int | float) else None


def _present(details: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what nobody states."""
    return {name: value for name, value in details.items() if value not in (None, {}, [])}


def gguf_details(header: GgufHeader) -> dict[str, Any]:
    """Read what a GGUF header states beyond the SBOM's fields."""
    values: dict[str, Any] = {}
    for entry in header.metadata:
        values.setdefault(entry.key, entry.value)
    arch = plain_text(values.get("general.architecture")) or ""
    details: dict[str, Any] = {
        name: _short(values.get(key)) for name, key in (_GGUF_TEXTS | _GGUF_LISTS).items()
    }
    details["base_models"] = _lineage(values, "general.base_model")
    details["datasets"] = details["datasets"] or _lineage(values, "general.dataset")
    details["experts"] = _numbers(
        values, arch, {"count": "expert_count", "used": "expert_used_count"}
    )
    details["rope_scaling"] = _present(
        {
            "type": _short(values.get(f"{arch}.rope.scaling.type")),
            "factor": _short(values.get(f"{arch}.rope.scaling.factor")),
            "original_context_length": whole_number(
                values.get(f"{arch}.rope.scaling.original_context_length")
            ),
        }
    )
    details["adapter"] = _present(
        {
            "type": _short(values.get("adapter.type")),
            "lora_alpha": _short(values.get("adapter.lora.alpha")),
        }
    )
    return _present(details)


def _numbers(values: Mapping[str, Any], arch: str, keys: Mapping[str, str]) -> dict[str, Any]:
    found = {name: whole_number(values.get(f"{arch}.{key}")) for name, key in keys.items()}
    return _present(found)


def _lineage(values: Mapping[str, Any], prefix: str) -> list[dict[str, Any]]:
    """Read the numbered entries of models or data sets that this one was made from."""
    count = whole_number(values.get(f"{prefix}.count")) or 0
    found = []
    for number in range(min(count, _LIST)):
        fields = ("name", "organization", "version", "repo_url", "doi", "license")
        entry = {field: _short(values.get(f"{prefix}.{number}.{field}")) for field in fields}
        found.append(_present(entry))
    return [entry for entry in found if entry]


def config_details(
    config: Mapping[str, Any], generation: Mapping[str, Any], adapter: Mapping[str, Any]
) -> dict[str, Any]:
    """Read what config.json (``text_config`` included) and its kin state."""
    nested = config.get("text_config")
    sources = [config, nested if isinstance(nested, dict) else {}]
    details: dict[str, Any] = {
        "experts": _present(
            {"count": _first(sources, _EXPERTS), "used": _first(sources, _EXPERTS_USED)}
        ),
        "generation": _present({key: _number(generation.get(key)) for key in _GENERATION}),
        "adapter": _present(
            {
                "type": _short(adapter.get("peft_type")),
                "rank": whole_number(adapter.get("r")),
                "lora_alpha": _short(adapter.get("lora_alpha")),
            }
        ),
    }
    for source in sources:
        scaling = source.get("rope_scaling")
        if isinstance(scaling, dict):
            original = scaling.get("original_max_position_embeddings")
            details["rope_scaling"] = _present(
                {
                    "type": _short(scaling.get("rope_type") or scaling.get("type")),
                    "factor": _short(scaling.get("factor")),
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
    """Read what a model card's front matter states beyond licence and base model."""

    def listed(key: str) -> Any:
        value = card.get(key)
        return _short(value if isinstance(value, list) else [value])

    return _present(
        {
            "tags": listed("tags"),
            "languages": listed("language"),
            "datasets": listed("datasets"),
            "library": _short(card.get("library_name")),
            "pipeline": _short(card.get("pipeline_tag")),
            "relation": _short(card.get("base_model_relation")),
            "license_name": _short(card.get("license_name")),
            "license_link": _short(card.get("license_link")),
        }
    )


def template_details(templates: Iterable[Template]) -> list[dict[str, Any]]:
    """Name chat templates without showing them: where they stand, bytes, SHA-256."""
    return [
        _present(
            {
                "place": template.place[:_TEXT],
                "length": template.length,
                "sha256": template.sha256,
            }
        )
        for template in templates
    ]
