"""Read the files beside a model that describe it: configuration, tokenizer, adapter, model card.

They are as untrusted as the model. Each is read up to a limit and parsed as plain data. A problem
in one file is a finding and does not affect the others. ``_name_or_path`` is often a path in a home
directory, so it counts as a base model only if it looks like ``owner/name``.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from prefect_mutagen.parsers.errors import shown
from prefect_mutagen.scanner.content.details import card_details, config_details
from prefect_mutagen.scanner.content.facts import Facts, Stated, plain_text, whole_number
from prefect_mutagen.scanner.content.license_files import is_license_file
from prefect_mutagen.scanner.content.license_statements import (
    LicenseStatement,
    license_in_text,
    licenses_in,
)
from prefect_mutagen.scanner.content.lineage import (
    BASE_KEYS,
    file_lineage,
    merge_lineage,
    repository_of,
)
from prefect_mutagen.scanner.content.safe_load import Loaded, load_front_matter, load_json
from prefect_mutagen.scanner.content.templates import (
    Template,
    find_template_escapes,
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
"""Most bytes that are read of each file; of README.md only the front matter is used."""

_CONTEXT_KEYS: Final = (
    "max_position_embeddings",
    "n_positions",
    "seq_length",
    "max_sequence_length",
    "max_seq_len",
    "n_ctx",
)


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Contents of the files beside a model."""

    before: Facts = field(default_factory=dict)
    """Facts that override the header's: licence and framework."""
    behind: Facts = field(default_factory=dict)
    """Facts that apply where the header states none."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """Values of config.json and tokenizer_config.json for the SBOM's metadata."""
    packing: Mapping[str, Any] | None = None
    """``quantization_config`` of config.json."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """Facts beyond the SBOM's fields."""
    templates: tuple[Template, ...] = ()
    findings: tuple[Finding, ...] = ()
    licenses: tuple[tuple[LicenseStatement, ...], tuple[LicenseStatement, ...]] = ((), ())
    """Statements about the licence: before the header's in precedence, and behind it."""
    digests: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of each file that was read whole, by file name."""


def read_neighbours(files: Mapping[str, tuple[str, bytes]]) -> Neighbours:
    """Parse all files beside a model.

    Args:
        files: Address and content, up to the limit, of each file in `LIMITS` that exists.

    Returns:
        Their facts and findings.
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
    _add(behind, "architecture", _architectures(config))
    _add(behind, "dtype", _dtypes(config, tokenizer))
    _add(behind, "context_length", _numbers_in(config, _CONTEXT_KEYS))
    _add(behind, "vocab_size", _numbers_in(config, ("vocab_size",)))
    _add(behind, "base_model", _base_models(card, adapter, config, tokenizer))
    templates = tuple(_templates(tokenizer, files))
    for url, template in templates:
        findings += find_template_escapes((template,), url)
    packing = config.get("quantization_config")
    json_files = {
        "config.json": config,
        "tokenizer_config.json": tokenizer,
        "adapter_config.json": adapter,
        "generation_config.json": generation,
    }
    lineage = [file_lineage("README.md", card, is_card=True)]
    lineage += (file_lineage(name, values) for name, values in json_files.items())
    details = card_details(card) | config_details(config, generation, adapter)
    licenses = tuple(_licenses(json_files, files)), tuple(_licenses({"README.md": card}, files))
    for facts, statements in zip((before, behind), licenses, strict=True):
        _add(facts, "license", (Stated(one.value, one.source) for one in statements))
    base_models = merge_lineage(lineage)
    if base_models:
        details["base_models"] = base_models
    return Neighbours(
        before,
        behind,
        _sbom_config(config, tokenizer),
        packing if isinstance(packing, dict) else None,
        details,
        tuple(template for _, template in templates),
        tuple(findings),
        licenses,
    )


def _licenses(
    loaded: Mapping[str, Mapping[str, Any]], files: Mapping[str, tuple[str, bytes]]
) -> Iterator[LicenseStatement]:
    """Yield what files state about the licence; licence files come with the card."""
    for name, values in loaded.items():
        if values:
            yield from licenses_in(values, f"{name}:", files[name][0])
    if "README.md" in loaded:
        for name, (url, raw) in files.items():
            if is_license_file(name):
                yield license_in_text(name, raw, url)


def _add(facts: Facts, name: str, candidates: Iterator[Stated]) -> None:
    stated = next(candidates, None)
    if stated is not None:
        facts[name] = stated


def _templates(
    tokenizer: Mapping[str, Any], files: Mapping[str, tuple[str, bytes]]
) -> Iterator[tuple[str, Template]]:
    """Yield the chat templates beside a model, each with the address of its file."""
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
    """Load one file; if it is invalid, add a finding and return what could be read."""
    if name not in files:
        return {}
    url, raw = files[name]
    if loader is load_json and len(raw) >= LIMITS[name]:
        loaded = Loaded({}, f"it is larger than the limit of {LIMITS[name]} bytes")
    else:
        loaded = loader(raw)
    if loaded.problem:
        code = "neighbour-invalid" if loader is load_json else "front-matter-invalid"
        message = f"{name}: {loaded.problem}"
        findings.append(make_finding(f"sbom/{code}", message, url=url, field=name))
    elif loaded.duplicate:
        message = f"{name}: the key {shown(loaded.duplicate)} appears twice"
        findings.append(make_finding("sbom/duplicate-key", message, url=url, field=name))
    return loaded.values


def _strings(key: str, *sources: tuple[str, Mapping[str, Any]]) -> Iterator[Stated]:
    for name, values in sources:
        text = plain_text(values.get(key))
        if text:
            yield Stated(text, f"{name}:{key}")


def _architectures(config: Mapping[str, Any]) -> Iterator[Stated]:
    yield from _strings("model_type", ("config.json", config))
    names = _string_list(config.get("architectures"))
    if names:
        yield Stated(names[0], "config.json:architectures")


def _string_list(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [text for text in map(plain_text, values) if text]


def _dtypes(config: Mapping[str, Any], tokenizer: Mapping[str, Any]) -> Iterator[Stated]:
    yield from _strings("torch_dtype", ("config.json", config))
    yield from _strings("dtype", ("config.json", config))
    yield from _strings("torch_dtype", ("tokenizer_config.json", tokenizer))


def _numbers_in(config: Mapping[str, Any], keys: tuple[str, ...]) -> Iterator[Stated]:
    """Yield the numbers under any of the keys, also in ``text_config`` of multimodal models."""
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
    for name in _string_list(card.get("base_model")):
        yield Stated(name, "README.md:base_model")
    for file, values in (
        ("adapter_config.json", adapter),
        ("config.json", config),
        ("tokenizer_config.json", tokenizer),
    ):
        for key in (*BASE_KEYS, "_name_or_path"):
            for name in _string_list(values.get(key)):
                repository = repository_of(name)
                if repository:
                    yield Stated(repository, f"{file}:{key}")


def _sbom_config(config: Mapping[str, Any], tokenizer: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {
        "model_type": plain_text(config.get("model_type")),
        "architectures": _string_list(config.get("architectures")),
        "torch_dtype": next(_dtypes(config, tokenizer), (None,))[0],
        "transformers_version": plain_text(config.get("transformers_version")),
        "tokenizer_class": plain_text(tokenizer.get("tokenizer_class")),
    }
    return {key: value for key, value in values.items() if value}
