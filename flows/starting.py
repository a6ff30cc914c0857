"""Start agents after a scan: for artifacts that became passed, and for starts still waiting.

All starts are recorded as waiting before the first one. So a killed scan loses no start: the next
scan takes the list over. No start happens twice either, because each is claimed in the table.
"""

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, groupby
from typing import Literal, TypeVar, cast

from prefect.futures import PrefectFuture
from prefect.utilities.annotations import quote

from prefect_mutagen.flows.agent import run_agent
from prefect_mutagen.scanner.agents.start_record import StartRecord, Waiting
from prefect_mutagen.scanner.agents.supervise import end_all
from prefect_mutagen.scanner.results import ScanResult, Summary
from prefect_mutagen.scanner.storage.names import storable
from prefect_mutagen.scanner.table.drift import became_passed, earlier_pin
from prefect_mutagen.scanner.table.recording import Recording
from prefect_mutagen.scanner.table.row_filters import among, may_have_passed, passed
from prefect_mutagen.tasks.agent_launch import AgentLaunch, AgentRun, Handoff
from prefect_mutagen.tasks.agents import start_agents, start_scan_agents
from prefect_mutagen.tasks.storage_blocks import table_options

__all__ = ["Gate", "quoted", "start_chosen"]

_T = TypeVar("_T")
_WINDOW = 32
_WAITING_SHOWN = 1000

Gate = Literal["artifact", "scan"]


@dataclass(frozen=True, slots=True)
class _Start:
    """An agent to start for an artifact."""

    result: ScanResult
    agent: AgentLaunch
    key: str


def quoted(value: _T) -> _T:
    """Quote a value and keep its type: Prefect searches unquoted arguments for futures."""
    return cast("_T", quote(value))


def start_chosen(
    recording: Recording,
    summary: Summary,
    agents: Sequence[AgentLaunch],
    handoff: Handoff,
    gate: Gate,
    most: int,
) -> list[AgentRun]:
    """Start agents for artifacts that became passed in this scan, and for waiting starts.

    Starts beyond the limit and refused starts wait for the next scan. So do waiting starts whose
    artifacts are not selected.

    Args:
        recording: The scan, closed and published.
        summary: Its counts.
        agents: The agents to start.
        handoff: What the agents receive besides the artifact.
        gate: Whether each artifact is considered alone, or all have to pass.
        most: Maximum number of starts; the others wait for the next scan.

    Returns:
        The run of each agent, including those that wait.

    Raises:
        StorageError: The record of starts cannot be read or written; nothing was started.
    """
    if not agents or (gate == "scan" and not summary.all_passed):
        return []
    chosen = list(_chosen(recording, gate))
    each = [agent for agent in agents if agent.scope == "artifact"]
    record, waiting, held, lists = None, list[Waiting](), list[Waiting](), list[str]()
    if handoff.table:
        options = table_options(handoff.table, handoff.source, handoff.storage)
        record = StartRecord(handoff.table, options)
        waiting, lists = record.waiting(handoff.source)
        held = [entry for entry in waiting if recording.is_left_out(entry.url)]
        if handoff.rerun_failed:
            waiting += record.failed()
    starts = {start.key: start for start in _still_waiting(recording, each, waiting)}
    for result in chosen:
        for agent in each:
            key = agent.key(result)
            starts.setdefault(key, _Start(result, agent, key))
    ordered = list(starts.values())
    now, later = ordered[:most], ordered[most:]
    scan_agents = _due_scan_agents(handoff, agents, waiting, chosen=bool(chosen))
    count, pins = _passed_digest(recording) if scan_agents else (0, "")
    scan_starts = [
        Waiting(handoff.source, pins, agent.key_of_scan(handoff.source, pins))
        for agent in scan_agents
    ]
    if record is not None:
        listed = chain(map(_waiting, ordered), scan_starts, held)
        lists = record.take_over(handoff.source, handoff.scan_id, listed, lists)
    runs = _start(now, handoff)
    refused = [
        _waiting(start) for start, run in zip(now, runs, strict=True) if run.state == "refused"
    ]
    if scan_agents:
        scan_runs = start_scan_agents(
            agents=quoted(scan_agents), handoff=quoted(handoff), passed=count, pins=pins
        )
        refused += [
            entry
            for entry, run in zip(scan_starts, scan_runs, strict=True)
            if run.state == "refused"
        ]
        runs += scan_runs
    if record is not None:
        listed = chain(refused, map(_waiting, later), held)
        record.take_over(handoff.source, handoff.scan_id, listed, lists)
    message = f"over the limit of {most} starts per scan"
    for start in later[:_WAITING_SHOWN]:
        url, title = storable(start.result.url), start.agent.title
        runs.append(AgentRun(url=url, agent=title, state="waiting", message=message))
    return runs


def _chosen(recording: Recording, gate: Gate) -> Iterator[ScanResult]:
    """Yield the artifacts that *became* passed in this scan."""
    if gate == "scan" and not recording.state.all_passed:
        yield from recording.results(passed)  # the gate was closed before, so all are new to agents
        return
    yield from filter(became_passed, recording.results(may_have_passed))


def _still_waiting(
    recording: Recording, agents: Sequence[AgentLaunch], waiting: Sequence[Waiting]
) -> Iterator[_Start]:
    """Yield the waiting starts whose artifacts pass now, with the same bytes.

    Those of an artifact whose pin alone changed were listed under its earlier pin.
    """
    keys = {entry.key for entry in waiting}
    urls = {entry.url for entry in waiting}
    if not urls:
        return
    for result in recording.results(among(urls)):
        for agent in agents:
            key, before = agent.key(result), earlier_pin(result)
            known = {key, agent.key(replace(result, pin=before))} if before else {key}
            if result.passed and not keys.isdisjoint(known):
                yield _Start(result, agent, key)


def _due_scan_agents(
    handoff: Handoff, agents: Sequence[AgentLaunch], waiting: Sequence[Waiting], *, chosen: bool
) -> list[AgentLaunch]:
    """Return the agents with scope "scan" that are due: an artifact became passed, or they wait."""
    keys = {entry.key: entry.pin for entry in waiting if entry.url == handoff.source}
    return [
        agent
        for agent in agents
        if agent.scope == "scan"
        and (
            chosen
            or any(agent.key_of_scan(handoff.source, pin) == key for key, pin in keys.items())
        )
    ]


def _waiting(start: _Start) -> Waiting:
    return Waiting(storable(start.result.url), start.result.pin, start.key)


def _passed_digest(recording: Recording) -> tuple[int, str]:
    """Return the number of passed artifacts and a digest over their addresses and pins."""
    digest, count = hashlib.sha256(), 0
    for result in recording.results(passed):
        digest.update(f"{storable(result.url)}\0{result.pin}\n".encode())
        count += 1
    return count, f"sha256:{digest.hexdigest()}"


def _start(starts: Sequence[_Start], handoff: Handoff) -> list[AgentRun]:
    """Start agents in a bounded window of task runs, one task run per artifact."""
    waiting: deque[PrefectFuture[list[AgentRun]]] = deque()
    runs: list[AgentRun] = []
    try:
        for _, group in groupby(starts, key=lambda start: start.result.url):
            same = list(group)
            agents = [start.agent for start in same]
            future = start_agents.submit(
                result=quoted(same[0].result),
                agents=quoted(agents),
                handoff=quoted(handoff),
                run_command=quoted(run_agent),
            )
            waiting.append(future)
            if len(waiting) >= _WINDOW:
                runs += waiting.popleft().result()
        while waiting:
            runs += waiting.popleft().result()
    except BaseException:
        end_all()  # the run was cancelled or crashed, and its commands run in other threads
        raise
    return runs
