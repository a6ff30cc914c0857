"""Start agents after a scan: for what is due, what waits, and what was interrupted.

What is due is listed as waiting before the scan is published, and counts once it is. No start
happens twice, because each is claimed in the table; and none is lost, because a claim whose
claimant died is found again.
"""

import hashlib
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Final

from prefect.futures import PrefectFuture
from prefect.task_runners import ThreadPoolTaskRunner

from prefect_mutagen.flows.agent import run_agent
from prefect_mutagen.flows.arrows import Arrow
from prefect_mutagen.flows.choosing import (
    Gate,
    Records,
    choose_due,
    considered_last,
    moved_pins,
)
from prefect_mutagen.flows.task_runners import WORKERS
from prefect_mutagen.scanner.agents.considered import ConsideredStates
from prefect_mutagen.scanner.agents.supervise import end_all
from prefect_mutagen.scanner.agents.waiting_starts import (
    Waiting,
    WaitingList,
    WaitingStarts,
    record_files,
)
from prefect_mutagen.scanner.claimants import this_claimant
from prefect_mutagen.scanner.results import ScanResult, Summary
from prefect_mutagen.scanner.storage.names import original_address, storable
from prefect_mutagen.scanner.table.leases import Leases
from prefect_mutagen.scanner.table.recording import Recording
from prefect_mutagen.scanner.table.row_filters import among, passed
from prefect_mutagen.scanner.table.table import Table
from prefect_mutagen.tasks.agent_launch import AgentLaunch, AgentRun, Handoff
from prefect_mutagen.tasks.agents import open_record, start_agents, start_scan_agents
from prefect_mutagen.tasks.ending import begin_ending, ends_with
from prefect_mutagen.tasks.quoting import quoted
from prefect_mutagen.tasks.storage_blocks import table_options

__all__ = ["Gate", "Starting"]

_WINDOW: Final = 2 * WORKERS
_WAITING_SHOWN: Final = 1000
_ENDING_SECONDS: Final = 4.0
"""Seconds that commands may take to end with their flow run; their supervisors take two."""


@dataclass(frozen=True, slots=True)
class _ScanStart:
    """An agent to start once for the whole scan."""

    agent: AgentLaunch
    waiting: Waiting


@dataclass(frozen=True, slots=True)
class _Start(_ScanStart):
    """An agent to start for an artifact."""

    result: ScanResult


class Starting:
    """The starts of one scan."""

    def __init__(
        self,
        recording: Recording,
        agents: Sequence[AgentLaunch],
        handoff: Handoff,
        gate: Gate,
        most: int,
    ) -> None:
        """Open the record of starts.

        Args:
            recording: The scan, closed.
            agents: The agents to start.
            handoff: What the agents receive besides the artifact.
            gate: Whether each artifact is considered alone, or all have to pass.
            most: Maximum number of starts; the others wait for the next scan.

        Raises:
            StorageError: The kind of storage is unknown.
        """
        self._recording, self._agents, self._handoff = recording, agents, handoff
        self._gate, self._most = gate, most
        self._identities = {agent.identity for agent in agents}
        self._records = _open_records(handoff)
        self._new: list[Waiting] = []
        """What is due; kept in memory only without a table."""
        self._seen: set[str] = set()
        """Keys of the starts that were looked at: one may be listed twice after a kill."""
        self._is_open = False
        self._after: Sequence[Arrow] = ()

    def choose(self, summary: Summary) -> None:
        """List what is due; before the scan is published.

        Args:
            summary: Counts of the scan.

        Raises:
            StorageError: The table or the record cannot be read or written.
        """
        self._is_open = bool(self._agents) and (self._gate == "artifact" or summary.all_passed)
        if not self._is_open:
            self._wait_for_gate()
            return
        due = self._due()
        if self._records is None:
            self._new = list(due)
        else:
            self._records.lists.put(self._handoff.scan_id, due)

    def _due(self) -> Iterator[Waiting]:
        each = [agent for agent in self._agents if agent.scope == "artifact"]
        of_scan = [agent for agent in self._agents if agent.scope == "scan"]
        given = self._recording, self._records
        yield from choose_due(*given, each, self._gate)
        due = [one for one in of_scan if any(True for _ in choose_due(*given, [one], self._gate))]
        source, pins = self._handoff.source, _passed_digest(self._recording)[1] if due else ""
        for agent in due:
            key = agent.key_of_scan(source, pins)
            yield Waiting(source, pins, key, agent.title, agent.identity)

    def _wait_for_gate(self) -> None:
        """Record from where on agents are due that were never considered, once the gate opens."""
        if self._records is None:
            return
        considered = self._records.considered
        for agent in self._agents:
            if considered.find(agent.identity) is None:
                since = considered_last(self._recording, self._records, agent, self._gate)
                considered.put(agent.identity, since, for_new=False)

    def _consider(self, state: str) -> None:
        """Record that a state was considered for the agents."""
        if self._records is None:
            return
        for agent in self._agents:
            if self._records.considered.find(agent.identity) != state:
                self._records.considered.put(agent.identity, state)

    def begin(self, state: str, after: Sequence[Arrow] = ()) -> list[AgentRun]:
        """Start what is due, what waits and what was interrupted; after the scan is published.

        Args:
            state: Id of the scan that wrote the current state.
            after: The task runs that the starts come after.

        Returns:
            The run of each agent, including those that wait, as far as they are shown.

        Raises:
            StorageError: The record of starts cannot be read or written.
        """
        if not self._is_open:
            return []
        self._consider(state)
        self._after = after
        if self._records is None:
            return self._begin_all()
        leases = Leases(self._handoff.table, _options(self._handoff))
        claimant = this_claimant(self._handoff.flow_run)
        with leases.hold(claimant, lambda: begin_ending(self._handoff.run, end_all)) as lease:
            self._handoff = replace(self._handoff, lease=lease)
            return self._begin_all()

    def _begin_all(self) -> list[AgentRun]:
        runs, later = list[AgentRun](), list[AgentRun]()
        moved = moved_pins(self._recording)
        for found in self._waiting_lists():
            room = self._most - sum(run.state != "known" for run in runs)
            if room <= 0 and len(later) >= _WAITING_SHOWN and not moved:
                break
            starts = [self._moved(start, moved) for start in found.starts]
            now, rest, others = self._choose_from(starts, max(0, room))
            made, refused = self._begin_some(now)
            runs += made
            self._keep(found, [*refused, *rest, *others])
            later += map(self._later, rest[: _WAITING_SHOWN - len(later)])
        return runs + later

    def _waiting_lists(self) -> Iterator[WaitingList]:
        """Yield what was interrupted, then what waits, the oldest first."""
        if self._records is None:
            yield WaitingList(tuple(self._new))
            return
        repeated = self._records.starts.interrupted()
        if self._handoff.rerun_failed:
            repeated += self._records.starts.failed()
        yield WaitingList(tuple(repeated))
        for name in self._records.lists.names(self._records.table.has_scan):
            yield self._records.lists.read(name)

    def _choose_from(
        self, starts: Sequence[Waiting], room: int
    ) -> tuple[list[_ScanStart], list[Waiting], list[Waiting]]:
        """Sort waiting starts: to make now, to make later, not of this scan.

        What passes no more, or with other bytes, is in none of them.
        """
        now, later, others = list[_ScanStart](), list[Waiting](), list[Waiting]()
        ours = {start.url for start in starts if self._is_ours(start)}
        found = self._passing(ours) if room else {}
        for start in starts:
            if not self._is_ours(start) or self._recording.is_left_out(start.url):
                others.append(start)
            elif len(now) >= room:
                later.append(start)
            elif start.key not in self._seen:
                self._seen.add(start.key)
                result = found.get(start.url)
                agent = self._agent_of(start, result)
                if agent is not None and agent.scope == "scan":
                    now.append(_ScanStart(agent, start))
                elif agent is not None and result is not None:
                    now.append(_Start(agent, start, result))
        return now, later, others

    def _moved(self, start: Waiting, moved: Mapping[str, tuple[str, str]]) -> Waiting:
        """Return a waiting start under the pin that its artifact has now."""
        before, pin = moved.get(start.url, ("", ""))
        url = original_address(start.url)
        for agent in self._agents if before else ():
            if agent.key_of(url, before) == start.key:
                return replace(start, pin=pin, key=agent.key_of(url, pin))
        return start

    def _is_ours(self, start: Waiting) -> bool:
        return not start.launch or start.launch in self._identities

    def _passing(self, urls: set[str]) -> dict[str, ScanResult]:
        results = self._recording.results(among(urls)) if urls else ()
        return {storable(result.url): result for result in results if result.passed}

    def _agent_of(self, start: Waiting, result: ScanResult | None) -> AgentLaunch | None:
        """Return the agent of a waiting start if its artifact passes now, with the same bytes."""
        source = self._handoff.source
        for agent in self._agents:
            key = ""
            if agent.scope == "scan" and start.url == source:
                key = agent.key_of_scan(source, start.pin)
            elif agent.scope == "artifact" and result is not None:
                key = agent.key(result)
            if start.key == key:
                return agent
        return None

    def _begin_some(self, starts: Sequence[_ScanStart]) -> tuple[list[AgentRun], list[Waiting]]:
        """Make starts.

        Returns:
            The runs, and the starts that were not made and wait.
        """
        each = [start for start in starts if isinstance(start, _Start)]
        each.sort(key=lambda start: start.waiting.url)  # one task run for all agents of an artifact
        of_scan = [start for start in starts if not isinstance(start, _Start)]
        runs = _start(each, self._handoff, self._after)
        if of_scan:
            agents = list({one.agent.identity: one.agent for one in of_scan}.values())
            count, pins = _passed_digest(self._recording)
            made = start_scan_agents(
                agents=quoted(agents),
                handoff=quoted(self._handoff),
                passed=quoted(count),
                pins=quoted(pins),
                wait_for=self._after,
            )
            of_scan = of_scan[: len(made)]
            runs += made
        refused = [
            start.waiting
            for start, run in zip([*each, *of_scan], runs, strict=True)
            if run.state in ("refused", "waiting") or (run.state == "failed" and not run.attempt)
        ]
        return runs, refused

    def _keep(self, found: WaitingList, kept: Sequence[Waiting]) -> None:
        """Replace a list by what is left of it."""
        if self._records is None or not found.name or set(kept) == set(found.starts):
            return
        self._records.lists.put(self._handoff.scan_id, kept)
        self._records.lists.delete(found.name)

    def _later(self, start: Waiting) -> AgentRun:
        message = f"over the limit of {self._most} starts per scan"
        return AgentRun(url=start.url, agent=start.agent, state="waiting", message=message)


def _options(handoff: Handoff) -> dict[str, Any]:
    return table_options(handoff.table, handoff.source, handoff.storage, handoff.table_storage)


def _open_records(handoff: Handoff) -> Records | None:
    record = open_record(handoff)
    if record is None:
        return None
    options = _options(handoff)
    files = record_files(handoff.table, options)
    return Records(
        Table(handoff.table, handoff.source, options),
        record,
        WaitingStarts(files, handoff.source),
        ConsideredStates(files, handoff.source),
    )


def _passed_digest(recording: Recording) -> tuple[int, str]:
    """Return the number of passed artifacts and a digest over their addresses and pins."""
    digest, count = hashlib.sha256(), 0
    for result in recording.results(passed):
        digest.update(f"{storable(result.url)}\0{result.pin}\n".encode())
        count += 1
    return count, f"sha256:{digest.hexdigest()}"


def _start(starts: Sequence[_Start], handoff: Handoff, after: Sequence[Arrow]) -> list[AgentRun]:
    """Start agents in a bounded window of task runs, one task run per artifact.

    They run in threads of this process whatever runs the other tasks: a command is a child of the
    process that ends it, and its flow run is a part of this one.
    """
    waiting: deque[PrefectFuture[list[AgentRun]]] = deque()
    runs: list[AgentRun] = []
    start: Any = start_agents  # Prefect's types know no task that a runner could be given
    threads: ThreadPoolTaskRunner[Any] = ThreadPoolTaskRunner(max_workers=WORKERS)
    with threads, ends_with(handoff.run, lambda: _end(waiting)):
        for _, group in groupby(starts, key=lambda start: start.waiting.url):
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
    return runs


def _end(waiting: Iterable[PrefectFuture[list[AgentRun]]]) -> None:
    """End the commands, which run in other threads, and wait until they are recorded."""
    end_all()
    deadline = time.monotonic() + _ENDING_SECONDS
    for future in waiting:
        future.wait(max(0.0, deadline - time.monotonic()))
