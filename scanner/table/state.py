"""The latest state of a root: a snapshot of every artifact as of the last scan.

A state is immutable. What a scan finds about its rows is kept as marks (`Comparison`,
`scanner.table.recording.Recording`), one byte per row.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from types import MappingProxyType
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.compute as pc

from prefect_mutagen.scanner.census import Census
from prefect_mutagen.scanner.examine.scan_info import ScanInfo
from prefect_mutagen.scanner.listing.artifacts import Artifact
from prefect_mutagen.scanner.listing.keyed import FoundKeys
from prefect_mutagen.scanner.listing.loose_weights import LOOSE
from prefect_mutagen.scanner.listing.roles import role_of
from prefect_mutagen.scanner.listing.unnamed import Looked
from prefect_mutagen.scanner.pins import relation_of
from prefect_mutagen.scanner.policy.judge import is_too_old
from prefect_mutagen.scanner.policy.overrides import stated_at
from prefect_mutagen.scanner.policy.policy import Policy
from prefect_mutagen.scanner.results import ScanResult
from prefect_mutagen.scanner.storage.hashing import HashLevel
from prefect_mutagen.scanner.storage.names import storable
from prefect_mutagen.scanner.table.deltas import StateName
from prefect_mutagen.scanner.table.marks import DRIFT, Mark
from prefect_mutagen.scanner.table.policy_columns import with_policy
from prefect_mutagen.scanner.table.row_filters import differing
from prefect_mutagen.scanner.table.rows import from_row, moment
from prefect_mutagen.scanner.table.runs import KEY, each_row, merge
from prefect_mutagen.scanner.table.schema import ARTIFACTS
from prefect_mutagen.scanner.table.signed_folders import SignedFolders, names_any
from prefect_mutagen.scanner.table.state_file import StateFile
from prefect_mutagen.scanner.table.state_index import EXAMINED, HASHED, StateIndex

__all__ = ["Carried", "Comparison", "State", "carried_over_rows"]

_TIME: Final = ARTIFACTS.field("scanned_at").type


_NONE: Final = StateName()


class State:
    """A snapshot of every artifact of a root; pickling includes all rows.

    Attributes:
        name: Which files of the table form it.
        policy: Policy of the last scan with this state, as plain values; None if there were
            several.
        file: The rows.
        index: The rows by address.
        looked: Files whose names say nothing; see `scanner.listing.unnamed.Looked`.
        is_known: Whether the root was scanned before, be it that nothing was found.
    """

    def __init__(
        self,
        name: StateName = _NONE,
        file: StateFile | None = None,
        policy: Any = None,
        looked: Mapping[bytes, bool] = MappingProxyType({}),
        *,
        is_known: bool = False,
    ) -> None:
        """Index the rows of a state.

        Args:
            name: Which files of the table form it.
            file: Its rows; None before the first scan.
            policy: Policy of the last scan with this state, as plain values.
            looked: See `scanner.listing.unnamed.Looked`.
            is_known: Whether there was a scan that found nothing.
        """
        self.name = name
        self.is_known = is_known or bool(name.scan_id)
        self.looked = looked
        self.policy = policy
        self.file = file or StateFile()
        self.index = StateIndex(self.file)
        self._examined_at: list[str] = []

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the rows only; the index uses hashes that are salted per process."""
        return State, (self.name, self.file, self.policy, dict(self.looked))

    def __len__(self) -> int:
        """Return the number of artifacts."""
        return len(self.index)

    @property
    def all_passed(self) -> bool:
        """Whether every artifact passed."""
        return self.index.all_passed

    def find_current(
        self,
        artifact: Artifact,
        hash_level: HashLevel,
        policy: Policy | None = None,
        folders: SignedFolders | None = None,
    ) -> int | None:
        """Find the row of an artifact that need not be examined again.

        Args:
            artifact: The artifact as listed now.
            hash_level: Where SHA-256 values come from in this scan.
            policy: The current policy, which may limit the age of an examination.
            folders: The signed folders; None: they are not looked at.

        Returns:
            The position of the row. None if the artifact has to be examined: it is new, its pin
            changed or is unknown, the tool version changed, the last examination failed or is older
            than the policy allows, its bytes are to be hashed and were not before, or it has a
            signature that was not verified for all signers of the policy, or not over what lies in
            its folder now; or pickles that were read while the policy trusted other globals.
        """
        place = self.index.find(artifact.url)
        if place is None:
            return None
        wanted = EXAMINED | HASHED if hash_level == "full" else EXAMINED
        if not self.index.has(place, artifact.digest, wanted):
            return None
        if policy is not None:
            policy = policy.at(artifact.url)
            if policy.max_scan_age_hours and self._is_too_old(place, policy):
                return None
            if _has_pickles(artifact) and not self._trusts_as(policy, artifact.url):
                return None
            if _is_signed(artifact) and not self._is_verified_now(place, artifact, policy, folders):
                return None
        return place

    def was_touched(self, artifact: Artifact) -> bool:
        """Whether only change times differ from those of an artifact whose bytes were hashed."""
        place = self.index.find(artifact.url)
        if place is None or not self.index.is_hashed(place):
            return False
        known = self.result_at(place, artifact.url)
        before = {item.url: item.pin for item in known.objects} if known is not None else {}
        relations = {
            relation_of(before.get(storable(item.url), ""), item.pin) for item in artifact.objects
        }
        return "touched" in relations and "other" not in relations

    def _is_verified_now(
        self, place: int, artifact: Artifact, policy: Policy, folders: SignedFolders | None
    ) -> bool:
        """Whether the signatures beside an artifact need not be verified again."""
        if not (policy.allowed_signers or policy.require_signature):
            return True
        known = self.result_at(place, artifact.url)
        if known is None:
            return False
        if not names_any(known.facts, {item.name for item in artifact.objects}):
            return True
        is_verified = self._is_verified_for(policy, artifact.url)
        return is_verified and (folders is None or folders.are_unchanged(known.facts))

    def _policy_at(self, url: str) -> Mapping[str, Any]:
        """Return the policy that an artifact was judged by, as it is recorded."""
        return stated_at(self.policy, url) if isinstance(self.policy, dict) else {}

    def _is_verified_for(self, policy: Policy, url: str) -> bool:
        """Whether recorded signatures were verified as a policy asks."""
        recorded = self._policy_at(url)
        if policy.require_signature and not recorded.get("require_signature"):
            return False
        known = recorded.get("allowed_signers") or ()
        return all(asdict(signer) in known for signer in policy.allowed_signers)

    def _trusts_as(self, policy: Policy, url: str) -> bool:
        """Whether recorded pickles were read while the same globals were trusted."""
        recorded = self._policy_at(url)
        return set(recorded.get("allowed_globals") or ()) == set(policy.allowed_globals)

    def _is_too_old(self, place: int, policy: Policy) -> bool:
        if not self._examined_at:
            self._examined_at = [time or "" for time in self.file.column("examined_at")]
        return is_too_old(self._examined_at[place], policy)

    def find(self, url: str) -> ScanResult | None:
        """Return the recorded result of an artifact; its SBOM lacks metadata and warnings."""
        place = self.index.find(url)
        return self.result_at(place, url) if place is not None else None

    def result_at(self, place: int, url: str) -> ScanResult | None:
        """Return the row at a position as a result, if it has this address."""
        row = self.file.row(place)
        return from_row(row) if row[KEY] == storable(url) else None

    def results(self) -> Iterator[ScanResult]:
        """Yield all results, in order of address."""
        for rows in merge(map(self._there, self.file.parts())):
            for row in each_row(rows):
                yield from_row(row)

    def _there(self, groups: Iterable[tuple[int, int, int]]) -> Iterator[pa.Table]:
        for number, _, _ in groups:
            rows = self.file.read(number)
            yield rows.filter(pc.not_equal(rows["drift"], "removed"))


def _is_signed(artifact: Artifact) -> bool:
    """Whether signatures lie beside an artifact, or beside a part of it."""
    return any(one.beside.signatures for one in (artifact, *artifact.parts))


def _has_pickles(artifact: Artifact) -> bool:
    """Whether an artifact is a pickle, or has some beside it."""
    for one in (artifact, *artifact.parts):
        if one.beside.pickles.total or one.beside.other_weights.total:
            return True
    # A loop, like the one above: a generator would take as long again for each artifact.
    for item in artifact.objects:  # noqa: SIM110
        if role_of(item.name) in LOOSE:
            return True
    return False


class Comparison:
    """A listing compared with a state: which rows are kept, and which are outside the selection.

    Attributes:
        state: The previous state.
        marks: A `Mark` for each of its rows.
        census: All objects of the listing.
        looked: Files that were looked into because their names say nothing.
        keys: What became of selected keys that are no part of an artifact.
    """

    def __init__(self, state: State, marks: bytearray | None = None) -> None:
        """Start a comparison.

        Args:
            state: The previous state.
            marks: Marks to continue with; fresh ones by default.
        """
        self.state = state
        self.marks = state.index.fresh_marks() if marks is None else marks
        self.census = Census()
        self.looked = Looked(state.looked)
        self.keys = FoundKeys()

    def keep(
        self,
        artifact: Artifact,
        hash_level: HashLevel,
        policy: Policy | None = None,
        folders: SignedFolders | None = None,
    ) -> bool:
        """Keep an artifact's row if it is current; see `State.find_current`.

        Returns:
            Whether it is; otherwise the artifact has to be examined.
        """
        place = self.state.find_current(artifact, hash_level, policy, folders)
        if place is None:
            return False
        self.marks[place] = Mark.KEPT
        return True

    @property
    def kept(self) -> int:
        """Number of unchanged artifacts."""
        return self.marks.count(Mark.KEPT)

    def leave_out(self, artifact: Artifact) -> None:
        """Mark an artifact as outside the selection."""
        place = self.state.index.find(artifact.url)
        if place is not None:
            self._leave_out(place)

    def leave_out_all(self) -> None:
        """Mark everything as outside the selection that was not found so far."""
        self.marks[:] = self.marks.replace(bytes([Mark.MISSING]), bytes([Mark.UNSELECTED]))

    def knows(self, url: str) -> bool:
        """Whether the state has an artifact."""
        return self.state.index.find(url) is not None

    def miss(self, url: str) -> None:
        """Count an artifact as removed that was outside the selection, and is not there."""
        place = self.state.index.find(url)
        if place is not None and self.marks[place] == Mark.UNSELECTED:
            self.marks[place] = Mark.MISSING

    def leave_out_versions(self) -> None:
        """Mark older versions of objects as outside the selection: they are not listed."""
        for place in self.state.index.versions:
            self._leave_out(place)

    def leave_out_since(self, moment: float) -> None:
        """Mark unlisted artifacts as outside the selection if they may be newer than the listing.

        Args:
            moment: When the listing was made, in seconds since 1970.
        """
        for place, time in enumerate(self.state.file.column("modified_at")):
            if time is None or time.timestamp() >= moment:
                self._leave_out(place)

    def _leave_out(self, place: int) -> None:
        if self.marks[place] == Mark.MISSING:
            self.marks[place] = Mark.UNSELECTED


Carried = Literal["all", "kept", "altered"]
"""Which carried-over rows: all; those of artifacts that are unchanged; those to put into a delta,
because the artifact was removed or judged anew with another verdict."""


def carried_over_rows(
    file: StateFile,
    marks: bytes | bytearray,
    scan: ScanInfo,
    columns: Sequence[str] | None = None,
    *,
    which: Carried = "all",
    rejudged: bool = False,
    restated: bool = False,
) -> Iterator[pa.Table]:
    """Yield the rows of a state that the next one carries over, by address.

    Args:
        file: The state's rows.
        marks: A `Mark` for each of them.
        scan: The scan that carries them over.
        columns: The columns to read besides the address, in any order; all by default.
        which: The rows to yield.
        rejudged: Whether ``drift_details`` hold changes of verdict and must be preserved.
        restated: Whether kept rows may name other owners than the scan's policy.
    """
    names = ARTIFACTS.names if columns is None else list(dict.fromkeys([KEY, *columns]))

    def carried(groups: Iterable[tuple[int, int, int]]) -> Iterator[pa.Table]:
        for number, start, end in groups:
            known = pa.array(marks[start:end], pa.uint8())
            wanted = _wanted(known, which, rejudged=rejudged)
            if pc.any(wanted).as_py():
                rows = _as_of(scan, file.read(number, names), known, rejudged=rejudged)
                rows = with_policy(rows, known, scan, owners=restated)
                rows = rows.filter(wanted)
                yield rows.filter(differing(rows)) if which == "altered" else rows

    return merge(map(carried, file.parts()))


def _wanted(marks: Any, which: Carried, *, rejudged: bool) -> Any:
    """Select rows by their marks."""
    if which == "all":
        return pc.invert(pc.equal(marks, Mark.REPLACED))
    kept = pc.equal(marks, Mark.KEPT)
    if which == "kept":
        return kept
    missing = pc.equal(marks, Mark.MISSING)
    return pc.or_(missing, kept) if rejudged else missing


def _as_of(scan: ScanInfo, rows: pa.Table, marks: Any, *, rejudged: bool) -> pa.Table:
    """Set the columns that depend on the scan."""
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
