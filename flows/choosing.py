"""Choose the agents that a scan starts: what is due for each, listed before it is published.

An artifact is due for an agent when it became passed in this scan; or when it passes and did not,
or had other bytes, in the state that was considered for this agent last. What is due is listed as
waiting; the lists count once the scan is published, and the starts are made from them. So a scan
that is killed at any moment loses none.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.compute as pc

from prefect_mutagen.scanner.agents.considered import ConsideredStates
from prefect_mutagen.scanner.agents.start_record import StartRecord
from prefect_mutagen.scanner.agents.waiting_starts import Waiting, WaitingStarts
from prefect_mutagen.scanner.storage.names import original_address
from prefect_mutagen.scanner.table.passed_before import PassedBefore
from prefect_mutagen.scanner.table.recording import Recording
from prefect_mutagen.scanner.table.row_filters import may_have_passed, passed
from prefect_mutagen.scanner.table.runs import each_row
from prefect_mutagen.scanner.table.state import State
from prefect_mutagen.scanner.table.table import Table
from prefect_mutagen.tasks.agent_launch import AgentLaunch

__all__ = ["Gate", "Records", "choose_due", "considered_last", "moved_pins"]

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
    opened: dict[str, PassedBefore | None] = {}
    known: set[str] | None = None
    for agent in agents:
        since = considered_last(recording, records, agent, gate)
        if records is None or since == recording.state.name.last_scan_id:
            yield from (_waiting(agent, row) for row in _rows(recording, may_have_passed))
            continue
        if since not in opened:
            opened[since] = _passed_in(records.table, since)
        earlier = opened[since]
        if earlier is None and known is None:
            known = records.starts.known_keys()  # the state is no longer kept
        for row in _rows(recording, passed):
            found = _waiting(agent, row)
            if earlier is not None:
                was_due = any(earlier.has(found.url, pin) for pin in _pins(row))
            else:
                was_due = known is not None and found.key in known
            if not was_due or _became_passed(row):
                yield found


def considered_last(
    recording: Recording, records: Records | None, agent: AgentLaunch, gate: Gate
) -> str:
    """Return the state of which all artifacts were considered for an agent.

    For a new agent it is the state that was considered for others; before any agent, the empty one.

    Args:
        recording: The closed scan.
        records: What its table keeps; None: the previous state counts as considered.
        agent: The agent.
        gate: Whether each artifact is considered alone, or all had to pass.

    Returns:
        The id of the scan that wrote the state; empty for the one before the first scan.

    Raises:
        StorageError: The record cannot be read.
    """
    before = recording.state.name.last_scan_id
    if records is None:
        return before
    known = records.considered
    since = known.find(agent.identity)
    if since is None and gate == "scan" and not recording.state.all_passed:
        return ""  # the gate was closed before, so all are new to agents
    if since is None:
        since = known.find_any()
    if since is None:
        # Tables of 0.1 have starts and do not say which state they were for.
        since = before if records.starts.is_used else ""
    return since


def moved_pins(recording: Recording) -> dict[str, tuple[str, str]]:
    """Return the pins, before and now, of artifacts whose equal bytes have another pin, by address.

    As after an update from a version that wrote pins in another form.
    """
    found = {}
    for rows in recording.tables(_COLUMNS):
        same = rows.filter(pc.equal(rows["drift"], "unchanged"))
        details = pc.fill_null(pc.list_value_length(same["drift_details"]), 0)
        for row in same.filter(pc.greater(details, 0)).to_pylist():
            for before in list(_pins(row))[1:]:
                found[row["url"]] = before, row["pin"]
    return found


def _waiting(agent: AgentLaunch, row: Mapping[str, Any]) -> Waiting:
    url, pin = row["url"], row["pin"]
    key = agent.key_of(original_address(url), pin)
    return Waiting(url, pin, key, agent.title, agent.identity)


def _became_passed(row: Mapping[str, Any]) -> bool:
    """Whether an artifact that passes did not, or had other bytes, in the previous state."""
    if row["drift"] in ("unchanged", "left-out"):
        return any(change["field"] == "status" for change in row["drift_details"] or ())
    return True


def _pins(row: Mapping[str, Any]) -> Iterator[str]:
    """Yield the pin of a row, and the form that it had before for the same bytes."""
    yield str(row["pin"])
    changes = row["drift_details"] if row["drift"] == "unchanged" else ()
    yield from (str(change["before"]) for change in changes or () if change["field"] == "pin")


def _rows(recording: Recording, wanted: Callable[[pa.Table], Any]) -> Iterator[dict[str, Any]]:
    for rows in recording.tables(_COLUMNS):
        for row in each_row(rows.filter(wanted(rows))):
            if row["drift"] != "removed" and (wanted is passed or _became_passed(row)):
                yield row


def _passed_in(table: Table, scan_id: str) -> PassedBefore | None:
    """Return what passed in an earlier state; None if the table no longer has it."""
    state = table.open_earlier(scan_id) if scan_id else State()
    return None if state is None else PassedBefore(state)
