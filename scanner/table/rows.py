"""Convert results to rows of the table and back.

Summary columns are typed, so that one SQL query answers most questions; values without a fixed type
are stored as JSON text. `scanner.table.schema` defines the columns.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any, Final

import pyarrow as pa

from prefect_mutagen.scanner.examine.scan_info import ScanInfo
from prefect_mutagen.scanner.examine.unexamined import internal_error
from prefect_mutagen.scanner.findings import Finding
from prefect_mutagen.scanner.internal_errors import log_fault
from prefect_mutagen.scanner.policy.policy import Policy
from prefect_mutagen.scanner.results import Change, ObjectResult, Sbom, ScanResult, Summary
from prefect_mutagen.scanner.sbom.document import TOOL_NAME
from prefect_mutagen.scanner.sbom.json_text import to_exact_json, to_json
from prefect_mutagen.scanner.sbom.valid_names import original_label, with_valid_names
from prefect_mutagen.scanner.storage.hashing import is_proof
from prefect_mutagen.scanner.storage.names import (
    original_address,
    original_name,
    readable,
    storable,
    storable_name,
)
from prefect_mutagen.scanner.storage.store import UNKNOWN_SIZE
from prefect_mutagen.scanner.table.deltas import StateName
from prefect_mutagen.scanner.table.schema import CHANGE, FACTS, FINDING, OBJECT, REASON
from prefect_mutagen.scanner.verdicts import Reason, Verdict

__all__ = [
    "bare_document",
    "drift_columns",
    "from_row",
    "moment",
    "plain_policy",
    "sbom_rows",
    "scan_row",
    "stand_in_row",
    "to_row",
    "verdict_columns",
    "with_documents",
]

_INT64_MAX: Final = 2**63 - 1


def to_row(result: ScanResult, scan: ScanInfo) -> dict[str, Any]:
    """Return the row of a result in ``artifacts/``."""
    sbom_id, result = result.sbom_id, with_valid_names(result)
    row: dict[str, Any] = {
        "scan_id": scan.id,
        "scanned_at": moment(scan.started_at),
        "source": storable(scan.source),
        "url": _text(result.url),
        "kind": result.kind,
        "pin": result.pin,
        **verdict_columns(result),
        "size_bytes": _int64(result.size),
        "modified_at": _since_1970(result.modified),
        "sha256": result.sbom.sha256 or None,
        "sha256_source": _text(result.sha256_source) or None,
        "header_sha256": result.header_sha256 or None,
        **_facts(result.sbom),
        "license_spdx": _text(result.license_spdx),
        "sources": _pairs(result.sources),
        "findings": [_struct(finding, FINDING) for finding in result.findings],
        "objects": [_struct(item, OBJECT) for item in result.objects],
        "examined_at": result.sbom.generated_at,
        "tool_version": result.sbom.tool_version,
        "sbom_id": sbom_id,
        "facts": to_json(dict(result.facts)),
        "template_sha256": [
            template["sha256"]
            for template in result.facts.get("chat_templates", ())
            if "sha256" in template
        ],
        "waived": [_struct(reason, REASON) for reason in result.verdict.waived],
        "neighbours": _pairs(result.neighbours),
        "loads": [
            (loader, [_text(path) for path in files]) for loader, files in result.loads.items()
        ],
        "digests": _pairs(result.digests),
        "policy_digest": scan.policy_digest,
        "owner": _text(scan.owner_of(storable(result.url), result.facts) or None),
    }
    return row


def drift_columns(result: ScanResult) -> dict[str, Any]:
    """Return the columns that compare with the previous scan."""
    changes = [_struct(change, CHANGE) for change in result.drift_details]
    return {"drift": result.drift, "drift_details": changes}


def verdict_columns(result: ScanResult) -> dict[str, Any]:
    """Return the columns that depend on the policy."""
    return {
        "status": result.verdict.status,
        "reasons": [_struct(reason, REASON) for reason in result.verdict.reasons],
        "waived": [_struct(reason, REASON) for reason in result.verdict.waived],
        **drift_columns(result),
    }


def from_row(row: Mapping[str, Any]) -> ScanResult:
    """Return the result of a row of ``artifacts/``; its SBOM lacks metadata and warnings."""
    objects = tuple(
        ObjectResult(
            original_address(item["url"]),
            UNKNOWN_SIZE if item["size"] is None else item["size"],
            item["pin"],
        )
        for item in row["objects"]
    )
    facts = {name: row[name] for name, _ in FACTS if name != "format"}
    proven = is_proof(row["sha256_source"] or "")
    url = original_address(row["url"])
    sbom = Sbom(
        sbom_version="1.0",
        generated_at=row["examined_at"],
        tool_name=TOOL_NAME,
        tool_version=row["tool_version"],
        model_path=url,
        model_filename=url.rpartition("/")[2],
        file_size_bytes=row["size_bytes"],
        # Tables of 0.1 hold digests that were only stated.
        sha256=(row["sha256"] or "") if proven else "",
        format=row["format"],
        **facts,
    )
    modified = row["modified_at"]
    return ScanResult(
        url=url,
        kind=row["kind"],
        pin=row["pin"],
        objects=objects,
        sbom=sbom,
        license_spdx=row["license_spdx"],
        sources=dict(row["sources"] or ()),
        facts=json.loads(row["facts"] or "{}"),
        header_sha256=row["header_sha256"] or "",
        sha256_source=row["sha256_source"] if proven else "",
        findings=tuple(map(_finding, row["findings"])),
        verdict=Verdict(
            row["status"],
            tuple(Reason(**reason) for reason in row["reasons"]),
            # Missing in tables of earlier versions.
            tuple(Reason(**reason) for reason in row.get("waived") or ()),
        ),
        drift=row["drift"],
        modified=modified.timestamp() if modified else None,
        neighbours=_by_name(row["neighbours"]) if row.get("neighbours") is not None else None,
        drift_details=tuple(Change(**change) for change in row.get("drift_details") or ()),
        loads={
            loader: tuple(map(original_name, files)) for loader, files in row.get("loads") or ()
        },
        digests={original_label(label): one for label, one in row.get("digests") or ()},
    )


def _by_name(pins: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {original_name(name): pin for name, pin in pins}


def _finding(row: Mapping[str, Any]) -> Finding:
    url, field = original_address(row["url"]), original_name(row["field"])
    return Finding(**{**row, "url": url, "field": field})


def stand_in_row(row: dict[str, Any], scan: ScanInfo, problem: Exception) -> dict[str, Any]:
    """Return a substitute for a row that does not fit the schema.

    Args:
        row: As returned by `to_row`.
        scan: The scan it belongs to.
        problem: The exception it caused.
    """
    broken = internal_error(from_row({"drift": None, **row}), problem, "recording")
    return to_row(broken, scan) | {"drift": row.get("drift"), "drift_details": []}


def bare_document(row: dict[str, Any], problem: Exception) -> dict[str, Any]:
    """Return a row of ``sboms/`` without the values that do not fit; see `stand_in_row`."""
    message = log_fault(problem, "recording the document", row["url"])
    return {**row, "metadata": [], "warnings": [message]}


def sbom_rows(result: ScanResult, scan: ScanInfo) -> Iterator[dict[str, Any]]:
    """Yield the rows of a result in ``sboms/``: its document, and those of a set's files."""
    yield _sbom_row(result.sbom, None, result, scan)
    for item in result.objects:
        if item.sbom is not None:
            yield _sbom_row(item.sbom, item.url, result, scan)


def _sbom_row(
    sbom: Sbom, object_url: str | None, result: ScanResult, scan: ScanInfo
) -> dict[str, Any]:
    document = sbom.to_dict()
    metadata = [(_text(key), to_exact_json(value)) for key, value in document["metadata"].items()]
    return {
        **document,
        **_facts(sbom),
        "model_path": storable(sbom.model_path),
        "model_filename": storable_name(sbom.model_filename),
        "warnings": [_text(warning) for warning in sbom.warnings],
        "file_size_bytes": _int64(sbom.file_size_bytes),
        "metadata": metadata,
        "sbom_id": result.sbom_id,
        "scan_id": scan.id,
        "pin": result.pin,
        "url": storable(result.url),
        "object_url": None if object_url is None else storable(object_url),
    }


def with_documents(result: ScanResult, rows: Sequence[Mapping[str, Any]]) -> ScanResult:
    """Return a result with its documents from ``sboms/``.

    Args:
        result: As returned by `from_row`.
        rows: All rows with its ``sbom_id``, the latest last; without rows it is returned unchanged.
    """
    documents = {row.get("object_url"): _document(row) for row in rows}
    if not result.sha256_source:
        documents = {url: replace(sbom, sha256="") for url, sbom in documents.items()}
    return replace(
        result,
        sbom=documents.get(None, result.sbom),
        objects=tuple(
            replace(item, sbom=documents.get(storable(item.url))) for item in result.objects
        ),
    )


def _document(row: Mapping[str, Any]) -> Sbom:
    known = {entry.name: row[entry.name] for entry in fields(Sbom)}
    known["model_path"] = original_address(row["model_path"])
    known["model_filename"] = original_name(row["model_filename"])
    known["metadata"] = {key: json.loads(value) for key, value in row["metadata"]}
    known["warnings"] = tuple(row["warnings"])
    return Sbom(**known)


def scan_row(
    scan: ScanInfo,
    summary: Summary,
    drift: Mapping[str, int],
    state: StateName,
    *,
    judged_apart: bool,
) -> dict[str, Any]:
    """Return the row of a scan in ``scans/``.

    Args:
        scan: The scan.
        summary: Its counts.
        drift: Numbers of added, changed, removed, unchanged and left-out artifacts.
        state: The state since this scan.
        judged_apart: Whether parts of it were judged by another policy.
    """
    return {
        **summary.to_report(),
        **{name: drift.get(name, 0) for name in ("added", "changed", "removed", "unchanged")},
        "scan_id": scan.id,
        "source": storable(scan.source),
        "started_at": moment(scan.started_at),
        "finished_at": moment(summary.finished_at),
        "tool_version": scan.tool_version,
        "policy": json.dumps(plain_policy(scan.policy)),
        "state_scan_id": state.scan_id,
        "changes": list(state.changes),
        "left_out": drift.get("left-out", 0),
        "judged_apart": judged_apart,
    }


def plain_policy(policy: Policy) -> dict[str, Any]:
    """Return a policy as stored in the table, so that two can be compared."""
    plain: dict[str, Any] = json.loads(json.dumps(policy.to_dict()))
    return plain


def _facts(sbom: Sbom) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for name, kind in FACTS:
        value = getattr(sbom, name)
        facts[name] = _int64(value) if kind == pa.int64() else _text(value)
    return facts


def _int64(value: int | None) -> int | None:
    """Return a number, or None if it does not fit into 64 bits."""
    return value if value is not None and -_INT64_MAX <= value <= _INT64_MAX else None


def _text(value: str | None) -> str | None:
    return None if value is None else readable(value)


def _pairs(values: Mapping[str, str] | None) -> list[tuple[str, str | None]] | None:
    return (
        None if values is None else [(readable(name), _text(pin)) for name, pin in values.items()]
    )


def _struct(record: Any, kind: pa.StructType) -> dict[str, Any]:
    values = {}
    for entry in kind:
        value = getattr(record, entry.name)
        values[entry.name] = _text(value) if isinstance(value, str) else _int64(value)
    return values


def moment(text: str) -> datetime | None:
    """Parse an ISO 8601 timestamp; None for an empty text."""
    return datetime.fromisoformat(text) if text else None


def _since_1970(seconds: float | None) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds, UTC) if seconds is not None else None
    except (OverflowError, ValueError, OSError):
        return None  # files may have any timestamp
