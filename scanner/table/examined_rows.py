"""Rows of examined artifacts, made in the process that examined them.

Turning results into rows and rows into columns costs about as much as a small header. Where worker
processes examine, they do this too: the process that records takes whole columns.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

import pyarrow as pa

from prefect_mutagen.scanner.examine.scan_info import ScanInfo
from prefect_mutagen.scanner.examine.unexamined import internal_error
from prefect_mutagen.scanner.results import ScanResult, Tally
from prefect_mutagen.scanner.table.rows import (
    bare_document,
    from_row,
    sbom_rows,
    stand_in_row,
    to_row,
)
from prefect_mutagen.scanner.table.runs import texts, to_table
from prefect_mutagen.scanner.table.schema import ARTIFACTS, SBOMS

__all__ = ["ExaminedRows", "RowMaker", "Shown", "rows_of"]

_DOCUMENT_BYTES: Final = 8 << 20
"""Metadata of a batch: one document may have megabytes."""


class Shown(NamedTuple):
    """What is told of one artifact besides its rows."""

    tally: Tally
    part: Any
    """What `RowMaker.show` returned for it."""


class ExaminedRows(NamedTuple):
    """Some examined artifacts, for `scanner.table.recording.Recording.add_rows`."""

    rows: pa.Table
    """For ``artifacts/``, one for each artifact, in their order, without drift."""
    documents: pa.Table
    """For ``sboms/``."""
    shown: tuple[Shown, ...]
    """One for each artifact."""


@dataclass(frozen=True, slots=True)
class RowMaker:
    """Makes rows of results; can be pickled, for `scanner.examine.engine.examine_artifacts`."""

    scan: ScanInfo
    show: Callable[[ScanResult], Any]
    """Applied to each result: a function of a module. What it returns is handed on."""
    most: int = 64
    """Rows of a batch. More are cheaper: a batch has fifty columns, however few its rows."""

    def __call__(self, results: Iterable[ScanResult]) -> Iterator[ExaminedRows]:
        """Yield the results in batches."""
        batch, rows, documents, size = list[ScanResult](), list[Any](), list[Any](), 0
        for result in results:
            row, described = rows_of(result, self.scan)
            batch.append(result)
            rows.append(row)
            documents += described
            size += sum(len(value) for one in described for _, value in one["metadata"])
            if len(rows) >= self.most or size >= _DOCUMENT_BYTES:
                yield self._columns(batch, rows, documents)
                batch, rows, documents, size = [], [], [], 0
        if rows:
            yield self._columns(batch, rows, documents)

    def _columns(
        self,
        results: list[ScanResult],
        rows: list[dict[str, Any]],
        documents: list[dict[str, Any]],
    ) -> ExaminedRows:
        table = to_table(
            rows, ARTIFACTS, lambda row, problem: stand_in_row(row, self.scan, problem)
        )
        shown: list[Shown] = []
        for place, (result, status) in enumerate(zip(results, texts(table, "status"), strict=True)):
            recorded = result
            if result.verdict.status != status:  # a fault while its row was made
                recorded = _with_warnings(from_row(table.slice(place, 1).to_pylist()[0]))
            shown.append(Shown(recorded.tally(), self.show(recorded)))
        return ExaminedRows(table, to_table(documents, SBOMS, bare_document), tuple(shown))


def _with_warnings(result: ScanResult) -> ScanResult:
    """Return a result from a row with the warnings of its document."""
    errors = (finding.message for finding in result.findings if finding.severity == "error")
    return replace(result, sbom=replace(result.sbom, warnings=tuple(errors)))


def rows_of(result: ScanResult, scan: ScanInfo) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the rows of a result in ``artifacts/`` and in ``sboms/``.

    Args:
        result: The result; an internal error takes its place if it cannot be recorded.
        scan: The scan it belongs to.
    """
    try:
        return to_row(result, scan), list(sbom_rows(result, scan))
    except Exception as problem:  # noqa: BLE001 - a bug costs only this artifact
        broken = internal_error(result, problem, "recording")
    return to_row(broken, scan), list(sbom_rows(broken, scan))
