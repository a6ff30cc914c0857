"""The beginning of an agent's command: claimed as late as possible, its end recorded at once.

A flow run of its own takes seconds to create. So the task that wants a command started hands a
`Beginning` to the flow that runs it, through the context: the flow claims the start after it has
verified the artifact and immediately before the command, and records the end before it tells the
server.
"""

import threading
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final, Literal, Self

from prefect_mutagen.scanner.agents.start_record import Claim, Standing, Start, StartRecord
from prefect_mutagen.scanner.agents.supervise import Guarantee
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.tasks.ending import RunIsEnding

__all__ = ["BEGINNING", "Beginning", "NotBegun", "Turn"]

_TURNS: Final = 4
"""Commands that begin at a time: more do not begin sooner on SQLite, nor on PostgreSQL."""
_POLL_SECONDS: Final = 0.5
_ENDED: Final = "was ended with its flow run"


class NotBegun(Exception):  # noqa: N818 - it names what happened, as it is read in the UI
    """The command did not begin, because of an earlier start or because none can be recorded."""


@dataclass(slots=True)
class Beginning:
    """A start on its way; used by one thread."""

    start: Start
    record: StartRecord | None
    """Where it is claimed; None claims nothing."""
    again: bool
    """Whether a failed start may be repeated."""
    is_ending: Callable[[], bool]
    """Whether the flow run that wants it is ending."""
    turn: "Turn | None" = None
    """Ends when the command begins."""
    claim: Claim | None = None
    standing: Standing | None = None
    """What stood against it."""
    problem: str = ""
    """Why it could not be claimed."""
    has_begun: bool = False
    outcome: tuple[Literal["completed", "failed", "interrupted"], str] | None = None
    """How it ended, and what there is to say about it."""
    unrecorded: str = ""
    """Why its end is not in the record."""

    @classmethod
    def unclaimed(cls) -> Self:
        """Return the beginning of a command that no scan wants started: nothing is claimed."""
        return cls(Start("", {}), None, again=False, is_ending=lambda: False)

    @property
    def attempt(self) -> int:
        """Which attempt it is; from 1."""
        return self.claim.attempt if self.claim is not None else 1

    @property
    def name(self) -> str:
        """Name of the start; empty if it is not claimed."""
        return self.claim.name if self.claim is not None else ""

    def begin(self) -> None:
        """Claim the start; nothing may come between this and the command.

        Raises:
            RunIsEnding: The flow run is ending.
            NotBegun: An earlier start stands against it, or it cannot be claimed.
        """
        _refuse(self.is_ending)
        if self.record is not None:
            try:
                found = self.record.claim(self.start, again=self.again)
            except StorageError as problem:
                # A start that cannot be recorded must not happen: it could happen again and again.
                self.problem = str(problem)
                raise NotBegun(self.problem) from None
            if isinstance(found, Standing):
                self.standing = found
                raise NotBegun(found.message)
            self.claim = found
        try:
            _refuse(self.is_ending)
        except RunIsEnding:
            self.give_back()
            raise
        self.has_begun = True
        if self.turn is not None:
            self.turn.end()

    def give_back(self) -> None:
        """Remove the claim; the agent has not begun."""
        if self.record is not None and self.claim is not None:
            try:
                self.record.give_back(self.claim)
            except StorageError as problem:
                self.unrecorded = problem.reason
            self.claim = None

    def note_guarantee(self, guarantee: Guarantee) -> None:
        """Record what ensures that nothing is left of it; a failure to do so changes nothing."""
        if self.record is not None and self.claim is not None:
            try:
                self.record.note_guarantee(self.claim, guarantee)
            except StorageError as problem:
                self.unrecorded = problem.reason

    def finish(self, state: Literal["completed", "failed"], message: str = "") -> None:
        """Record its end.

        Args:
            state: Its state; one that failed while the flow run was ending was interrupted.
            message: What there is to say.
        """
        ended: Literal["completed", "failed", "interrupted"] = state
        said = message
        if state == "failed" and self.is_ending():
            ended, said = "interrupted", _ENDED
        self.outcome = ended, said
        if self.record is not None and self.claim is not None:
            try:
                self.record.finish(self.claim, ended, said)
            except StorageError as problem:
                self.unrecorded = problem.reason


class Turn:
    """One of a few turns to have a command begin: a server records some flow runs a second.

    More that begin at a time would each take longer, and all of them would have to be waited for
    when their flow run ends.
    """

    _turns: Final = threading.BoundedSemaphore(_TURNS)

    def __init__(self, is_ending: Callable[[], bool]) -> None:
        """Wait for a turn.

        Args:
            is_ending: Whether the flow run that waits is ending.

        Raises:
            RunIsEnding: It is.
        """
        while not self._turns.acquire(timeout=_POLL_SECONDS):
            _refuse(is_ending)
        self._is_held = True

    def end(self) -> None:
        """Let another one have the turn."""
        if self._is_held:
            self._is_held = False
            self._turns.release()


def _refuse(is_ending: Callable[[], bool]) -> None:
    if is_ending():
        raise RunIsEnding("the flow run that wanted the agent started is ending")


BEGINNING: Final[ContextVar[Beginning | None]] = ContextVar("BEGINNING", default=None)
"""The start that the flow called in this context is for."""
