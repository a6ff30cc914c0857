"""Choose the agents that a scan starts: what is due for each, listed before it is published.

An artifact is due for an agent when it passes and did not, or had other bytes, in the state that
was considered for this agent last. What is due is listed as waiting; the lists count once the scan
is published, and the starts are made from them. So a scan that is killed at any moment loses none.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import pyarrow as pa

from prefect_mutagen.scanner.agents.considered import ConsideredStates, PassedBefore
from prefect_mutagen.scanner.agents.start_record import StartRecord
from prefect_mutagen.scanner.agents.waiting_starts import Waiting, WaitingStarts
from prefect_mutagen.scanner.storage.names import original_address
from prefect_mutagen.scanner.table.recording import Recording, may_have_passed, passed
from prefect_mutagen.scanner.table.state import State
from prefect_mutagen.scanner.table.table import Table
from prefect_mutagen.tasks.agent_launch import AgentLaunch

__all__ = ["Gate", "Records", "choose_due"]

Gate = Literal["artifact", "scan"]
_COLUMNS: Final = ("url", "pin", "status", "drift", "drift_details")


@dataclass(frozen=True, slots=True)
class Records:
    """What a table keeps about the starts of agents for one root."""

    table: Table
    starts: StartRecord
    lists: WaitingStarts
    considered: ConsideredStates


def choose_due(
    recording: Recording, records: Records | None, agents: Iterable[AgentLaunch], gate: Gate
) -> Iterator[Waiting]:
    """Yield what is due for each agent, in the order of the agents and the addresses.

    Args:
        recording: The closed scan.
        records: What its table keeps; None: everything in the scan is new.
        agents: The agents.
        gate: Whether each artifact is considered alone, or all had to pass.

    Raises:
        StorageError: The table or the record cannot be read.
    """
    known: set[str] | None = None
    opened: dict[str, PassedBefore | None] = {}
    for agent in agents:
        since = records.considered.find(agent.identity) if records is not None else None
        if since is None and gate == "scan" and not recording.state.all_passed:
            since = ""  # the gate was closed before, so all are new to agents
        if records is None or since is None or since == recording.state.scan_id:
            for url, pin in _became_passed(recording):
                yield _waiting(agent, url, pin)
            continue
        if since not in opened:
            opened[since] = _passed_in(records.table, since)
        earlier = opened[since]
        if earlier is None and known is None:
            known = records.starts.known_keys()  # the state is no longer kept
        for url, pin in _passed(recording, earlier):
            found = _waiting(agent, url, pin)
            if earlier is not None or known is None or found.key not in known:
                yield found


def _waiting(agent: AgentLaunch, url: str, pin: str) -> Waiting:
    key = agent.key_of(original_address(url), pin)
    return Waiting(url, pin, key, agent.title, agent.identity)


def _became_passed(recording: Recording) -> Iterator[tuple[str, str]]:
    """Yield address and pin of what became passed since the previous state."""
    for row in _rows(recording, may_have_passed):
        changes = row["drift_details"] or ()
        if row["drift"] == "left-out":
            continue
        if row["drift"] != "unchanged" or any(change["field"] == "status" for change in changes):
            yield row["url"], row["pin"]


def _passed(recording: Recording, earlier: PassedBefore | None) -> Iterator[tuple[str, str]]:
    """Yield address and pin of what passes and did not, with these bytes, in an earlier state."""
    for row in _rows(recording, passed):
        if earlier is None or not any(earlier.has(row["url"], pin) for pin in _pins(row)):
            yield row["url"], row["pin"]


def _pins(row: Mapping[str, Any]) -> Iterator[str]:
    """Yield the pin of a row, and the form that it had before for the same bytes."""
    yield str(row["pin"])
    changes = row["drift_details"] if row["drift"] == "unchanged" else ()
    yield from (str(change["before"]) for change in changes or () if change["field"] == "pin")


def _rows(recording: Recording, wanted: Callable[[pa.Table], Any]) -> Iterator[dict[str, Any]]:
    for rows in recording.tables(_COLUMNS):
        chosen = rows.filter(wanted(rows))
        for row in chosen.to_pylist():
            if row["drift"] != "removed":
                yield row


def _passed_in(table: Table, scan_id: str) -> PassedBefore | None:
    """Return what passed in an earlier state; None if the table no longer has it."""
    if scan_id and not table.has_state(scan_id):
        return None
    return PassedBefore(table.open_state(scan_id) if scan_id else State())
