"""Read a state's Parquet file by row groups.

Rows stay in the file and become results only when somebody asks for one. A copy that is pickled
carries the bytes of the file, so it can be read on another machine.
"""

import tempfile
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from prefect_mutagen.scanner.table.runs import KEY, write_parquet
from prefect_mutagen.scanner.table.schema import ARTIFACTS, conform

__all__ = ["StateFile"]

_GROUPS_KEPT: Final = 4
_NEAR: Final = 32
"""Rows that leave Arrow together: one alone costs nearly as much, and the next is wanted soon."""


class StateFile:
    """The rows of one state, sorted by address; none without a file."""

    def __init__(self, file: pa.NativeFile | None = None) -> None:
        """Open a file of ``artifacts/``; None stands for the state before the first scan."""
        self._source = _sorted_by_address(file) if file is not None else None
        self._parquet = pq.ParquetFile(self._source) if self._source is not None else None
        self._starts = [0]
        if self._parquet is not None:
            metadata = self._parquet.metadata
            for number in range(metadata.num_row_groups):
                self._starts.append(self._starts[-1] + metadata.row_group(number).num_rows)
        self._cached: dict[int, pa.Table] = {}
        self._near: tuple[int, int, list[dict[str, Any]]] = (-1, -1, [])

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
        """Yield each row group's number, and the places of its first row and behind its last."""
        for number, (start, end) in enumerate(zip(self._starts, self._starts[1:], strict=False)):
            yield number, start, end

    def read(self, number: int, columns: Sequence[str] | None = None) -> pa.Table:
        """Read a row group; columns that the file lacks are null.

        Args:
            number: Of the group.
            columns: The columns that are wanted; all by default.
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
        """Yield the values of one column, row after row."""
        for number, _, _ in self.groups():
            yield from self.read(number, [name])[name].to_pylist()

    def row(self, place: int) -> dict[str, Any]:
        """Return one row; asking for rows in their order is cheap."""
        number = bisect_right(self._starts, place) - 1
        if number not in self._cached:
            if len(self._cached) >= _GROUPS_KEPT:
                self._cached.pop(next(iter(self._cached)))
            self._cached[number] = self.read(number)
        within = place - self._starts[number]
        near = within - within % _NEAR
        if self._near[:2] != (number, near):
            self._near = number, near, self._cached[number].slice(near, _NEAR).to_pylist()
        return self._near[2][within - near]


def _from_bytes(data: bytes) -> StateFile:
    return StateFile(pa.BufferReader(data))


def _sorted_by_address(file: pa.NativeFile) -> pa.NativeFile:
    """Sort a file by address, if it was written before files were."""
    metadata = pq.ParquetFile(file).metadata
    file.seek(0)
    if all(metadata.row_group(number).sorting_columns for number in range(metadata.num_row_groups)):
        return file
    rows = conform(pq.read_table(file), ARTIFACTS).sort_by(KEY)
    with tempfile.TemporaryDirectory(prefix="mutagen-") as folder:
        path = f"{folder}/sorted.parquet"
        write_parquet(path, ARTIFACTS, [rows])
        return pa.OSFile(path, "rb")
