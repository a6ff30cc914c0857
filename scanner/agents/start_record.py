"""The record of agent starts: each agent is started at least once, and finishes at most once.

A start is claimed immediately before its command begins, by creating a small file exclusively: of
two concurrent scans, one gets the claim. A second file records its end. A claim without an end
belongs to its claimant, a process with a lease (`scanner.table.leases`). When the claimant is gone,
the next scan starts the agent again as the next attempt, unless something of the first one may
still run (`scanner.agents.survivors`), or the agent is to be started at most once.

The run of a deployment is found again by its idempotency key, the name of the claim, so that its
start is repeated under the same claim.

All files are JSON and lie under ``agents/`` of a table: ``starts/``, ``open/`` for claims without
an end, ``failed/`` for those that may be repeated on request.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from prefect_mutagen.scanner.agents.supervise import Guarantee
from prefect_mutagen.scanner.agents.survivors import may_have_survivors
from prefect_mutagen.scanner.agents.waiting_starts import Waiting, record_files
from prefect_mutagen.scanner.claimants import Claimant, this_claimant
from prefect_mutagen.scanner.storage.address import Address
from prefect_mutagen.scanner.table.leases import Leases

__all__ = ["Claim", "End", "Standing", "Start", "StartRecord"]

_ATTEMPTS: Final = 1000

End = Literal["started", "completed", "failed", "refused", "interrupted", "released"]
"""How a start ended. ``interrupted``: its claimant died, and a later attempt followed;
``released``: a person lets a later attempt follow."""
_AT_MOST_ONCE: Final = "it is to be started at most once"
_FOLLOWED: Final = ("interrupted", "released")


@dataclass(frozen=True, slots=True, order=True)
class Claim:
    """The exclusive right to start one agent for one artifact once."""

    key: str
    attempt: int
    """Counts from 1; higher when a failed or interrupted start is repeated."""
    repeats: str = ""
    """Why there was an earlier attempt; empty for the first."""

    @property
    def name(self) -> str:
        """Return the idempotency key of the start."""
        return f"{self.key}-{self.attempt}"


@dataclass(frozen=True, slots=True)
class Standing:
    """An earlier start, because of which there is none now."""

    state: Literal["known", "interrupted"]
    """``interrupted``: it has no end, and it cannot be started again without a person."""
    message: str


@dataclass(frozen=True, slots=True)
class Start:
    """An agent to start."""

    key: str
    """Identifies agent, artifact and pin."""
    about: Mapping[str, str]
    """For people who read the record: agent, url, pin, scan_id."""
    is_idempotent: bool = False
    """Whether repeating it under the same claim finds the first one, as Prefect does for runs."""
    at_most_once: bool = False
    """Whether it is never started again where its outcome is unknown."""


class StartRecord:
    """Claims and ends of starts, stored beside a table."""

    def __init__(
        self,
        url: str | Address,
        options: Mapping[str, Any] | None = None,
        *,
        lease: str = "",
        flow_run: str = "",
        has_ended: Callable[[str], bool] = lambda _: False,
    ) -> None:
        """Open the record of a table; neither has to exist yet.

        Args:
            url: Address of the table.
            options: Options for fsspec's file system.
            lease: Name of the lease under which claims are made.
            flow_run: Id of the flow run that makes them.
            has_ended: Whether a flow run, by its id, ended so long ago that nothing of it is left.

        Raises:
            StorageError: The kind of storage is unknown.
        """
        self._files = record_files(url, options)
        self._leases = Leases(url, options)
        self._lease, self._flow_run = lease, flow_run
        self._has_ended = has_ended

    def look(self, start: Start, *, again: bool = False) -> Claim | Standing:
        """Return the claim that `claim` would make now, or what stands against it.

        Args:
            start: The start.
            again: Whether a failed start may be repeated.

        Raises:
            StorageError: The record cannot be read.
        """
        repeats = ""
        for attempt in range(1, _ATTEMPTS):
            claim = Claim(start.key, attempt, repeats)
            made = self._files.read(_claim(claim))
            if made is None:
                return claim
            end = self._files.read(_end(claim))
            if end is None:
                stands = None if start.is_idempotent else self._standing(start, claim, made)
                if start.is_idempotent or stands is not None:
                    return stands or claim
                repeats = f"attempt {attempt} was interrupted: {_by(made)} is gone"
            elif start.at_most_once and end.get("state") == "interrupted":
                return _waits_for_release(claim, f"it {end.get('message')}", _AT_MOST_ONCE)
            elif end.get("state") in _FOLLOWED:
                repeats = f"attempt {attempt} was {end['state']}"
            elif again and end.get("state") == "failed":
                repeats = f"attempt {attempt} failed"
            else:
                return Standing("known", "already started for these bytes")
        return Standing("known", f"already started {_ATTEMPTS} times for these bytes")

    def claim(self, start: Start, *, again: bool = False) -> Claim | Standing:
        """Claim a start.

        Args:
            start: The start.
            again: Whether a failed start may be repeated.

        Returns:
            The claim. It may be an earlier one of an idempotent start. Otherwise what stands
            against it.

        Raises:
            StorageError: The record cannot be written.
        """
        found = self.look(start, again=again)
        if isinstance(found, Standing):
            return found
        moment = datetime.now(UTC).isoformat()
        made = {
            **start.about,
            "attempt": found.attempt,
            "at": moment,
            "lease": self._lease,
            "claimant": this_claimant(self._flow_run).to_plain(),
        }
        mark = Waiting.of(start.about, start.key)
        self._files.replace(_open(found), {**asdict(mark), "at": moment})
        if not self._files.create(_claim(found), made) and not start.is_idempotent:
            return Standing("known", "another scan is starting it")
        earlier = Claim(start.key, found.attempt - 1)
        self._files.delete(_failed(earlier))
        if found.repeats and self._files.read(_end(earlier)) is None:
            self.finish(earlier, "interrupted", found.repeats)
        self._files.delete(_open(earlier))
        return found

    def note_guarantee(self, claim: Claim, guarantee: Guarantee) -> None:
        """Record what ensures that nothing is left of a start when its claimant is killed.

        Raises:
            StorageError: The record cannot be written.
        """
        made = self._files.read(_claim(claim)) or {}
        self._files.replace(_claim(claim), {**made, "guarantee": guarantee})

    def finish(self, claim: Claim, state: End, message: str = "") -> None:
        """Record how a start ended.

        Raises:
            StorageError: The record cannot be written.
        """
        moment = datetime.now(UTC).isoformat()
        end = {"state": state, "message": message, "at": moment}
        if state == "failed":
            about = self._files.read(_claim(claim)) or {}
            mark = Waiting.of(about, claim.key)
            self._files.replace(_failed(claim), asdict(mark))
        self._files.replace(_end(claim), end)
        if state not in _FOLLOWED:
            self._files.delete(_open(claim))

    def give_back(self, claim: Claim) -> None:
        """Remove a claim whose agent was not started, so that a later scan may claim it.

        Raises:
            StorageError: The record cannot be written.
        """
        self._files.delete(_claim(claim))
        self._files.delete(_open(claim))

    def failed(self) -> list[Waiting]:
        """Return the starts whose last attempt failed.

        Raises:
            StorageError: The record cannot be read.
        """
        return [mark for _, mark, _ in self._marks("failed")]

    def interrupted(self) -> list[Waiting]:
        """Return the starts that have no end and whose claimant is gone, or that were released.

        Raises:
            StorageError: The record cannot be read or written.
        """
        found = []
        for name, mark, at in self._marks("open"):
            claim = _claim_of(name)
            made, end = self._files.read(_claim(claim)), self._files.read(_end(claim))
            if made is None or (end is not None and end.get("state") not in _FOLLOWED):
                # Killed between two writes. Without a claim it is waiting all the same.
                if made is not None or _is_past(at):
                    self._files.delete(name)
            elif end is not None or not self.is_claimed(made):
                found.append(mark)
        return found

    def release(self, claim: Claim, *, by_force: bool = False) -> str:
        """Let a start without an end be started again by the next scan.

        Args:
            claim: The start.
            by_force: Whether to release it although its claimant is alive.

        Returns:
            Why it was not released; empty if it was.

        Raises:
            StorageError: The record cannot be read or written.
        """
        made = self._files.read(_claim(claim))
        if made is None:
            return "there is no such start"
        end = self._files.read(_end(claim))
        if end is not None and end.get("state") != "interrupted":
            return f"it has ended: {end.get('state')}"
        if end is None and self.is_claimed(made) and not by_force:
            return f"{_by(made)} is at work on it"
        mark = Waiting.of(made, claim.key)
        self._files.replace(_open(claim), {**asdict(mark), "at": made.get("at", "")})
        self.finish(claim, "released", "released by a person")
        return ""

    def starts(self) -> Iterator[tuple[Claim, dict[str, Any], dict[str, Any] | None]]:
        """Yield all starts that were claimed: the claim, what it says, and what its end says.

        Raises:
            StorageError: The record cannot be read.
        """
        for folder in self._files.folders("starts"):
            names = self._files.names(folder)
            known = self._files.read_all(names)
            for name in names:
                if not name.endswith(".end"):
                    yield _claim_of(name), known.get(name, {}), known.get(f"{name}.end")

    def open_claims(self) -> Iterator[tuple[Claim, dict[str, Any]]]:
        """Yield the claims that `release` may release, those of earlier versions included.

        Raises:
            StorageError: The record cannot be read.
        """
        for folder in self._files.folders("starts"):
            names = set(self._files.names(folder))
            claims = sorted(_claim_of(name) for name in names if not name.endswith(".end"))
            for claim in claims:
                if _claim(Claim(claim.key, claim.attempt + 1)) in names:
                    continue
                end = self._files.read(_end(claim)) if _end(claim) in names else None
                if end is None or end.get("state") == "interrupted":
                    yield claim, self._files.read(_claim(claim)) or {}

    @property
    def is_used(self) -> bool:
        """Whether any start was ever claimed.

        Raises:
            StorageError: The record cannot be read.
        """
        return bool(self._files.folders("starts"))

    def known_keys(self) -> set[str]:
        """Return the keys of all starts that were ever claimed.

        Raises:
            StorageError: The record cannot be read.
        """
        folders = self._files.folders("starts")
        return {_claim_of(name).key for folder in folders for name in self._files.names(folder)}

    def _standing(self, start: Start, claim: Claim, made: Mapping[str, Any]) -> Standing | None:
        """Return what stands against another attempt after one without an end."""
        if self.is_claimed(made):
            return Standing("known", f"{_by(made)} is at work on it")
        reason = ""
        if not made.get("lease"):
            reason = "an earlier version of prefect-mutagen started it"
        elif start.at_most_once:
            reason = _AT_MOST_ONCE
        else:
            guarantee = made.get("guarantee", "")
            reason = may_have_survivors(claim.name, _claimant(made), guarantee)
        if not reason:
            return None
        return _waits_for_release(claim, f"{_by(made)} is gone, its outcome is unknown", reason)

    def is_claimed(self, made: Mapping[str, Any]) -> bool:
        """Whether the claimant of a start is still at work.

        Args:
            made: What its claim says.

        Raises:
            StorageError: Its lease cannot be read.
        """
        claimant = _claimant(made)
        if claimant.is_alive is False:
            return False
        lease = self._leases.find(made["lease"]) if made.get("lease") else None
        if lease is None or not lease.is_alive:
            return False  # without a lease it ended, and released it
        # On this machine the kernel has said that it lives, whatever the server believes.
        return claimant.is_alive is True or not self._has_ended(claimant.flow_run)

    def _marks(self, folder: str) -> Iterator[tuple[str, Waiting, str]]:
        for name in self._files.names(folder):
            mark = self._files.read(name)
            if mark:
                yield name, Waiting.of(mark, mark.get("key", "")), mark.get("at", "")


def _claim(claim: Claim) -> str:
    return f"starts/{claim.key[:2]}/{claim.name}"


def _end(claim: Claim) -> str:
    return f"{_claim(claim)}.end"


def _open(claim: Claim) -> str:
    return f"open/{claim.name}"


def _failed(claim: Claim) -> str:
    return f"failed/{claim.name}"


def _claim_of(name: str) -> Claim:
    key, _, attempt = name.rpartition("/")[2].removesuffix(".end").rpartition("-")
    return Claim(key, int(attempt))


def _waits_for_release(claim: Claim, what: str, why: str) -> Standing:
    release = f"prefect-mutagen release {claim.name[:12]} --table TABLE"
    return Standing("interrupted", f"{what}, and {why}; to start it again: {release}")


def _claimant(made: Mapping[str, Any]) -> Claimant:
    plain = made.get("claimant")
    return Claimant.from_plain(plain if isinstance(plain, dict) else {})


def _by(made: Mapping[str, Any]) -> str:
    return _claimant(made).describe()


def _is_past(at: str) -> bool:
    """Whether a moment is more than a day ago; a claim takes seconds."""
    try:
        return (datetime.now(UTC) - datetime.fromisoformat(at)).days >= 1
    except (TypeError, ValueError):
        return True
