"""Retention: delete old states, their scans, and documents that no state references.

Nothing still in use is deleted. A whole state and the deltas upon it go together, when none of the
states that they form is to be kept: the deltas first, the newest of them first, so that what is
left of them is always a state. A running scan builds on the state that was the latest when it
started, so a superseded state stays for a day. So do unreferenced files, because they may belong to
a scan about to be published. Whenever the process is killed, the latest state and its documents
exist.
"""

import os
from collections import Counter
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from prefect_mutagen.scanner.table.deltas import base_of
from prefect_mutagen.scanner.table.files import Files
from prefect_mutagen.scanner.table.runs import write_parquet
from prefect_mutagen.scanner.table.schema import SBOMS, conform
from prefect_mutagen.scanner.temporary import own_folder

__all__ = ["Retention", "prune", "referenced_ids", "sweep_writers"]

_DAY: Final = 86_400.0
_COMPACT_BELOW: Final = 0.5
"""A file of documents is compacted if at most this fraction of them is referenced."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How much history a table keeps."""

    keep_states: int = 0
    """Number of latest states to keep, with all that a delta among them builds on; 0: all, unless
    days are given."""
    keep_days: int = 0
    """Days for which every state is kept; 0: none, unless a number of states is given."""
    grace_seconds: float = _DAY
    """Seconds for which a superseded state is kept."""

    @property
    def keeps_all(self) -> bool:
        """Whether nothing is ever deleted."""
        return not self.keep_states and not self.keep_days


def prune(files: Files, retention: Retention, newest: str) -> Counter[str]:
    """Apply the retention to a table.

    Args:
        files: The table's files of one root.
        retention: What to keep.
        newest: Scan that wrote the latest state; empty if there is none.

    Returns:
        Numbers of deleted states, scans and document files, and of compacted document files.

    Raises:
        StorageError: The table cannot be read or written. Earlier deletions stay in effect.
    """
    done: Counter[str] = Counter()
    if retention.keeps_all:
        return done
    scans = set(files.names("scans"))
    span = max(retention.keep_days * _DAY, retention.grace_seconds)
    chains = _chains(files, scans)
    states = sorted(state.scan_id for chain in chains for state in chain)
    kept = {newest, *states[-max(1, retention.keep_states) :]}
    for chain, (successor, *_) in pairwise(chains):
        if any(state.scan_id in kept for state in chain):
            continue
        if successor.age(files) < retention.grace_seconds or chain[-1].age(files) < span:
            continue
        for state in reversed(chain):
            files.delete(state.part, state.name)
            done["states"] += 1
    sweep_writers(files, scans, retention, done)
    oldest = min((name for name in files.names("artifacts") if name in scans), default="")
    for name in sorted(scans):
        if name < oldest and files.age("scans", name) >= span:
            files.delete("scans", name)
            done["scans"] += 1
    if done["states"] or done["leftovers"]:
        _compact(files, retention, done)
    return done


class _State(NamedTuple):
    """A state: the file that its scan wrote."""

    scan_id: str
    part: str
    name: str

    def age(self, files: Files) -> float:
        return files.age(self.part, self.name)


def _chains(files: Files, scans: AbstractSet[str]) -> list[list[_State]]:
    """Return the whole states in order, each with the deltas that build on it."""
    chains = {
        name: [_State(name, "artifacts", name)]
        for name in files.names("artifacts")
        if name in scans
    }
    for name in files.names("changes"):
        base, scan_id = base_of(name)
        if base in chains and scan_id in scans:
            chains[base].append(_State(scan_id, "changes", name))
    return list(chains.values())


def sweep_writers(files: Files, scans: set[str], retention: Retention, done: Counter[str]) -> None:
    """Delete leftovers of killed writers."""
    known = {state.name for chain in _chains(files, scans) for state in chain}
    for part in ("artifacts", "changes", "sboms", "scans"):
        left = files.leftovers(part)
        if part in ("artifacts", "changes"):
            left += [name for name in files.names(part) if name not in known]
        for name in left:
            if files.age(part, name) >= retention.grace_seconds:
                files.delete(part, name)
                done["leftovers"] += 1


def _compact(files: Files, retention: Retention, done: Counter[str]) -> None:
    """Delete documents that no state references."""
    referenced = referenced_ids(files)
    for name in files.names("sboms"):
        if files.age("sboms", name) < retention.grace_seconds:
            continue
        with files.reading(), files.open("sboms", name) as opened:
            file = pq.ParquetFile(opened)
            ids = file.read(columns=["sbom_id"])["sbom_id"]
            used = pc.sum(pc.is_in(ids, referenced)).as_py() or 0
            if not used:
                files.delete("sboms", name)
                done["documents"] += 1
            elif used <= _COMPACT_BELOW * len(ids):
                _rewrite(files, name, file, referenced)
                done["compacted"] += 1


def referenced_ids(files: Files) -> "pa.Array[Any]":
    """Return the ids of all documents that states and deltas reference."""
    referenced: pa.Array[Any] = pa.array([], pa.string())
    for part in ("artifacts", "changes"):
        for name in files.names(part):
            with files.reading(), files.open(part, name) as file:
                ids = pq.read_table(file, columns=["sbom_id"])["sbom_id"]
            referenced = pc.unique(pa.chunked_array([referenced, *ids.chunks]))
    return referenced


def _rewrite(files: Files, name: str, file: pq.ParquetFile, referenced: "pa.Array[Any]") -> None:
    """Rewrite a file of documents with the referenced ones only, atomically."""

    def rows() -> Iterator[pa.Table]:
        for group in range(file.num_row_groups):
            table = conform(file.read_row_group(group), SBOMS)
            yield table.filter(pc.is_in(table["sbom_id"], referenced))

    with own_folder() as folder:
        path = os.path.join(folder, "sboms.parquet")
        write_parquet(path, SBOMS, rows())
        files.publish(path, "sboms", name)
