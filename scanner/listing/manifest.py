"""JSON-lines manifest of the artifacts to examine.

A bucket may hold a million artifacts. The producer keeps one offset per artifact and passes on a
path and a range; each worker reads its own lines, or is sent them if it is on another machine.
"""

import json
import zlib
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from prefect_mutagen.scanner.listing.artifacts import (
    Artifact,
    Beside,
    LooseFiles,
    RegistryModel,
    Rivals,
)
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.store import StoredObject

__all__ = ["Batch", "CarriedBatch", "Manifest"]


@dataclass(frozen=True, slots=True)
class Batch:
    """A contiguous range of artifacts in a manifest."""

    path: str
    """Path of the manifest file."""
    offset: int
    """Byte offset of the first artifact."""
    count: int

    def __len__(self) -> int:
        """Return the number of artifacts."""
        return self.count

    def read(self) -> Iterator[Artifact]:
        """Yield the artifacts, one at a time in memory."""
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            for _ in range(self.count):
                yield _to_artifact(json.loads(file.readline()))

    def carried(self) -> "CarriedBatch":
        """Return the artifacts by value."""
        return next(self.carried_parts(self.count))

    def carried_parts(self, most: int) -> "Iterator[CarriedBatch]":
        """Yield the artifacts by value, in parts of so many."""
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            for start in range(0, self.count, most):
                count = min(most, self.count - start)
                lines = b"".join(file.readline() for _ in range(count))
                yield CarriedBatch(zlib.compress(lines, 1), count)


@dataclass(frozen=True, slots=True)
class CarriedBatch:
    """Artifacts by value, for a machine that does not have the manifest."""

    packed: bytes
    """Their lines of the manifest, compressed."""
    count: int

    def __len__(self) -> int:
        """Return the number of artifacts."""
        return self.count

    def read(self) -> Iterator[Artifact]:
        """Yield the artifacts, one at a time in memory."""
        for line in zlib.decompress(self.packed).splitlines():
            yield _to_artifact(json.loads(line))


class Manifest:
    """Artifacts in a file, in listing order."""

    def __init__(self, path: str) -> None:
        """Set the path; `write` creates the file."""
        self.path = path
        self._offsets = array("Q")

    def __len__(self) -> int:
        """Return the number of artifacts."""
        return len(self._offsets)

    def write(self, artifacts: Iterable[Artifact]) -> None:
        """Write artifacts; replace the previous contents."""
        self._offsets = array("Q")
        offset = 0
        with open(self.path, "wb") as file:
            for artifact in artifacts:
                text = json.dumps(artifact, default=StorageError.to_plain, separators=(",", ":"))
                self._offsets.append(offset)
                offset += file.write(f"{text}\n".encode())

    def batches(self, limit: int) -> Iterator[Batch]:
        """Split into at most ``limit`` batches of nearly equal length."""
        count = min(limit, len(self))
        for number in range(count):
            start, end = len(self) * number // count, len(self) * (number + 1) // count
            yield Batch(self.path, self._offsets[start], end - start)


def _to_artifact(plain: list[Any]) -> Artifact:
    url, objects, beside, kind, index, listed, parts, rivals, packed, registry, touched = plain
    neighbours, checksums, signatures, pickles, code, root, *more = beside
    unlisted, unfinished, unseen, other_weights = more
    beside = Beside(
        _to_objects(neighbours),
        _to_objects(checksums),
        _to_objects(signatures),
        _to_loose_files(pickles),
        _to_objects(code),
        root,
        unlisted,
        tuple(unfinished),
        unseen,
        _to_loose_files(other_weights),
    )
    shard_index = None if index is None else StoredObject.from_plain(index)
    return Artifact(
        url,
        _to_objects(objects),
        beside,
        kind,
        shard_index,
        listed,
        tuple(map(_to_artifact, parts)),
        Rivals(*map(tuple, rivals)),
        packed,
        tuple(map(_to_registry_model, registry)),
        touched,
    )


def _to_registry_model(plain: list[Any]) -> RegistryModel:
    name, kind, size, manifest, texts = plain
    blobs = tuple((what, StoredObject.from_plain(item)) for what, item in texts)
    return RegistryModel(name, kind, size, StoredObject.from_plain(manifest), blobs)


def _to_loose_files(plain: list[Any]) -> LooseFiles:
    names, total, pin, items = plain
    return LooseFiles(tuple(names), total, pin, _to_objects(items))


def _to_objects(plain: list[Any]) -> tuple[StoredObject, ...]:
    return tuple(map(StoredObject.from_plain, plain))
