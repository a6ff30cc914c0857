"""List a bucket of many millions of objects from an S3 Inventory.

A manifest names data files with a row per object, in CSV (gzip, URL-encoded keys) or Parquet. Rows
are in no guaranteed order, but grouping needs folders to be contiguous, so the relevant rows are
sorted on disk first. An inventory is a snapshot: an object that was replaced since is detected when
it is read, a deleted one becomes a finding.

Source: the user guide of Amazon S3, "Amazon S3 Inventory".
"""

import csv
import gzip
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote_plus

from prefect_mutagen.scanner.pins import etag_pin
from prefect_mutagen.scanner.storage.address import versioned
from prefect_mutagen.scanner.storage.coroutines import run
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.opening import open_store
from prefect_mutagen.scanner.storage.store import Store, StoredObject, Wanted
from prefect_mutagen.scanner.temporary import own_folder

__all__ = ["Inventory", "list_inventory", "read_inventory"]

_CHUNK_SIZE: Final = 8 << 20
_MANIFEST_LIMIT: Final = 16 << 20
_BATCH: Final = 10_000
_TIMESTAMP_DIGITS: Final = 17
"""More digits than any time in milliseconds has."""
_COLUMNS: Final = {
    "key": "key",
    "size": "size",
    "lastmodifieddate": "modified",
    "etag": "etag",
    "storageclass": "storage_class",
    "islatest": "is_latest",
    "isdeletemarker": "is_delete_marker",
}

_Row = tuple[str, int, str, float | None, str]


@dataclass(frozen=True, slots=True)
class Inventory:
    """An inventory and its parsed manifest."""

    store: Store
    """Store whose root is the manifest."""
    manifest: Mapping[str, Any]
    begun_at: float
    """Start of the inventory's creation, in seconds since the epoch; later changes may be missing.
    0 if the manifest does not state it."""


def read_inventory(manifest_url: str, options: Mapping[str, Any]) -> Inventory:
    """Read the manifest of an inventory.

    Args:
        manifest_url: Address of its ``manifest.json``.
        options: Storage options.

    Raises:
        StorageError: The manifest cannot be read.
        ValueError: The file is not a manifest.
    """
    store = open_store(manifest_url, options)
    manifest = _read_manifest(store, store.root)
    begun = str(manifest.get("creationTimestamp") or "")
    milliseconds = int(begun) if begun.isdecimal() and len(begun) < _TIMESTAMP_DIGITS else 0
    return Inventory(store, manifest, milliseconds / 1000)


def list_inventory(inventory: Inventory, root: str, wanted: Wanted) -> Iterator[StoredObject]:
    """List the objects of an inventory below a root.

    Args:
        inventory: The inventory. Its data files are looked up in the destination bucket, then
            beside the manifest, so that a copy works too.
        root: Address of the bucket or of a prefix in it.
        wanted: As for `Store.list_objects`.

    Yields:
        Objects sorted by key, as a listing does.

    Raises:
        StorageError: A file of the inventory cannot be read, or it lists nothing below the root.
        ValueError: The inventory is of another bucket, or one of its files is invalid.
    """
    store, manifest = inventory.store, inventory.manifest
    bucket, _, prefix = root.removeprefix("s3://").partition("/")
    if manifest.get("sourceBucket") != bucket:
        raise ValueError(f"the inventory is not one of the bucket {bucket!a}")
    if prefix and not prefix.endswith("/"):
        prefix += "/"
    with (
        own_folder("inventory") as folder,
        closing(sqlite3.connect(os.path.join(folder, "sorted"))) as table,
    ):
        table.execute("PRAGMA journal_mode = OFF")
        table.execute("PRAGMA synchronous = OFF")
        table.execute(
            "CREATE TABLE o (key TEXT PRIMARY KEY, size, etag, modified, class) WITHOUT ROWID"
        )
        path = os.path.join(folder, "part")
        seen = False

        def wanted_rows() -> Iterator[_Row]:
            nonlocal seen
            for row in _rows(path, manifest):
                if row[0].startswith(prefix):
                    seen = True
                    if wanted(row[0], row[1]):
                        yield row

        for entry in manifest["files"]:
            _fetch(store, manifest, str(entry["key"]), path)
            table.executemany("INSERT OR REPLACE INTO o VALUES (?, ?, ?, ?, ?)", wanted_rows())
        if prefix and not seen:
            reason = "the inventory lists nothing under this prefix"
            raise StorageError("storage/not-found", root, reason)
        for row in table.execute("SELECT * FROM o ORDER BY key"):
            yield _object(bucket, row)


def _read_manifest(store: Store, url: str) -> dict[str, Any]:
    item = run(store, store.find(url))
    if item.size > _MANIFEST_LIMIT:
        raise ValueError("the inventory's manifest is too large to be one")
    try:
        manifest = json.loads(run(store, store.read(item, 0, max(1, item.size))).data)
        files, schema = manifest["files"], manifest["fileSchema"]
        form = manifest["fileFormat"]
    except (ValueError, KeyError, TypeError):
        raise ValueError("the inventory's manifest is not one") from None
    is_valid = isinstance(files, list) and all(
        isinstance(entry, dict) and "key" in entry for entry in files
    )
    if not is_valid or not isinstance(schema, str) or form not in ("CSV", "Parquet"):
        raise ValueError("the inventory's manifest names no CSV or Parquet files")
    return dict(manifest)


def _fetch(store: Store, manifest: Mapping[str, Any], key: str, path: str) -> None:
    """Download one data file in chunks."""
    destination = str(manifest.get("destinationBucket") or "").rpartition(":")[2]
    beside = store.root.rpartition("/")[0] + "/" + key.rpartition("/")[2]
    candidates = [f"s3://{destination}/{key}"] if store.root.startswith("s3://") else []
    item: StoredObject | None = None
    for url in (*candidates, beside):
        try:
            item = run(store, store.find(url))
            break
        except StorageError as problem:
            if problem.code != "storage/not-found" or url == beside:
                raise
    if item is None:
        raise StorageError("storage/not-found", beside, "there is no such object")
    with open(path, "wb") as out:
        for start in range(0, item.size, _CHUNK_SIZE):
            reply = run(store, store.read(item, start, min(item.size, start + _CHUNK_SIZE)))
            out.write(reply.data)


def _rows(path: str, manifest: Mapping[str, Any]) -> Iterator[_Row]:
    """Yield the rows of current objects in a data file.

    Raises:
        ValueError: The file does not match the manifest.
    """
    try:
        records = (
            _csv_records(path, manifest)
            if manifest["fileFormat"] == "CSV"
            else _parquet_records(path)
        )
        for record in records:
            is_latest = _is_true(record.get("is_latest", True))
            if is_latest and not _is_true(record.get("is_delete_marker", False)):
                yield (
                    str(record["key"]),
                    int(record.get("size") or 0),
                    str(record.get("etag") or ""),
                    _seconds(record.get("modified")),
                    str(record.get("storage_class") or ""),
                )
    except (KeyError, csv.Error, EOFError, gzip.BadGzipFile, UnicodeDecodeError) as problem:
        kind = type(problem).__name__
        raise ValueError(f"a data file of the inventory cannot be read ({kind})") from None


def _csv_records(path: str, manifest: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    names = [_column(name) for name in manifest["fileSchema"].split(",")]
    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        for values in csv.reader(lines):
            record = dict(zip(names, values, strict=False))
            record["key"] = unquote_plus(record["key"])
            yield record


def _parquet_records(path: str) -> Iterable[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(_BATCH):
                names = [_column(name) for name in batch.schema.names]
                yield from batch.rename_columns(names).to_pylist()
    except pa.ArrowInvalid:
        raise ValueError("a data file of the inventory is not Parquet") from None


def _column(name: str) -> str:
    plain = name.strip().replace("_", "").lower()
    return _COLUMNS.get(plain, plain)


def _is_true(value: Any) -> bool:
    return value is True or str(value).lower() == "true"


def _seconds(value: Any) -> float | None:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()


def _object(bucket: str, row: _Row) -> StoredObject:
    key, size, etag, modified, storage_class = row
    url = versioned(f"s3://{bucket}/{key}", "")
    pin = etag_pin(etag, modified) if etag else ""
    return StoredObject(url, size, pin, modified, storage_class)
