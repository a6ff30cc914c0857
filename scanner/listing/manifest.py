"""The listing in a file: what is to be examined, an artifact a line.

A bucket may hold a million artifacts. Whoever hands them out holds a number for each, and passes on
a path and a range; whoever examines them reads its own lines.
"""

import json
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from prefect_mutagen.scanner.listing.artifacts import Artifact, Beside, Pickles
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.store import StoredObject

__all__ = ["Batch", "Manifest"]


@dataclass(frozen=True, slots=True)
class Batch:
    """Some artifacts of a manifest, in a row."""

    path: str
    """The manifest's file."""
    offset: int
    """Where the first one begins, in bytes."""
    count: int

    def __len__(self) -> int:
        """Count the artifacts."""
        return self.count

    def read(self) -> Iterator[Artifact]:
        """Read the artifacts; one at a time is in memory."""
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            for _ in range(self.count):
                yield _artifact(json.loads(file.readline()))


class Manifest:
    """Artifacts in a file, in the order in which they came."""

    def __init__(self, path: str) -> None:
        """Name the file; it is written by `write`."""
        self.path = path
        self._offsets = array("Q")

    def __len__(self) -> int:
        """Count the artifacts."""
        return len(self._offsets)

    def write(self, artifacts: Iterable[Artifact]) -> None:
        """Write artifacts, and forget what was written before."""
        self._offsets = array("Q")
        at = 0
        with open(self.path, "wb") as file:
            for artifact in artifacts:
                text = json.dumps(artifact, default=StorageError.to_plain, separators=(",", ":"))
                self._offsets.append(at)
                at += file.write(f"{text}\n".encode())

    def batches(self, most: int) -> Iterator[Batch]:
        """Split into at most so many batches of nearly equal length."""
        count = min(most, len(self))
        for number in range(count):
            start, end = len(self) * number // count, len(self) * (number + 1) // count
            yield Batch(self.path, self._offsets[start], end - start)


def _artifact(plain: list[Any]) -> Artifact:
    url, objects, beside, kind, index, listed = plain
    neighbours, checksums, signatures, (names, total, pin) = beside
    pickles = Pickles(tuple(names), total, pin)
    beside = Beside(_objects(neighbours), _objects(checksums), _objects(signatures), pickles)
    shard_index = None if index is None else StoredObject.from_plain(index)
    return Artifact(url, _objects(objects), beside, kind, shard_index, listed)


def _objects(plain: list[Any]) -> tuple[StoredObject, ...]:
    return tuple(map(StoredObject.from_plain, plain))
