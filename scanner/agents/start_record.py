"""The record of agents that were started: what makes a start happen at most once.

Each start is claimed before it happens, by creating a small file that nobody else can create: of
two scans at once, one gets it. How it ended is a second file. A claim without an end means that
whoever made it was killed, or has not come to the end yet; a start that cannot be told from one
that happened does not happen again by itself.

What was chosen but not started yet (a limit, a killed flow) is listed per scan as waiting; the next
scan of the root takes those lists over. What failed is marked, so that it can be found again.

Everything lies under ``agents/`` of a table, as JSON.
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
    """The right to start one agent for one artifact, once."""

    key: str
    attempt: int
    """From 1; more than 1 when a failed one is started again."""
    fresh: bool = True
    """Whether it was made just now; an older one without an end leaves open what happened."""

    @property
    def name(self) -> str:
        """Name the start, as an idempotency key for whoever does it."""
        return f"{self.key}-{self.attempt}"


@dataclass(frozen=True, slots=True)
class Waiting:
    """An agent's start that was chosen and has not happened yet, or is to happen again."""

    url: str
    pin: str
    key: str
    """Names agent, artifact and bytes."""


class StartRecord:
    """The starts that a table knows of."""

    def __init__(self, url: str | Address, options: Mapping[str, Any] | None = None) -> None:
        """Open it; nothing has to be there.

        Args:
            url: Address of the table.
            options: Options for fsspec's file system.

        Raises:
            StorageError: There is no such kind of storage.
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
            key: Names agent, artifact and bytes.
            about: What a person should find in the record: agent, address, pin, scan.
            again: Whether one that failed may be started once more.

        Returns:
            The claim; one that is not ``fresh`` when an earlier one has no end; None when the agent
            was started, and is not to be started again.

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
        """Give the starts that failed last.

        Raises:
            StorageError: The record cannot be read.
        """
        marks = (self._read(path) for path in self._list(f"{self._path}/failed"))
        return [Waiting(mark["url"], mark["pin"], mark["key"]) for mark in marks if mark]

    def release(self, claim: Claim) -> None:
        """Give a claim back: nothing was started, and a later scan may try.

        Raises:
            StorageError: The record cannot be written.
        """
        self._delete(self._claim_path(claim))

    def waiting(self, source: str) -> tuple[list[Waiting], list[str]]:
        """Give what waits for a root.

        Args:
            source: The root, free of secrets.

        Returns:
            The starts, each once; and the names of the lists they stand in, for `take_over`.

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
        """Publish what waits now, and then delete the lists that it replaces.

        Args:
            source: The root, free of secrets.
            scan_id: The scan that speaks.
            starts: What waits; none leaves no list.
            lists: Names of the lists that are taken over.

        Returns:
            The names of the lists that are there now.

        Raises:
            StorageError: The record cannot be written.
        """
        entries = [asdict(start) for start in starts]
        path = f"{self._path}/waiting/{_name(source)}/{scan_id}.json"
        now = [path] if entries else []
        if entries:
            self._replace(path, {"scan_id": scan_id, "starts": entries})
        for old in lists:
            if old not in now:
                self._delete(old)
        return now

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
        """Create a file; False when it is there already."""
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
                hidden = _write_beside(path, data)
                os.replace(hidden, path)
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
    def _errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except (PermissionError, FileNotFoundError):
            reason = f"the record of agents cannot be {what}: permission denied, or no such place"
            raise StorageError("storage/denied", self.url, reason) from None
        except Exception as problem:  # noqa: BLE001 - each storage has errors of its own
            reason = f"the record of agents cannot be {what}: {type(problem).__name__}"
            raise StorageError("storage/failed", self.url, reason) from None


def _name(source: str) -> str:
    return hashlib.sha256(source.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _write_beside(path: str, data: bytes) -> str:
    folder, _, name = path.rpartition("/")
    hidden = f"{folder}/.{name}.{secrets.token_hex(4)}.tmp"
    with open(hidden, "xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return hidden


def _link(path: str, data: bytes) -> None:
    """Create a local file whole; a link refuses a name that is taken."""
    hidden = _write_beside(path, data)
    try:
        os.link(hidden, path)
    finally:
        os.unlink(hidden)
