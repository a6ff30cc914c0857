"""One scan on its way into the table: what was examined, what is taken over, what is gone.

Nothing is published here. Rows lie in a temporary folder, in bounded memory, until
`prefect_mutagen.scanner.table.Table.publish` takes them, or nobody does.
"""

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc

from prefect_mutagen.scanner.drift import compare, drift_of
from prefect_mutagen.scanner.results import ScanInfo, ScanResult, Summary
from prefect_mutagen.scanner.table_rows import from_row, sbom_rows, to_row
from prefect_mutagen.scanner.table_runs import KEY, Runs, merge, write_parquet
from prefect_mutagen.scanner.table_schema import ARTIFACTS, SBOMS
from prefect_mutagen.scanner.table_state import State

__all__ = ["Recording"]


class Recording:
    """The results of one scan over one root; a context that keeps a temporary folder.

    Attributes:
        scan: What was asked.
        state: What was known before.
        drift: How many artifacts were added, changed, removed and unchanged; complete after
            `close`.
        differs: Whether the state is another one now; known after `close`.
    """

    def __init__(self, scan: ScanInfo, state: State | None = None) -> None:
        """Begin.

        Args:
            scan: What was asked.
            state: What was known before; what it is told to keep is taken over.
        """
        self.scan = scan
        self.state = state or State()
        self.drift: Counter[str] = Counter()
        self.differs = False
        self._folder = tempfile.TemporaryDirectory(prefix="mutagen-")
        self._artifacts = Runs(self._folder.name, "artifacts", ARTIFACTS)
        self._documents = Runs(self._folder.name, "sboms", SBOMS)

    def __enter__(self) -> Self:
        """Nothing more to do."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Forget the rows."""
        self._folder.cleanup()

    def add(self, result: ScanResult) -> ScanResult:
        """Take the result of an artifact that was examined.

        Returns:
            The result with what became of the artifact since the scan before.
        """
        known = self.state.replace(result.url)
        drift = drift_of(result, known)
        details = compare(known, result) if known is not None else ()
        result = replace(result, drift=drift, drift_details=details)
        self.drift[drift] += 1
        self._artifacts.add(to_row(result, self.scan))
        if known is None or _document_differs(known, result):
            for row in sbom_rows(result, self.scan):
                self._documents.add(row, _weight(row["metadata"]))
            self.differs = True
        self.differs = self.differs or known is None or known.verdict != result.verdict
        return result

    def close(self, summary: Summary) -> None:
        """Take over what was kept, judged under the policy of now; nothing is added from here on.

        Args:
            summary: Counts of the added results; those of the others are added to it.
        """
        judged = self.state.judge_again(self.scan.policy, self._folder.name)
        self.differs = self.differs or judged > 0 or self.state.gone > 0
        for drift, count in (("unchanged", self.state.kept), ("removed", self.state.gone)):
            if count:
                self.drift[drift] += count
        for rows in self.state.tables(self.scan, ["status", "objects"], gone=False):
            summary.artifacts += rows.num_rows
            summary.objects += pc.sum(pc.list_value_length(rows["objects"])).as_py() or 0
            for status in ("passed", "failed", "unknown"):
                count = pc.sum(pc.equal(rows["status"], status)).as_py() or 0
                setattr(summary, status, getattr(summary, status) + count)

    def tables(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Give the rows of the state this scan found, and of what is gone, sorted by address.

        Args:
            columns: The columns that are wanted; all by default.
        """
        wanted = None if columns is None else list(dict.fromkeys([KEY, *columns]))
        added = self._artifacts.tables()
        if wanted is not None:
            added = (table.select(wanted) for table in added)
        return merge([self.state.tables(self.scan, wanted), added])

    def results(
        self, wanted: Callable[[pa.Table], pa.ChunkedArray] | None = None
    ) -> Iterator[ScanResult]:
        """Give the state this scan found as results, their SBOMs without metadata and warnings.

        Args:
            wanted: Chooses rows: true for those that become results; all by default.
        """
        for table in self.tables():
            rows = table.filter(pc.not_equal(table["drift"], "removed"))
            chosen = rows if wanted is None else rows.filter(wanted(rows))
            for row in chosen.to_pylist():
                yield from_row(row)

    def kept(self) -> Iterator[tuple[str, ScanResult]]:
        """Give what was taken over, each with the id of its document."""
        for rows in self.state.tables(self.scan, gone=False):
            for row in rows.to_pylist():
                yield row["sbom_id"], from_row(row)

    def addresses(self, status: str) -> list[str]:
        """Give the addresses of all artifacts with a verdict."""
        found: list[str] = []
        for rows in self.tables(["status", "drift"]):
            there = pc.and_(
                pc.equal(rows["status"], status), pc.not_equal(rows["drift"], "removed")
            )
            found += rows[KEY].filter(there).to_pylist()
        return found

    def write_artifacts(self) -> str:
        """Write the rows of ``artifacts/``; the path of the file."""
        path = os.path.join(self._folder.name, "artifacts.parquet")
        write_parquet(path, ARTIFACTS, self.tables())
        return path

    def write_documents(self) -> str:
        """Write the rows of ``sboms/``; the path of the file, empty when there are none."""
        if not self._documents.rows:
            return ""
        path = os.path.join(self._folder.name, "sboms.parquet")
        write_parquet(path, SBOMS, self._documents.tables())
        return path


def _document_differs(known: ScanResult, result: ScanResult) -> bool:
    return (known.pin, known.sbom.sha256, known.sbom.tool_version) != (
        result.pin,
        result.sbom.sha256,
        result.sbom.tool_version,
    )


def _weight(metadata: list[tuple[str, str]]) -> int:
    return sum(len(key) + len(value) for key, value in metadata)
