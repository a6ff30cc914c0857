"""Read a state by row groups: a Parquet file, and what has changed since it was written.

Rows stay in files and are converted to results on demand. Pickling includes the bytes of the files,
so a copy can be read on another machine. Positions go through the file first and through the
changed rows then; in the file, rows that have changed since count as removed.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from prefect_mutagen.scanner.table.runs import KEY, merge, texts, write_parquet
from prefect_mutagen.scanner.table.schema import ARTIFACTS, conform
from prefect_mutagen.scanner.temporary import own_folder

__all__ = ["StateFile"]

_CACHED_GROUPS: Final = 2
"""Row groups in memory, up to 8 MB each: one of the file, one of what has changed since."""
_BLOCK_ROWS: Final = 32
"""Rows converted from Arrow at a time: one alone costs nearly as much, and access is sequential."""


_MERGED_ROWS: Final = 512
"""Rows of each delta in memory while they are merged."""


class StateFile:
    """The rows of one state; no rows without a file.

    Attributes:
        whole_rows: Rows of the file, also those that have changed since.
        changed_rows: Rows that have changed since.
    """

    def __init__(
        self, file: pa.NativeFile | None = None, changes: Sequence[pa.NativeFile] = ()
    ) -> None:
        """Open a state.

        Args:
            file: A file of ``artifacts/``; None for the empty state before the first scan.
            changes: The files of ``changes/`` upon it, in order.
        """
        self._sources = [] if file is None else [_sorted_by_address(file)]
        if changes:
            self._sources.append(_newest_rows(changes) if len(changes) > 1 else changes[0])
        self._groups: list[tuple[pq.ParquetFile, int]] = []
        self._starts, ends = [0], [0]
        for source in self._sources:
            parquet = pq.ParquetFile(source)
            for number in range(parquet.num_row_groups):
                self._groups.append((parquet, number))
                rows = parquet.metadata.row_group(number).num_rows
                self._starts.append(self._starts[-1] + rows)
            ends.append(len(self._groups))
        self._parts = [range(start, end) for start, end in pairwise(ends)]
        self.whole_rows = self._starts[ends[min(1, len(ends) - 1)]]
        self.changed_rows = self._starts[-1] - self.whole_rows
        self._changed = array("I")
        """Positions in the file of rows that have changed since, in order."""
        if self.changed_rows:
            self._find_changed()
        self._cached: dict[int, pa.Table] = {}
        self._block: tuple[int, int, list[dict[str, Any]]] = (-1, -1, [])

    def _find_changed(self) -> None:
        whole, changed = self._parts
        urls = [url for number in changed for url in texts(self.read(number, [KEY]), KEY)]
        for number in whole:
            known = self.read(number, [KEY])
            first, last = known[KEY][0].as_py(), known[KEY][-1].as_py()
            there = urls[bisect_left(urls, first) : bisect_right(urls, last)]
            if there:
                found = pc.indices_nonzero(pc.is_in(known[KEY], pa.array(there)))
                self._changed.extend(self._starts[number] + at for at in found.to_pylist())

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the rows themselves."""
        sources: list[bytes] = []
        for source in self._sources:
            source.seek(0)
            sources.append(source.read())
        return _from_bytes, (sources,)

    def __len__(self) -> int:
        """Return the number of rows."""
        return self._starts[-1]

    def groups(self) -> Iterator[tuple[int, int, int]]:
        """Yield number, start and end position of each row group."""
        for part in self.parts():
            yield from part

    def parts(self) -> list[list[tuple[int, int, int]]]:
        """Return the groups in one list or two: in each, rows are sorted by address."""
        return [
            [(at, self._starts[at], self._starts[at + 1]) for at in part] for part in self._parts
        ]

    def read(self, number: int, columns: Sequence[str] | None = None) -> pa.Table:
        """Read a row group; missing columns are null.

        Args:
            number: Number of the group.
            columns: The columns to read; all by default.
        """
        parquet, group = self._groups[number]
        if columns is None:
            rows = conform(parquet.read_row_group(group), ARTIFACTS)
        else:
            there = set(parquet.schema_arrow.names)
            wanted = [name for name in columns if name in there]
            rows = parquet.read_row_group(group, columns=wanted)
            rows = conform(rows, pa.schema([ARTIFACTS.field(name) for name in columns]))
        return self._without_changed(number, rows)

    def _without_changed(self, number: int, rows: pa.Table) -> pa.Table:
        """State rows that have changed since as removed."""
        start, end = self._starts[number : number + 2]
        first, last = bisect_left(self._changed, start), bisect_left(self._changed, end)
        if first == last or "drift" not in rows.column_names:
            return rows
        changed = pa.array(self._changed[first:last], pa.uint32())
        is_old = pc.is_in(pa.array(range(start, end), pa.uint32()), changed)
        drift = pc.if_else(is_old, "removed", rows["drift"])
        at = rows.column_names.index("drift")
        return rows.set_column(at, ARTIFACTS.field("drift"), drift)

    def column(self, name: str) -> Iterator[Any]:
        """Yield the values of one column."""
        for number, _, _ in self.groups():
            yield from self.read(number, [name])[name].to_pylist()

    def row(self, place: int) -> dict[str, Any]:
        """Return one row; sequential access is cheap."""
        number = bisect_right(self._starts, place) - 1
        if number not in self._cached:
            if len(self._cached) >= _CACHED_GROUPS:
                self._cached.pop(next(iter(self._cached)))
            self._cached[number] = self.read(number)
        within = place - self._starts[number]
        first = within - within % _BLOCK_ROWS
        if self._block[:2] != (number, first):
            self._block = number, first, self._cached[number].slice(first, _BLOCK_ROWS).to_pylist()
        return self._block[2][within - first]


def _from_bytes(sources: list[bytes]) -> StateFile:
    opened = [pa.BufferReader(data) for data in sources]
    return StateFile(opened[0] if opened else None, opened[1:])


def _newest_rows(files: Sequence[pa.NativeFile]) -> pa.NativeFile:
    """Return the rows of several deltas as one, of each artifact those of the last."""
    tables = _last_of_each(merge([_batches(file) for file in reversed(files)]))
    with own_folder() as folder:
        path = f"{folder}/changes.parquet"
        write_parquet(path, ARTIFACTS, tables)
        return pa.OSFile(path, "rb")


def _batches(file: pa.NativeFile) -> Iterator[pa.Table]:
    for batch in pq.ParquetFile(file).iter_batches(_MERGED_ROWS):
        yield conform(pa.Table.from_batches([batch]), ARTIFACTS)


def _last_of_each(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Drop rows of an address that come after one of another scan, as the first is the newest.

    Two undecodable names may have the same text: their rows are of one scan, and both stay.
    """
    newest = ("", "")
    for table in tables:
        kept: list[int] = []
        for at, row in enumerate(zip(texts(table, KEY), texts(table, "scan_id"), strict=True)):
            if row[0] != newest[0]:
                newest = row
            if row == newest:
                kept.append(at)
        yield table if len(kept) == table.num_rows else table.take(kept)


def _sorted_by_address(file: pa.NativeFile) -> pa.NativeFile:
    """Return a file sorted by address; files of early versions are not."""
    metadata = pq.ParquetFile(file).metadata
    file.seek(0)
    if all(metadata.row_group(number).sorting_columns for number in range(metadata.num_row_groups)):
        return file
    rows = conform(pq.read_table(file), ARTIFACTS).sort_by(KEY)
    with own_folder() as folder:
        path = f"{folder}/sorted.parquet"
        write_parquet(path, ARTIFACTS, [rows])
        return pa.OSFile(path, "rb")
