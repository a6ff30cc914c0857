"""Build the SBOM of one model file: l-bom's document, without its bugs.

The document is compatible with l-bom's: 20 fields, in the same order and of the same types. The
documentation lists the differences. This module defines the precedence of sources that state the
same fact.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, assert_never

from prefect_mutagen import __version__
from prefect_mutagen.parsers import (
    ArrayValue,
    GgufHeader,
    Header,
    LongText,
    SafetensorsHeader,
    UnknownHeader,
)
from prefect_mutagen.parsers.errors import shown
from prefect_mutagen.parsers.pickle_header import PickleHeader
from prefect_mutagen.parsers.weights_header import OtherWeightsHeader
from prefect_mutagen.scanner.content.config_shapes import check_config, is_loaded_by_config
from prefect_mutagen.scanner.content.details import gguf_details, template_details
from prefect_mutagen.scanner.content.empty_weights import check_gguf_weights, check_weights
from prefect_mutagen.scanner.content.facts import (
    Facts,
    Stated,
    gguf_facts,
    loose_facts,
    safetensors_facts,
)
from prefect_mutagen.scanner.content.license_statements import licenses_in
from prefect_mutagen.scanner.content.lineage import (
    merge_lineage,
    metadata_lineage,
    unread_lineage,
)
from prefect_mutagen.scanner.content.model_spec import metadata_details, metadata_facts
from prefect_mutagen.scanner.content.neighbours import Neighbours
from prefect_mutagen.scanner.content.packing import count_parameters, may_be_packed
from prefect_mutagen.scanner.content.quantization import Quantization, header_quantization
from prefect_mutagen.scanner.content.template_places import find_differing_copies
from prefect_mutagen.scanner.content.templates import (
    Template,
    find_template_escapes,
    gguf_templates,
)
from prefect_mutagen.scanner.findings import Finding, make_finding
from prefect_mutagen.scanner.results import STATED, Sbom
from prefect_mutagen.scanner.sbom.loose_report import loose_report
from prefect_mutagen.scanner.sbom.statements import add_licenses
from prefect_mutagen.scanner.storage.store import StoredObject

__all__ = [
    "TOOL_NAME",
    "Description",
    "build_sbom",
    "compare_config",
    "describe",
    "unpack",
    "warnings_of",
]

TOOL_NAME: Final = "prefect-mutagen"
_TEXT_LIMIT: Final = 1 << 16
_UNHASHED: Final = "SHA256 computation skipped by request."


@dataclass(frozen=True, slots=True)
class Description:
    """Merged facts and findings of one file's header and neighbours."""

    facts: Facts = field(default_factory=dict)
    """Facts by SBOM field, each with its source."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    """Facts beyond the SBOM's fields."""
    findings: tuple[Finding, ...] = ()
    neighbours: Neighbours = field(default_factory=Neighbours)
    """Contents of the files beside it."""

    def fields(self) -> dict[str, Any]:
        """Return the values of the stated SBOM fields."""
        return {name: self.facts[name].value for name in STATED if name in self.facts}

    def sources(self) -> dict[str, str]:
        """Return the source of each stated SBOM field."""
        return {name: self.facts[name].source for name in STATED if name in self.facts}


def describe(header: Header, neighbours: Neighbours, url: str) -> Description:
    """Merge what header and neighbours state about one file.

    Args:
        header: Its header, complete or truncated.
        neighbours: Contents of the files beside it.
        url: Its address, for findings.

    Returns:
        Facts, metadata and findings about them, without the header reader's errors.
    """
    findings: list[Finding] = []
    details: dict[str, Any]
    templates: tuple[Template, ...]
    if isinstance(header, GgufHeader):
        facts, fact_findings = gguf_facts(header, url)
        findings += fact_findings
        metadata = _gguf_metadata(header)
        own_keys = {entry.key for entry in header.metadata}
        reported = _gguf_report(header)
        details = gguf_details(header)
        own_licenses = licenses_in(((one.key, one.value) for one in header.metadata), "gguf:")
        templates = tuple(gguf_templates(header))
        findings += find_template_escapes(templates, url)
        findings += check_gguf_weights(header, _name(url), url)
    elif isinstance(header, SafetensorsHeader):
        facts = safetensors_facts(header)
        metadata = {}
        for key, value in header.metadata:
            metadata.setdefault(key, _json_text(value))
        own_keys = set(metadata)
        reported = _safetensors_report(header)
        own = dict(reversed(header.metadata))  # of duplicate keys, the first counts
        facts |= metadata_facts(own)
        details, templates = metadata_details(own), ()
        details["base_models"] = metadata_lineage(own)
        if unread := unread_lineage(own, details["base_models"]):
            findings.append(make_finding("sbom/unexamined", unread, url=url, field="base_model"))
        own_licenses = licenses_in(header.metadata, "safetensors:__metadata__.")
        reported |= _count_weights(header, neighbours, url, facts, findings)
    elif isinstance(header, PickleHeader | OtherWeightsHeader):
        facts, reported = loose_facts(header), loose_report(header)
        metadata, own_keys, details, templates, own_licenses = {}, set(), {}, (), []
    elif isinstance(header, UnknownHeader):
        return Description()
    else:
        assert_never(header)
    if neighbours.config:
        reported["sidecar_config"] = dict(neighbours.config)
    findings += _shadowed(own_keys & set(reported), url)
    # A header key of the same name keeps its position but not its value.
    metadata.update(reported)
    merged: Facts = {**neighbours.behind, **facts, **neighbours.before}
    before, behind = neighbours.licenses
    findings += add_licenses(merged, details, (*before, *own_licenses, *behind), url)
    lineage = merge_lineage((details.pop("base_models", ()), neighbours.details.get("base_models")))
    if lineage:
        details["base_models"] = lineage
    details = {**neighbours.details, **details}
    templates = (*templates, *neighbours.templates)
    findings += find_differing_copies(templates, url)
    more = {
        "chat_templates": template_details(templates),
        "stored_parameter_count": reported.get("stored_parameter_count"),
    }
    details |= {name: value for name, value in more.items() if value}
    return Description(
        merged, metadata, details, (*findings, *neighbours.findings), neighbours=neighbours
    )


def _count_weights(
    header: SafetensorsHeader,
    neighbours: Neighbours,
    url: str,
    facts: Facts,
    findings: list[Finding],
) -> dict[str, int]:
    """Correct facts for packed weights and check them; return what the metadata shows of it."""
    scheme = neighbours.packing or header_quantization(header.metadata)
    stored = unpack(facts, [header], scheme, url, findings)
    findings += check_weights(header, neighbours.configs, url, quantized=scheme is not None)
    if header.complete and is_loaded_by_config(_name(url)):
        findings += compare_config([header], neighbours, url)
    return {} if stored is None else {"stored_parameter_count": stored}


def _name(url: str) -> str:
    return url.rpartition("/")[2].partition("?")[0]


def compare_config(
    headers: Sequence[SafetensorsHeader],
    neighbours: Neighbours,
    url: str,
    *,
    complete: bool = True,
) -> Iterator[Finding]:
    """Compare config.json with the weights beside it.

    Args:
        headers: Header of a file, or those of all shards.
        neighbours: Contents of the files beside it.
        url: Its address, for findings.
        complete: Whether no shard is missing.
    """
    config = neighbours.configs.get("config.json")
    if config:
        tables = [header.tensors for header in headers]
        found = check_config(config, tables, neighbours.packing, complete=complete)
        for code, message, field in found:
            yield make_finding(code, message, url=url, field=field)


def unpack(
    facts: Facts,
    headers: Sequence[SafetensorsHeader],
    scheme: Quantization | None,
    url: str,
    findings: list[Finding],
) -> int | None:
    """Correct quantization, parameter count and dtype for packed weights.

    Args:
        facts: Facts of a file or a set; changed.
        headers: Its header, or those of all shards.
        scheme: What the model's files state about its quantization.
        url: Its address, for findings.
        findings: Gets a finding if the weights cannot be counted.

    Returns:
        The number of stored elements, if it is not that of the weights.
    """
    named = scheme.named if scheme is not None else None
    if named is not None:
        facts["quantization"] = named
    dtypes = {dtype for header in headers for dtype in set(header.tensors.dtypes())}
    if "parameter_count" not in facts or not may_be_packed(dtypes, scheme):
        return None
    count = count_parameters((one for header in headers for one in header.tensors), scheme)
    stored = facts["parameter_count"]
    if count.parameters is None:
        del facts["parameter_count"]
        message = f"{count.problem}; the number of parameters is unknown"
        findings.append(make_finding("sbom/parameters-unknown", message, url=url))
    else:
        source = scheme.source if scheme is not None and count.packed else stored.source
        facts["parameter_count"] = Stated(count.parameters, source)
    if count.words:
        # It is that of the packed integers; config.json may state the real one.
        facts.pop("dtype", None)
    return stored.value if count.parameters != stored.value else None


def _shadowed(keys: set[str], url: str) -> Iterator[Finding]:
    for key in sorted(keys):
        message = f"the metadata key {shown(key)} has a name that the SBOM reserves"
        yield make_finding("sbom/shadowed-key", message, url=url, field=key)


def _gguf_metadata(header: GgufHeader) -> dict[str, Any]:
    metadata: dict[str, Any] = {}
    for entry in header.metadata:
        if entry.key not in metadata:
            metadata[entry.key] = _json_value(entry.value)
    return metadata


def _gguf_report(header: GgufHeader) -> dict[str, Any]:
    counts: Counter[str] = Counter()
    parameters: Counter[str] = Counter()
    for tensor in header.tensors:
        counts[tensor.dtype] += 1
        parameters[tensor.dtype] += tensor.parameters
    return {
        "gguf_version": header.version,
        "endianness": header.byte_order,
        "metadata_keys": list(dict.fromkeys(entry.key for entry in header.metadata)),
        "tensor_count": len(header.tensors),
        "tensor_type_counts": dict(counts),
        "tensor_type_parameter_counts": dict(parameters),
    }


def _safetensors_report(header: SafetensorsHeader) -> dict[str, Any]:
    names = header.tensors.names()
    return {
        "layer_names": names,
        "tensor_dtypes": dict(zip(names, header.tensors.dtypes(), strict=True)),
    }


def _json_value(value: Any) -> Any:
    """Convert a metadata value to a JSON value of limited size."""
    if isinstance(value, str):
        return _json_text(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, LongText):
        return _truncated(value.head, value.length, value.sha256)
    if isinstance(value, ArrayValue):
        preview = [_json_value(item) for item in value.preview]
        if value.count <= len(preview):
            return preview
        return {
            "type": "array",
            "element_type": value.element_type,
            "count": value.count,
            "preview": preview,
            "truncated": True,
        }
    return value


def _json_text(value: str) -> Any:
    raw = value.encode()
    if len(raw) <= _TEXT_LIMIT:
        return value
    return _truncated(
        raw[:_TEXT_LIMIT].decode("utf-8", "ignore"), len(raw), hashlib.sha256(raw).hexdigest()
    )


def _truncated(head: str, length: int, sha256: str) -> dict[str, Any]:
    return {"type": "string", "length": length, "sha256": sha256, "head": head, "truncated": True}


def build_sbom(
    description: Description,
    item: StoredObject,
    file_format: str,
    sha256: str,
    generated_at: str,
    warnings: tuple[str, ...],
) -> Sbom:
    """Build the document of one file.

    Args:
        description: Its facts and metadata.
        item: The file.
        file_format: Format of its content, such as ``gguf`` or ``pytorch``; or ``unknown``.
        sha256: Its digest; empty if unknown.
        generated_at: Time of the scan in ISO 8601.
        warnings: Result of `warnings_of`.
    """
    return Sbom(
        sbom_version="1.0",
        generated_at=generated_at,
        tool_name=TOOL_NAME,
        tool_version=__version__,
        model_path=item.url,
        model_filename=item.name,
        file_size_bytes=max(0, item.size),
        sha256=sha256,
        format=file_format,
        metadata=description.metadata,
        warnings=warnings,
        **description.fields(),
    )


def warnings_of(findings: Iterable[Finding], *, unhashed: bool) -> tuple[str, ...]:
    """Return l-bom's ``warnings``: the hash notice and the error messages, without duplicates.

    Args:
        findings: Findings of the artifact, in file order.
        unhashed: Whether the caller disabled hashing.
    """
    warnings = [_UNHASHED] if unhashed else []
    warnings += [finding.message for finding in findings if finding.severity == "error"]
    return tuple(dict.fromkeys(warnings))
