"""When a table let a model pass: which states of it say that it passed, by address or by pin.

A state lets a model pass until the next one does not; so what matters is each change of its row.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from prefect_mutagen.scanner.storage.names import storable
from prefect_mutagen.scanner.table.deltas import base_of
from prefect_mutagen.scanner.table.runs import KEY
from prefect_mutagen.scanner.table.table import Table

__all__ = ["Standing", "standings_of"]

_AT_ONCE: Final = 16
"""Files that are opened together."""
_COLUMNS: Final = (KEY, "pin", "status", "drift", "scan_id", "scanned_at", "reasons", "owner")


@dataclass(frozen=True, slots=True)
class Standing:
    """A model's row from one scan on, until a later one is different."""

    url: str
    pin: str
    status: str
    """``passed``, ``failed`` or ``unknown``; ``removed`` where it is there no more."""
    scan_id: str
    """The first scan that says so, of those that are kept."""
    since: datetime
    codes: tuple[str, ...]
    """Why it does not pass."""
    owner: str


def standings_of(table: Table, word: str) -> list[Standing]:
    """Return how a model stood from scan to scan, the oldest first.

    Args:
        table: The table of a root.
        word: Its address, as the table has it, or a pin. With a pin, all models that ever had it.

    Returns:
        A record for each change of verdict or pin; none if the table does not know it.

    Raises:
        StorageError: The table cannot be read.
    """
    published = set(table.scan_ids())
    whole = [(name, "artifacts", name) for name in table.files.names("artifacts")]
    deltas = [(base_of(name)[1], "changes", name) for name in table.files.names("changes")]
    files = [entry for entry in sorted([*whole, *deltas]) if entry[0] in published]
    wanted = {storable(word)}
    found = list(_changes(_rows(table, files, KEY, wanted), wanted))
    if found:
        return found
    urls = {row[KEY] for _, rows in _rows(table, files, "pin", {word}) for row in rows}
    return list(_changes(_rows(table, files, KEY, urls), urls)) if urls else []


_File = tuple[str, str, str]
"""The scan that wrote a file, its part of the table, and its name."""


def _rows(
    table: Table, files: Sequence[_File], column: str, values: set[str]
) -> Iterator[tuple[_File, list[dict[str, Any]]]]:
    """Yield each file with its rows of these values; row groups without one are not read."""
    wanted = pc.field(column).isin(pa.array(sorted(values), pa.string()))
    for start in range(0, len(files), _AT_ONCE):
        batch = files[start : start + _AT_ONCE]
        opened: dict[tuple[str, str], pa.NativeFile] = {}
        for part in ("artifacts", "changes"):
            names = [name for _, one, name in batch if one == part]
            found = table.files.open_all(part, names)
            opened.update(zip(((part, name) for name in names), found, strict=True))
        for entry in batch:
            with table.files.reading(), opened[entry[1:]] as file:
                there = set(pq.read_schema(file).names)
                file.seek(0)
                columns = [name for name in _COLUMNS if name in there]
                rows: Any = pq.read_table(file, columns=columns, filters=wanted)
                yield entry, rows.to_pylist()


def _changes(
    files: Iterator[tuple[_File, list[dict[str, Any]]]], urls: set[str]
) -> Iterator[Standing]:
    known: dict[str, Standing] = {}
    for (scan_id, part, _), rows in files:
        there = {row[KEY]: row for row in rows}
        for url in sorted(urls):
            row = there.get(url)
            if row is None and (part == "changes" or url not in known):
                continue  # a delta has only what changed
            before = known.get(url)
            now = _standing(row, scan_id) if row is not None else _gone(known[url], scan_id)
            if before is None or (before.status, before.pin) != (now.status, now.pin):
                known[url] = now
                yield now


def _standing(row: dict[str, Any], scan_id: str) -> Standing:
    is_gone = row["drift"] == "removed"
    return Standing(
        url=row[KEY],
        pin=row["pin"] or "",
        status="removed" if is_gone else row["status"],
        scan_id=scan_id,
        since=row["scanned_at"],
        codes=() if is_gone else tuple(dict.fromkeys(one["code"] for one in row["reasons"])),
        owner=row.get("owner") or "",
    )


def _gone(known: Standing, scan_id: str) -> Standing:
    """Return that a model is there no more: a whole state has no row of it."""
    since = datetime.strptime(scan_id[:22], "%Y%m%dT%H%M%S%f%z")
    return replace(known, status="removed", scan_id=scan_id, since=since, codes=())
