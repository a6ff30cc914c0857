"""Which agents a scan starts: for what became fit for them, for what still waits, up to a limit.

What is chosen is put on record before anything starts. So a scan that is killed in the middle loses
no start, and no start happens twice: the next scan takes the list over, and claims tell what has
happened already.
"""

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from typing import Literal, TypeVar, cast

from prefect.futures import PrefectFuture
from prefect.utilities.annotations import quote

from prefect_mutagen.flows.agent import run_agent
from prefect_mutagen.scanner.agents.start_record import StartRecord, Waiting
from prefect_mutagen.scanner.agents.supervise import end_all
from prefect_mutagen.scanner.results import ScanResult, Summary
from prefect_mutagen.scanner.table.drift import became_passed
from prefect_mutagen.scanner.table.recording import Recording, among, may_have_passed, passed
from prefect_mutagen.tasks.agent_launch import AgentLaunch, AgentRun, Handoff
from prefect_mutagen.tasks.agents import start_agents, start_scan_agents
from prefect_mutagen.tasks.storage_blocks import table_options

__all__ = ["Gate", "start_chosen", "whole"]

_T = TypeVar("_T")
_WINDOW = 32
_WAITING_SHOWN = 1000

Gate = Literal["artifact", "scan"]


@dataclass(frozen=True, slots=True)
class _Start:
    """One agent for one artifact."""

    result: ScanResult
    agent: AgentLaunch
    key: str


def whole(value: _T) -> _T:
    """Hand a value to a task as it is: Prefect else looks into each record for futures."""
    return cast("_T", quote(value))


def start_chosen(
    recording: Recording,
    summary: Summary,
    agents: Sequence[AgentLaunch],
    handoff: Handoff,
    gate: Gate,
    most: int,
) -> list[AgentRun]:
    """Start agents for what has become fit for them with this scan.

    What waits and is left out by the scan's selection goes on waiting.

    Args:
        recording: The scan, closed and published.
        summary: Its counts.
        agents: What to start.
        handoff: What they are told.
        gate: Whether each artifact stands for itself, or all have to pass.
        most: Starts that are made at most; the rest waits for the next scan.

    What could not be started waits like what is over the limit: it is started by the next scan that
    can.

    Returns:
        What became of each, what waits included.

    Raises:
        StorageError: The record of starts cannot be read or written; nothing was started then.
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
    once = _for_all(handoff, agents, waiting, chosen=bool(chosen))
    count, pins = _all_that_passed(recording) if once else (0, "")
    for_all = [
        Waiting(handoff.source, pins, agent.key_of_scan(handoff.source, pins)) for agent in once
    ]
    if record is not None:
        listed = chain(map(_waiting, ordered), for_all, held)
        lists = record.take_over(handoff.source, handoff.scan_id, listed, lists)
    runs = _start(now, handoff)
    again = [
        _waiting(start) for start, run in zip(now, runs, strict=True) if run.state == "refused"
    ]
    if once:
        made = start_scan_agents(whole(once), whole(handoff), count, pins)
        again += [entry for entry, run in zip(for_all, made, strict=True) if run.state == "refused"]
        runs += made
    if record is not None:
        listed = chain(again, map(_waiting, later), held)
        record.take_over(handoff.source, handoff.scan_id, listed, lists)
    message = f"over the limit of {most} starts a scan"
    for start in later[:_WAITING_SHOWN]:
        url, title = start.result.url, start.agent.title
        runs.append(AgentRun(url=url, agent=title, state="waiting", message=message))
    return runs


def _chosen(recording: Recording, gate: Gate) -> Iterator[ScanResult]:
    """Choose what agents are started for: what has *become* fit for them with this scan."""
    if gate == "scan" and not recording.state.all_passed:
        yield from recording.results(passed)  # the gate has just opened, for all behind it
        return
    yield from filter(became_passed, recording.results(may_have_passed))


def _still_waiting(
    recording: Recording, agents: Sequence[AgentLaunch], waiting: Sequence[Waiting]
) -> Iterator[_Start]:
    """Find what waits among what passes now, with the very bytes it waited with."""
    keys = {entry.key for entry in waiting}
    urls = {entry.url for entry in waiting}
    if not urls:
        return
    for result in recording.results(among(urls)):
        for agent in agents:
            key = agent.key(result)
            if result.passed and key in keys:
                yield _Start(result, agent, key)


def _for_all(
    handoff: Handoff, agents: Sequence[AgentLaunch], waiting: Sequence[Waiting], *, chosen: bool
) -> list[AgentLaunch]:
    """Choose the agents that start once for all that passed: when something became so, or waits."""
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
    return Waiting(start.result.url, start.result.pin, start.key)


def _all_that_passed(recording: Recording) -> tuple[int, str]:
    """Count what passed, and name it by one digest."""
    digest, count = hashlib.sha256(), 0
    for result in recording.results(passed):
        digest.update(f"{result.url}\0{result.pin}\n".encode())
        count += 1
    return count, f"sha256:{digest.hexdigest()}"


def _start(starts: Sequence[_Start], handoff: Handoff) -> list[AgentRun]:
    """Start agents, a task run for each artifact, a bounded window of them at a time."""
    waiting: deque[PrefectFuture[list[AgentRun]]] = deque()
    runs: list[AgentRun] = []
    try:
        for _, group in groupby(starts, key=lambda start: start.result.url):
            same = list(group)
            agents = [start.agent for start in same]
            future = start_agents.submit(
                whole(same[0].result), whole(agents), whole(handoff), whole(run_agent)
            )
            waiting.append(future)
            if len(waiting) >= _WINDOW:
                runs += waiting.popleft().result()
        while waiting:
            runs += waiting.popleft().result()
    except BaseException:
        end_all()  # this run is cancelled or broken; its commands run in other threads
        raise
    return runs
