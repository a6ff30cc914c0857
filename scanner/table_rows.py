"""The rows of the table: their schemas, and how a result becomes a row and a row a result again.

Summary columns are typed, so that one SQL query answers most questions; what has no fixed form is
kept as text. A schema only ever grows at its end, and says its version in the file's metadata.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

import pyarrow as pa

from prefect_mutagen.scanner.document import Sbom
from prefect_mutagen.scanner.findings import Finding
from prefect_mutagen.scanner.outputs.json_text import to_json
from prefect_mutagen.scanner.policy import Reason, Verdict
from prefect_mutagen.scanner.results import ObjectResult, ScanInfo, ScanResult, Summary
from prefect_mutagen.scanner.storage import storable

__all__ = [
    "ARTIFACTS",
    "SBOMS",
    "SCANS",
    "SCHEMA_VERSION",
    "from_row",
    "sbom_row",
    "scan_row",
    "to_row",
]

SCHEMA_VERSION: Final = "1"
_INT64_MAX: Final = 2**63 - 1
_TIME: Final = pa.timestamp("us", tz="UTC")
_TEXTS: Final = pa.map_(pa.string(), pa.string())

_FINDING: Final = pa.struct(
    [
        ("code", pa.string()),
        ("severity", pa.string()),
        ("offset", pa.int64()),
        ("field", pa.string()),
        ("url", pa.string()),
        ("message", pa.string()),
        ("hint", pa.string()),
    ]
)
_REASON: Final = pa.struct(
    [
        ("code", pa.string()),
        ("policy_field", pa.string()),
        ("value", pa.string()),
        ("message", pa.string()),
    ]
)
_OBJECT: Final = pa.struct([("url", pa.string()), ("size", pa.int64()), ("pin", pa.string())])
_FACTS: Final[list[tuple[str, pa.DataType]]] = [
    ("format", pa.string()),
    ("architecture", pa.string()),
    ("parameter_count", pa.int64()),
    ("quantization", pa.string()),
    ("dtype", pa.string()),
    ("context_length", pa.int64()),
    ("vocab_size", pa.int64()),
    ("license", pa.string()),
    ("base_model", pa.string()),
    ("training_framework", pa.string()),
]


def _schema(columns: list[tuple[str, pa.DataType]]) -> pa.Schema:
    return pa.schema(columns, metadata={"prefect_mutagen.schema": SCHEMA_VERSION})


ARTIFACTS: Final = _schema(
    [
        ("scan_id", pa.string()),
        ("scanned_at", _TIME),
        ("source", pa.string()),
        ("url", pa.string()),
        ("kind", pa.string()),
        ("pin", pa.string()),
        ("status", pa.string()),
        ("drift", pa.string()),
        ("size_bytes", pa.int64()),
        ("modified_at", _TIME),
        ("sha256", pa.string()),
        ("sha256_source", pa.string()),
        ("header_sha256", pa.string()),
        *_FACTS,
        ("license_spdx", pa.string()),
        ("sources", _TEXTS),
        ("findings", pa.list_(_FINDING)),
        ("reasons", pa.list_(_REASON)),
        ("objects", pa.list_(_OBJECT)),
        ("examined_at", pa.string()),
        ("tool_version", pa.string()),
        ("sbom_id", pa.string()),
        ("facts", pa.string()),
        ("template_sha256", pa.list_(pa.string())),
        ("waived", pa.list_(_REASON)),
    ]
)
"""One row for every artifact of the state a scan found."""

SBOMS: Final = _schema(
    [
        ("sbom_id", pa.string()),
        ("scan_id", pa.string()),
        ("pin", pa.string()),
        ("sbom_version", pa.string()),
        ("generated_at", pa.string()),
        ("tool_name", pa.string()),
        ("tool_version", pa.string()),
        ("model_path", pa.string()),
        ("model_filename", pa.string()),
        ("file_size_bytes", pa.int64()),
        ("sha256", pa.string()),
        *_FACTS,
        ("metadata", _TEXTS),
        ("warnings", pa.list_(pa.string())),
    ]
)
"""The whole documents, each metadata value as JSON text."""

SCANS: Final = _schema(
    [
        ("scan_id", pa.string()),
        ("source", pa.string()),
        ("started_at", _TIME),
        ("finished_at", _TIME),
        ("tool_version", pa.string()),
        ("policy", pa.string()),
        ("state_scan_id", pa.string()),
        ("artifacts", pa.int64()),
        ("objects", pa.int64()),
        ("passed", pa.int64()),
        ("failed", pa.int64()),
        ("unknown", pa.int64()),
        ("added", pa.int64()),
        ("changed", pa.int64()),
        ("removed", pa.int64()),
        ("unchanged", pa.int64()),
        ("bytes_read", pa.int64()),
        ("requests", pa.int64()),
    ]
)
"""One row for every scan; ``state_scan_id`` says whose file under ``artifacts/`` is its state."""


def to_row(result: ScanResult, scan: ScanInfo) -> dict[str, Any]:
    """Turn a result into a row of ``artifacts/``."""
    row: dict[str, Any] = {
        "scan_id": scan.id,
        "scanned_at": _moment(scan.started_at),
        "source": _text(scan.source),
        "url": _text(result.url),
        "kind": result.kind,
        "pin": result.pin,
        "status": result.verdict.status,
        "drift": result.drift,
        "size_bytes": _int64(result.size),
        "modified_at": _since_1970(result.modified),
        "sha256": result.sbom.sha256 or None,
        "sha256_source": result.sha256_source or None,
        "header_sha256": result.header_sha256 or None,
        **_facts(result.sbom),
        "license_spdx": result.license_spdx,
        "sources": list(result.sources.items()),
        "findings": [_struct(finding, _FINDING) for finding in result.findings],
        "reasons": [_struct(reason, _REASON) for reason in result.verdict.reasons],
        "objects": [_struct(item, _OBJECT) for item in result.objects],
        "examined_at": result.sbom.generated_at,
        "tool_version": result.sbom.tool_version,
        "sbom_id": result.sbom_id,
        "facts": to_json(dict(result.facts)),
        "template_sha256": [
            template["sha256"]
            for template in result.facts.get("chat_templates", ())
            if "sha256" in template
        ],
        "waived": [_struct(reason, _REASON) for reason in result.verdict.waived],
    }
    return row


def from_row(row: Mapping[str, Any]) -> ScanResult:
    """Turn a row of ``artifacts/`` into a result: the SBOM without its metadata and warnings."""
    objects = tuple(ObjectResult(item["url"], item["size"], item["pin"]) for item in row["objects"])
    facts = {name: row[name] for name, _ in _FACTS if name != "format"}
    sbom = Sbom(
        sbom_version="1.0",
        generated_at=row["examined_at"],
        tool_name="prefect-mutagen",
        tool_version=row["tool_version"],
        model_path=row["url"],
        model_filename=row["url"].rpartition("/")[2],
        file_size_bytes=row["size_bytes"],
        sha256=row["sha256"] or "",
        format=row["format"],
        **facts,
    )
    modified = row["modified_at"]
    return ScanResult(
        url=row["url"],
        kind=row["kind"],
        pin=row["pin"],
        objects=objects,
        sbom=sbom,
        license_spdx=row["license_spdx"],
        sources=dict(row["sources"] or ()),
        facts=json.loads(row["facts"] or "{}"),
        header_sha256=row["header_sha256"] or "",
        sha256_source=row["sha256_source"] or "",
        findings=tuple(Finding(**finding) for finding in row["findings"]),
        verdict=Verdict(
            row["status"],
            tuple(Reason(**reason) for reason in row["reasons"]),
            # A table of an earlier version has no such column.
            tuple(Reason(**reason) for reason in row.get("waived") or ()),
        ),
        drift=row["drift"],
        modified=modified.timestamp() if modified else None,
    )


def sbom_row(result: ScanResult, scan: ScanInfo) -> dict[str, Any]:
    """Turn a result's document into a row of ``sboms/``."""
    document = result.sbom.to_dict()
    metadata = [(_text(key), json.dumps(value)) for key, value in document["metadata"].items()]
    return {
        **document,
        **_facts(result.sbom),
        "model_path": _text(result.sbom.model_path),
        "model_filename": _text(result.sbom.model_filename),
        "warnings": [_text(warning) for warning in result.sbom.warnings],
        "file_size_bytes": _int64(result.sbom.file_size_bytes),
        "metadata": metadata,
        "sbom_id": result.sbom_id,
        "scan_id": scan.id,
        "pin": result.pin,
    }


def scan_row(
    scan: ScanInfo, summary: Summary, drift: Mapping[str, int], state_scan_id: str
) -> dict[str, Any]:
    """Write the row of ``scans/``."""
    return {
        **asdict(summary),
        **{name: drift.get(name, 0) for name in ("added", "changed", "removed", "unchanged")},
        "scan_id": scan.id,
        "source": _text(scan.source),
        "started_at": _moment(scan.started_at),
        "finished_at": _moment(summary.finished_at),
        "tool_version": scan.tool_version,
        "policy": json.dumps(scan.policy.to_dict()),
        "state_scan_id": state_scan_id,
    }


def _facts(sbom: Sbom) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for name, kind in _FACTS:
        value = getattr(sbom, name)
        facts[name] = _int64(value) if kind == pa.int64() else _text(value)
    return facts


def _int64(value: int | None) -> int | None:
    """Leave out a number that no honest file has and no column holds."""
    return value if value is not None and -_INT64_MAX <= value <= _INT64_MAX else None


def _text(value: str | None) -> str | None:
    return None if value is None else storable(value)


def _struct(record: Any, kind: pa.StructType) -> dict[str, Any]:
    values = {}
    for entry in kind:
        value = getattr(record, entry.name)
        values[entry.name] = _text(value) if isinstance(value, str) else value
    return values


def _moment(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _since_1970(seconds: float | None) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds, UTC) if seconds is not None else None
    except (OverflowError, ValueError, OSError):
        return None  # a file may carry any time
