"""The runs of a deployment that examine the shards of a scan: start, watch, start again, take in.

A run that fails has said why, and is not repeated. One that crashes, or whose machine is lost, is
started again: the next attempt takes over what the table has of the earlier ones.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, cast

import httpx
from prefect import get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelling, Crashed

from prefect_mutagen.flows.arrows import Arrow, arrows_from
from prefect_mutagen.flows.fan_out import Examined, ScanBroken
from prefect_mutagen.flows.run_log import flow_logger
from prefect_mutagen.scanner.listing.manifest import Batch, Manifest
from prefect_mutagen.scanner.outputs.visible import counted, visible
from prefect_mutagen.scanner.results import Summary
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.names import storable
from prefect_mutagen.scanner.table.shards import Shards
from prefect_mutagen.scanner.table.table_scan import TableScan

__all__ = ["ShardRuns"]

_POLL_SECONDS: Final = 2.0
_ATTEMPTS: Final = 3
"""Runs for a shard: what loses three machines is no matter of machines."""


@dataclass(slots=True)
class _Shard:
    """A part of a scan, and the run that examines it."""

    name: str
    batch: Batch
    attempt: int = 0
    run: FlowRun | None = None
    is_complete: bool = False
    trouble: str = ""
    """Why it will not be completed."""

    @property
    def is_open(self) -> bool:
        """Whether something is still to be expected of it."""
        return not self.is_complete and not self.trouble


@dataclass(frozen=True, slots=True)
class ShardRuns:
    """How the artifacts of a scan are examined: as `flows.fan_out.Examine`."""

    deployment: str
    shards: int
    parameters: Mapping[str, Any]
    """Of each run; shard and attempt are added."""
    timeout_seconds: float

    def __call__(
        self,
        table_scan: TableScan,
        summary: Summary,
        manifest: Manifest,
        _after: Sequence[Arrow],
    ) -> Examined:
        """Examine artifacts in runs of the deployment, and record their results.

        Raises:
            ScanBroken: A run did not complete.
            StorageError: The table cannot be read or written.
            ValueError: There is no table.
        """
        recording, table = table_scan.recording, table_scan.table
        if table is None:
            raise ValueError("the parameter table is empty: the parts travel through the table")
        parts, examined = table.shards(recording.folder), Examined()
        shards = [
            _Shard(parts.offer(batch, recording.scan, number), batch)
            for number, batch in enumerate(manifest.batches(self.shards))
        ]
        try:
            for shard in shards:
                self._start(shard, examined)
            self._watch(shards, parts, examined)
        except BaseException:
            _cancel(shards)
            raise
        _cancel(shards)
        lost = [shard for shard in shards if not shard.is_complete]
        if lost:
            raise ScanBroken(_describe(lost, len(shards)))
        for shard in shards:
            _take_in(shard, parts, table_scan, summary, examined)
        try:
            parts.clear([shard.name for shard in shards])
        except StorageError as problem:
            flow_logger().warning("parts of the scan are left in the table: %s", problem)
        return examined

    def _start(self, shard: _Shard, examined: Examined) -> None:
        """Start a run for a shard, the first one or the next."""
        attempt = shard.attempt + 1
        more = {"shard": shard.name, "attempt": attempt}
        # Not awaited: outside of an event loop it returns the run.
        shard.run = cast(
            "FlowRun",
            run_deployment(
                self.deployment,
                parameters={**self.parameters, **more},
                timeout=0,
                idempotency_key=f"{shard.name}-{attempt}",
            ),
        )
        shard.attempt = attempt
        examined.arrows += arrows_from(shard.run.parent_task_run_id)

    def _watch(self, shards: Sequence[_Shard], parts: Shards, examined: Examined) -> None:
        """Wait until no more is to be expected of any shard, or the time is up."""
        deadline = time.monotonic() + self.timeout_seconds
        while any(shard.is_open for shard in shards):
            if time.monotonic() > deadline:
                for shard in shards:
                    if shard.is_open:
                        shard.trouble = f"has not ended within {self.timeout_seconds:.0f} s"
                return
            time.sleep(_POLL_SECONDS)
            for shard in shards:
                # A server or storage that is away for a moment is asked again.
                with suppress(httpx.HTTPError, StorageError):
                    if shard.is_open and self._has_ended(shard, parts):
                        flow_logger().warning("%s is started again", shard.name)
                        self._start(shard, examined)

    def _has_ended(self, shard: _Shard, parts: Shards) -> bool:
        """Look after the run of a shard; whether it has ended and has to be started again."""
        run = cast("FlowRun", shard.run)
        state = _state_of(run)
        ended = state is None or state.is_final()
        lost = not ended and parts.is_lost(shard.name, shard.attempt)
        if not ended and not lost:
            return False
        if parts.is_complete(shard.name):
            shard.is_complete = True
            return False
        if lost:
            message = "the process that was at work on it is gone"
            state = Crashed(message=message)
            with get_client(sync_client=True) as client:
                client.set_flow_run_state(run.id, state, force=True)
        why = _clause(state)
        flow_logger().warning("the run %r for %s %s", run.name, shard.name, why)
        if state is not None and state.is_crashed() and shard.attempt < _ATTEMPTS:
            return True
        shard.trouble = why
        return False


def _state_of(run: FlowRun) -> State[Any] | None:
    """Return the state of a run; None if somebody has deleted it."""
    with get_client(sync_client=True) as client:
        try:
            return client.read_flow_run(run.id).state
        except ObjectNotFound:
            return None


def _clause(state: State[Any] | None) -> str:
    if state is None:
        return "was deleted"
    if state.is_completed():
        return "completed, and its results are not in the table"
    return f"ended as {state.name}" + visible(f": {state.message}" if state.message else "", 300)


def _cancel(shards: Sequence[_Shard]) -> None:
    """Ask for the end of runs that nobody waits for any more."""
    for shard in shards:
        if shard.run is not None and not shard.is_complete:
            with suppress(Exception), get_client(sync_client=True) as client:
                state = client.read_flow_run(shard.run.id).state
                if state is None or not state.is_final():
                    client.set_flow_run_state(shard.run.id, Cancelling())


def _describe(lost: Sequence[_Shard], total: int) -> str:
    """Return one sentence: how many shards did not complete, and why the first did not."""
    first = lost[0]
    name = first.run.name if first.run is not None else ""
    return (
        f"{len(lost)} of {counted(total, 'shard')} did not complete, and nothing was published; "
        f"the run of the first, {name!r}, {first.trouble}. "
        "The next scan takes over what was examined"
    )


def _take_in(
    shard: _Shard, parts: Shards, table_scan: TableScan, summary: Summary, examined: Examined
) -> None:
    """Record the results of a complete shard."""
    recording = table_scan.recording
    wanted = {storable(artifact.url) for artifact in shard.batch.read()}
    recording.adopt(parts.take(shard.name, recording.scan, wanted), summary)
    if not wanted:
        return
    for artifact in shard.batch.read():
        if storable(artifact.url) in wanted:
            table_scan.leave_out(artifact, summary)
            name = shard.run.name if shard.run is not None else shard.name
            examined.broken[f"a task run of {name!r} broke; its log says why"] += 1
