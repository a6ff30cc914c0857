"""Rows that come in any order and leave sorted by address, in bounded memory.

An external sort: rows are gathered up to a size, sorted and written to a temporary file, a *run*.
Runs are merged by taking, from the batch at hand of each, what no later batch of any can precede.
Whole batches are sorted and copied by Arrow; Python only looks at their ends.
"""

import os
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

__all__ = ["KEY", "Runs", "merge", "read_run", "texts", "write_parquet", "write_run"]

KEY: Final = "url"
"""The column that everything is sorted by."""

_BATCH_ROWS: Final = 1000
_BATCH_BYTES: Final = 256 << 10
_RUN_BYTES: Final = 8 << 20
_WIDTH: Final = 32
"""Runs that are merged at a time; each has a batch in memory."""
_GROUP_ROWS: Final = 5_000
_GROUP_BYTES: Final = 16 << 20


class Runs:
    """Rows of one schema, in temporary files until they are asked for."""

    def __init__(
        self,
        folder: str,
        name: str,
        schema: pa.Schema,
        stand_in: Callable[[dict[str, Any], Exception], dict[str, Any]],
    ) -> None:
        """Begin without rows.

        Args:
            folder: Where the files may lie.
            name: What their names begin with.
            schema: The rows' columns; `KEY` is one of them.
            stand_in: Makes the row that takes the place of one that the schema cannot hold.
        """
        self._stand_in = stand_in
        self._prefix = os.path.join(folder, name)
        self._schema = schema
        self._pending: list[dict[str, Any]] = []
        self._weight = 0
        self._tables: list[pa.Table] = []
        self._levels: list[list[str]] = [[]]
        self._written = 0
        self.rows = 0

    def add(self, row: dict[str, Any]) -> None:
        """Take one more row, a value for each column."""
        self.rows += 1
        self._pending.append(row)
        if len(self._pending) >= _BATCH_ROWS or self._weight >= _RUN_BYTES:
            self.gather()

    def add_document(self, row: dict[str, Any]) -> None:
        """Take a row of ``sboms/``, which may have megabytes of metadata."""
        self._weight += sum(len(key) + len(value) for key, value in row["metadata"])
        self.add(row)

    def add_table(self, rows: pa.Table) -> None:
        """Take several rows."""
        self.rows += rows.num_rows
        self._tables.append(rows)
        self.gather()

    def clear(self) -> None:
        """Delete the temporary files."""
        for level in self._levels:
            for run in level:
                os.unlink(run)
        self._levels, self._tables = [[]], []

    def gather(self) -> None:
        """Turn the rows at hand into columns; a row that has none is replaced."""
        if self._pending:
            self._tables.append(self._columns(self._pending))
            self._pending, self._weight = [], 0
        if sum(table.nbytes for table in self._tables) >= _RUN_BYTES:
            self._spill()

    def _columns(self, rows: list[dict[str, Any]]) -> pa.Table:
        try:
            return pa.Table.from_pylist(rows, schema=self._schema)
        except Exception as problem:  # noqa: BLE001 - a bug costs the row that it is about
            if len(rows) == 1:
                replaced = [self._stand_in(rows[0], problem)]
                return pa.Table.from_pylist(replaced, schema=self._schema)
        middle = len(rows) // 2
        return pa.concat_tables([self._columns(rows[:middle]), self._columns(rows[middle:])])

    def _spill(self) -> None:
        """Write what was gathered as a run; merge runs when they become many."""
        path = self._write([_sorted(pa.concat_tables(self._tables))])
        self._tables = []
        for level in self._levels:
            level.append(path)
            if len(level) < _WIDTH:
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
        """Give all rows, sorted; as often as wanted, but none may be added meanwhile."""
        self.gather()
        sources = [read_run(run) for level in self._levels for run in level]
        if self._tables:
            sources.append(iter([_sorted(pa.concat_tables(self._tables))]))
        return merge(sources)


def merge(sources: Iterable[Iterator[pa.Table]]) -> Iterator[pa.Table]:
    """Merge rows that are sorted already.

    Args:
        sources: Each gives tables of one schema, sorted by `KEY`. Of rows with equal keys, those
            of an earlier source come first.

    Yields:
        Tables that are sorted, and in order.
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
    """What is at hand of one sorted source."""

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
        """Take the rows up to a key; the next table is fetched when this one is used up."""
        end = bisect_right(self.keys, frontier, self._at)
        part = self._table.slice(self._at, end - self._at)
        self._at = end
        if end == len(self.keys):
            self._next()
        return part

    def rest(self) -> Iterator[pa.Table]:
        """Give all that is left."""
        yield self._table.slice(self._at)
        yield from self._source


def write_parquet(path: str, schema: pa.Schema, tables: Iterable[pa.Table]) -> int:
    """Write sorted tables as one Parquet file, in row groups that fit for looking one row up.

    Args:
        path: A local file.
        schema: The columns.
        tables: The rows.

    Returns:
        How many rows there were.
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
            for part in _pieces(table):
                full = sum(one.num_rows for one in pending) + part.num_rows > _GROUP_ROWS
                if pending and (full or sum(one.nbytes for one in pending) > _GROUP_BYTES):
                    writer.write_table(pa.concat_tables(pending))
                    pending = []
                pending.append(part)
        if pending:
            writer.write_table(pa.concat_tables(pending))
    return rows


def texts(table: pa.Table, name: str) -> list[str]:
    """Give a column of texts, none of them null."""
    values: list[Any] = table.column(name).to_pylist()
    return values


def _pieces(table: pa.Table) -> Iterator[pa.Table]:
    size = max(1, min(_GROUP_ROWS, _rows_within(table, _GROUP_BYTES)))
    for start in range(0, table.num_rows, size):
        yield table.slice(start, size)


def _rows_within(table: pa.Table, limit: int) -> int:
    """Say how many rows of a table have about so many bytes."""
    return limit * table.num_rows // max(1, table.nbytes)


def _sorted(table: pa.Table) -> pa.Table:
    return table.take(pc.sort_indices(table, sort_keys=[(KEY, "ascending")]))


def write_run(path: str, schema: pa.Schema, tables: Iterable[pa.Table]) -> None:
    """Write rows to a file of Arrow's own, in small batches."""
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with (
        pa.OSFile(path, "wb") as sink,
        pa.ipc.new_stream(sink, schema, options=options) as writer,
    ):
        for table in tables:
            rows = max(1, min(_BATCH_ROWS, _rows_within(table, _BATCH_BYTES)))
            writer.write_table(table, max_chunksize=rows)


def read_run(path: str) -> Iterator[pa.Table]:
    """Read what `write_run` wrote, a batch at a time."""
    with pa.OSFile(path, "rb") as source, pa.ipc.open_stream(source) as reader:
        for batch in reader:
            yield pa.Table.from_batches([batch])
