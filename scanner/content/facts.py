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
from prefect_mutagen.parsers.pickle_header import PickleHeader
from prefect_mutagen.parsers.weights_header import OtherWeightsHeader
from prefect_mutagen.scanner.findings import Finding, make_finding

__all__ = [
    "Facts",
    "Stated",
    "fits",
    "gguf_facts",
    "gguf_quantization",
    "gguf_type",
    "loose_facts",
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
# What llama.cpp takes where rows do not fill the blocks of a type.
_FALLBACKS: Final = {
    "Q4_K": "Q5_0",
    "Q5_K": "Q5_1",
    "Q6_K": "Q8_0",
    "TQ1_0": "Q4_0",
    "TQ2_0": "Q4_0",
    **dict.fromkeys(("Q2_K", "Q3_K", "IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S"), "IQ4_NL"),
    **dict.fromkeys(("IQ3_XXS", "IQ3_S", "IQ4_XS"), "IQ4_NL"),
}
# File types of mixed models: some layers have this tensor type, and the others are wider.
_MIXED: Final = {"MXFP4_MOE": "MXFP4", "NVFP4": "NVFP4"}
# Tensors that often keep a wider type than the layers, and outweigh them in small models.
_WIDE_TENSORS: Final = ("token_embd", "per_layer_token_embd", "position_embd", "output.")
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
    if gguf_type(header) == "imatrix":
        return facts, []  # its tensors are statistics of a model, not weights
    parameters = sum(tensor.parameters for tensor in header.tensors)
    if parameters:
        facts["parameter_count"] = Stated(parameters, "gguf:tensors")
    quantization, findings = gguf_quantization([header], url)
    if quantization:
        facts["quantization"] = quantization
        if quantization.value in FLOAT_TENSORS:
            facts["dtype"] = quantization
    return facts, findings


def gguf_type(header: GgufHeader) -> str | None:
    """Return what a GGUF file is: ``general.type``, or what its keys and tensors show.

    Returns:
        ``model``, ``adapter``, ``mmproj``, ``imatrix``, ``controlvector``, ``vocabulary``,
        ``diffusion``, or what the file states; None if it cannot be told.
    """
    values: dict[str, Any] = {}
    for entry in header.metadata:
        values.setdefault(entry.key, entry.value)
    stated = plain_text(values.get("general.type"))
    if stated:
        return stated.lower()
    architecture = plain_text(values.get("general.architecture"))
    if architecture in ("controlvector", "imatrix"):
        return architecture
    if "adapter.type" in values:
        return "adapter"
    if architecture == "clip":
        return "mmproj"
    names = [tensor.name for tensor in header.tensors]
    if any(name.endswith((".in_sum2", ".in_sum")) for name in names):
        return "imatrix"
    if not names and "tokenizer.ggml.tokens" in values and "split.count" not in values:
        return "vocabulary"
    if any(name.startswith(("model.diffusion_model.", "first_stage_model.")) for name in names):
        return "diffusion"
    return "model" if architecture else None


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
    """Determine the quantization: the file type's name, unless the layers contradict it.

    Embeddings, the output head and unquantized layers may outweigh what the name is about. If the
    quantized layers have another type than the name says, the tensors decide.

    Args:
        headers: Headers of a file, or of all shards of a set; the first stated file type counts.
        url: Address of the artifact, for findings.

    Returns:
        The quantization with its source, and findings about it.
    """
    counts: Counter[str] = Counter()
    layers: Counter[str] = Counter()
    for header in headers:
        for tensor in header.tensors:
            counts[tensor.dtype] += tensor.parameters
            if len(tensor.shape) > 1 and not tensor.name.startswith(_WIDE_TENSORS):
                layers[tensor.dtype] += tensor.parameters
    most = counts.most_common(1)[0][0] if counts else None
    by_tensors = Stated(most, "gguf:tensors") if most else None
    number = next(_file_types(headers), None)
    if number is None:
        return by_tensors, []
    file_type = FILE_TYPES.get(number & ~FILE_TYPE_GUESSED if number >= 0 else number)
    if file_type is None:
        message = f"general.file_type {number} has no name; most parameters are {most or 'unknown'}"
        return by_tensors, [_file_type_finding("sbom/quantization-unknown", message, url)]
    if most and not _is_of_type(file_type, most, layers):
        message = f"general.file_type says {file_type}, but most parameters are {shown(most)}"
        return by_tensors, [_file_type_finding("sbom/quantization-disagrees", message, url)]
    return Stated(file_type, "gguf:general.file_type"), []


def _is_of_type(file_type: str, most: str, layers: Counter[str]) -> bool:
    """Whether a file type is the name of these tensors."""
    expected = _DOMINANT_TYPES.get(file_type, {file_type})
    expected = expected | {_FALLBACKS[kind] for kind in expected if kind in _FALLBACKS}
    if most in expected or _MIXED.get(file_type) in layers:
        return True
    quantized = Counter({kind: size for kind, size in layers.items() if kind not in FLOAT_TENSORS})
    return bool(quantized) and quantized.most_common(1)[0][0] in expected


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


def loose_facts(header: PickleHeader | OtherWeightsHeader) -> Facts:
    """Extract the facts of a pickle, or of other weights, as far as they state them."""
    facts: Facts = {}
    family = "pickle" if isinstance(header, PickleHeader) else header.format
    if header.parameters:
        facts["parameter_count"] = Stated(header.parameters, f"{family}:tensors")
    dtypes = {tensor.dtype for tensor in header.tensors} - {""}
    if dtypes:
        dtype = dtypes.pop() if len(dtypes) == 1 else "mixed"
        facts["dtype"] = Stated(dtype, f"{family}:tensors")
    if header.framework:
        facts["training_framework"] = Stated(header.framework, f"{family}:format")
    return facts
