"""Columns that come from the scan's policy: by which rules a row was judged, and whose it is.

Both follow the policy without a look at the models: carried-over rows are judged by the current one
anyway, and owners decide nothing. Where they are others than recorded, the state is written anew.
"""

import json
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from prefect_mutagen.scanner.examine.scan_info import ScanInfo
from prefect_mutagen.scanner.table.marks import Mark
from prefect_mutagen.scanner.table.runs import KEY, texts
from prefect_mutagen.scanner.table.schema import ARTIFACTS

__all__ = ["with_policy"]


def with_policy(rows: pa.Table, marks: Any, scan: ScanInfo, *, owners: bool) -> pa.Table:
    """Return carried-over rows with what a scan's policy says of those that are kept.

    Args:
        rows: Rows of ``artifacts/``, with any of the columns.
        marks: A `Mark` for each of them.
        scan: The scan.
        owners: Whether their owners may be others than the policy's; looking them up takes longer
            than everything else here.
    """
    kept = pc.equal(marks, Mark.KEPT)
    if "policy_digest" in rows.column_names:
        digests = pc.if_else(kept, scan.policy_digest, rows["policy_digest"])
        rows = _with(rows, "policy_digest", digests)
    if owners and "owner" in rows.column_names:
        tag = scan.policy.owner_tag
        facts = rows["facts"].to_pylist() if tag else [None] * rows.num_rows
        found = [
            scan.owner_of(url, json.loads(said or "{}")) or None
            for url, said in zip(texts(rows, KEY), facts, strict=True)
        ]
        rows = _with(rows, "owner", pc.if_else(kept, pa.array(found, pa.string()), rows["owner"]))
    return rows


def _with(rows: pa.Table, name: str, values: Any) -> pa.Table:
    return rows.set_column(rows.column_names.index(name), ARTIFACTS.field(name), values)
