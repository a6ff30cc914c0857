"""Start agents after a scan: for artifacts that became passed, and for starts still waiting.

All starts are recorded as waiting before the first one. So a killed scan loses no start: the next
scan takes the list over. No start happens twice either, because each is claimed in the table.
"""

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, groupby
from typing import Any, Literal

from prefect.futures import PrefectFuture
from prefect.task_runners import ThreadPoolTaskRunner

from prefect_mutagen.flows.agent import run_agent
from prefect_mutagen.flows.arrows import Arrow
from prefect_mutagen.flows.task_runners import WORKERS
from prefect_mutagen.scanner.agents.start_record import StartRecord, Waiting
from prefect_mutagen.scanner.agents.supervise import end_all
from prefect_mutagen.scanner.results import ScanResult, Summary
from prefect_mutagen.scanner.storage.names import storable
from prefect_mutagen.scanner.table.drift import became_passed, earlier_pin
from prefect_mutagen.scanner.table.recording import Recording, among, may_have_passed, passed
from prefect_mutagen.tasks.agent_launch import AgentLaunch, AgentRun, Handoff
from prefect_mutagen.tasks.agents import start_agents, start_scan_agents
from prefect_mutagen.tasks.quoting import quoted
from prefect_mutagen.tasks.storage_blocks import table_options

__all__ = ["Gate", "start_chosen"]

_WINDOW = 2 * WORKERS
_WAITING_SHOWN = 1000

Gate = Literal["artifact", "scan"]


@dataclass(frozen=True, slots=True)
class _Start:
    """An agent to start for an artifact."""

    result: ScanResult
    agent: AgentLaunch
    key: str


def start_chosen(
    recording: Recording,
    summary: Summary,
    agents: Sequence[AgentLaunch],
    handoff: Handoff,
    gate: Gate,
    most: int,
    *,
    after: Sequence[Arrow] = (),
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
        after: Arrows from the task runs that the starts depend on.

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
    runs = _start(now, handoff, after)
    refused = [
        _waiting(start) for start, run in zip(now, runs, strict=True) if run.state == "refused"
    ]
    if scan_agents:
        scan_runs = start_scan_agents(
            agents=quoted(scan_agents),
            handoff=quoted(handoff),
            passed=quoted(count),
            pins=quoted(pins),
            wait_for=list(after),
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


def _start(starts: Sequence[_Start], handoff: Handoff, after: Sequence[Arrow]) -> list[AgentRun]:
    """Start agents in a bounded window of task runs, one task run per artifact.

    They are threads of the flow's own process whatever its task runner is: a command runs under a
    flow run of its own, on the machine whose programs were checked.
    """
    waiting: deque[PrefectFuture[list[AgentRun]]] = deque()
    runs: list[AgentRun] = []
    start: Any = start_agents  # Prefect's types know no task that a runner could be given
    threads: ThreadPoolTaskRunner[Any] = ThreadPoolTaskRunner(max_workers=WORKERS)
    with threads:
        try:
            for _, group in groupby(starts, key=lambda start: start.result.url):
                same = list(group)
                parameters = {
                    "result": quoted(same[0].result),
                    "agents": quoted([start.agent for start in same]),
                    "handoff": quoted(handoff),
                    "run_command": quoted(run_agent),
                }
                waiting.append(threads.submit(start, parameters, after))
                if len(waiting) >= _WINDOW:
                    runs += waiting.popleft().result()
            while waiting:
                runs += waiting.popleft().result()
        except BaseException:
            end_all()  # the run was cancelled or crashed, and its commands run in other threads
            raise
    return runs
