"""The record of agent starts, which makes each start happen at most once.

A start is claimed first, by creating a small file exclusively: of two concurrent scans, one gets
the claim. A second file records its end. A claim without an end means that the claimant was killed
or is still running; since the agent may have started, it is not started again automatically.

Starts that were chosen but not made yet (over the limit, flow killed) are listed per scan as
waiting; the next scan of the root takes over these lists. Failed starts are marked, so that they
can be repeated.

All files are JSON and lie under ``agents/`` of a table.
"""

import contextlib
import hashlib
import json
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from prefect_mutagen.scanner.storage.address import Address
from prefect_mutagen.scanner.storage.errors import StorageError

__all__ = ["Claim", "StartRecord", "Waiting"]

_ATTEMPTS: Final = 1000
_FOLDER: Final = "agents"

End = Literal["started", "completed", "failed", "refused"]


@dataclass(frozen=True, slots=True)
class Claim:
    """The exclusive right to start one agent for one artifact once."""

    key: str
    attempt: int
    """Counts from 1; higher when a failed start is repeated."""
    fresh: bool = True
    """Whether this call made it; of an earlier claim without an end, the outcome is unknown."""

    @property
    def name(self) -> str:
        """Return the idempotency key of the start."""
        return f"{self.key}-{self.attempt}"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A start that was chosen and not made yet, or is to be repeated."""

    url: str
    pin: str
    key: str
    """Identifies agent, artifact and pin."""


class StartRecord:
    """Claims, ends and waiting starts, stored beside a table."""

    def __init__(self, url: str | Address, options: Mapping[str, Any] | None = None) -> None:
        """Open the record of a table; neither has to exist yet.

        Args:
            url: Address of the table.
            options: Options for fsspec's file system.

        Raises:
            StorageError: The kind of storage is unknown.
        """
        import fsspec

        address = Address.parse(url)
        self.url = address.text
        try:
            self._fs, path = fsspec.core.url_to_fs(
                address.secret_text, use_listings_cache=False, **(options or {})
            )
        except (ImportError, TypeError, ValueError):
            raise StorageError("storage/unsupported", self.url, "no record can be kept") from None
        self._path = f"{path}/{_FOLDER}"
        self._local = address.is_local

    def claim(self, key: str, about: Mapping[str, str], *, again: bool = False) -> Claim | None:
        """Claim a start.

        Args:
            key: Identifies agent, artifact and pin.
            about: Details for people who read the record: agent, address, pin, scan.
            again: Whether a failed start may be repeated.

        Returns:
            The claim, not ``fresh`` if it is an earlier one without an end; None if the agent was
            started before and must not start again.

        Raises:
            StorageError: The record cannot be written.
        """
        for attempt in range(1, _ATTEMPTS):
            claim = Claim(key, attempt)
            moment = datetime.now(UTC).isoformat()
            if self._create(self._claim_path(claim), {**about, "attempt": attempt, "at": moment}):
                self._delete(self._failed_path(Claim(key, attempt - 1)))
                return claim
            end = self._read(self._end_path(claim))
            if end is None:
                return Claim(key, attempt, fresh=False)
            if not (again and end.get("state") == "failed"):
                return None
        return None

    def finish(self, claim: Claim, state: End, message: str = "") -> None:
        """Record how a start ended.

        Raises:
            StorageError: The record cannot be written.
        """
        moment = datetime.now(UTC).isoformat()
        end = {"state": state, "message": message, "at": moment}
        if state == "failed":
            about = self._read(self._claim_path(claim)) or {}
            mark = Waiting(about.get("url", ""), about.get("pin", ""), claim.key)
            self._replace(self._failed_path(claim), asdict(mark))
        self._replace(self._end_path(claim), end)

    def failed(self) -> list[Waiting]:
        """Return the starts whose last attempt failed.

        Raises:
            StorageError: The record cannot be read.
        """
        marks = (self._read(path) for path in self._list(f"{self._path}/failed"))
        return [Waiting(mark["url"], mark["pin"], mark["key"]) for mark in marks if mark]

    def release(self, claim: Claim) -> None:
        """Release a claim whose agent was not started, so that a later scan may claim it.

        Raises:
            StorageError: The record cannot be written.
        """
        self._delete(self._claim_path(claim))

    def waiting(self, source: str) -> tuple[list[Waiting], list[str]]:
        """Return the waiting starts of a root.

        Args:
            source: The root, free of secrets.

        Returns:
            The starts without duplicates, and the names of their lists, for `take_over`.

        Raises:
            StorageError: The record cannot be read.
        """
        lists = self._list(f"{self._path}/waiting/{_name(source)}")
        found: dict[str, Waiting] = {}
        for path in lists:
            for entry in (self._read(path) or {}).get("starts", []):
                waiting = Waiting(entry["url"], entry["pin"], entry["key"])
                found[waiting.key] = waiting
        return list(found.values()), lists

    def take_over(
        self, source: str, scan_id: str, starts: Iterable[Waiting], lists: Iterable[str]
    ) -> list[str]:
        """Publish the list of waiting starts, then delete the lists that it replaces.

        Args:
            source: The root, free of secrets.
            scan_id: The scan that publishes.
            starts: The waiting starts; without any, no list is published.
            lists: Names of the lists to replace.

        Returns:
            The names of the lists that remain.

        Raises:
            StorageError: The record cannot be written.
        """
        entries = [asdict(start) for start in starts]
        path = f"{self._path}/waiting/{_name(source)}/{scan_id}.json"
        remaining = [path] if entries else []
        if entries:
            self._replace(path, {"scan_id": scan_id, "starts": entries})
        for old in lists:
            if old not in remaining:
                self._delete(old)
        return remaining

    def _claim_path(self, claim: Claim) -> str:
        return f"{self._path}/starts/{claim.key[:2]}/{claim.name}.json"

    def _end_path(self, claim: Claim) -> str:
        return f"{self._path}/starts/{claim.key[:2]}/{claim.name}.end.json"

    def _failed_path(self, claim: Claim) -> str:
        return f"{self._path}/failed/{claim.name}.json"

    def _delete(self, path: str) -> None:
        with self._errors("written"), contextlib.suppress(FileNotFoundError):
            if self._local or self._fs.exists(path):
                self._fs.rm_file(path)

    def _create(self, path: str, content: Mapping[str, Any]) -> bool:
        """Create a file exclusively; False if it exists."""
        data = json.dumps(content).encode()
        with self._errors("written"):
            self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            try:
                if self._local:
                    _link(path, data)
                else:
                    self._fs.pipe_file(path, data, mode="create")
            except FileExistsError:
                return False
        return True

    def _replace(self, path: str, content: Mapping[str, Any]) -> None:
        data = json.dumps(content).encode()
        with self._errors("written"):
            self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            if self._local:
                temporary = _write_temporary(path, data)
                os.replace(temporary, path)
            else:
                self._fs.pipe_file(path, data)

    def _read(self, path: str) -> dict[str, Any] | None:
        with self._errors("read"):
            try:
                content = json.loads(self._fs.cat_file(path))
            except FileNotFoundError:
                return None
        return content if isinstance(content, dict) else {}

    def _list(self, folder: str) -> list[str]:
        with self._errors("read"):
            try:
                found = self._fs.ls(folder, detail=False)
            except FileNotFoundError:
                return []
        return sorted(str(path) for path in found if str(path).endswith(".json"))

    @contextlib.contextmanager
    def _errors(self, done: str) -> Iterator[None]:
        try:
            yield
        except (PermissionError, FileNotFoundError):
            reason = f"the record of agents cannot be {done}: permission denied or no such folder"
            raise StorageError("storage/denied", self.url, reason) from None
        except Exception as problem:  # noqa: BLE001 - each file system has its own errors
            reason = f"the record of agents cannot be {done}: {type(problem).__name__}"
            raise StorageError("storage/failed", self.url, reason) from None


def _name(source: str) -> str:
    return hashlib.sha256(source.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _write_temporary(path: str, data: bytes) -> str:
    folder, _, name = path.rpartition("/")
    temporary = f"{folder}/.{name}.{secrets.token_hex(4)}.tmp"
    with open(temporary, "xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return temporary


def _link(path: str, data: bytes) -> None:
    """Create a complete local file atomically; unlike a rename, a link never overwrites."""
    temporary = _write_temporary(path, data)
    try:
        os.link(temporary, path)
    finally:
        os.unlink(temporary)
