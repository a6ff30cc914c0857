"""Take over what interrupted scans of a root examined and did not publish.

Nothing is taken on trust: a chunk of the staging area counts if it is whole, has the columns of the
table, names this root, and every address in it lies below the root. A row counts like one of the
previous state (`scanner.table.state.State.find_current`), for the artifact as it is listed now, and
is judged by the current policy. All else is examined again.
"""

import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from prefect_mutagen.scanner.examine.scan_info import ScanInfo
from prefect_mutagen.scanner.examine.unexamined import internal_error
from prefect_mutagen.scanner.listing.artifacts import Artifact
from prefect_mutagen.scanner.policy.judge import judge
from prefect_mutagen.scanner.policy.policy import Policy
from prefect_mutagen.scanner.results import ScanResult
from prefect_mutagen.scanner.storage.address import VERSION_MARK
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.hashing import HashLevel
from prefect_mutagen.scanner.table.files import Files
from prefect_mutagen.scanner.table.rows import bare_document, from_row, stand_in_row, with_documents
from prefect_mutagen.scanner.table.runs import KEY, Runs, each_row, merge, texts, write_parquet
from prefect_mutagen.scanner.table.schema import ARTIFACTS, SBOMS
from prefect_mutagen.scanner.table.signed_folders import SignedFolders
from prefect_mutagen.scanner.table.staging import (
    ABOUT,
    DOCUMENTS,
    PART,
    STAGED,
    Rescan,
    is_old,
    is_whole,
    scan_of,
    staged_names,
)
from prefect_mutagen.scanner.table.state import State
from prefect_mutagen.scanner.table.state_file import StateFile

__all__ = ["Interrupted"]

_AT_ONCE: Final = 8
"""Chunks that are fetched at once: each costs a round trip."""
_COMPLETE: Final = (KEY, "scan_id", "pin", "status", "format", "tool_version", "sbom_id", DOCUMENTS)
"""Columns that have a value in every row that a scan writes."""


@dataclass(slots=True)
class _Staged:
    """What scans with one policy examined, as a state."""

    state: State
    taken: bytearray
    """For each row, whether it is taken over."""


class Interrupted:
    """What interrupted scans of a root examined.

    Attributes:
        count: Number of artifacts taken over so far.
    """

    def __init__(self, files: Files | None, scan: ScanInfo, rescan: Rescan, folder: str) -> None:
        """Read the staging area; what cannot be read there counts as not examined.

        Args:
            files: The table's files of the root; None: there is no table.
            scan: The current scan.
            rescan: What it examines. One that examines everything takes over only from scans that
                did so, too.
            folder: A temporary folder for the rows.
        """
        self.count = 0
        self._scan, self._rescan, self._folder = scan, rescan, folder
        self._documents = Runs(folder, "staged-sboms", SBOMS, bare_document)
        self._runs: dict[str, Runs] = {}
        if files is not None:
            with suppress(StorageError):
                self._read(files)
        # The newest come first: rows of an older scan count where there are no others.
        self._staged = [
            self._as_state(number, policy, runs)
            for number, (policy, runs) in enumerate(reversed(self._runs.items()))
        ]

    def _read(self, files: Files) -> None:
        names = [name for name in staged_names(files) if not is_old(name)]
        if not names:
            return
        published = set(files.names("scans"))
        names = [name for name in names if scan_of(name) not in published]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for start in range(0, len(names), _AT_ONCE):
                some = names[start : start + _AT_ONCE]
                chunks = pool.map(lambda name: _open(files, name), some)
                for name, opened in zip(some, chunks, strict=True):
                    if opened is not None:
                        self._add(name, opened)

    def _add(self, name: str, opened: pa.NativeFile) -> None:
        """Add the rows of a chunk, unless it is corrupt or of another root."""
        try:
            with opened:
                if not is_whole(name, opened):
                    return
                opened.seek(0)
                rows = pq.read_table(opened)
            about = json.loads((rows.schema.metadata or {})[ABOUT])
            if not rows.schema.equals(STAGED):
                return
            policy = json.dumps(about["policy"], sort_keys=True)
            fits = about["source"] == self._scan.source and self._are_sound(rows)
            if not fits or (self._rescan == "all" and about["rescan"] != "all"):
                return
            documents = _documents(rows)
        except Exception:  # noqa: BLE001 - whatever somebody has put there
            return
        # The last scan with a policy makes its rows the newest.
        runs = self._runs.pop(policy, None) or self._new_runs()
        self._runs[policy] = runs
        drift = pa.repeat(pa.scalar("added"), rows.num_rows)  # they were not compared yet
        known = rows.select(ARTIFACTS.names)
        place = ARTIFACTS.get_field_index("drift")
        runs.add_table(known.set_column(place, ARTIFACTS.field(place), drift))
        self._documents.add_table(documents)

    def _new_runs(self) -> Runs:
        def stand_in(row: dict[str, Any], problem: Exception) -> dict[str, Any]:
            return stand_in_row(row, self._scan, problem)

        return Runs(self._folder, f"staged-{len(self._runs)}", ARTIFACTS, stand_in)

    def _are_sound(self, rows: pa.Table) -> bool:
        """Whether every row is complete and about an artifact below the root."""
        root, urls = self._scan.source, rows[KEY]
        inside = pc.starts_with(urls, f"{root.rstrip('/')}/")
        itself = pc.or_(pc.equal(urls, root), pc.starts_with(urls, f"{root}{VERSION_MARK}"))
        described = pc.greater(pc.list_value_length(rows[DOCUMENTS]), 0)
        sound = pc.and_(pc.or_(inside, itself), described)
        complete = not any(rows[name].null_count for name in _COMPLETE)
        return complete and bool(pc.all(sound, min_count=0).as_py())

    def _as_state(self, number: int, policy: str, runs: Runs) -> _Staged:
        path = os.path.join(self._folder, f"staged-{number}.parquet")
        write_parquet(path, ARTIFACTS, _newest(runs.tables()))
        runs.clear()
        state = State(file=StateFile(pa.OSFile(path, "rb")), policy=json.loads(policy))
        return _Staged(state, bytearray(len(state.file)))

    def take(
        self,
        artifact: Artifact,
        hash_level: HashLevel,
        policy: Policy,
        folders: SignedFolders | None = None,
    ) -> bool:
        """Take an artifact over if it need not be examined again; see `State.find_current`.

        Returns:
            Whether it is taken over.
        """
        for staged in self._staged:
            place = staged.state.find_current(artifact, hash_level, policy, folders)
            if place is not None and _is_sound(staged.state, place, artifact.url):
                staged.taken[place] = True
                self.count += 1
                return True
        return False

    def results(self) -> Iterator[ScanResult]:
        """Yield what was taken over, by address, judged by the current policy."""
        documents = _Following(self._documents.tables())
        for rows in merge(map(_taken_rows, self._staged)):
            for row in each_row(rows):
                known = from_row(row)
                described = [
                    one
                    for one in documents.of(row[KEY])
                    if (one["sbom_id"], one["scan_id"]) == (row["sbom_id"], row["scan_id"])
                ]
                try:
                    result = with_documents(known, described)
                    verdict = judge(result.subject(), self._scan.policy)
                except Exception as problem:  # noqa: BLE001 - costs this artifact alone
                    yield internal_error(known, problem, "taking over")
                else:
                    yield replace(result, verdict=verdict, drift=None, drift_details=())


def _open(files: Files, name: str) -> pa.NativeFile | None:
    try:
        return files.open(PART, name)
    except StorageError:
        return None


def _documents(rows: pa.Table) -> pa.Table:
    flat = pc.list_flatten(rows[DOCUMENTS]).combine_chunks()
    return pa.Table.from_batches([pa.RecordBatch.from_struct_array(flat)]).cast(SBOMS)


def _newest(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Keep the newest row of each address."""
    last = ""
    for table in tables:
        rows = table.sort_by([(KEY, "ascending"), ("scan_id", "descending")])
        urls = texts(rows, KEY)
        first = [url != before for url, before in zip(urls, [last, *urls], strict=False)]
        yield rows.filter(pa.array(first, pa.bool_()))
        last = urls[-1] if urls else last


def _is_sound(state: State, place: int, url: str) -> bool:
    """Whether a row is what a scan writes, and of this address."""
    try:
        return state.result_at(place, url) is not None
    except Exception:  # noqa: BLE001 - whatever somebody has put there
        return False


def _taken_rows(staged: _Staged) -> Iterator[pa.Table]:
    for number, start, end in staged.state.file.groups():
        taken = pa.array(staged.taken[start:end], pa.uint8())
        if pc.any(pc.equal(taken, 1)).as_py():
            yield staged.state.file.read(number).filter(pc.equal(taken, 1))


class _Following:
    """Sorted documents, looked up in order of address."""

    def __init__(self, tables: Iterator[pa.Table]) -> None:
        self._rows = (row for table in tables for row in each_row(table))
        self._next: dict[str, Any] | None = next(self._rows, None)

    def of(self, url: str) -> Sequence[dict[str, Any]]:
        """Return the documents of an address; none may be asked for that comes before."""
        found = []
        while self._next is not None and self._next[KEY] <= url:
            if self._next[KEY] == url:
                found.append(self._next)
            self._next = next(self._rows, None)
        return found
