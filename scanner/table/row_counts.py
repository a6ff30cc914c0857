"""Count the artifacts of a scan by the columns of their rows."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from prefect_mutagen.scanner.results import Summary
from prefect_mutagen.scanner.table.rows import from_row
from prefect_mutagen.scanner.table.runs import each_row

__all__ = ["count_passed_over", "count_rows", "may_be_passed_over"]


def count_rows(rows: pa.Table, summary: Summary) -> None:
    """Add rows to the numbers of artifacts, of their objects and of each verdict.

    Args:
        rows: Their columns ``status`` and ``objects``.
        summary: What is added to.
    """
    summary.artifacts += rows.num_rows
    summary.objects += pc.sum(pc.list_value_length(rows["objects"])).as_py() or 0
    for status in ("passed", "failed", "unknown"):
        count = pc.sum(pc.equal(rows["status"], status)).as_py() or 0
        setattr(summary, status, getattr(summary, status) + count)


def may_be_passed_over(rows: pa.Table) -> Any:
    """Select the rows of files whose contents are in no known format."""
    return pc.equal(rows["format"], "unknown")


def count_passed_over(rows: pa.Table, summary: Summary) -> None:
    """Count the files that were not examined as named only, in the census.

    Args:
        rows: Rows of ``artifacts/``.
        summary: What is added to.
    """
    for row in each_row(rows.filter(may_be_passed_over(rows))):
        passed_over = from_row(row).tally().passed_over
        if passed_over is not None:
            summary.census.pass_over(*passed_over)
