"""Read a state's Parquet file by row groups.

Rows stay in the file and are converted to results on demand. Pickling includes the bytes of the
file, so a copy can be read on another machine.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from prefect_mutagen.scanner.table.runs import KEY, write_parquet
from prefect_mutagen.scanner.table.schema import ARTIFACTS, conform
from prefect_mutagen.scanner.temporary import own_folder

__all__ = ["StateFile"]

_CACHED_GROUPS: Final = 4
_BLOCK_ROWS: Final = 32
"""Rows converted from Arrow at a time: one alone costs nearly as much, and access is sequential."""


class StateFile:
    """The rows of one state, sorted by address; no rows without a file."""

    def __init__(self, file: pa.NativeFile | None = None) -> None:
        """Open a file of ``artifacts/``; None for the empty state before the first scan."""
        self._source = _sorted_by_address(file) if file is not None else None
        self._parquet = pq.ParquetFile(self._source) if self._source is not None else None
        self._starts = [0]
        if self._parquet is not None:
            metadata = self._parquet.metadata
            for number in range(metadata.num_row_groups):
                self._starts.append(self._starts[-1] + metadata.row_group(number).num_rows)
        self._cached: dict[int, pa.Table] = {}
        self._block: tuple[int, int, list[dict[str, Any]]] = (-1, -1, [])

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the rows themselves."""
        if self._source is None:
            return StateFile, ()
        self._source.seek(0)
        return _from_bytes, (self._source.read(),)

    def __len__(self) -> int:
        """Return the number of rows."""
        return self._starts[-1]

    def groups(self) -> Iterator[tuple[int, int, int]]:
        """Yield number, start and end position of each row group."""
        for number, (start, end) in enumerate(zip(self._starts, self._starts[1:], strict=False)):
            yield number, start, end

    def read(self, number: int, columns: Sequence[str] | None = None) -> pa.Table:
        """Read a row group; missing columns are null.

        Args:
            number: Number of the group.
            columns: The columns to read; all by default.
        """
        assert self._parquet is not None  # noqa: S101 - there are no groups without a file
        if columns is None:
            return conform(self._parquet.read_row_group(number), ARTIFACTS)
        there = set(self._parquet.schema_arrow.names)
        rows = self._parquet.read_row_group(
            number, columns=[name for name in columns if name in there]
        )
        return conform(rows, pa.schema([ARTIFACTS.field(name) for name in columns]))

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


def _from_bytes(data: bytes) -> StateFile:
    return StateFile(pa.BufferReader(data))


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
