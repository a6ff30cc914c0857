"""The listing in a file: what is to be examined, an artifact a line.

A bucket may hold a million artifacts. Whoever hands them out holds a number for each, and passes on
a path and a range; whoever examines them reads its own lines.
"""

import json
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Any

from prefect_mutagen.scanner.artifacts import Artifact, Pickles
from prefect_mutagen.scanner.storage import StorageError, StoredObject

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
                line = json.dumps(_plain(artifact), separators=(",", ":")).encode() + b"\n"
                self._offsets.append(at)
                at += file.write(line)

    def batches(self, most: int) -> Iterator[Batch]:
        """Split into at most so many batches of nearly equal length."""
        count = min(most, len(self))
        for number in range(count):
            start, end = len(self) * number // count, len(self) * (number + 1) // count
            yield Batch(self.path, self._offsets[start], end - start)


def _plain(value: Any) -> Any:
    """Turn a record into what JSON has."""
    if isinstance(value, Artifact | StoredObject | Pickles):
        return {entry.name: _plain(getattr(value, entry.name)) for entry in fields(value)}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, StorageError):
        return {"code": value.code, "url": value.url, "reason": value.reason}
    return value


def _artifact(plain: dict[str, Any]) -> Artifact:
    return Artifact(**{name: _value(value) for name, value in plain.items()})


def _value(plain: Any) -> Any:
    if isinstance(plain, list):
        return tuple(map(_value, plain))
    if isinstance(plain, dict) and "fault" not in plain:
        return Pickles(**{name: _value(value) for name, value in plain.items()})
    if isinstance(plain, dict):
        fault = plain["fault"]
        return StoredObject(**{**plain, "fault": StorageError(**fault) if fault else None})
    return plain
