"""Compare two states of a root, and say since when artifacts have been refused.

Both states are sorted by address, so they are walked side by side, in bounded memory.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from prefect_mutagen.scanner.results import Change, ScanResult
from prefect_mutagen.scanner.storage.names import storable
from prefect_mutagen.scanner.table.deltas import base_of
from prefect_mutagen.scanner.table.drift import compare
from prefect_mutagen.scanner.table.runs import KEY
from prefect_mutagen.scanner.table.state import State
from prefect_mutagen.scanner.table.table import Table

__all__ = ["Pair", "Refusal", "pairs_of", "refusals_of", "scan_before"]

_FILES_READ: Final = 200
"""Files of states that are read backwards; what was refused before all of them is older."""
_AT_ONCE: Final = 16
"""Files that are opened together."""
_COLUMNS: Final = (KEY, "status", "drift", "scanned_at")


class Pair(NamedTuple):
    """An artifact in two states."""

    before: ScanResult | None
    """As it was; None: it was not there."""
    result: ScanResult
    """As it is; where it is there no more, as it was."""
    changes: tuple[Change, ...] = ()
    """What differs."""
    is_removed: bool = False


@dataclass(slots=True)
class Refusal:
    """Since when an artifact has not passed."""

    since: datetime
    """Time of the first scan that refused it, or could not examine it, without a pass since."""
    is_exact: bool = False
    """Whether what was before is known, or that it was not there; else it may be so for longer."""
    passed_at: datetime | None = None
    """Time of the last state in which it passed, if one is known."""


def scan_before(table: Table, scan_ids: Sequence[str], moment: str) -> tuple[str, State | None]:
    """Find the state at a moment.

    Args:
        table: The table of a root.
        scan_ids: All of its scans, the oldest first.
        moment: A time as scan ids begin with one.

    Returns:
        The scan whose state that was, and the state. Where older ones are no longer kept, the
        oldest that is; an empty id and None where nothing was scanned before that moment.
    """
    earlier = [scan_id for scan_id in scan_ids if scan_id[: len(moment)] <= moment]
    later = [scan_id for scan_id in scan_ids[:-1] if scan_id[: len(moment)] > moment]
    for scan_id in (*reversed(earlier), *later):
        if not earlier and _is_first(table, scan_id):
            break
        state = table.open_earlier(scan_id)
        if state is not None:
            return scan_id, state
    return "", None


def _is_first(table: Table, scan_id: str) -> bool:
    """Whether a scan found nothing in the table, so that no earlier one was deleted."""
    (row,) = table.scan_rows([scan_id])
    return not any(row[name] for name in ("changed", "removed", "unchanged", "left_out"))


def pairs_of(before: State | None, now: State) -> Iterator[Pair]:
    """Walk two states side by side, by address.

    Args:
        before: The earlier state; None for an empty one.
        now: The later state.

    Yields:
        A pair for every artifact that is in one of them.
    """
    if before is not None and before.name == now.name:
        yield from (Pair(result, result) for result in now.results())
        return
    old = before.results() if before is not None else iter(())
    known, found = next(old, None), None
    for found in now.results():
        place = storable(found.url)
        while known is not None and storable(known.url) < place:
            yield Pair(known, known, is_removed=True)
            known = next(old, None)
        if known is not None and known.url == found.url:
            yield Pair(known, found, compare(known, found))
            known = next(old, None)
        else:
            yield Pair(None, found)
    while known is not None:
        yield Pair(known, known, is_removed=True)
        known = next(old, None)


def refusals_of(table: Table, scan_ids: Sequence[str], urls: Sequence[str]) -> dict[str, Refusal]:
    """Say since when artifacts that do not pass now have not passed.

    Args:
        table: The table of a root.
        scan_ids: All of its scans.
        urls: Addresses as the table has them.

    Returns:
        What is known, by address.

    Raises:
        StorageError: The table cannot be read.
    """
    published = set(scan_ids)
    whole = [(name, "artifacts", name) for name in table.files.names("artifacts")]
    deltas = [(base_of(name)[1], "changes", name) for name in table.files.names("changes")]
    files = [entry for entry in sorted([*whole, *deltas], reverse=True) if entry[0] in published]
    known: dict[str, Refusal] = {}
    waiting = set(urls)
    for start in range(0, min(len(files), _FILES_READ), _AT_ONCE):
        if not waiting:
            break
        names = [(part, name) for _, part, name in files[start : start + _AT_ONCE]]
        for part, rows in _rows_of(table, names, waiting):
            there = {row[KEY]: row for row in rows}
            for url in waiting if part == "artifacts" else there.keys() & waiting:
                _look_back(known, url, there.get(url))
            waiting -= {url for url in waiting if url in known and known[url].is_exact}
    if waiting and len(files) <= _FILES_READ and _is_first(table, scan_ids[0]):
        for url in waiting & known.keys():
            known[url].is_exact = True
    return known


def _look_back(known: dict[str, Refusal], url: str, row: dict[str, Any] | None) -> None:
    """Take in what an earlier file says of an artifact; None: it was not there."""
    refusal = known.get(url)
    if row is not None and row["drift"] != "removed" and row["status"] != "passed":
        if refusal is None:
            known[url] = Refusal(row["scanned_at"])
        else:
            refusal.since = row["scanned_at"]
    elif refusal is not None:
        refusal.is_exact = True
        if row is not None and row["drift"] != "removed":
            refusal.passed_at = row["scanned_at"]


def _rows_of(
    table: Table, names: Sequence[tuple[str, str]], urls: set[str]
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield the part of each file, and its rows of these artifacts."""
    wanted = pa.array(sorted(urls), pa.string())
    opened: dict[tuple[str, str], pa.NativeFile] = {}
    for one in ("artifacts", "changes"):
        own = [name for part, name in names if part == one]
        files = table.files.open_all(one, own)
        opened.update(zip(((one, name) for name in own), files, strict=True))
    for place in names:
        with table.files.reading(), opened[place] as file:
            rows: Any = pq.read_table(file, columns=list(_COLUMNS))
            yield place[0], rows.filter(pc.is_in(rows[KEY], wanted)).to_pylist()
