"""Collect the rows of one scan: examined, carried over and removed artifacts.

Nothing is published here. Rows stay in a temporary folder, in bounded memory, until
`scanner.table.table.Table.publish` publishes them.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Self

import pyarrow as pa
import pyarrow.compute as pc

from prefect_mutagen.scanner.examine.scan_info import ScanInfo
from prefect_mutagen.scanner.examine.unexamined import internal_error
from prefect_mutagen.scanner.internal_errors import CODE
from prefect_mutagen.scanner.results import ScanResult, Summary
from prefect_mutagen.scanner.storage.names import original_address
from prefect_mutagen.scanner.table.deltas import StateName, is_worthwhile
from prefect_mutagen.scanner.table.drift import compared, document_differs, drift_of
from prefect_mutagen.scanner.table.looked import write_looked
from prefect_mutagen.scanner.table.marks import Mark
from prefect_mutagen.scanner.table.publication import Publication
from prefect_mutagen.scanner.table.rejudging import is_stated_anew, judge_again, was_judged_by
from prefect_mutagen.scanner.table.row_counts import (
    count_passed_over,
    count_rows,
    may_be_passed_over,
)
from prefect_mutagen.scanner.table.row_filters import selected
from prefect_mutagen.scanner.table.rows import (
    bare_document,
    drift_columns,
    from_row,
    sbom_rows,
    scan_row,
    stand_in_row,
    to_row,
)
from prefect_mutagen.scanner.table.runs import KEY, Runs, each_row, merge, texts, write_parquet
from prefect_mutagen.scanner.table.schema import ARTIFACTS, SBOMS, SCANS
from prefect_mutagen.scanner.table.spool import Spooled
from prefect_mutagen.scanner.table.staging import StagingWriter
from prefect_mutagen.scanner.table.state import Carried, Comparison, State, carried_over_rows
from prefect_mutagen.scanner.temporary import own_folder
from prefect_mutagen.scanner.verdicts import Status

__all__ = ["Recording"]

_Rows = tuple[dict[str, Any], list[dict[str, Any]]]
"""An artifact's row, and those of its documents."""


class Recording:
    """The results of one scan over one root; a context manager with a temporary folder.

    Attributes:
        scan: The scan.
        state: The previous state.
        marks: A `scanner.table.marks.Mark` for each of its rows.
        drift: Numbers of added, changed, removed, unchanged and left-out artifacts; complete after
            `close`.
        differs: Whether the state has changed; known after `close`.
        looked: Files that were looked into because their names say nothing.
        judged_apart: Whether left-out artifacts were judged by another policy; known after `close`.
        folder: Folder for further temporary files.
        staging: Where added results are kept until they are published; None: nowhere.
    """

    def __init__(self, scan: ScanInfo, known: Comparison | None = None) -> None:
        """Start recording.

        Args:
            scan: The scan.
            known: The previous state and the marks of a listing, which may be in progress; by
                default an empty state.
        """
        known = known or Comparison(State())
        self.scan = scan
        self.state, self.marks, self.looked = known.state, known.marks, known.looked
        self.judged_apart = False
        self._rows_before = self.state.file
        self._rejudged, self._verdicts = False, 0
        self._restated = False
        self.drift: Counter[str] = Counter()
        self.differs = False
        # A task run that is left behind may write into it; the next process sweeps what stays.
        self._temporary = own_folder(ignore_cleanup_errors=True)
        self.folder = self._temporary.name
        self._artifacts = Runs(self.folder, "artifacts", ARTIFACTS, self._stand_in)
        self._documents = Runs(self.folder, "sboms", SBOMS, bare_document)
        self.staging: StagingWriter | None = None
        self._replaced = Counter[Status]()
        """Verdicts of rows that could not be stored."""

    def __enter__(self) -> Self:
        """Return the recording."""
        return self

    def __exit__(self, *_: object) -> None:
        """Delete the temporary folder."""
        self._temporary.cleanup()

    def add(self, result: ScanResult) -> ScanResult:
        """Add the result of an examined artifact.

        Returns:
            The result with its drift since the previous scan.
        """
        result, _ = self._record(result, self._rows)
        return result

    def add_rows(self, rows: pa.Table, documents: pa.Table) -> dict[int, ScanResult]:
        """Add artifacts as `scanner.table.examined_rows.RowMaker` recorded them.

        Args:
            rows: For ``artifacts/``, without drift.
            documents: For ``sboms/``.

        Returns:
            The results, with their drift, of those that the previous state knows, by their place
            in ``rows``; all others are new.
        """
        if self.staging is not None:
            self.staging.add_rows(rows, documents)
        compared, unchanged = self._add_columns(rows)
        self._documents.add_table(_without(documents, unchanged))
        return compared

    def adopt(self, spooled: Spooled, summary: Summary) -> None:
        """Add the results of spool files and their counts to a summary; delete the files."""
        unchanged: list[str] = []
        for rows in spooled.rows():
            compared, same = self._add_columns(rows)
            unchanged += same
            count_rows(rows, summary)
            count_passed_over(rows, summary)
            for place, result in compared.items():
                summary.correct(rows["status"][place].as_py(), result.verdict.status)
        for documents in spooled.documents():
            self._documents.add_table(_without(documents, unchanged))
        summary.bytes_read += spooled.bytes_read
        summary.requests += spooled.requests
        spooled.delete()

    def _add_columns(self, rows: pa.Table) -> tuple[dict[int, ScanResult], list[str]]:
        """Add rows without drift.

        Returns:
            What `add_rows` returns, and the ids of documents that are as they were.
        """
        find, urls = self.state.index.find, texts(rows, KEY)
        places = [at for at, url in enumerate(urls) if find(original_address(url)) is not None]
        compared: dict[int, ScanResult] = {}
        unchanged: list[str] = []
        for at, row in zip(places, rows.take(places).to_pylist() if places else (), strict=True):
            compared[at], differs = self._record(from_row(row), partial(_with_drift, row))
            if not differs:
                unchanged.append(row["sbom_id"])
        new = len(urls) - len(places)
        if new:
            added = pa.array(["added"]).take(pa.repeat(0, len(urls)))
            at = rows.column_names.index("drift")
            rows = rows.set_column(at, ARTIFACTS.field("drift"), added)
            known = pa.array(places, pa.int64())
            there = pc.is_in(pa.array(range(len(urls))), known)
            self._artifacts.add_table(rows.filter(pc.invert(there)) if places else rows)
            self.drift["added"] += new
            self.differs = True
        return compared, unchanged

    def _record(
        self, result: ScanResult, rows: Callable[[ScanResult, bool], _Rows]
    ) -> tuple[ScanResult, bool]:
        """Add a result with its drift since the previous scan.

        Args:
            result: The result of the examination.
            rows: Returns its rows, given whether its document differs from the previous one.

        Returns:
            The recorded result, and whether its document differs from the previous one.
        """
        known: ScanResult | None = None
        try:
            known = self._replace(result.url)
            result = compared(known, result)
            differs = known is None or document_differs(known, result)
            row, documents = rows(result, differs)
        except Exception as problem:  # noqa: BLE001 - a bug costs this artifact alone
            broken = internal_error(result, problem, "recording")
            result, differs = replace(broken, drift=drift_of(broken, known)), True
            row, documents = self._rows(result, differs)
        self.drift[result.drift or ""] += 1
        if differs or (known is not None and known.verdict != result.verdict):
            self.differs = True
        self._artifacts.add(row)
        for document in documents:
            self._documents.add_document(document)
        return result, differs

    def _replace(self, url: str) -> ScanResult | None:
        """Pop the previous result for an address; None if there was none."""
        place = self.state.index.find(url)
        known = None if place is None else self.state.result_at(place, url)
        if known is not None and place is not None:
            self.marks[place] = Mark.REPLACED
        return known

    def is_left_out(self, url: str) -> bool:
        """Whether an artifact is known but outside the selection."""
        place = self.state.index.find(url)
        return place is not None and self.marks[place] == Mark.UNSELECTED

    @property
    def kept(self) -> int:
        """Number of unchanged artifacts."""
        return self.marks.count(Mark.KEPT)

    @property
    def left_out(self) -> int:
        """Number of known artifacts outside the selection."""
        return self.marks.count(Mark.UNSELECTED)

    def _rows(self, result: ScanResult, differs: bool) -> _Rows:  # noqa: FBT001 - passed on
        row, documents = to_row(result, self.scan), list(sbom_rows(result, self.scan))
        if self.staging is not None:
            self.staging.add(row, documents)
        return row, documents if differs else []

    def _stand_in(self, row: dict[str, Any], problem: Exception) -> dict[str, Any]:
        self._replaced[row["status"]] += 1
        return stand_in_row(row, self.scan, problem)

    def correct(self, summary: Summary) -> None:
        """Count artifacts whose rows could not be stored as unknown; after `close`."""
        for status in self._replaced.elements():
            summary.correct(status, "unknown")

    def close(self, summary: Summary) -> None:
        """Carry over kept rows, judged by the current policy; nothing can be added afterwards.

        Args:
            summary: Counts of the added results; updated with those of carried-over ones.
        """
        self._artifacts.flush()
        self.correct(summary)
        policy, removed = self.scan.policy, self.marks.count(Mark.MISSING)
        self.judged_apart = self.left_out > 0 and not was_judged_by(self.state, policy)
        judged = judge_again(self.state, self.marks, policy, self.folder)
        if judged is not None:
            self._rows_before, self._verdicts = judged
            self._rejudged = True
            self.differs = self.differs or self._verdicts > 0
        self._restated = is_stated_anew(self.state, self.marks, self.scan)
        self.differs = self.differs or self._restated or removed > 0
        self.drift["unchanged"] += self.kept
        self.drift["removed"] += removed
        self.drift["left-out"] += self.left_out
        self.drift = +self.drift  # drops zero counts
        doubtful = False
        for rows in self._carried_over(["status", "objects", "format"], which="kept"):
            doubtful = doubtful or pc.any(may_be_passed_over(rows)).as_py()
            count_rows(rows, summary)
        if doubtful:
            for rows in self._carried_over(which="kept"):
                count_passed_over(rows, summary)

    def tables(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield the rows of the new state by address, left-out and removed artifacts included.

        Args:
            columns: The columns to read; all by default.
        """
        wanted = None if columns is None else list(dict.fromkeys([KEY, *columns]))
        added = self._artifacts.tables()
        if wanted is not None:
            added = (table.select(wanted) for table in added)
        return merge([self._carried_over(wanted), added])

    def _carried_over(
        self, columns: Sequence[str] | None = None, *, which: Carried = "all"
    ) -> Iterator[pa.Table]:
        """Yield the carried-over rows of the previous state."""
        rows, rejudged = self._rows_before, self._rejudged
        return carried_over_rows(
            rows,
            self.marks,
            self.scan,
            columns,
            which=which,
            rejudged=rejudged,
            restated=self._restated,
        )

    def results(self, wanted: Callable[[pa.Table], Any] | None = None) -> Iterator[ScanResult]:
        """Yield the selected artifacts as results, with SBOMs without metadata and warnings.

        Args:
            wanted: A filter for rows; all by default.
        """
        for table in self.tables():
            rows = table.filter(selected(table))
            chosen = rows if wanted is None else rows.filter(wanted(rows))
            for row in each_row(chosen):
                yield from_row(row)

    def internal_errors(self) -> Iterator[tuple[str, str]]:
        """Yield the internal errors of the scanner: address and message."""
        for result in self.results(_unknown):
            for reason in result.verdict.reasons:
                if reason.code == CODE:
                    yield result.url, reason.message

    def unchanged(
        self, wanted: Callable[[pa.Table], Any] | None = None
    ) -> Iterator[tuple[str, ScanResult]]:
        """Yield unchanged artifacts as pairs of document id and result.

        Args:
            wanted: A filter for rows; all by default.
        """
        for table in self._carried_over(which="kept"):
            rows = table if wanted is None else table.filter(wanted(table))
            for row in each_row(rows):
                yield row["sbom_id"], from_row(row)

    def addresses(self, most: int) -> dict[str, list[str]]:
        """Return the addresses of the selected artifacts by verdict.

        Args:
            most: Maximum per verdict, in order of address.
        """
        found: dict[str, list[str]] = {"passed": [], "failed": [], "unknown": []}
        for table in self.tables(["status", "drift"]):
            rows = table.filter(selected(table))
            for status, urls in found.items():
                chosen = rows.filter(pc.equal(rows["status"], status))
                urls.extend(texts(chosen.slice(0, most - len(urls)), KEY))
        return found

    def prepare(self, summary: Summary, *, renew: bool = False) -> Publication:
        """Write the files to publish; after `close`.

        Args:
            summary: Counts of the scan.
            renew: Whether to write the state although it is unchanged, because the table has lost
                it.
        """
        written: dict[str, str] = {}
        state = self.state.name
        if self._documents.rows:
            written["sboms"] = self._write("sboms", SBOMS, self._documents.tables())
        if self.differs and not renew and self._is_delta_worthwhile():
            altered = merge([self._carried_over(which="altered"), self._artifacts.tables()])
            written["changes"] = self._write("changes", ARTIFACTS, altered)
            state = state.after(self.scan.id)
        elif self.differs or (state.scan_id and renew):
            written["artifacts"] = self._write("artifacts", ARTIFACTS, self.tables())
            state = StateName(self.scan.id)
        row = scan_row(self.scan, summary, self.drift, state, judged_apart=self.judged_apart)
        rows = [pa.Table.from_pylist([row], schema=SCANS)]
        written["scans"] = self._write("scans", SCANS, rows)
        written["looked"] = write_looked(self.looked, self.folder)
        return Publication(self.scan.id, self.scan.source, state, whole=True, **written)

    def _is_delta_worthwhile(self) -> bool:
        apart = self._rejudged and not was_judged_by(self.state, self.scan.policy)
        if self._restated or apart:
            # Readers that know no deltas take a state to be judged by its last scan's policy.
            return False
        known = self.state.file
        removed = self.marks.count(Mark.MISSING)
        changed = known.changed_rows + self._artifacts.rows + removed + self._verdicts
        return is_worthwhile(self.state.name, known.whole_rows, changed)

    def _write(self, part: str, schema: pa.Schema, tables: Iterable[pa.Table]) -> str:
        path = os.path.join(self.folder, f"{part}.parquet")
        write_parquet(path, schema, tables)
        return path


def _without(documents: pa.Table, ids: list[str]) -> pa.Table:
    if not ids:
        return documents
    return documents.filter(pc.invert(pc.is_in(documents["sbom_id"], pa.array(ids, pa.string()))))


def _unknown(rows: pa.Table) -> Any:
    return pc.equal(rows["status"], "unknown")


def _with_drift(row: dict[str, Any], result: ScanResult, _differs: bool) -> _Rows:  # noqa: FBT001 - passed on
    """Add the drift to a spooled row; its documents are spooled separately."""
    return row | drift_columns(result), []
