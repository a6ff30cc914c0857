"""The columns of the table.

Columns are only ever appended, and every file has its schema version in its metadata. So files of
all versions can be read together: by `conform` here, by ``union_by_name`` in DuckDB.
"""

from typing import Final

import pyarrow as pa

__all__ = [
    "ARTIFACTS",
    "CENSUS",
    "CHANGE",
    "FACTS",
    "FINDING",
    "LOOKED",
    "OBJECT",
    "REASON",
    "SBOMS",
    "SCANS",
    "SCHEMA_VERSION",
    "conform",
]

SCHEMA_VERSION: Final = "8"
"""1: initial version. 2: ``neighbours``, ``drift_details``, ``waived``, addresses of documents,
sorted rows. 3: ``left_out`` and ``judged_apart`` of scans. 4: ``loads``. 5: ``digests``. 6: the
scans' ``census``. 7: deltas, and the scans' ``changes``, which names them. 8: ``policy_digest`` and
``owner``."""

_TIME: Final = pa.timestamp("us", tz="UTC")
_TEXTS: Final = pa.map_(pa.string(), pa.string())

FINDING: Final = pa.struct(
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
CHANGE: Final = pa.struct([("field", pa.string()), ("before", pa.string()), ("after", pa.string())])
REASON: Final = pa.struct(
    [
        ("code", pa.string()),
        ("policy_field", pa.string()),
        ("value", pa.string()),
        ("message", pa.string()),
    ]
)
CENSUS: Final = pa.struct(
    [
        ("role", pa.string()),
        ("state", pa.string()),
        ("objects", pa.int64()),
        ("bytes", pa.int64()),
    ]
)
OBJECT: Final = pa.struct([("url", pa.string()), ("size", pa.int64()), ("pin", pa.string())])
FACTS: Final[list[tuple[str, pa.DataType]]] = [
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


def conform(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Convert rows of any schema version to a schema; missing columns become null."""
    columns = [
        rows.column(entry.name).cast(entry.type)
        if entry.name in rows.column_names
        else pa.chunked_array([pa.nulls(rows.num_rows, entry.type)])
        for entry in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


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
        *FACTS,
        ("license_spdx", pa.string()),
        ("sources", _TEXTS),
        ("findings", pa.list_(FINDING)),
        ("reasons", pa.list_(REASON)),
        ("objects", pa.list_(OBJECT)),
        ("examined_at", pa.string()),
        ("tool_version", pa.string()),
        ("sbom_id", pa.string()),
        ("facts", pa.string()),
        ("template_sha256", pa.list_(pa.string())),
        ("neighbours", _TEXTS),
        ("drift_details", pa.list_(CHANGE)),
        ("waived", pa.list_(REASON)),
        ("loads", pa.map_(pa.string(), pa.list_(pa.string()))),
        ("digests", _TEXTS),
        ("policy_digest", pa.string()),
        ("owner", pa.string()),
    ]
)
"""One row for every artifact of a state, or for what a scan changed. ``policy_digest`` is the
SHA-256 of the policy that the verdict is by, ``owner`` null where nothing says whose it is."""

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
        *FACTS,
        ("metadata", _TEXTS),
        ("warnings", pa.list_(pa.string())),
        ("url", pa.string()),
        ("object_url", pa.string()),
    ]
)
"""The complete documents, metadata values as JSON text. Documents of the files of a set share the
set's ``sbom_id`` and have their address in ``object_url``."""

LOOKED: Final = _schema([("identity", pa.binary(16)), ("is_weights", pa.bool_())])
"""The files that were looked into because their names say nothing, by a digest of address and pin,
and whether they are weights: what the next scan need not read. Only the newest file counts."""

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
        ("left_out", pa.int64()),
        ("judged_apart", pa.bool_()),
        ("census", pa.list_(CENSUS)),
        ("changes", pa.list_(pa.string())),
    ]
)
"""One row for every scan; ``state_scan_id`` references its state, a file in ``artifacts/``, and
``changes`` the scans whose files in ``changes/`` have what is different since, in order.
``left_out`` counts known artifacts outside the selection; ``judged_apart`` states that they were
judged by another policy than the scan's. ``census`` counts all listed objects by role and state."""
