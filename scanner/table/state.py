"""The newest state of a root: what was known about every artifact when it was last scanned.

A state does not change. What a scan finds out about its rows are marks (`Comparison`,
`scanner.table.recording.Recording`), a byte for each row.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from prefect_mutagen.scanner.examine.scan_info import ScanInfo
from prefect_mutagen.scanner.listing.artifacts import Artifact
from prefect_mutagen.scanner.policy.judge import is_too_old
from prefect_mutagen.scanner.policy.policy import Policy
from prefect_mutagen.scanner.results import ScanResult
from prefect_mutagen.scanner.storage.address import storable
from prefect_mutagen.scanner.storage.hashing import HashLevel
from prefect_mutagen.scanner.table.marks import DRIFT, Mark
from prefect_mutagen.scanner.table.rows import from_row, moment
from prefect_mutagen.scanner.table.runs import KEY
from prefect_mutagen.scanner.table.schema import ARTIFACTS
from prefect_mutagen.scanner.table.state_file import StateFile
from prefect_mutagen.scanner.table.state_index import Flag, StateIndex

__all__ = ["Comparison", "State", "rows_that_go_on"]

_TIME: Final = ARTIFACTS.field("scanned_at").type


class State:
    """What was known about every artifact of a root; a pickled copy carries all of it.

    Attributes:
        scan_id: Scan whose file under ``artifacts/`` this is; empty before the first.
        policy: Policy of the scan that confirmed it last, as plain values; None if there were
            several.
        file: Its rows.
        index: Rows by address.
    """

    def __init__(
        self, scan_id: str = "", file: pa.NativeFile | StateFile | None = None, policy: Any = None
    ) -> None:
        """Read what is needed to find artifacts.

        Args:
            scan_id: Scan whose file this is; empty before the first.
            file: That file; None before the first scan.
            policy: Policy of the scan that confirmed it last, as plain values.
        """
        self.scan_id = scan_id
        self.policy = policy
        self.file = file if isinstance(file, StateFile) else StateFile(file)
        self.index = StateIndex(self.file)
        self._examined_at: list[str] = []

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the rows; addresses are found by hashes that only this process has."""
        return State, (self.scan_id, self.file, self.policy)

    def __len__(self) -> int:
        """Return the number of artifacts."""
        return len(self.index)

    @property
    def all_passed(self) -> bool:
        """Whether every artifact had passed."""
        return self.index.all_passed

    def find_current(
        self, artifact: Artifact, hash_level: HashLevel, policy: Policy | None = None
    ) -> int | None:
        """Find the row that still holds for an artifact, so that nothing has to be read for it.

        Args:
            artifact: What the listing shows now.
            hash_level: How much is paid for SHA-256 values now.
            policy: What is accepted now; it may limit the age of an examination.

        Returns:
            The place of the row. None when the artifact has to be examined: it is new, its pin is
            another one or unknown, this tool is another version, it could not be examined the last
            time, that was longer ago than the policy allows, its bytes are to be hashed and were
            not yet, or a signature beside it may be that of a signer whom nobody asked for before.
        """
        place = self.index.find(artifact.url)
        if place is None:
            return None
        wanted = Flag.EXAMINED | Flag.HASHED if hash_level == "full" else Flag.EXAMINED
        if not self.index.has(place, artifact.digest, wanted):
            return None
        if policy is not None:
            if policy.max_scan_age_hours and self._is_too_old(place, policy):
                return None
            if artifact.beside.signatures and not self._is_verified_for(policy):
                return None
        return place

    def _is_verified_for(self, policy: Policy) -> bool:
        """Whether the recorded signatures were verified for all signers that a policy names."""
        known = self.policy.get("allowed_signers") if isinstance(self.policy, dict) else None
        return all(asdict(signer) in (known or ()) for signer in policy.allowed_signers)

    def _is_too_old(self, place: int, policy: Policy) -> bool:
        if not self._examined_at:
            self._examined_at = [time or "" for time in self.file.column("examined_at")]
        return is_too_old(self._examined_at[place], policy)

    def find(self, url: str) -> ScanResult | None:
        """Return what was known about an artifact: the SBOM without metadata and warnings."""
        place = self.index.find(url)
        return self.result_at(place, url) if place is not None else None

    def result_at(self, place: int, url: str) -> ScanResult | None:
        """Return the row at a place as a result, if it is this address's."""
        row = self.file.row(place)
        return from_row(row) if row[KEY] == storable(url) else None

    def results(self) -> Iterator[ScanResult]:
        """Yield everything that was known, in the order of addresses."""
        for number, _, _ in self.file.groups():
            rows = self.file.read(number)
            for row in rows.filter(pc.not_equal(rows["drift"], "removed")).to_pylist():
                yield from_row(row)


class Comparison:
    """A listing held against a state: which rows still hold, and which it says nothing about.

    Attributes:
        state: What was known.
        marks: A `Mark` for each of its rows.
    """

    def __init__(self, state: State, marks: bytearray | None = None) -> None:
        """Begin.

        Args:
            state: What was known.
            marks: A `Mark` for each of its rows, to go on with; by default nothing was met.
        """
        self.state = state
        self.marks = state.index.fresh_marks() if marks is None else marks

    def keep(self, artifact: Artifact, hash_level: HashLevel, policy: Policy | None = None) -> bool:
        """Keep an artifact's row if it still holds; see `State.find_current`.

        Returns:
            Whether it does; else the artifact has to be examined.
        """
        place = self.state.find_current(artifact, hash_level, policy)
        if place is None:
            return False
        self.marks[place] = Mark.KEPT
        return True

    @property
    def kept(self) -> int:
        """How many artifacts are unchanged."""
        return self.marks.count(Mark.KEPT)

    def leave_out(self, artifact: Artifact) -> None:
        """Leave an artifact as it is known: it is there and not selected."""
        place = self.state.index.find(artifact.url)
        if place is not None:
            self._leave_out(place)

    def leave_out_versions(self) -> None:
        """Leave older versions of objects as they are known: the listing does not show them."""
        for place in self.state.index.versions:
            self._leave_out(place)

    def leave_out_since(self, moment: float) -> None:
        """Leave out what was not met and was changed at a time or later, or nobody knows when.

        Args:
            moment: Seconds since 1970: when the listing was made.
        """
        for place, time in enumerate(self.state.file.column("modified_at")):
            if time is None or time.timestamp() >= moment:
                self._leave_out(place)

    def _leave_out(self, place: int) -> None:
        if self.marks[place] == Mark.MISSING:
            self.marks[place] = Mark.UNSELECTED


def rows_that_go_on(
    file: StateFile,
    marks: bytes | bytearray,
    scan: ScanInfo,
    columns: Sequence[str] | None = None,
    *,
    kept_only: bool = False,
    rejudged: bool = False,
) -> Iterator[pa.Table]:
    """Yield the rows of a state that the next one has: kept, outside the selection, removed.

    Args:
        file: The state's rows.
        marks: A `Mark` for each of them.
        scan: The scan whose rows they become.
        columns: The columns that are wanted, in any order; all by default.
        kept_only: Whether what was left out or removed is not wanted.
        rejudged: Whether ``drift_details`` say what another policy changed.
    """
    names = list(columns) if columns is not None else ARTIFACTS.names
    for number, start, end in file.groups():
        known = pa.array(marks[start:end], pa.uint8())
        unwanted = pc.equal(known, Mark.REPLACED)
        wanted = pc.equal(known, Mark.KEPT) if kept_only else pc.invert(unwanted)
        if pc.any(wanted).as_py():
            rows = _as_of(scan, file.read(number, names), known, rejudged=rejudged)
            yield rows.filter(wanted)


def _as_of(scan: ScanInfo, rows: pa.Table, marks: Any, *, rejudged: bool) -> pa.Table:
    """Set what a row of the state says about the scan it belongs to."""
    count = rows.num_rows
    values: dict[str, Callable[[], Any]] = {
        "scan_id": lambda: pa.repeat(pa.scalar(scan.id), count),
        "scanned_at": lambda: pa.repeat(pa.scalar(moment(scan.started_at), _TIME), count),
        "drift": lambda: pa.array(DRIFT).take(marks),
    }
    if not rejudged:
        kind = ARTIFACTS.field("drift_details").type
        values["drift_details"] = lambda: pa.array([[]], kind).take(pa.repeat(0, count))
    for name, value in values.items():
        if name in rows.column_names:
            at = rows.column_names.index(name)
            rows = rows.set_column(at, ARTIFACTS.field(name), value())
    return rows
