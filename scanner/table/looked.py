"""The part of the table that remembers what files under names that say nothing are."""

import os
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from prefect_mutagen.scanner.listing.unnamed import Looked
from prefect_mutagen.scanner.table.runs import write_parquet
from prefect_mutagen.scanner.table.schema import LOOKED

if TYPE_CHECKING:
    from prefect_mutagen.scanner.table.files import Files

__all__ = ["drop_older", "read_looked", "write_looked"]

_PART = "looked"


def read_looked(files: "Files") -> dict[bytes, bool]:
    """Return the files that earlier scans of a root looked into; see `Looked`.

    Raises:
        StorageError: They cannot be read.
    """
    names = files.names(_PART)
    if not names:
        return {}
    with files.reading(), files.open(_PART, names[-1]) as file:
        rows = pq.read_table(file)
    columns: list[list[Any]] = [rows[name].to_pylist() for name in ("identity", "is_weights")]
    return dict(zip(*columns, strict=True))


def write_looked(looked: Looked, folder: str) -> str:
    """Write what a listing looked into to a local file.

    Returns:
        Its path; empty if it is what was known before, or the listing is not complete.
    """
    found = looked.found
    if found is None or found == looked.known:
        return ""
    path = os.path.join(folder, "looked.parquet")
    rows = pa.table([list(found), list(found.values())], schema=LOOKED)
    write_parquet(path, LOOKED, [rows.sort_by("identity")])
    return path


def drop_older(files: "Files") -> None:
    """Delete all but the newest file: it holds all that still counts.

    Raises:
        StorageError: They cannot be deleted.
    """
    for name in files.names(_PART)[:-1]:
        files.delete(_PART, name)
