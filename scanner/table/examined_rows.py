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
from prefect_mutagen.scanner.table.runs import to_table
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
            recorded, row, described = rows_of(result, self.scan)
            batch.append(recorded)
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
        broken: list[dict[str, Any]] = []

        def stand_in(row: dict[str, Any], problem: Exception) -> dict[str, Any]:
            broken.append(row)
            return stand_in_row(row, self.scan, problem)

        table = to_table(rows, ARTIFACTS, stand_in)
        faulty = [place for place, row in enumerate(rows) if any(row is one for one in broken)]
        for place in faulty:
            row = table.slice(place, 1).to_pylist()[0]
            recorded = _with_cost(_with_warnings(from_row(row)), results[place])
            results[place] = recorded
            documents = [one for one in documents if not _describes(one, rows[place])]
            documents += sbom_rows(recorded, self.scan)
        shown = tuple(Shown(result.tally(), self.show(result)) for result in results)
        return ExaminedRows(table, to_table(documents, SBOMS, bare_document), shown)


def _with_warnings(result: ScanResult) -> ScanResult:
    """Return a result from a row with the warnings of its document."""
    errors = (finding.message for finding in result.findings if finding.severity == "error")
    return replace(result, sbom=replace(result.sbom, warnings=tuple(errors)))


def _with_cost(result: ScanResult, examined: ScanResult) -> ScanResult:
    """Return a result with what its examination took."""
    return replace(result, bytes_read=examined.bytes_read, requests=examined.requests)


def _describes(document: dict[str, Any], row: dict[str, Any]) -> bool:
    return bool(document["url"] == row["url"] and document["sbom_id"] == row["sbom_id"])


def rows_of(
    result: ScanResult, scan: ScanInfo
) -> tuple[ScanResult, dict[str, Any], list[dict[str, Any]]]:
    """Return what is recorded of a result, and its rows in ``artifacts/`` and in ``sboms/``.

    Args:
        result: The result; an internal error takes its place if it cannot be recorded.
        scan: The scan it belongs to.
    """
    try:
        return result, to_row(result, scan), list(sbom_rows(result, scan))
    except Exception as problem:  # noqa: BLE001 - a bug costs only this artifact
        broken = internal_error(result, problem, "recording")
    return broken, to_row(broken, scan), list(sbom_rows(broken, scan))
