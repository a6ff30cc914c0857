"""Build the SBOM of one model file: the document l-bom prints, without its faults.

The document is a contract with everybody who reads l-bom's: 20 fields, in order and type. What
differs from l-bom is listed in the documentation. Where several sources state a fact, the order in
which they count is fixed here.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
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
from prefect_mutagen.scanner.content.details import gguf_details, template_details
from prefect_mutagen.scanner.content.facts import Facts, gguf_facts, safetensors_facts
from prefect_mutagen.scanner.content.neighbours import Neighbours
from prefect_mutagen.scanner.content.packing import logical_parameters, packed_quantization
from prefect_mutagen.scanner.content.templates import Template, gguf_templates, look_at_templates
from prefect_mutagen.scanner.findings import Finding, make_finding
from prefect_mutagen.scanner.results import STATED, Sbom
from prefect_mutagen.scanner.storage.store import StoredObject

__all__ = ["TOOL_NAME", "Description", "build_sbom", "describe", "warnings_of"]

TOOL_NAME: Final = "prefect-mutagen"
_TEXT_LIMIT: Final = 1 << 16
_UNHASHED: Final = "SHA256 computation skipped by request."


@dataclass(frozen=True, slots=True)
class Description:
    """What header and neighbours together state about one file."""

    facts: Facts = field(default_factory=dict)
    """Facts by field, each with its source."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    """What else is stated."""
    findings: tuple[Finding, ...] = ()

    def fields(self) -> dict[str, Any]:
        """Give the SBOM's fields that a source states."""
        return {name: self.facts[name].value for name in STATED if name in self.facts}

    def sources(self) -> dict[str, str]:
        """Say where each stated field comes from."""
        return {name: self.facts[name].source for name in STATED if name in self.facts}


def describe(header: Header, neighbours: Neighbours, url: str) -> Description:
    """Put together what is stated about one file.

    Args:
        header: What its first bytes are, read whole or in part.
        neighbours: What the files beside it state.
        url: Its address, for findings.

    Returns:
        Facts, metadata and the findings about them (not those of the header reader).
    """
    findings: list[Finding] = []
    details: dict[str, Any]
    templates: tuple[Template, ...]
    if isinstance(header, GgufHeader):
        facts, odd = gguf_facts(header, url)
        findings += odd
        metadata = _gguf_metadata(header)
        own = {entry.key for entry in header.metadata}
        reported = _gguf_report(header)
        details = gguf_details(header)
        templates = tuple(gguf_templates(header))
        findings += look_at_templates(templates, url)
    elif isinstance(header, SafetensorsHeader):
        facts = safetensors_facts(header)
        metadata = {}
        for key, value in header.metadata:
            metadata.setdefault(key, _text(value))
        own = set(metadata)
        reported = _safetensors_report(header)
        details, templates = {}, ()
        if neighbours.packing is not None:
            _unpack(facts, header, neighbours, reported)
    elif isinstance(header, UnknownHeader):
        return Description()
    else:
        assert_never(header)
    if neighbours.config:
        reported["sidecar_config"] = dict(neighbours.config)
    findings += _shadowed(own & set(reported), url)
    # A user's key of the same name keeps its place in the order but not its value.
    metadata.update(reported)
    merged = {**neighbours.behind, **facts, **neighbours.before}
    details = {**neighbours.details, **details}
    shown_templates = template_details((*templates, *neighbours.templates))
    if shown_templates:
        details["chat_templates"] = shown_templates
    if "stored_parameter_count" in reported:
        details["stored_parameter_count"] = reported["stored_parameter_count"]
    return Description(merged, metadata, details, (*findings, *neighbours.findings))


def _unpack(
    facts: Facts, header: SafetensorsHeader, neighbours: Neighbours, reported: dict[str, Any]
) -> None:
    """Correct what packed weights make of the header's counts."""
    packing = neighbours.packing or {}
    quantization = packed_quantization(packing)
    if quantization is not None:
        facts["quantization"] = quantization
    logical = logical_parameters(header, packing)
    if logical is None or quantization is None:
        return
    reported["stored_parameter_count"] = facts["parameter_count"].value
    facts["parameter_count"] = quantization._replace(value=logical)
    facts.pop("dtype", None)  # of the packed integers; config.json may state the real one


def _shadowed(keys: set[str], url: str) -> Iterator[Finding]:
    for key in sorted(keys):
        message = f"the metadata key {shown(key)} has the name of a fact of the SBOM"
        yield make_finding("sbom/shadowed-key", message, url=url, field=key)


def _gguf_metadata(header: GgufHeader) -> dict[str, Any]:
    metadata: dict[str, Any] = {}
    for entry in header.metadata:
        if entry.key not in metadata:
            metadata[entry.key] = _value(entry.value)
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


def _value(value: Any) -> Any:
    """Turn a metadata value into one that JSON has, and not much of it."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, LongText):
        return _cut(value.head, value.length, value.sha256)
    if isinstance(value, ArrayValue):
        preview = [_value(item) for item in value.preview]
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


def _text(value: str) -> Any:
    raw = value.encode()
    if len(raw) <= _TEXT_LIMIT:
        return value
    return _cut(
        raw[:_TEXT_LIMIT].decode("utf-8", "ignore"), len(raw), hashlib.sha256(raw).hexdigest()
    )


def _cut(head: str, length: int, sha256: str) -> dict[str, Any]:
    return {"type": "string", "length": length, "sha256": sha256, "head": head, "truncated": True}


def build_sbom(
    description: Description,
    item: StoredObject,
    file_format: str,
    sha256: str,
    generated_at: str,
    warnings: tuple[str, ...],
) -> Sbom:
    """Write the document of one file.

    Args:
        description: What is stated about it.
        item: The file.
        file_format: What its bytes are: ``gguf``, ``safetensors`` or ``unknown``.
        sha256: Its digest, where known.
        generated_at: Time of the scan.
        warnings: See `warnings_of`.
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
    """Give the texts that l-bom's readers look for: the hash notice and the errors, each once.

    Args:
        findings: What is wrong with the artifact, in the order of the file.
        unhashed: Whether the caller asked for no hash.
    """
    warnings = [_UNHASHED] if unhashed else []
    warnings += [finding.message for finding in findings if finding.severity == "error"]
    return tuple(dict.fromkeys(warnings))
