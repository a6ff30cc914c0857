"""Starts of agents that were chosen and are not made yet, in lists beside a table.

A scan lists what it chose before it publishes: its lists count once it is published. So a scan that
is killed at any moment loses no start. A list is written once and holds a thousand starts at most;
the next scans start those of the oldest lists, and write only these anew.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from itertools import count, islice
from typing import Any, Final, Self

from prefect_mutagen.scanner.storage.address import Address
from prefect_mutagen.scanner.table.json_files import JsonFiles

__all__ = ["Waiting", "WaitingList", "WaitingStarts", "record_files", "waiting_everywhere"]

_LENGTH: Final = 1000
_ABANDONED: Final = timedelta(days=7)
"""Age after which the list of a scan that was never published is deleted."""


def record_files(url: str | Address, options: Mapping[str, Any] | None = None) -> JsonFiles:
    """Open the record of agents of a table: its folder ``agents/``.

    Raises:
        StorageError: The kind of storage is unknown.
    """
    return JsonFiles(url, "agents", "the record of agents", options)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A start that was chosen and not made yet, or is to be repeated."""

    url: str
    pin: str
    key: str
    """Identifies agent, artifact and pin."""
    agent: str = ""
    """Short name of the agent, for people."""
    launch: str = ""
    """Identifies the agent; empty in lists of earlier versions."""

    @classmethod
    def of(cls, about: Mapping[str, Any], key: str) -> Self:
        """Return the start of a key, from what a file says about it."""
        values = (about.get(name) for name in ("url", "pin", "agent", "launch"))
        url, pin, agent, launch = (str(value or "") for value in values)
        return cls(url, pin, key, agent, launch)


@dataclass(frozen=True, slots=True)
class WaitingList:
    """A list of waiting starts; without a name it is kept in memory alone."""

    starts: tuple[Waiting, ...]
    name: str = ""


class WaitingStarts:
    """The lists of one root."""

    def __init__(self, files: JsonFiles, source: str) -> None:
        """Open the lists.

        Args:
            files: See `record_files`.
            source: The root, free of secrets.
        """
        self._files = files
        self._folder = f"waiting/{_name(source)}"

    def names(self, is_published: Callable[[str], bool]) -> list[str]:
        """Return the names of the lists that count, the oldest first.

        Args:
            is_published: Whether a scan, by its id, is published in the table.

        Raises:
            StorageError: They cannot be listed, or an abandoned one cannot be deleted.
        """
        known: dict[str, bool] = {}
        names = []
        for name in self._files.names(self._folder):
            scan_id = _scan_of(name)
            if scan_id not in known:
                known[scan_id] = is_published(scan_id)
            if known[scan_id]:
                names.append(name)
            elif _is_abandoned(scan_id):
                self._files.delete(name)
        return names

    def read(self, name: str) -> WaitingList:
        """Return a list; an empty one if it was deleted meanwhile.

        Raises:
            StorageError: It cannot be read.
        """
        entries = (self._files.read(name) or {}).get("starts", [])
        return WaitingList(tuple(Waiting.of(entry, entry["key"]) for entry in entries), name)

    def put(self, scan_id: str, starts: Iterable[Waiting]) -> list[str]:
        """Write lists of a scan.

        Args:
            scan_id: The scan; they count once it is published.
            starts: What is waiting; without any, nothing is written.

        Returns:
            The names of the lists.

        Raises:
            StorageError: They cannot be written.
        """
        taken = {name for name in self._files.names(self._folder) if _scan_of(name) == scan_id}
        free = (f"{self._folder}/{scan_id}-{number:06d}" for number in count())
        names = (name for name in free if name not in taken)
        written = []
        left = iter(starts)
        while some := list(islice(left, _LENGTH)):
            name = next(names)
            entries = [asdict(start) for start in some]
            self._files.replace(name, {"scan_id": scan_id, "starts": entries})
            written.append(name)
        return written

    def delete(self, name: str) -> None:
        """Delete a list if it exists.

        Raises:
            StorageError: It cannot be deleted.
        """
        self._files.delete(name)


def waiting_everywhere(files: JsonFiles) -> Iterator[tuple[str, Waiting]]:
    """Yield the waiting starts of all roots with the scan that listed each, published or not.

    Args:
        files: See `record_files`.

    Raises:
        StorageError: They cannot be read.
    """
    for folder in files.folders("waiting"):
        for name in files.names(folder):
            for entry in (files.read(name) or {}).get("starts", []):
                yield _scan_of(name), Waiting.of(entry, entry["key"])


def _name(source: str) -> str:
    return hashlib.sha256(source.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _scan_of(name: str) -> str:
    """Return the scan of a list: ``SCAN-000000``; earlier versions wrote one, ``SCAN``."""
    last = name.rpartition("/")[2]
    head, _, number = last.rpartition("-")
    return head if len(number) == 6 and number.isdigit() and "-" in head else last


def _is_abandoned(scan_id: str) -> bool:
    """Whether a scan began so long ago that it will never be published."""
    try:
        began = datetime.strptime(scan_id[:15], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return False
    return datetime.now(UTC) - began > _ABANDONED
