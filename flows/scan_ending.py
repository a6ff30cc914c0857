"""How the flow run of a scan ends: the name and the message of its state, its label, its tags."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from prefect_mutagen.flows.run_labels import DRIFT, NEW_REFUSALS, REFUSED
from prefect_mutagen.flows.summary import AgentsNotStarted, ModelsRefused, ScanSummary
from prefect_mutagen.scanner.listing.keyed import FoundKeys
from prefect_mutagen.scanner.outputs.key_lines import not_found
from prefect_mutagen.scanner.outputs.outcomes import outcome
from prefect_mutagen.scanner.outputs.visible import counted
from prefect_mutagen.scanner.results import Summary
from prefect_mutagen.scanner.table.highlights import Highlights
from prefect_mutagen.tasks.agent_launch import AgentRun
from prefect_mutagen.tasks.scan_page import headline

__all__ = ["ScanEnding"]

_NAMED: Final = 3
"""Refused models in a message; it is read on one line."""
_WIDTH: Final = 60
"""Characters of their paths."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanEnding:
    """What came out of a scan."""

    source: str
    summary: Summary
    highlights: Highlights
    keys: FoundKeys = field(default_factory=FoundKeys)
    """What became of selected keys that are no part of an artifact."""
    not_examined: str = ""
    """A sentence on what was not examined; empty: everything was."""
    not_started: str = ""
    """A sentence on agents that could not start; empty: all could."""
    agents: Sequence[AgentRun] = ()
    is_gate_closed: bool = False
    """Whether agents were not considered, because not everything passed."""

    @property
    def label(self) -> str:
        """The outcome in a few words, for the name of the run."""
        label = headline(self.summary, self.highlights).replace(" of them new", " new")
        if self.keys.not_found:
            label += f", {counted(len(self.keys.not_found), 'key')} not found"
        return f"{label}, not all examined" if self.not_examined else label

    @property
    def tags(self) -> list[str]:
        """The tags that hold."""
        found = self.highlights
        held = {
            REFUSED: self._has_refused,
            NEW_REFUSALS: found["newly-refused"].count > 0,
            DRIFT: found.has_drift,
        }
        return [tag for tag, holds in held.items() if holds]

    @property
    def message(self) -> str:
        """What was not examined, agents that could not start, counts, the first refused, agents."""
        counts = headline(self.summary, self.highlights)
        if self.is_gate_closed:
            counts += ", so no agent starts"
        said = (not_found(self.keys, self.source), self.not_examined, self.not_started, counts)
        text = "; ".join(filter(None, said))
        failed = sum(run.state == "failed" for run in self.agents)
        agents = f"; {failed} of {counted(len(self.agents), 'agent')} failed" if failed else ""
        refused = list(islice(self.highlights.refused, _NAMED))
        if not refused:
            return f"{text}{agents}"
        first = "; ".join(outcome(result, self.source, _WIDTH) for result in refused)
        more = "; …" if self.summary.failed + self.summary.unknown > _NAMED else ""
        return f"{text}: {first}{more}{agents}"

    def state(self, result: ScanSummary, *, fail_on_refused: bool) -> State[Any]:
        """Return the final state; callers of the flow get the summary, or an exception with it.

        A state that is returned leaves no traceback in the log, unlike an exception.

        Args:
            result: The result of the scan.
            fail_on_refused: Whether models that are refused, or were not examined, fail the run.
        """
        message = self.message
        if self.not_started:
            problem: Exception = AgentsNotStarted(message, result)
            return Failed(name="AgentsNotStarted", message=message, data=problem)
        is_short = self.not_examined or self.keys.not_found
        if fail_on_refused and (self._has_refused or is_short):
            return Failed(name=self._name, message=message, data=ModelsRefused(message, result))
        return Completed(name=self._name, message=message, data=result)

    @property
    def _has_refused(self) -> bool:
        return self.summary.failed + self.summary.unknown > 0

    @property
    def _name(self) -> str:
        if self._has_refused:
            return "Refused"
        if self.keys.not_found:
            return "NotFound"
        if self.not_examined:
            return "Incomplete"
        return "Passed" if self.summary.artifacts else "Empty"
