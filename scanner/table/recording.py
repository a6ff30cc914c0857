"""One scan on its way into the table: what was examined, what is taken over, what is gone.

Nothing is published here. Rows lie in a temporary folder, in bounded memory, until
`scanner.table.table.Table.publish` takes them, or nobody does.
"""

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

import pyarrow as pa
import pyarrow.compute as pc

from prefect_mutagen.scanner.examine.scan_info import ScanInfo
from prefect_mutagen.scanner.examine.unexamined import internal_error
from prefect_mutagen.scanner.internal_errors import CODE
from prefect_mutagen.scanner.results import ScanResult, Summary
from prefect_mutagen.scanner.table.drift import compare, drift_of
from prefect_mutagen.scanner.table.marks import Mark
from prefect_mutagen.scanner.table.rejudging import judge_again, was_judged_by
from prefect_mutagen.scanner.table.rows import (
    bare_document,
    drift_columns,
    from_row,
    sbom_rows,
    scan_row,
    stand_in_row,
    to_row,
)
from prefect_mutagen.scanner.table.runs import KEY, Runs, merge, texts, write_parquet
from prefect_mutagen.scanner.table.schema import ARTIFACTS, SBOMS, SCANS
from prefect_mutagen.scanner.table.spool import Spooled
from prefect_mutagen.scanner.table.state import Comparison, State, rows_that_go_on
from prefect_mutagen.scanner.verdicts import Status

__all__ = [
    "Publication",
    "Recording",
    "among",
    "may_have_passed",
    "not_passed",
    "passed",
    "passed_as_is",
    "passed_by_waiver",
]


_Rows = tuple[dict[str, Any], list[dict[str, Any]]]
"""An artifact's row, and those of its documents."""


def passed(rows: pa.Table) -> Any:
    """Choose rows that passed."""
    return pc.equal(rows["status"], "passed")


def not_passed(rows: pa.Table) -> Any:
    """Choose rows that did not pass."""
    return pc.not_equal(rows["status"], "passed")


def passed_by_waiver(rows: pa.Table) -> Any:
    """Choose rows that passed because something was waived."""
    waived = pc.fill_null(pc.list_value_length(rows["waived"]), 0)
    return pc.and_(passed(rows), pc.greater(waived, 0))


def passed_as_is(rows: pa.Table) -> Any:
    """Choose rows that passed without a waiver."""
    return pc.and_not(passed(rows), passed_by_waiver(rows))


def may_have_passed(rows: pa.Table) -> Any:
    """Choose rows that passed and are not quite as they were in the scan before."""
    details = pc.fill_null(pc.list_value_length(rows["drift_details"]), 0)
    differs = pc.or_(pc.not_equal(rows["drift"], "unchanged"), pc.greater(details, 0))
    return pc.and_(passed(rows), differs)


def among(addresses: Collection[str]) -> Callable[[pa.Table], Any]:
    """Make a choice of rows: those of these addresses."""
    known = pa.array(addresses, pa.string())
    return lambda rows: pc.is_in(rows["url"], known)


@dataclass(frozen=True, slots=True)
class Publication:
    """The files of one scan, ready to be published by `scanner.table.table.Table.publish`."""

    scan_id: str
    source: str
    documents: str
    """Path of the rows for ``sboms/``; empty when there are none."""
    artifacts: str
    """Path of the rows for ``artifacts/``; empty when the state is as it was."""
    scans: str
    """Path of the row for ``scans/``."""


class Recording:
    """The results of one scan over one root; a context that keeps a temporary folder.

    Attributes:
        scan: What was asked.
        state: What was known before.
        marks: A `scanner.table.marks.Mark` for each of its rows: what became of it so far.
        drift: How many artifacts were added, changed, removed, unchanged and left out; complete
            after `close`.
        differs: Whether the state is another one now; known after `close`.
        judged_apart: Whether what was left out was judged by another policy; known after `close`.
        folder: Where more temporary files may lie.
    """

    def __init__(self, scan: ScanInfo, known: Comparison | None = None) -> None:
        """Begin.

        Args:
            scan: What was asked.
            known: What was known before, and what a listing found out about it, which may go on;
                by default nothing was.
        """
        known = known or Comparison(State())
        self.scan = scan
        self.state, self.marks = known.state, known.marks
        self.judged_apart = False
        self._rows_before = self.state.file
        self._rejudged = False
        self.drift: Counter[str] = Counter()
        self.differs = False
        self._temporary = tempfile.TemporaryDirectory(prefix="mutagen-")
        self.folder = self._temporary.name
        self._artifacts = Runs(self.folder, "artifacts", ARTIFACTS, self._stand_in)
        self._documents = Runs(self.folder, "sboms", SBOMS, bare_document)
        self._replaced = Counter[Status]()
        """Verdicts of rows that the table could not hold."""

    def __enter__(self) -> Self:
        """Nothing more to do."""
        return self

    def __exit__(self, *_: object) -> None:
        """Forget the rows."""
        self._temporary.cleanup()

    def add(self, result: ScanResult) -> ScanResult:
        """Take the result of an artifact that was examined.

        Returns:
            The result with what became of the artifact since the scan before.
        """
        result, _ = self._take(result, self._rows)
        return result

    def adopt(self, spooled: Spooled, summary: Summary) -> None:
        """Take the results of a batch from their files, and delete these.

        Args:
            spooled: The files.
            summary: Counts, to which the results are added.
        """
        known_documents: list[str] = []
        for table in spooled.rows():
            for row in table.to_pylist():
                result, differs = self._take(from_row(row), partial(_as_spooled, row))
                summary.add(result)
                if not differs:
                    known_documents.append(row["sbom_id"])
        for documents in spooled.documents():
            old = pc.is_in(documents["sbom_id"], pa.array(known_documents, pa.string()))
            self._documents.add_table(documents.filter(pc.invert(old)))
        summary.bytes_read += spooled.bytes_read
        summary.requests += spooled.requests
        spooled.delete()

    def _take(
        self, result: ScanResult, rows: Callable[[ScanResult, bool], _Rows]
    ) -> tuple[ScanResult, bool]:
        """Take a result with what became of the artifact since the scan before.

        Args:
            result: As it was examined.
            rows: Makes its rows, once they are known to differ from those before or not.

        Returns:
            The result that was taken, and whether its document is another one than before.
        """
        known: ScanResult | None = None
        try:
            known = self._replace(result.url)
            result = _compared(known, result)
            differs = known is None or _document_differs(known, result)
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
        """Whether an artifact is known and outside the selection."""
        place = self.state.index.find(url)
        return place is not None and self.marks[place] == Mark.UNSELECTED

    @property
    def kept(self) -> int:
        """How many artifacts are unchanged."""
        return self.marks.count(Mark.KEPT)

    @property
    def left_out(self) -> int:
        """How many artifacts are known and outside the selection."""
        return self.marks.count(Mark.UNSELECTED)

    def _rows(self, result: ScanResult, differs: bool) -> _Rows:  # noqa: FBT001 - handed on
        return to_row(result, self.scan), list(sbom_rows(result, self.scan)) if differs else []

    def _stand_in(self, row: dict[str, Any], problem: Exception) -> dict[str, Any]:
        self._replaced[row["status"]] += 1
        return stand_in_row(row, self.scan, problem)

    def correct(self, summary: Summary) -> None:
        """Count as unknown what was replaced because the table could not hold it; after `close`."""
        for status, count in self._replaced.items():
            for _ in range(count):
                summary.correct(status, "unknown")

    def close(self, summary: Summary) -> None:
        """Take over what was kept, judged under the policy of now; nothing is added from here on.

        Args:
            summary: Counts of the added results; those of the others are added to it.
        """
        self._artifacts.gather()
        self.correct(summary)
        policy, removed = self.scan.policy, self.marks.count(Mark.MISSING)
        self.judged_apart = self.left_out > 0 and not was_judged_by(self.state, policy)
        judged = judge_again(self.state, self.marks, policy, self.folder)
        if judged is not None:
            self._rows_before, verdicts = judged
            self._rejudged = True
            self.differs = self.differs or verdicts > 0
        self.differs = self.differs or removed > 0
        self.drift["unchanged"] += self.kept
        self.drift["removed"] += removed
        self.drift["left-out"] += self.left_out
        self.drift = +self.drift  # without zeros
        for rows in self._before(["status", "objects"], kept_only=True):
            summary.artifacts += rows.num_rows
            summary.objects += pc.sum(pc.list_value_length(rows["objects"])).as_py() or 0
            for status in ("passed", "failed", "unknown"):
                count = pc.sum(pc.equal(rows["status"], status)).as_py() or 0
                setattr(summary, status, getattr(summary, status) + count)

    def tables(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Give the rows of the state this scan found, of what it left out and of what is gone.

        They are sorted by address.

        Args:
            columns: The columns that are wanted; all by default.
        """
        wanted = None if columns is None else list(dict.fromkeys([KEY, *columns]))
        added = self._artifacts.tables()
        if wanted is not None:
            added = (table.select(wanted) for table in added)
        return merge([self._before(wanted), added])

    def _before(
        self, columns: Sequence[str] | None = None, *, kept_only: bool = False
    ) -> Iterator[pa.Table]:
        """Yield the rows of the previous state that go on."""
        return rows_that_go_on(
            self._rows_before,
            self.marks,
            self.scan,
            columns,
            kept_only=kept_only,
            rejudged=self._rejudged,
        )

    def results(self, wanted: Callable[[pa.Table], Any] | None = None) -> Iterator[ScanResult]:
        """Give what this scan was about as results, their SBOMs without metadata and warnings.

        Args:
            wanted: Chooses rows: true for those that become results; all by default.
        """
        for table in self.tables():
            rows = _met(table)
            chosen = rows if wanted is None else rows.filter(wanted(rows))
            for row in chosen.to_pylist():
                yield from_row(row)

    def internal_errors(self) -> Iterator[tuple[str, str]]:
        """Give what the scanner itself failed over: addresses, and how and where it failed."""
        for result in self.results(_unknown):
            for reason in result.verdict.reasons:
                if reason.code == CODE:
                    yield result.url, reason.message

    def unchanged(self) -> Iterator[tuple[str, ScanResult]]:
        """Yield what is unchanged, each with the id of its document."""
        for rows in self._before(kept_only=True):
            for row in rows.to_pylist():
                yield row["sbom_id"], from_row(row)

    def addresses(self, most: int) -> dict[str, list[str]]:
        """Give the addresses of the artifacts this scan was about by verdict.

        Args:
            most: How many of each verdict at most, in the order of addresses.
        """
        found: dict[str, list[str]] = {"passed": [], "failed": [], "unknown": []}
        for table in self.tables(["status", "drift"]):
            rows = _met(table)
            for status, urls in found.items():
                chosen = rows.filter(pc.equal(rows["status"], status))
                urls.extend(texts(chosen.slice(0, most - len(urls)), KEY))
        return found

    def prepare(self, summary: Summary, *, renew: bool = False) -> Publication:
        """Write what is to be published; after `close`.

        Args:
            summary: Counts of the scan.
            renew: Whether the state is to be written although it is as it was, because the table
                has lost it.
        """
        documents = artifacts = ""
        if self._documents.rows:
            documents = os.path.join(self.folder, "sboms.parquet")
            write_parquet(documents, SBOMS, self._documents.tables())
        state = self.state.scan_id
        if self.differs or (state and renew):
            artifacts = os.path.join(self.folder, "artifacts.parquet")
            write_parquet(artifacts, ARTIFACTS, self.tables())
            state = self.scan.id
        row = scan_row(self.scan, summary, self.drift, (state, self.judged_apart))
        scans = os.path.join(self.folder, "scans.parquet")
        write_parquet(scans, SCANS, [pa.Table.from_pylist([row], schema=SCANS)])
        return Publication(self.scan.id, self.scan.source, documents, artifacts, scans)


def _unknown(rows: pa.Table) -> Any:
    return pc.equal(rows["status"], "unknown")


def _met(rows: pa.Table) -> pa.Table:
    """Choose what the scan was about, and is there."""
    return rows.filter(pc.invert(pc.is_in(rows["drift"], pa.array(["removed", "left-out"]))))


def _compared(known: ScanResult | None, result: ScanResult) -> ScanResult:
    changes = () if known is None else compare(known, result)
    return replace(result, drift=drift_of(result, known), drift_details=changes)


def _as_spooled(row: dict[str, Any], result: ScanResult, _differs: bool) -> _Rows:  # noqa: FBT001 - handed on
    """Give a spooled row what became of the artifact; its documents are spooled too."""
    return row | drift_columns(result), []


def _document_differs(known: ScanResult, result: ScanResult) -> bool:
    return (known.pin, known.sbom.sha256, known.sbom.tool_version) != (
        result.pin,
        result.sbom.sha256,
        result.sbom.tool_version,
    )
