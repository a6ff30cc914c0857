"""The newest state of a root, held so that looking an artifact up costs next to nothing.

In memory are pins, a few flags and a number for each address: 45 bytes an artifact. Rows stay in
their Parquet file, become results only when somebody asks for one, and go on into the next state as
slices.
"""

import os
import tempfile
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from prefect_mutagen import __version__
from prefect_mutagen.scanner.examine.scan_info import ScanInfo
from prefect_mutagen.scanner.listing.artifacts import Artifact
from prefect_mutagen.scanner.policy.judge import is_time_bound, is_too_old, judge
from prefect_mutagen.scanner.policy.policy import Policy
from prefect_mutagen.scanner.results import ScanResult
from prefect_mutagen.scanner.storage.address import VERSION_MARK, storable
from prefect_mutagen.scanner.storage.hashing import HashLevel
from prefect_mutagen.scanner.table.drift import compare
from prefect_mutagen.scanner.table.places import Places
from prefect_mutagen.scanner.table.rows import (
    from_row,
    moment,
    plain_policy,
    verdict_columns,
)
from prefect_mutagen.scanner.table.runs import KEY, write_parquet
from prefect_mutagen.scanner.table.schema import ARTIFACTS, conform

__all__ = ["State"]

_GONE: Final = 0
"""Not met by the scan: it was removed."""
_KEPT: Final = 1
_DROPPED: Final = 2
"""Another row stands for it, or it was removed before."""
_LEFT_OUT: Final = 3
"""Not selected by the scan, which says nothing about it."""
_DRIFT: Final = ("removed", "unchanged", "", "left-out")
"""What a mark says in the row that goes on."""
_EXAMINED: Final = 1
_HASHED: Final = 2
_PIN: Final = r"^sha256:[0-9a-fA-F]{64}$"
_PIN_START: Final = len("sha256:")
_PIN_BYTES: Final = 32
_NO_DIGEST: Final = bytes(_PIN_BYTES).hex()
_TIME: Final = ARTIFACTS.field("scanned_at").type
_GROUPS_KEPT: Final = 4
_NEAR: Final = 32
"""Rows that leave Arrow together: one alone costs nearly as much, and the next is wanted soon."""


class State:
    """What was known about every artifact of a root when it was last scanned."""

    def __init__(
        self, scan_id: str = "", file: pa.NativeFile | None = None, policy: Any = None
    ) -> None:
        """Read what is needed to find artifacts.

        Args:
            scan_id: Scan whose file under ``artifacts/`` this is; empty before the first.
            file: That file; None before the first scan.
            policy: Policy of the scan that confirmed it last, as plain values.
        """
        self.scan_id = scan_id
        self._policy = policy
        self._places = Places()
        self._versions = array("I")
        """Rows of older versions."""
        self._pins = bytearray()
        self._flags = bytearray()
        self._marks = bytearray()
        self._groups: dict[int, pa.Table] = {}
        self._examined_at: list[str] = []
        self._near: tuple[int, int, list[dict[str, Any]]] = (-1, -1, [])
        self._judged = False
        self.all_passed = True
        """Whether every artifact had passed."""
        self.judged_apart = False
        """Whether what was left out was judged under another policy; known after `judge_again`."""
        self._open(_in_order(file) if file is not None else None)
        self._unmarked = bytes(self._marks)

    def _open(self, file: pa.NativeFile | None) -> None:
        self._file = pq.ParquetFile(file) if file is not None else None
        self._starts = [0]
        for number in range(self._file.num_row_groups if self._file else 0):
            self._index(number)
            self._starts.append(len(self._marks))

    def _index(self, number: int) -> None:
        columns = [KEY, "pin", "drift", "status", "tool_version", "sha256_source"]
        rows = self._read(number, columns)
        there = pc.not_equal(rows["drift"], "removed")
        # Who has no pin is always examined, and the zeros in its place are nobody's digest.
        pinned = pc.fill_null(pc.match_substring_regex(rows["pin"], _PIN), fill_value=False)
        digests = pc.if_else(pinned, pc.utf8_slice_codeunits(rows["pin"], _PIN_START), _NO_DIGEST)
        self._pins += bytes.fromhex("".join(digests.to_pylist()))
        confirmed = pc.and_(
            pc.not_equal(rows["status"], "unknown"), pc.equal(rows["tool_version"], __version__)
        )
        examined = pc.and_(pinned, confirmed)
        hashed = pc.fill_null(pc.equal(rows["sha256_source"], "computed"), fill_value=False)
        flags = pc.add(
            pc.cast(examined, pa.uint8()), pc.multiply(pc.cast(hashed, pa.uint8()), _HASHED)
        )
        passed = pc.or_(pc.equal(rows["status"], "passed"), pc.invert(there))
        self.all_passed = self.all_passed and pc.all(passed, min_count=0).as_py()
        start = len(self._marks)
        self._marks += bytes(pc.if_else(there, _GONE, _DROPPED).to_pylist())
        self._flags += bytes(flags.to_pylist())
        versions = pc.and_(
            pc.starts_with(rows[KEY], "s3"), pc.match_substring(rows[KEY], VERSION_MARK)
        )
        known = pc.indices_nonzero(pc.and_(versions, there)).to_pylist()
        self._versions.extend(start + within for within in known)
        addresses = pc.if_else(there, rows[KEY], pa.scalar(None, pa.string())).to_pylist()
        for place, twin in self._places.extend(addresses):
            # Two odd names may look alike as text. Neither is taken for the other.
            self._flags[twin] = self._flags[place] = 0
            self._marks[place] = _DROPPED

    def __len__(self) -> int:
        """Count the artifacts."""
        return len(self._places)

    def keep(self, artifact: Artifact, hash_level: HashLevel, policy: Policy | None = None) -> bool:
        """Take an artifact over as it is, if nothing has to be read for it.

        Args:
            artifact: What the listing shows now.
            hash_level: How much is paid for SHA-256 values now.
            policy: What is accepted now; it may limit the age of an examination.

        Returns:
            False when it has to be examined: it is new, its pin is another one or unknown, this
            tool is another version, it could not be examined the last time, that was longer ago
            than the policy allows, its bytes are to be hashed and were not yet, or a signature
            beside it may be that of a signer whom nobody asked for before.
        """
        place = self._places.find(storable(artifact.url))
        if place is None:
            return False
        wanted = _EXAMINED | _HASHED if hash_level == "full" else _EXAMINED
        if self._flags[place] & wanted != wanted:
            return False
        digest = artifact.digest
        if not digest or not self._pins.startswith(digest, place * _PIN_BYTES):
            return False
        if policy is not None and policy.max_scan_age_hours and self._too_old(place, policy):
            return False
        if policy is not None and artifact.beside.signatures and not self._verified_for(policy):
            return False
        self._marks[place] = _KEPT
        return True

    def _verified_for(self, policy: Policy) -> bool:
        """Say whether what is recorded was verified for all signers that the policy names."""
        known = self._policy.get("allowed_signers") if isinstance(self._policy, dict) else None
        return all(asdict(signer) in (known or ()) for signer in policy.allowed_signers)

    def leave_out(self, artifact: Artifact) -> None:
        """Leave an artifact as it is known: it is there, and the scan is not about it."""
        self._leave_out(self._places.find(storable(artifact.url)))

    def leave_out_versions(self) -> None:
        """Leave older versions of objects as they are known: the listing does not show them."""
        for place in self._versions:
            self._leave_out(place)

    def leave_out_since(self, moment: float) -> None:
        """Leave out what was not met and was changed at a time or later, or nobody knows when.

        Args:
            moment: Seconds since 1970: when the listing was made.
        """
        for number in range(len(self._starts) - 1):
            times = self._read(number, ["modified_at"])["modified_at"].to_pylist()
            for place, time in enumerate(times, self._starts[number]):
                if time is None or time.timestamp() >= moment:
                    self._leave_out(place)

    def _leave_out(self, place: int | None) -> None:
        if place is not None and self._marks[place] == _GONE:
            self._marks[place] = _LEFT_OUT

    def is_left_out(self, url: str) -> bool:
        """Say whether an artifact is known, and the scan is not about it."""
        place = self._places.find(storable(url))
        return place is not None and self._marks[place] == _LEFT_OUT

    def _too_old(self, place: int, policy: Policy) -> bool:
        if not self._examined_at:
            for number in range(len(self._starts) - 1):
                times = self._read(number, ["examined_at"])["examined_at"].to_pylist()
                self._examined_at += [time or "" for time in times]
        return is_too_old(self._examined_at[place], policy)

    def replace(self, url: str) -> ScanResult | None:
        """Give what was known about an artifact, whose place a new row takes; None without.

        Args:
            url: Its address.
        """
        place = self._places.find(storable(url))
        row = self._row(place, url)
        if row is None or place is None:
            return None
        self._marks[place] = _DROPPED
        return from_row(row)

    def find(self, url: str) -> ScanResult | None:
        """Give what was known about an artifact: the SBOM without its metadata and warnings."""
        row = self._row(self._places.find(storable(url)), url)
        return None if row is None else from_row(row)

    def _row(self, place: int | None, url: str) -> dict[str, Any] | None:
        """Give the row at a place, if it is this address's."""
        if place is None:
            return None
        number = bisect_right(self._starts, place) - 1
        if number not in self._groups:
            if len(self._groups) >= _GROUPS_KEPT:
                self._groups.pop(next(iter(self._groups)))
            self._groups[number] = self._read(number)
        within = place - self._starts[number]
        near = within - within % _NEAR
        if self._near[:2] != (number, near):
            self._near = number, near, self._groups[number].slice(near, _NEAR).to_pylist()
        row = self._near[2][within - near]
        return row if row[KEY] == storable(url) else None

    def results(self) -> Iterator[ScanResult]:
        """Give everything that was known, in the order of addresses."""
        for number in range(len(self._starts) - 1):
            rows = self._read(number)
            for row in rows.filter(pc.not_equal(rows["drift"], "removed")).to_pylist():
                yield from_row(row)

    def forget(self) -> None:
        """Forget what was kept or replaced, to begin once more."""
        self._marks = bytearray(self._unmarked)

    @property
    def kept(self) -> int:
        """How many artifacts were taken over."""
        return self._marks.count(_KEPT)

    @property
    def gone(self) -> int:
        """How many were neither taken over nor replaced nor left out, so far."""
        return self._marks.count(_GONE)

    @property
    def left_out(self) -> int:
        """How many are known, and the scan is not about them."""
        return self._marks.count(_LEFT_OUT)

    def judge_again(self, policy: Policy, folder: str) -> int:
        """Judge what was taken over under another policy; nothing is read for it.

        Args:
            policy: What is accepted now.
            folder: Where a temporary file may lie.

        Returns:
            How many rows are not as they were.
        """
        known = self._policy == plain_policy(policy)
        self.judged_apart = self.left_out > 0 and not known
        same = known and not is_time_bound(policy)
        if self._file is None or not self.kept or same:
            return 0
        changed = 0

        def judged() -> Iterator[pa.Table]:
            nonlocal changed
            for number in range(len(self._starts) - 1):
                rows = self._read(number).to_pylist()
                for place, row in enumerate(rows, self._starts[number]):
                    row["drift_details"] = []
                    if self._marks[place] == _KEPT:
                        changed += _judge_row(row, policy)
                yield pa.Table.from_pylist(rows, schema=ARTIFACTS)

        path = os.path.join(folder, "judged.parquet")
        write_parquet(path, ARTIFACTS, judged())
        self._file = pq.ParquetFile(path)
        self._starts = [0]
        for number in range(self._file.num_row_groups):
            self._starts.append(self._starts[-1] + self._file.metadata.row_group(number).num_rows)
        self._groups.clear()
        self._near = (-1, -1, [])
        self._policy = plain_policy(policy)
        self._judged = True
        return changed

    def tables(
        self, scan: ScanInfo, columns: Sequence[str] | None = None, *, rest: bool = True
    ) -> Iterator[pa.Table]:
        """Give the rows that go on: what was taken over, what was left out, what was removed.

        Args:
            scan: The scan whose rows they become.
            columns: The columns that are wanted, in any order; all by default.
            rest: Whether what was left out or removed is wanted.
        """
        names = list(columns) if columns is not None else ARTIFACTS.names
        for number in range(len(self._starts) - 1):
            marks = self._marks[self._starts[number] : self._starts[number + 1]]
            known = pa.array(marks, pa.uint8())
            wanted = pc.not_equal(known, _DROPPED) if rest else pc.equal(known, _KEPT)
            if pc.any(wanted).as_py():
                rows = _as_of(scan, self._read(number, names), known, details=self._judged)
                yield rows.filter(wanted)

    def _read(self, number: int, columns: Sequence[str] | None = None) -> pa.Table:
        assert self._file is not None  # noqa: S101 - there are no groups without a file
        if columns is None:
            return conform(self._file.read_row_group(number), ARTIFACTS)
        there = set(self._file.schema_arrow.names)
        rows = self._file.read_row_group(
            number, columns=[name for name in columns if name in there]
        )
        return conform(rows, pa.schema([ARTIFACTS.field(name) for name in columns]))


def _as_of(scan: ScanInfo, rows: pa.Table, marks: Any, *, details: bool) -> pa.Table:
    """Set what a row of the state says about the scan it belongs to."""
    count = rows.num_rows
    values: dict[str, Callable[[], Any]] = {
        "scan_id": lambda: pa.repeat(pa.scalar(scan.id), count),
        "scanned_at": lambda: pa.repeat(pa.scalar(moment(scan.started_at), _TIME), count),
        "drift": lambda: pa.array(_DRIFT).take(marks),
    }
    if not details:
        kind = ARTIFACTS.field("drift_details").type
        values["drift_details"] = lambda: pa.array([[]], kind).take(pa.repeat(0, count))
    for name, value in values.items():
        if name in rows.column_names:
            at = rows.column_names.index(name)
            rows = rows.set_column(at, ARTIFACTS.field(name), value())
    return rows


def _judge_row(row: dict[str, Any], policy: Policy) -> bool:
    known = from_row(row)
    result = replace(known, verdict=judge(known.subject(), policy))
    if result.verdict == known.verdict:
        return False
    row |= verdict_columns(replace(result, drift_details=compare(known, result)))
    return True


def _in_order(file: pa.NativeFile) -> pa.NativeFile:
    """Sort a file by address, if it was written before files were."""
    metadata = pq.ParquetFile(file).metadata
    if all(metadata.row_group(number).sorting_columns for number in range(metadata.num_row_groups)):
        file.seek(0)
        return file
    file.seek(0)
    rows = conform(pq.read_table(file), ARTIFACTS).sort_by(KEY)
    with tempfile.TemporaryDirectory(prefix="mutagen-") as folder:
        path = os.path.join(folder, "sorted.parquet")
        write_parquet(path, ARTIFACTS, [rows])
        return pa.OSFile(path, "rb")
