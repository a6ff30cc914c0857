"""The files beside a model that say more about it: configuration, tokenizer, adapter, model card.

They come from strangers like the model itself: each is read up to a limit, parsed as plain data,
and a fault in one is a finding that costs nothing else. ``_name_or_path`` is often the path of a
home directory; a base model is only taken from it when it looks like ``owner/name``.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from prefect_mutagen.parsers.errors import shown
from prefect_mutagen.scanner.content.details import card_details, config_details
from prefect_mutagen.scanner.content.facts import Facts, Stated, plain_text, whole_number
from prefect_mutagen.scanner.content.safe_load import Loaded, load_front_matter, load_json
from prefect_mutagen.scanner.content.templates import (
    Template,
    look_at_templates,
    make_template,
    tokenizer_templates,
)
from prefect_mutagen.scanner.findings import Finding, make_finding

__all__ = ["LIMITS", "Neighbours", "read_neighbours"]

LIMITS: Final = MappingProxyType(
    {
        "config.json": 4 << 20,
        "tokenizer_config.json": 16 << 20,
        "generation_config.json": 1 << 20,
        "adapter_config.json": 1 << 20,
        "chat_template.jinja": 1 << 20,
        "README.md": 1 << 18,
    }
)
"""Bytes of each file that are read at most; of README.md only the front matter counts."""

_REPOSITORY: Final = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_CONTEXT_KEYS: Final = (
    "max_position_embeddings",
    "n_positions",
    "seq_length",
    "max_sequence_length",
    "max_seq_len",
    "n_ctx",
)
_BASE_KEYS: Final = (
    "base_model",
    "base_model_name_or_path",
    "base_model_name",
    "base_model_repo_id",
    "source_model",
)


@dataclass(frozen=True, slots=True)
class Neighbours:
    """What the files beside a model state."""

    before: Facts = field(default_factory=dict)
    """Facts that count more than the header's: licence, framework, and what no header states."""
    behind: Facts = field(default_factory=dict)
    """Facts that count where the header is silent."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """What of config.json and tokenizer_config.json belongs into the SBOM's metadata."""
    packing: Mapping[str, Any] | None = None
    """``quantization_config`` of config.json."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """What else they state."""
    templates: tuple[Template, ...] = ()
    findings: tuple[Finding, ...] = ()
    digests: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of each file that was read whole, by its name."""


def read_neighbours(files: Mapping[str, tuple[str, bytes]]) -> Neighbours:
    """Read all files beside a model.

    Args:
        files: For each name of `LIMITS` that is there, its address and its bytes up to the limit.

    Returns:
        What they state, and what is wrong with them.
    """
    findings: list[Finding] = []
    config = _load(load_json, "config.json", files, findings)
    tokenizer = _load(load_json, "tokenizer_config.json", files, findings)
    generation = _load(load_json, "generation_config.json", files, findings)
    adapter = _load(load_json, "adapter_config.json", files, findings)
    card = _load(load_front_matter, "README.md", files, findings)
    before: Facts = {}
    behind: Facts = {}
    _add(before, "training_framework", _frameworks(config, tokenizer))
    licences = _texts("license", ("config.json", config), ("tokenizer_config.json", tokenizer))
    _add(before, "license", licences)
    _add(behind, "license", _card_licences(card))
    for key in ("license_name", "license_link"):
        _add(behind, key, _texts(key, ("README.md", card)))
    _add(behind, "architecture", _architectures(config))
    _add(behind, "dtype", _dtypes(config, tokenizer))
    _add(behind, "context_length", _numbers_in(config, _CONTEXT_KEYS))
    _add(behind, "vocab_size", _numbers_in(config, ("vocab_size",)))
    _add(behind, "base_model", _base_models(card, adapter, config, tokenizer))
    templates = tuple(_templates(tokenizer, files))
    for url, template in templates:
        findings += look_at_templates((template,), url)
    packing = config.get("quantization_config")
    return Neighbours(
        before,
        behind,
        _shown_config(config, tokenizer),
        packing if isinstance(packing, dict) else None,
        card_details(card) | config_details(config, generation, adapter),
        tuple(template for _, template in templates),
        tuple(findings),
    )


def _add(facts: Facts, name: str, candidates: Iterator[Stated]) -> None:
    stated = next(candidates, None)
    if stated is not None:
        facts[name] = stated


def _templates(
    tokenizer: Mapping[str, Any], files: Mapping[str, tuple[str, bytes]]
) -> Iterator[tuple[str, Template]]:
    """Give the chat templates beside a model, each with the address of its file."""
    if tokenizer:
        url = files["tokenizer_config.json"][0]
        for template in tokenizer_templates(tokenizer):
            yield url, template
    name = "chat_template.jinja"
    if name in files:
        url, raw = files[name]
        if len(raw) < LIMITS[name]:
            yield url, make_template(name, raw.decode("utf-8", "replace"))
        else:
            yield url, Template(name, None, len(raw), "")


def _load(
    loader: Callable[[bytes], Loaded],
    name: str,
    files: Mapping[str, tuple[str, bytes]],
    findings: list[Finding],
) -> dict[str, Any]:
    """Load one file; what is wrong with it is a finding, and it states nothing then."""
    if name not in files:
        return {}
    url, raw = files[name]
    if loader is load_json and len(raw) >= LIMITS[name]:
        loaded = Loaded({}, f"it has more than the {LIMITS[name]} bytes that are read")
    else:
        loaded = loader(raw)
    if loaded.problem:
        code = "neighbour-invalid" if loader is load_json else "front-matter-invalid"
        message = f"{name}: {loaded.problem}"
        findings.append(make_finding(f"sbom/{code}", message, url=url, field=name))
    elif loaded.twice:
        message = f"{name}: the key {shown(loaded.twice)} stands twice"
        findings.append(make_finding("sbom/duplicate-key", message, url=url, field=name))
    return loaded.values


def _texts(key: str, *sources: tuple[str, Mapping[str, Any]]) -> Iterator[Stated]:
    for name, values in sources:
        text = plain_text(values.get(key))
        if text:
            yield Stated(text, f"{name}:{key}")


def _card_licences(card: Mapping[str, Any]) -> Iterator[Stated]:
    value = card.get("license")
    if isinstance(value, list):
        # Several licences on one card apply together.
        names = [name for name in map(plain_text, value) if name]
        value = " AND ".join(names)
    text = plain_text(value)
    if text:
        yield Stated(text, "README.md:license")


def _architectures(config: Mapping[str, Any]) -> Iterator[Stated]:
    yield from _texts("model_type", ("config.json", config))
    names = _text_list(config.get("architectures"))
    if names:
        yield Stated(names[0], "config.json:architectures")


def _text_list(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [text for text in map(plain_text, values) if text]


def _dtypes(config: Mapping[str, Any], tokenizer: Mapping[str, Any]) -> Iterator[Stated]:
    yield from _texts("torch_dtype", ("config.json", config))
    yield from _texts("dtype", ("config.json", config))
    yield from _texts("torch_dtype", ("tokenizer_config.json", tokenizer))


def _numbers_in(config: Mapping[str, Any], keys: tuple[str, ...]) -> Iterator[Stated]:
    """Look for a number, also inside ``text_config``, where multimodal models keep it."""
    nested = config.get("text_config")
    for prefix, values in (("", config), ("text_config.", nested)):
        if not isinstance(values, dict):
            continue
        for key in keys:
            number = whole_number(values.get(key))
            if number is not None and not isinstance(values[key], bool):
                yield Stated(number, f"config.json:{prefix}{key}")


def _frameworks(config: Mapping[str, Any], tokenizer: Mapping[str, Any]) -> Iterator[Stated]:
    for name, values in (("config.json", config), ("tokenizer_config.json", tokenizer)):
        version = plain_text(values.get("transformers_version"))
        if version:
            yield Stated(f"transformers {version}", f"{name}:transformers_version")
    version = plain_text(config.get("_diffusers_version"))
    if version:
        yield Stated(f"diffusers {version}", "config.json:_diffusers_version")


def _base_models(
    card: Mapping[str, Any],
    adapter: Mapping[str, Any],
    config: Mapping[str, Any],
    tokenizer: Mapping[str, Any],
) -> Iterator[Stated]:
    for name in _text_list(card.get("base_model")):
        yield Stated(name, "README.md:base_model")
    for file, values in (
        ("adapter_config.json", adapter),
        ("config.json", config),
        ("tokenizer_config.json", tokenizer),
    ):
        for key in (*_BASE_KEYS, "_name_or_path"):
            for name in _text_list(values.get(key)):
                if _REPOSITORY.fullmatch(name):
                    yield Stated(name, f"{file}:{key}")


def _shown_config(config: Mapping[str, Any], tokenizer: Mapping[str, Any]) -> dict[str, Any]:
    shown_config: dict[str, Any] = {
        "model_type": plain_text(config.get("model_type")),
        "architectures": _text_list(config.get("architectures")),
        "torch_dtype": next(_dtypes(config, tokenizer), (None,))[0],
        "transformers_version": plain_text(config.get("transformers_version")),
        "tokenizer_class": plain_text(tokenizer.get("tokenizer_class")),
    }
    return {key: value for key, value in shown_config.items() if value}
