"""The staging area of a table: results that were examined and are not published yet.

A scan that is killed has kept what it examined, and the next one of the same root takes it over
(`scanner.table.resuming`). Results are written in chunks: immutable Parquet files, published whole,
each row with its documents. Chunks grow with the scan, in rows and in time, so a kill loses a few
percent of it at most, and the number of chunks grows with the logarithm of both.
"""

import hashlib
import json
import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Final, Literal, Protocol, Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from prefect_mutagen.scanner.examine.scan_info import ScanInfo
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.table.files import Files
from prefect_mutagen.scanner.table.rows import plain_policy
from prefect_mutagen.scanner.table.runs import KEY, texts
from prefect_mutagen.scanner.table.schema import ARTIFACTS, SBOMS
from prefect_mutagen.scanner.temporary import own_folder

__all__ = [
    "ABOUT",
    "DOCUMENTS",
    "PART",
    "STAGED",
    "STAGING_DAYS",
    "Rescan",
    "StagingWriter",
    "delete_staged",
    "is_old",
    "is_whole",
    "scan_of",
    "staged_names",
]

Rescan = Literal["changed", "all"]
"""What to examine: new and changed artifacts, or all selected ones."""

PART: Final = "staging"
DOCUMENTS: Final = "documents"
STAGED: Final = pa.schema([*ARTIFACTS, (DOCUMENTS, pa.list_(pa.struct(list(SBOMS))))])
"""A row of ``artifacts/`` with its rows of ``sboms/``."""
ABOUT: Final = b"prefect_mutagen.staging"
"""Key of a chunk's metadata: what is known of its scan, as JSON."""
STAGING_DAYS: Final = 7
"""Days after which a chunk is neither read nor kept: buckets change, and so do tools."""

_NAME: Final = re.compile(r"(\d{8}T\d{12}Z-[0-9a-f]{8})-[0-9a-f]{8}-\d{6}-([0-9a-f]{32})")
"""Scan, process and number, and the beginning of the SHA-256 of the chunk."""
_SHORTEST: Final = 0.1
"""Seconds between two chunks in the first seconds of a scan; one takes some 4 ms of a core."""
_LOST_SHARE: Final = 0.04
"""What a kill may lose: a chunk is written once it holds this share of all results so far, or once
this share of the time since the first of them has passed."""
_BATCH_ROWS: Final = 500
"""Rows that wait to be converted: as Python objects they are several times as large."""
_CHUNK_BYTES: Final = 4 << 20
"""Bytes that are held at most until a chunk is written, and again while it is."""
_AT_ONCE: Final = 16
"""Files that are deleted at once: each costs a round trip."""


class _Readable(Protocol):
    """A file to read."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes."""


class StagingWriter:
    """Write the results of a scan to the staging area; a context manager for each of its users.

    A thread writes while results are added from any thread. It ends with the last user, when what
    is left is written, and begins again with the next one. An area that cannot be written is
    reported once and left alone.
    """

    def __init__(
        self,
        files: Files,
        scan: ScanInfo,
        rescan: Rescan = "changed",
        warn: Callable[[str], None] | None = None,
    ) -> None:
        """Prepare to write; nothing is written before results are added.

        Args:
            files: The table's files of the scanned root.
            scan: The scan.
            rescan: What it examines.
            warn: Called once, from a user's thread, with a sentence for people if the area cannot
                be written.
        """
        self._files, self._warn = files, warn
        about = {
            "source": scan.source,
            "policy": plain_policy(scan.policy),
            "rescan": rescan,
        }
        self._schema = STAGED.with_metadata({ABOUT: json.dumps(about).encode()})
        self._prefix = f"{scan.id}-{secrets.token_hex(4)}"
        self._written = self._written_rows = 0
        self._begun = 0.0
        """When the first result was added."""
        self._changed = threading.Condition()
        self._pending: list[dict[str, Any]] = []
        self._tables: list[pa.Table] = []
        self._pending_bytes = 0
        self._users = 0
        self._thread: threading.Thread | None = None
        self._trouble = ""

    def __enter__(self) -> Self:
        """Join the users."""
        with self._changed:
            self._users += 1
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave; the last user waits until everything is written."""
        with self._changed:
            self._users -= 1
            thread = self._thread if not self._users else None
            self._changed.notify_all()
        if thread is not None:
            thread.join()
        self._tell()

    def add(self, row: dict[str, Any], documents: Sequence[dict[str, Any]]) -> None:
        """Add a result; waits while too much is waiting to be written.

        Args:
            row: Its row of ``artifacts/``.
            documents: Its rows of ``sboms/``.
        """
        if self._trouble:
            self._tell()
            return
        size = sum(len(key) + len(value) for one in documents for key, value in one["metadata"])
        self._put({**row, DOCUMENTS: documents}, size)

    def add_rows(self, rows: pa.Table, documents: pa.Table) -> None:
        """Add results as columns; waits while too much is waiting to be written.

        Args:
            rows: Their rows of ``artifacts/``.
            documents: Their rows of ``sboms/``.
        """
        if self._trouble:
            self._tell()
            return
        self._put(_nested(rows, documents).cast(self._schema), rows.nbytes + documents.nbytes)

    def _put(self, staged: dict[str, Any] | pa.Table, size: int) -> None:
        with self._changed:
            while self._pending_bytes > _CHUNK_BYTES or len(self._pending) > 4 * _BATCH_ROWS:
                self._changed.wait()
            if isinstance(staged, pa.Table):
                self._tables.append(staged)
            else:
                self._pending.append(staged)
            self._pending_bytes += size
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="staging", daemon=True)
                self._thread.start()
            elif len(self._pending) == _BATCH_ROWS or self._pending_bytes > _CHUNK_BYTES:
                self._changed.notify_all()

    def _run(self) -> None:
        """Convert what waits, and write a chunk whenever it is time to."""
        tables: list[pa.Table] = []
        last = time.monotonic()
        self._begun = self._begun or last
        while True:
            with self._changed:
                self._changed.wait_for(self._has_work, _SHORTEST)
                rows, self._pending, self._pending_bytes = self._pending, [], 0
                tables += self._tables
                self._tables = []
                ended = not self._users
                self._changed.notify_all()
            if rows:
                tables.append(_convert(rows, self._schema))
            if tables and (ended or self._is_due(tables, time.monotonic() - last)):
                self._write(pa.concat_tables(tables))
                tables, last = [], time.monotonic()
            with self._changed:
                if not self._users and not self._pending and not self._tables:
                    self._thread = None
                    return

    def _is_due(self, tables: list[pa.Table], waited: float) -> bool:
        """Whether the next chunk is to be written.

        Args:
            tables: What it holds so far.
            waited: Seconds since the last one.
        """
        if sum(table.nbytes for table in tables) > _CHUNK_BYTES:
            return True
        count = sum(table.num_rows for table in tables)
        many = count >= _LOST_SHARE * (self._written_rows + count)
        long = waited >= _LOST_SHARE * (time.monotonic() - self._begun)
        return waited >= _SHORTEST and (many or long)

    def _has_work(self) -> bool:
        """Whether there is more to do than to wait for the next chunk's time."""
        full = len(self._pending) >= _BATCH_ROWS or self._pending_bytes > _CHUNK_BYTES
        return full or not self._users

    def _write(self, table: pa.Table) -> None:
        if self._trouble:
            return
        try:
            with own_folder() as folder:
                path = os.path.join(folder, "chunk")
                # Without what only helps queries it takes half the time.
                pq.write_table(
                    table,
                    path,
                    compression="lz4",
                    use_dictionary=False,
                    write_statistics=False,
                )
                with open(path, "rb") as file:
                    name = f"{self._prefix}-{self._written:06}-{_digest(file)}"
                # What the machine loses with its power is examined again.
                self._files.publish(path, PART, name, synced=False)
        except StorageError as problem:
            self._trouble = str(problem)
        except Exception as problem:  # noqa: BLE001 - staging is never a reason for a scan to fail
            self._trouble = f"{self._files.url}: {type(problem).__name__}"
        self._written += 1
        self._written_rows += table.num_rows

    def _tell(self) -> None:
        if self._trouble and self._warn is not None:
            with self._changed:
                warn, self._warn = self._warn, None
            if warn is not None:
                warn(f"if this scan is interrupted, the next one begins anew: {self._trouble}")


def _convert(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    """Convert rows to Arrow, without those that do not fit: they are not worth keeping."""
    try:
        return pa.Table.from_pylist(rows, schema=schema)
    except Exception:  # noqa: BLE001 - a bug costs only the row it occurs in
        if len(rows) == 1:
            return schema.empty_table()
    middle = len(rows) // 2
    return pa.concat_tables([_convert(rows[:middle], schema), _convert(rows[middle:], schema)])


def _nested(rows: pa.Table, documents: pa.Table) -> pa.Table:
    """Return rows with their documents, without rows that have none."""
    there: dict[tuple[str, str], list[int]] = {}
    for place, key in enumerate(_keys(documents)):
        there.setdefault(key, []).append(place)
    places, ends = list[int](), [0]
    for key in _keys(rows):
        places += there.pop(key, ())
        ends.append(len(places))
    if places != list(range(documents.num_rows)):
        documents = documents.take(pa.array(places, pa.int64()))
    items = pa.StructArray.from_arrays(
        [documents[name].combine_chunks() for name in SBOMS.names], fields=list(SBOMS)
    )
    nested = pa.ListArray.from_arrays(pa.array(ends, pa.int32()), items)
    table = rows.append_column(STAGED.field(DOCUMENTS), nested)
    return table.filter(pc.greater(pc.list_value_length(table[DOCUMENTS]), 0))


def _keys(rows: pa.Table) -> Iterator[tuple[str, str]]:
    """Yield what a row and its documents have in common."""
    return zip(texts(rows, KEY), texts(rows, "sbom_id"), strict=True)


def staged_names(files: Files) -> list[str]:
    """Return the names of the chunks of a root, by scan; other files there are none of ours.

    Raises:
        StorageError: They cannot be listed.
    """
    return [name for name in files.names(PART) if _NAME.fullmatch(name)]


def scan_of(name: str) -> str:
    """Return the id of the scan that wrote a chunk."""
    return name.rsplit("-", 3)[0]


def is_whole(name: str, chunk: _Readable) -> bool:
    """Whether a chunk is what was written under its name; it is read to its end."""
    return name.endswith(f"-{_digest(chunk)}")


def _digest(chunk: _Readable) -> str:
    digest = hashlib.sha256()
    while piece := chunk.read(1 << 20):
        digest.update(piece)
    return digest.hexdigest()[:32]


def is_old(name: str) -> bool:
    """Whether a chunk is older than `STAGING_DAYS`, by its scan's start."""
    with suppress(ValueError):  # a date that there is not
        begun = datetime.strptime(name[:15], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
        return datetime.now(UTC) - begun > timedelta(days=STAGING_DAYS)
    return True


def delete_staged(files: Files, names: Sequence[str]) -> None:
    """Delete chunks.

    Args:
        files: The table's files of a root.
        names: As returned by `staged_names`.

    Raises:
        StorageError: They cannot be deleted.
    """
    if not names:
        return
    with ThreadPoolExecutor(min(_AT_ONCE, len(names))) as pool:
        for _ in pool.map(lambda name: files.delete(PART, name), names):
            pass
