"""Describe a set as a whole: sums over its shards, and values that hold for all of them."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

from prefect_mutagen.parsers import GgufHeader, Header, SafetensorsHeader
from prefect_mutagen.parsers.errors import named, shown
from prefect_mutagen.parsers.ggml_types import FLOAT_TENSORS
from prefect_mutagen.parsers.pickle_header import PickleHeader
from prefect_mutagen.scanner.content.config_shapes import is_loaded_by_config
from prefect_mutagen.scanner.content.facts import Facts, Stated, gguf_quantization
from prefect_mutagen.scanner.content.quantization import header_quantization
from prefect_mutagen.scanner.examine.sets import Shard
from prefect_mutagen.scanner.findings import Finding, make_finding
from prefect_mutagen.scanner.listing.shards import shard_name
from prefect_mutagen.scanner.sbom.document import Description, compare_config, unpack
from prefect_mutagen.scanner.sbom.statements import join_statements

__all__ = ["combined_digest", "concerns_set", "total"]

# Facts that must be equal in all shards that state them.
_AGREED = ("architecture", "base_model")
_OF_A_PART: Final = frozenset(
    {
        "sbom/quantization-disagrees",
        "sbom/quantization-unknown",
        "sbom/parameters-unknown",
        "safetensors/config-mismatch",
        "safetensors/weights-missing",
        "safetensors/weights-unused",
    }
)
"""Findings that are meaningless for a single shard of a set."""
_OF_THE_FIRST: Final = frozenset({"gguf/missing-architecture"})
"""Findings about what only the first shard of a GGUF set states; the others have ``split.*``."""
_OF_EMPTY_PARTS: Final = frozenset({"gguf/no-tensors"})
"""Findings about shards without tensors, which are ordinary as long as another shard has some."""
# Metadata of one file that would be wrong for the set.
_OF_A_FILE = ("layer_names", "tensor_dtypes", "stored_parameter_count", "metadata_keys")


def concerns_set(finding: Finding, shard: Shard, *, has_tensors: bool) -> bool:
    """Whether a finding about one shard, as if it were a whole file, holds for its set.

    Args:
        finding: The finding.
        shard: The shard.
        has_tensors: Whether any shard of the set has tensors.
    """
    if finding.code in _OF_THE_FIRST:
        named = shard_name(shard.name)
        return named is None or named.number <= 1
    if finding.code in _OF_EMPTY_PARTS:
        return not has_tensors
    return finding.code not in _OF_A_PART


def total(
    shards: Sequence[Shard], descriptions: Sequence[Description], url: str, *, complete: bool
) -> Description:
    """Combine the descriptions of shards.

    Args:
        shards: The files, in order.
        descriptions: Their descriptions.
        url: Address of the set, for findings.
        complete: Whether no shard is missing; otherwise the parameter count is unknown and left
            out.

    Returns:
        Facts and metadata of the set, and findings about it as a whole.
    """
    facts: Facts = {}
    for description in reversed(descriptions):
        facts.update(description.facts)
    findings = list(_disagreements(shards, descriptions))
    ggufs = [shard.header for shard in shards if isinstance(shard.header, GgufHeader)]
    if ggufs:
        quantization, odd = gguf_quantization(ggufs, url)
        findings += odd
        facts.pop("quantization", None)
        facts.pop("dtype", None)
        if quantization is not None:
            facts["quantization"] = quantization
            if quantization.value in FLOAT_TENSORS:
                facts["dtype"] = quantization
    else:
        _join_dtypes(facts, descriptions)
    tensors = [one.header for one in shards if isinstance(one.header, SafetensorsHeader)]
    whole = complete and all(shard.sound for shard in shards)
    if tensors and is_loaded_by_config(url.rpartition("/")[2], of_set=True):
        beside = descriptions[0].neighbours
        findings += compare_config(tensors, beside, url, complete=whole)
    details: dict[str, Any] = {}
    for description in reversed(descriptions):
        details.update(description.details)
    findings += join_statements(facts, details, [one.details for one in descriptions], url)
    findings += _join_templates(shards, descriptions, details)
    details.pop("stored_parameter_count", None)
    facts.pop("parameter_count", None)
    headers = [shard.header for shard in shards if shard.header is not None]
    parameters = sum(_elements(header) for header in headers)
    if parameters and whole:
        source = "gguf:tensors" if ggufs else "safetensors:tensors" if tensors else "pickle:tensors"
        facts["parameter_count"] = Stated(parameters, source)
        if tensors:  # a layer's scales may lie in another shard than itself
            scheme = descriptions[0].neighbours.packing or header_quantization(tensors[0].metadata)
            stored = unpack(facts, tensors, scheme, url, findings)
            if stored is not None:
                details["stored_parameter_count"] = stored
    return Description(facts, _metadata(shards, descriptions), details, tuple(findings))


def _elements(header: Header) -> int:
    if isinstance(header, GgufHeader):
        return sum(tensor.parameters for tensor in header.tensors)
    if isinstance(header, PickleHeader):
        return header.parameters
    return header.tensors.parameters if isinstance(header, SafetensorsHeader) else 0


def _join_templates(
    shards: Sequence[Shard], descriptions: Sequence[Description], details: dict[str, Any]
) -> Iterator[Finding]:
    """Collect the chat templates of all shards; report those that differ from shard to shard."""
    first: dict[str, tuple[Shard, Any]] = {}
    found: list[Any] = []
    for shard, description in zip(shards, descriptions, strict=True):
        for template in description.details.get("chat_templates") or ():
            if template not in found:
                found.append(template)
            place = template["place"]
            before, other = first.setdefault(place, (shard, template))
            if other.get("sha256") != template.get("sha256"):
                names = f"{shown(before.name)} and {shown(shard.name)}"
                message = f"{named(place)} differs between {names}"
                yield make_finding("template/copies-differ", message, url=shard.url, field=place)
    if found:
        details["chat_templates"] = found


def _join_dtypes(facts: Facts, descriptions: Sequence[Description]) -> None:
    stated = [one.facts["dtype"] for one in descriptions if "dtype" in one.facts]
    if len({dtype.value for dtype in stated}) > 1:
        facts["dtype"] = stated[0]._replace(value="mixed")


def _disagreements(
    shards: Sequence[Shard], descriptions: Sequence[Description]
) -> Iterator[Finding]:
    for field in _AGREED:
        stated = [
            (shard, description.facts[field])
            for shard, description in zip(shards, descriptions, strict=True)
            if field in description.facts
        ]
        if len({fact.value for _, fact in stated}) > 1:
            shard, fact = next(one for one in stated if one[1].value != stated[0][1].value)
            message = (
                f"{field} is {shown(str(fact.value))} here, "
                f"and {shown(str(stated[0][1].value))} in {shown(stated[0][0].name)}"
            )
            yield make_finding("set/shards-disagree", message, url=shard.url, field=field)


def _metadata(shards: Sequence[Shard], descriptions: Sequence[Description]) -> dict[str, Any]:
    metadata: dict[str, Any] = dict(descriptions[0].metadata) if descriptions else {}
    for key in _OF_A_FILE:
        metadata.pop(key, None)
    counts: Counter[str] = Counter()
    parameters: Counter[str] = Counter()
    for shard in shards:
        header = shard.header
        if isinstance(header, SafetensorsHeader):
            counts.update(header.tensors.dtypes())
        elif isinstance(header, GgufHeader):
            for tensor in header.tensors:
                counts[tensor.dtype] += 1
                parameters[tensor.dtype] += tensor.parameters
    metadata["shard_count"] = len(shards)
    metadata["tensor_count"] = counts.total()
    metadata["tensor_type_counts"] = dict(counts)
    if parameters:
        metadata["tensor_type_parameter_counts"] = dict(parameters)
    return metadata


def combined_digest(digests: Sequence[tuple[str, str]]) -> str:
    """Return one SHA-256 over those of a set's headers; empty unless all are known.

    Args:
        digests: Name and SHA-256 of each file.
    """
    if not digests or not all(digest for _, digest in digests):
        return ""
    lines = sorted(f"{name}\0{digest}" for name, digest in digests)
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()
