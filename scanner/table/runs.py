"""External merge sort: rows added in any order come out sorted by address, in bounded memory.

Rows are buffered up to a size, sorted and written to a temporary file, a *run*. To merge runs, all
rows up to the smallest last key of the current batches are taken from each. Arrow sorts and copies
whole batches; Python only compares their ends.
"""

import os
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

__all__ = [
    "KEY",
    "Runs",
    "each_row",
    "merge",
    "open_run",
    "read_run",
    "texts",
    "to_table",
    "write_parquet",
    "write_run",
]

KEY: Final = "url"
"""The sort key of all files."""

_BATCH_ROWS: Final = 1000
_BATCH_BYTES: Final = 256 << 10
_RUN_BYTES: Final = 4 << 20
_MERGE_WIDTH: Final = 32
"""Runs merged at a time; one batch of each is in memory."""
_CONVERTED_ROWS: Final = 100
"""Rows that are Python objects at a time: they are some ten times as large as columns."""
_GROUP_ROWS: Final = 5_000
_GROUP_BYTES: Final = 8 << 20


class Runs:
    """Rows of one schema, spilled to temporary files."""

    def __init__(
        self,
        folder: str,
        name: str,
        schema: pa.Schema,
        stand_in: Callable[[dict[str, Any], Exception], dict[str, Any]],
    ) -> None:
        """Start without rows.

        Args:
            folder: Folder for the temporary files.
            name: Prefix of their names.
            schema: The columns; must include `KEY`.
            stand_in: Returns a substitute for a row that does not fit the schema.
        """
        self._stand_in = stand_in
        self._prefix = os.path.join(folder, name)
        self._schema = schema
        self._pending: list[dict[str, Any]] = []
        self._pending_bytes = 0
        self._tables: list[pa.Table] = []
        self._table_bytes = 0
        self._levels: list[list[str]] = [[]]
        self._written = 0
        self.rows = 0

    def add(self, row: dict[str, Any]) -> None:
        """Add a row with a value for each column."""
        self.rows += 1
        self._pending.append(row)
        if len(self._pending) >= _BATCH_ROWS or self._pending_bytes >= _RUN_BYTES:
            self.flush()

    def add_document(self, row: dict[str, Any]) -> None:
        """Add a row of ``sboms/``, which may have megabytes of metadata."""
        self._pending_bytes += sum(len(key) + len(value) for key, value in row["metadata"])
        self.add(row)

    def add_table(self, rows: pa.Table) -> None:
        """Add several rows."""
        self.rows += rows.num_rows
        self._take(rows)

    def clear(self) -> None:
        """Delete the temporary files."""
        for level in self._levels:
            for run in level:
                os.unlink(run)
        self._levels, self._tables, self._table_bytes = [[]], [], 0

    def flush(self) -> None:
        """Convert buffered rows to Arrow, and spill if there are many."""
        if self._pending:
            rows, self._pending, self._pending_bytes = self._pending, [], 0
            self._take(to_table(rows, self._schema, self._stand_in))

    def _take(self, table: pa.Table) -> None:
        self._tables.append(table)
        self._table_bytes += table.nbytes
        if self._table_bytes >= _RUN_BYTES:
            self._spill()

    def _spill(self) -> None:
        """Write the buffered rows as a run; merge runs if there are many."""
        path = self._write([_sorted(pa.concat_tables(self._tables))])
        self._tables, self._table_bytes = [], 0
        for level in self._levels:
            level.append(path)
            if len(level) < _MERGE_WIDTH:
                return
            path = self._write(merge([read_run(run) for run in level]))
            for run in level:
                os.unlink(run)
            level.clear()
        self._levels.append([path])

    def _write(self, tables: Iterable[pa.Table]) -> str:
        self._written += 1
        path = f"{self._prefix}-{self._written}.arrow"
        write_run(path, self._schema, tables)
        return path

    def tables(self) -> Iterator[pa.Table]:
        """Return all rows, sorted; repeatable, but no rows may be added meanwhile."""
        self.flush()
        sources = [read_run(run) for level in self._levels for run in level]
        if self._tables:
            sources.append(iter([_sorted(pa.concat_tables(self._tables))]))
        return merge(sources)


def to_table(
    rows: list[dict[str, Any]],
    schema: pa.Schema,
    stand_in: Callable[[dict[str, Any], Exception], dict[str, Any]],
) -> pa.Table:
    """Convert rows to Arrow.

    Args:
        rows: At least one row, with a value for each column.
        schema: The columns.
        stand_in: Returns a substitute for a row that does not fit the schema.
    """
    try:
        return pa.Table.from_pylist(rows, schema=schema)
    except Exception as problem:  # noqa: BLE001 - a bug costs only the row it occurs in
        if len(rows) == 1:
            return pa.Table.from_pylist([stand_in(rows[0], problem)], schema=schema)
    middle = len(rows) // 2
    halves = (to_table(half, schema, stand_in) for half in (rows[:middle], rows[middle:]))
    return pa.concat_tables(halves)


def merge(sources: Iterable[Iterator[pa.Table]]) -> Iterator[pa.Table]:
    """Merge sorted sources.

    Args:
        sources: Iterators of tables of one schema, sorted by `KEY`. Of rows with equal keys, those
            of an earlier source come first.

    Yields:
        Sorted tables, in order.
    """
    heads = [head for source in sources if (head := _Head(source)).keys]
    while len(heads) > 1:
        frontier = min(head.keys[-1] for head in heads)
        parts = [head.take(frontier) for head in heads]
        yield _sorted(pa.concat_tables(part for part in parts if part.num_rows))
        heads = [head for head in heads if head.keys]
    for head in heads:
        yield from head.rest()


class _Head:
    """The current batch of one sorted source."""

    def __init__(self, source: Iterator[pa.Table]) -> None:
        self._source = source
        self._next()

    def _next(self) -> None:
        self._at = 0
        self.keys: list[str] = []
        for table in self._source:
            if table.num_rows:
                self._table = table
                self.keys = texts(table, KEY)
                return

    def take(self, frontier: str) -> pa.Table:
        """Take the rows up to a key; fetches the next batch when this one is used up."""
        end = bisect_right(self.keys, frontier, self._at)
        part = self._table.slice(self._at, end - self._at)
        self._at = end
        if end == len(self.keys):
            self._next()
        return part

    def rest(self) -> Iterator[pa.Table]:
        """Yield all remaining rows."""
        yield self._table.slice(self._at)
        yield from self._source


def write_parquet(path: str, schema: pa.Schema, tables: Iterable[pa.Table]) -> int:
    """Write sorted tables as one Parquet file, with row groups small enough to look up single rows.

    Args:
        path: A local file.
        schema: The columns.
        tables: The rows.

    Returns:
        The number of rows.
    """
    ordered = None
    if KEY in schema.names:
        ordered = [pq.SortingColumn(schema.get_field_index(KEY))]
    rows = 0
    pending: list[pa.Table] = []
    with pq.ParquetWriter(
        path, schema, compression="zstd", sorting_columns=ordered, write_page_index=True
    ) as writer:
        for table in tables:
            rows += table.num_rows
            for part in _chunks(table):
                full = sum(one.num_rows for one in pending) + part.num_rows > _GROUP_ROWS
                if pending and (full or sum(one.nbytes for one in pending) > _GROUP_BYTES):
                    writer.write_table(pa.concat_tables(pending))
                    pending = []
                pending.append(part)
        if pending:
            writer.write_table(pa.concat_tables(pending))
    return rows


def each_row(table: pa.Table) -> Iterator[dict[str, Any]]:
    """Yield the rows of a table, of which few are converted at a time."""
    for start in range(0, table.num_rows, _CONVERTED_ROWS):
        yield from table.slice(start, _CONVERTED_ROWS).to_pylist()


def texts(table: pa.Table, name: str) -> list[str]:
    """Return a text column without nulls as a list."""
    values: list[Any] = table.column(name).to_pylist()
    return values


def _chunks(table: pa.Table) -> Iterator[pa.Table]:
    size = max(1, min(_GROUP_ROWS, _rows_within(table, _GROUP_BYTES)))
    for start in range(0, table.num_rows, size):
        yield table.slice(start, size)


def _rows_within(table: pa.Table, limit: int) -> int:
    """Return about how many rows of a table fit into a number of bytes."""
    return limit * table.num_rows // max(1, table.nbytes)


def _sorted(table: pa.Table) -> pa.Table:
    return table.take(pc.sort_indices(table, sort_keys=[(KEY, "ascending")]))


def write_run(path: str, schema: pa.Schema, tables: Iterable[pa.Table]) -> None:
    """Write rows to an Arrow IPC file, in small batches."""
    with open_run(path, schema) as write:
        for table in tables:
            write(table)


@contextmanager
def open_run(path: str, schema: pa.Schema) -> Iterator[Callable[[pa.Table], None]]:
    """Open a file of `write_run`; yield what writes some rows to it, in small batches."""
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with (
        pa.OSFile(path, "wb") as sink,
        pa.ipc.new_stream(sink, schema, options=options) as writer,
    ):

        def write(table: pa.Table) -> None:
            rows = max(1, min(_BATCH_ROWS, _rows_within(table, _BATCH_BYTES)))
            writer.write_table(table, max_chunksize=rows)

        yield write


def read_run(path: str) -> Iterator[pa.Table]:
    """Read a file of `write_run`, batch by batch."""
    with pa.OSFile(path, "rb") as source, pa.ipc.open_stream(source) as reader:
        for batch in reader:
            yield pa.Table.from_batches([batch])
