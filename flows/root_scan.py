"""One scan of one root, as a flow run orders it: list, examine, publish, start agents, show."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, cast

import httpx
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run

from prefect_mutagen.flows.arrows import Arrow, arrows_from
from prefect_mutagen.flows.ephemeral import wait_for_records
from prefect_mutagen.flows.fan_out import Examine, Examined, ScanBroken
from prefect_mutagen.flows.run_labels import label_run
from prefect_mutagen.flows.run_log import (
    flow_logger,
    log_highlights,
    log_internal_errors,
    log_listing,
    log_publication,
)
from prefect_mutagen.flows.scan_ending import ScanEnding
from prefect_mutagen.flows.starting import Gate, Starting
from prefect_mutagen.flows.summary import ScanSummary, skipped
from prefect_mutagen.scanner.examine.scan_info import ScanInfo, new_scan
from prefect_mutagen.scanner.listing.keyed import FoundKeys
from prefect_mutagen.scanner.listing.keys import addresses_of
from prefect_mutagen.scanner.listing.selection import Selection
from prefect_mutagen.scanner.outputs.key_lines import not_found
from prefect_mutagen.scanner.outputs.metrics import ScanCounts
from prefect_mutagen.scanner.outputs.visible import visible
from prefect_mutagen.scanner.policy.overrides import signers_of
from prefect_mutagen.scanner.policy.policy import Policy
from prefect_mutagen.scanner.results import Summary
from prefect_mutagen.scanner.signing.check import check_signers
from prefect_mutagen.scanner.storage.address import Address
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.hashing import HashLevel
from prefect_mutagen.scanner.table.highlights import Highlights, highlights_of
from prefect_mutagen.scanner.table.publication import Publication
from prefect_mutagen.scanner.table.recording import Recording
from prefect_mutagen.scanner.table.retention import Retention
from prefect_mutagen.scanner.table.root_lease import IfBusy, hold_root
from prefect_mutagen.scanner.table.staging import Rescan
from prefect_mutagen.scanner.table.table import Table
from prefect_mutagen.scanner.table.table_scan import TableScan
from prefect_mutagen.scanner.temporary import sweep_folders
from prefect_mutagen.tasks.agent_checks import cannot_reach, check_agents
from prefect_mutagen.tasks.agent_launch import AgentLaunch, AgentRun, Handoff
from prefect_mutagen.tasks.ending import ends_with, run_key
from prefect_mutagen.tasks.events import tell_others
from prefect_mutagen.tasks.listing import Changes, list_changes
from prefect_mutagen.tasks.quoting import opened, quoted
from prefect_mutagen.tasks.recording import open_table, publishing
from prefect_mutagen.tasks.scan_page import ScanView
from prefect_mutagen.tasks.scan_selection import ScanSelection
from prefect_mutagen.tasks.showing import show_scan
from prefect_mutagen.tasks.storage_blocks import storage_options

__all__ = ["ScanOrder", "scan_root"]

_ADDRESSES: Final = 10_000
"""Addresses in a summary, by verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanOrder:
    """What a scan is to do; the fields are the parameters of `flows.scan.scan_models`."""

    source: str
    policy: Policy
    table: str
    storage: str
    hash: HashLevel
    rescan: Rescan
    gate: Gate
    agents: tuple[AgentLaunch, ...]
    examine: Examine
    """Examines what is new and changed."""
    retention: Retention
    max_agent_runs: int
    rerun_failed_agents: bool
    select: ScanSelection
    if_busy: IfBusy
    fail_on_refused: bool = False
    table_storage: str = ""
    """Block with the table's credentials; empty: it has none of its own."""
    policy_block: str = ""
    """Block that the policy is from, as it was named; empty: from none."""
    keys: tuple[str, ...] = ()

    def selection(self, now: datetime | None = None) -> Selection:
        """Return which artifacts to scan.

        Args:
            now: The time that ages count back from; the current time by default.

        Raises:
            ValueError: The keys do not go with the rest of the selection.
        """
        return replace(self.select.selection(now), keys=self.keys)

    def handoff(self, scan: ScanInfo) -> Handoff:
        """Return what agents receive besides their artifact."""
        return Handoff(
            scan.id,
            self.policy,
            self.table,
            self.storage,
            self.table_storage,
            scan.source,
            self.rerun_failed_agents,
            flow_run=str(flow_run.id or ""),
            run=run_key(),
        )


def scan_root(order: ScanOrder) -> ScanSummary:
    """Scan a root in the current flow run, under the lease on it if there is a table.

    Args:
        order: What to do.

    Returns:
        A state that says what came out, with the summary; typed as what callers of a flow get.

    Raises:
        ValueError: An address, a signer or an agent is invalid; nothing was examined.
        UnusableBlock: The storage block cannot be loaded; nothing was examined.
        StorageError: The root or the table is unreachable.
        ScanBroken: Too many task runs broke, or one did and the gate is over the whole scan.

    Callers of the flow get `AgentsNotStarted` or `ModelsRefused` from the state that is returned.
    """
    _check((order.source, *filter(None, (order.table, order.select.inventory))), order)
    storage_options(order.storage)  # fail on an unloadable block before anything is scanned
    sweep_folders()  # Prefect kills what does not end quickly enough
    addresses = order.table, order.source
    credentials = order.storage, order.table_storage
    table = open_table(*addresses, *credentials) if order.table else None
    with ends_with(run_key()), ExitStack() as held:
        if table is not None:
            lease = held.enter_context(table.lease(str(flow_run.id or "")))
            holder = hold_root(lease, order.if_busy, flow_logger().warning)
            if holder is not None:
                label_run("skipped", [])
                return skipped(holder)  # type: ignore[no-any-return]
        return _scan(order, table, held.close)


def _check(addresses: Iterable[str], order: ScanOrder) -> None:
    """Validate addresses, keys, signers and agents before anything is examined."""
    for address in addresses:
        Address.parse_clear(address)
    addresses_of(order.selection().keys, Address.parse_clear(order.source).text)
    check_signers(signers_of(order.policy))
    for remark in check_agents(order.agents):
        flow_logger().warning("%s", remark)


def _scan(order: ScanOrder, table: Table | None, give_back: Callable[[], None]) -> ScanSummary:
    """Scan; ``give_back`` is called once it is published, as others may scan while agents run."""
    scan = new_scan(order.source, order.policy)
    selection = order.selection(datetime.fromisoformat(scan.started_at))
    summary = Summary()
    with TableScan(scan, table) as table_scan:
        table_scan.keep_results(order.rescan, selection, flow_logger().warning)
        recording = table_scan.recording
        changes, after = _list(order, table_scan, selection, summary)
        examined = order.examine(table_scan, summary, changes.manifest, after)
        if examined.broken and order.gate == "scan" and order.agents:
            raise ScanBroken(f"{examined.describe()}; the gate is closed, nothing was published")
        table_scan.finish(summary)
        log_internal_errors(recording, summary)
        summary.finished_at = datetime.now(UTC).isoformat()
        highlights = highlights_of(recording)
        log_highlights(highlights, scan.source)  # before agents, which may take their time
        counts = ScanCounts(
            source=scan.source,
            started_at=scan.started_at,
            summary=summary,
            drift=recording.drift,
            newly_refused=highlights["newly-refused"].count if highlights.is_compared else None,
            not_found=len(changes.keys.not_found),
            is_complete=not examined.broken,
        )

        def is_published() -> None:
            give_back()
            tell_others(counts, highlights, scan.id, order.table, flow_logger())

        steps_after = highlights, is_published
        started, trouble = _publish_and_start(order, table_scan, summary, examined, *steps_after)
        view = ScanView(
            scan=scan,
            summary=summary,
            highlights=highlights,
            agents=started,
            table=order.table,
            policy_block=order.policy_block,
            selected=selection.describe(),
            not_examined=examined.describe(),
            not_found=not_found(changes.keys, scan.source),
        )
        is_closed = order.gate == "scan" and bool(order.agents) and not summary.all_passed
        ending = _tell(view, changes.keys, is_gate_closed=is_closed)
        steps = 2 if table is not None else 1  # listing; writing the table
        # One task run starts all agents of an artifact.
        begun = len({run.url for run in started if run.state != "waiting"})
        wait_for_records(steps + examined.task_runs + begun)
        if trouble is not None:
            raise trouble
        result = _summary_of(recording, summary, changes, examined, started)
    state = ending.state(result, fail_on_refused=order.fail_on_refused)
    return cast("ScanSummary", state)


def _list(
    order: ScanOrder, table_scan: TableScan, selection: Selection, summary: Summary
) -> tuple[Changes, list[Arrow]]:
    """List what is to be examined, and take over what interrupted scans examined."""
    recording = table_scan.recording
    listed: State[Changes] = list_changes(
        source=quoted(order.source),
        state=quoted(table_scan.known.state),
        folder=quoted(recording.folder),
        storage=quoted(order.storage),
        hash=quoted(order.hash),
        policy=quoted(order.policy),
        rescan=quoted(order.rescan),
        selection=quoted(selection),
        table=quoted(order.table),
        scan=quoted(recording.scan),
        table_storage=quoted(order.table_storage),
        return_state=True,
    )
    changes = opened(listed.result())
    table_scan.take_over(changes.marks, changes.looked)
    summary.census.add(changes.census)
    log_listing(recording.scan.source, changes, recording.left_out)
    if changes.spooled is not None:
        recording.adopt(changes.spooled, summary)
    return changes, arrows_from(listed.state_details.task_run_id)


def _publish_and_start(
    order: ScanOrder,
    table_scan: TableScan,
    summary: Summary,
    examined: Examined,
    highlights: Highlights,
    is_published: Callable[[], None],
) -> tuple[list[AgentRun], StorageError | None]:
    """Publish a scan and start its agents; return their runs, and what went wrong."""
    recording = table_scan.recording
    rest = order.gate, order.max_agent_runs
    starting = Starting(recording, order.agents, order.handoff(recording.scan), *rest)
    state, after = "", examined.arrows
    trouble: StorageError | None = None
    try:
        starting.choose(summary)
    except StorageError as problem:
        trouble = problem  # agents are for the next scan, and the verdicts for this one
    try:
        if order.table:
            publication = table_scan.prepare(summary)
            state = publication.state.last_scan_id
            after = _publish(order, publication, highlights, after)
            log_publication(order.table)
        is_published()
        # Without a published table no agent may start.
        return [] if trouble is not None else starting.begin(state, after), trouble
    except StorageError as problem:
        return [], problem


def _publish(
    order: ScanOrder, publication: Publication, highlights: Highlights, after: list[Arrow]
) -> list[Arrow]:
    """Publish a scan in a table; return the arrow from that task run."""
    publish = publishing(highlights, publication.source, order.table)
    published: State[None] = publish(
        table=quoted(order.table),
        publication=quoted(publication),
        storage=quoted(order.storage),
        table_storage=quoted(order.table_storage),
        retention=quoted(order.retention),
        wait_for=after,
        return_state=True,
    )
    published.result()
    return arrows_from(published.state_details.task_run_id)


def _tell(view: ScanView, keys: FoundKeys, *, is_gate_closed: bool) -> ScanEnding:
    """Tell what came out: on a page, in the name and the tags of the run; return how it ends."""
    try:
        show_scan(view)
    except httpx.HTTPError as problem:
        # The next scan has a page, too.
        flow_logger().warning("the page on this scan is not shown: %s", cannot_reach(problem))
    ending = ScanEnding(
        source=view.scan.source,
        summary=view.summary,
        highlights=view.highlights,
        keys=keys,
        not_examined=view.not_examined,
        not_started=_not_started(view.agents, view.table),
        agents=view.agents,
        is_gate_closed=is_gate_closed,
    )
    label_run(ending.label, ending.tags)
    return ending


def _not_started(runs: Sequence[AgentRun], table: str) -> str:
    """Return how many agents could not start, and why the first could not; empty if all could."""
    refused = [run for run in runs if run.state == "refused"]
    if not refused:
        return ""
    first, count = refused[0], f"{len(refused)} of {len(runs)} agents could not start"
    where = f"{visible(first.agent, 100)} for {visible(first.url, 300)}"
    what = f"{count}, the first, {where}: {first.message}"
    return f"{what}; the next scan starts them" if table else what


def _summary_of(
    recording: Recording,
    summary: Summary,
    changes: Changes,
    examined: Examined,
    started: list[AgentRun],
) -> ScanSummary:
    """Return the result of a scan, and log its counts."""
    verdicts = recording.addresses(_ADDRESSES)
    counts = {name: getattr(summary, name) for name in verdicts}
    flow_logger().info("%s", ", ".join(f"{count} {name}" for name, count in counts.items()))
    if described := summary.census.describe():
        flow_logger().info("%s", described)
    return ScanSummary(
        scan_id=recording.scan.id,
        source=recording.scan.source,
        artifacts=summary.artifacts,
        counts=counts,
        examined=len(changes.manifest) - examined.left_out,
        taken_over=changes.taken_over,
        not_examined=examined.left_out,
        drift=dict(recording.drift),
        bytes_read=summary.bytes_read,
        requests=summary.requests,
        agents=started,
        census=list(summary.census.rows),
        not_found=changes.keys.not_found[:_ADDRESSES],
        passed=verdicts["passed"],
        failed=verdicts["failed"],
        unknown=verdicts["unknown"],
    )
