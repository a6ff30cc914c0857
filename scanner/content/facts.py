"""Extract the facts that a header states about a model, each with its source.

Every value has a named source; nothing is guessed. `scanner.sbom.document` merges the facts of
several sources.

Keys are those of the GGUF specification and of llama.cpp. The only standard key of safetensors'
``__metadata__`` is ``format``.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from prefect_mutagen.parsers import ArrayValue, GgufHeader, LongText, SafetensorsHeader
from prefect_mutagen.parsers.errors import shown
from prefect_mutagen.parsers.ggml_types import FILE_TYPE_GUESSED, FILE_TYPES, FLOAT_TENSORS
from prefect_mutagen.scanner.findings import Finding, make_finding

__all__ = [
    "Facts",
    "Stated",
    "fits",
    "gguf_facts",
    "gguf_quantization",
    "plain_text",
    "safetensors_facts",
    "whole_number",
]


class Stated(NamedTuple):
    """A value and its source."""

    value: Any
    source: str
    """For example ``gguf:general.license`` or ``config.json:text_config.vocab_size``."""


Facts = dict[str, Stated]
"""Facts by SBOM field."""

# Tensor types that dominate a file type, where they differ from its name.
_DOMINANT_TYPES: Final = {
    "Q2_K": {"Q2_K", "Q3_K"},
    "Q2_K_S": {"Q2_K"},
    "Q3_K_S": {"Q3_K"},
    "Q3_K_M": {"Q3_K", "Q4_K"},
    "Q3_K_L": {"Q3_K", "Q5_K"},
    "Q4_K_S": {"Q4_K"},
    "Q4_K_M": {"Q4_K"},
    "Q5_K_S": {"Q5_K"},
    "Q5_K_M": {"Q5_K"},
    "IQ2_M": {"IQ2_S", "IQ2_XS", "IQ3_S"},
    "IQ2_S": {"IQ2_S", "IQ2_XS"},
    "IQ3_XS": {"IQ3_XXS", "IQ3_S"},
    "IQ3_M": {"IQ3_S"},
    "MXFP4_MOE": {"MXFP4"},
}
_FRAMEWORKS: Final = {
    "pt": "pytorch",
    "torch": "pytorch",
    "pytorch": "pytorch",
    "tf": "tensorflow",
    "tensorflow": "tensorflow",
}
_HUB: Final = "https://huggingface.co/"
_BASE_MODEL: Final = re.compile(r"general\.base_model\.(\d{1,9})\.")


def whole_number(value: Any) -> int | None:
    """Return an integer, which some writers store as a float or a boolean; None for other values.

    None as well for an integer beyond 64 bits: JSON integers are unbounded, and outputs are not.
    """
    if isinstance(value, float) and not value.is_integer():
        return None
    if isinstance(value, int | float) and fits(value):
        return int(value)
    return None


def fits(number: float) -> bool:
    """Whether a number is in the range of a signed or unsigned 64-bit integer."""
    return -(1 << 63) <= number < 1 << 64


def plain_text(value: Any) -> str | None:
    """Return a string without surrounding whitespace; None for other values and for blank strings.

    Lone surrogates, which JSON can hold and the outputs cannot, become question marks.
    """
    if isinstance(value, LongText):
        value = value.head
    if not isinstance(value, str):
        return None
    return value.encode("utf-8", "replace").decode().strip() or None


def gguf_facts(header: GgufHeader, url: str) -> tuple[Facts, list[Finding]]:
    """Extract the facts of a GGUF header.

    Args:
        header: The header, complete or truncated.
        url: Address of the file, for findings.

    Returns:
        The facts, and findings about them.
    """
    values: dict[str, Any] = {}
    for entry in header.metadata:
        values.setdefault(entry.key, entry.value)  # of duplicate keys, loaders use the first
    facts: Facts = {}
    _add_text(facts, "architecture", values, "general.architecture")
    _add_text(facts, "license", values, "general.license")
    _add_first(facts, "context_length", _context_lengths(values, facts))
    _add_first(facts, "vocab_size", _vocabularies(values))
    _add_first(facts, "base_model", _base_models(values))
    parameters = sum(tensor.parameters for tensor in header.tensors)
    if parameters:
        facts["parameter_count"] = Stated(parameters, "gguf:tensors")
    quantization, findings = gguf_quantization([header], url)
    if quantization:
        facts["quantization"] = quantization
        if quantization.value in FLOAT_TENSORS:
            facts["dtype"] = quantization
    return facts, findings


def _add_text(facts: Facts, field: str, values: Mapping[str, Any], key: str) -> None:
    text = plain_text(values.get(key))
    if text:
        facts[field] = Stated(text, f"gguf:{key}")


def _add_first(facts: Facts, field: str, candidates: Iterator[Stated]) -> None:
    stated = next(candidates, None)
    if stated is not None:
        facts[field] = stated


def _context_lengths(values: Mapping[str, Any], facts: Facts) -> Iterator[Stated]:
    keys = ["general.context_length"]
    if "architecture" in facts:
        keys.insert(0, f"{facts['architecture'].value}.context_length")
    keys += [key for key in values if key.endswith(".context_length")]
    yield from _numbers(values, keys)


def _vocabularies(values: Mapping[str, Any]) -> Iterator[Stated]:
    tokens = values.get("tokenizer.ggml.tokens")
    if isinstance(tokens, ArrayValue):
        yield Stated(tokens.count, "gguf:tokenizer.ggml.tokens")
    keys = ["tokenizer.ggml.n_vocab", "general.vocab_size"]
    yield from _numbers(values, keys + [key for key in values if key.endswith(".vocab_size")])


def _numbers(values: Mapping[str, Any], keys: list[str]) -> Iterator[Stated]:
    for key in keys:
        number = whole_number(values.get(key))
        if number is not None:
            yield Stated(number, f"gguf:{key}")


def _base_models(values: Mapping[str, Any]) -> Iterator[Stated]:
    """Yield the base models, by their hub repository where the header states it."""
    numbers = sorted({int(found[1]) for found in map(_BASE_MODEL.match, values) if found})
    for number in numbers:
        key = f"general.base_model.{number}"
        link = plain_text(values.get(f"{key}.repo_url"))
        if link and link.startswith(_HUB):
            yield Stated(link.removeprefix(_HUB).strip("/"), f"gguf:{key}.repo_url")
            continue
        name = plain_text(values.get(f"{key}.name"))
        owner = plain_text(values.get(f"{key}.organization"))
        if name:
            yield Stated(f"{owner}/{name}" if owner else name, f"gguf:{key}.name")
        elif link:
            yield Stated(link, f"gguf:{key}.repo_url")


def gguf_quantization(
    headers: Sequence[GgufHeader], url: str
) -> tuple[Stated | None, list[Finding]]:
    """Determine the quantization; if file type and tensors disagree, the tensors decide.

    Args:
        headers: Headers of a file, or of all shards of a set; the first stated file type counts.
        url: Address of the artifact, for findings.

    Returns:
        The quantization with its source, and findings about it.
    """
    counts: Counter[str] = Counter()
    for header in headers:
        for tensor in header.tensors:
            counts[tensor.dtype] += tensor.parameters
    most = counts.most_common(1)[0][0] if counts else None
    by_tensors = Stated(most, "gguf:tensors") if most else None
    number = next(_file_types(headers), None)
    if number is None:
        return by_tensors, []
    file_type = FILE_TYPES.get(number & ~FILE_TYPE_GUESSED if number >= 0 else number)
    if file_type is None:
        message = f"general.file_type {number} has no name; most parameters are {most or 'unknown'}"
        return by_tensors, [_file_type_finding("sbom/quantization-unknown", message, url)]
    if most and most not in _DOMINANT_TYPES.get(file_type, {file_type}):
        message = f"general.file_type says {file_type}, but most parameters are {shown(most)}"
        return by_tensors, [_file_type_finding("sbom/quantization-disagrees", message, url)]
    return Stated(file_type, "gguf:general.file_type"), []


def _file_types(headers: Iterable[GgufHeader]) -> Iterator[int]:
    for header in headers:
        for entry in header.metadata:
            if entry.key == "general.file_type":
                number = whole_number(entry.value)
                if number is not None:
                    yield number
                break  # of duplicate keys, loaders use the first


def _file_type_finding(code: str, message: str, url: str) -> Finding:
    return make_finding(code, message, url=url, field="general.file_type")


def safetensors_facts(header: SafetensorsHeader) -> Facts:
    """Extract the facts of a safetensors header."""
    facts: Facts = {}
    metadata: dict[str, str] = {}
    for key, value in header.metadata:
        metadata.setdefault(key, value)
    if header.tensors.parameters:
        facts["parameter_count"] = Stated(header.tensors.parameters, "safetensors:tensors")
    dtypes = set(header.tensors.dtypes()) - {""}
    if dtypes:
        dtype = dtypes.pop() if len(dtypes) == 1 else "mixed"
        facts["dtype"] = Stated(dtype, "safetensors:tensors")
    framework = plain_text(metadata.get("format"))
    if framework:
        name = framework.lower()
        source = "safetensors:__metadata__.format"
        facts["training_framework"] = Stated(_FRAMEWORKS.get(name, name), source)
    text = plain_text(metadata.get("license"))
    if text:
        facts["license"] = Stated(text, "safetensors:__metadata__.license")
    return facts
