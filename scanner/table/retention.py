"""What of a table may go: old states, their scans, documents that no state names any more.

Deleting never takes anything from somebody who still builds on it. A scan that is under way started
from the state that was the newest then, so a state stays for a day after another took its place,
and so do files that nobody names yet, because they may belong to a scan about to be published.
Whatever is killed in between, the newest state and its documents are there.
"""

import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from prefect_mutagen.scanner.table.files import Files
from prefect_mutagen.scanner.table.runs import write_parquet
from prefect_mutagen.scanner.table.schema import SBOMS, conform

__all__ = ["Retention", "prune"]

_DAY: Final = 86_400.0
_WORTHWHILE: Final = 0.5
"""A file of documents is written anew when no more than this share of them is named."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How much history a table keeps."""

    keep_states: int = 0
    """Newest states to keep; 0: all, unless days are given."""
    keep_days: int = 0
    """Days for which every state is kept; 0: none, unless a number of states is given."""
    grace_seconds: float = _DAY
    """Seconds for which a state stays after another took its place."""

    @property
    def keeps_all(self) -> bool:
        """Whether nothing is ever deleted."""
        return not self.keep_states and not self.keep_days


def prune(files: Files, retention: Retention, newest: str) -> Counter[str]:
    """Delete what a table need not keep.

    Args:
        files: The table's files of one root.
        retention: What it has to keep.
        newest: Scan that wrote the newest state; empty when there is none.

    Returns:
        How many states, scans, and files of documents were deleted, and how many were compacted.

    Raises:
        StorageError: The table cannot be read or written. What was deleted until then is gone.
    """
    done: Counter[str] = Counter()
    if retention.keeps_all:
        return done
    scans = set(files.names("scans"))
    span = max(retention.keep_days * _DAY, retention.grace_seconds)
    states = [name for name in files.names("artifacts") if name in scans]
    kept = {newest, *states[-max(1, retention.keep_states) :]}
    for name, successor in pairwise(states):
        if name in kept or files.age("artifacts", successor) < retention.grace_seconds:
            continue
        if files.age("artifacts", name) >= span:
            files.delete("artifacts", name)
            done["states"] += 1
    _sweep(files, scans, retention, done)
    oldest = min((name for name in files.names("artifacts") if name in scans), default="")
    for name in sorted(scans):
        if name < oldest and files.age("scans", name) >= span:
            files.delete("scans", name)
            done["scans"] += 1
    if done["states"] or done["leftovers"]:
        _compact(files, retention, done)
    return done


def _sweep(files: Files, scans: set[str], retention: Retention, done: Counter[str]) -> None:
    """Delete what killed writers left."""
    for part in ("artifacts", "sboms", "scans"):
        left = files.leftovers(part)
        if part == "artifacts":
            left += [name for name in files.names(part) if name not in scans]
        for name in left:
            if files.age(part, name) >= retention.grace_seconds:
                files.delete(part, name)
                done["leftovers"] += 1


def _compact(files: Files, retention: Retention, done: Counter[str]) -> None:
    """Drop documents that no state names."""
    named = _named(files)
    for name in files.names("sboms"):
        if files.age("sboms", name) < retention.grace_seconds:
            continue
        with files.reading(), files.open("sboms", name) as opened:
            file = pq.ParquetFile(opened)
            ids = file.read(columns=["sbom_id"])["sbom_id"]
            used = pc.sum(pc.is_in(ids, named)).as_py() or 0
            if not used:
                files.delete("sboms", name)
                done["documents"] += 1
            elif used <= _WORTHWHILE * len(ids):
                _rewrite(files, name, file, named)
                done["compacted"] += 1


def _named(files: Files) -> "pa.Array[Any]":
    """Give the ids of all documents that any file of ``artifacts/`` names."""
    named: pa.Array[Any] = pa.array([], pa.string())
    for name in files.names("artifacts"):
        with files.reading(), files.open("artifacts", name) as file:
            ids = pq.read_table(file, columns=["sbom_id"])["sbom_id"]
        named = pc.unique(pa.chunked_array([named, *ids.chunks]))
    return named


def _rewrite(files: Files, name: str, file: pq.ParquetFile, named: "pa.Array[Any]") -> None:
    """Replace a file of documents by those of it that are named: at once, under its name."""

    def rows() -> Iterator[pa.Table]:
        for group in range(file.num_row_groups):
            table = conform(file.read_row_group(group), SBOMS)
            yield table.filter(pc.is_in(table["sbom_id"], named))

    with tempfile.TemporaryDirectory(prefix="mutagen-") as folder:
        path = os.path.join(folder, "sboms.parquet")
        write_parquet(path, SBOMS, rows())
        files.publish(path, "sboms", name)
