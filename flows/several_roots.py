"""Several roots in one run: a run of the same flow for each, and what came out of all of them.

The runs of the roots are subflows, one after the other, each with its own page, name and tags.
What goes wrong with one root is that root's: the others are scanned all the same.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, cast

import httpx
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.exceptions import MissingContextError
from prefect.states import Completed, Failed
from prefect.utilities.urls import url_for

from prefect_mutagen.flows.run_labels import label_run, tags_of
from prefect_mutagen.flows.run_log import flow_logger
from prefect_mutagen.flows.summary import AgentsNotStarted, ModelsRefused, ScanSummary
from prefect_mutagen.scanner.census import Census
from prefect_mutagen.scanner.outputs.visible import counted, visible
from prefect_mutagen.tasks.agent_checks import cannot_reach
from prefect_mutagen.tasks.markdown import artifact_key, plain
from prefect_mutagen.tasks.scan_page import verdicts_in_words

__all__ = ["RootsNotScanned", "scan_each"]

_ADDRESSES: Final = 10_000
"""Addresses in a summary, by verdict."""
_NAMED: Final = 5
"""Roots in a message, what needs a person first."""
_WIDTH: Final = 300
"""Characters of what a message says about a root."""


class RootsNotScanned(Exception):  # noqa: N818 - it names what happened, as it is read in the UI
    """Some roots could not be scanned. The others were, with all that follows."""

    def __init__(self, message: str, summary: ScanSummary | None = None) -> None:
        """Set message and summary.

        Args:
            message: How many roots could not be scanned, and why the first could not.
            summary: What came out of the others, for flows that call it.
        """
        super().__init__(message)
        self.summary = summary


@dataclass(frozen=True, slots=True)
class _Root:
    """What came out of the scan of a root."""

    source: str
    state: State[Any] | None
    """The final state of its run; None if the run could not be created."""
    summary: ScanSummary | None
    """None if it was not scanned."""
    message: str

    @property
    def name(self) -> str:
        """The outcome in a word."""
        return self.state.name or "" if self.state is not None else "Failed"

    @property
    def was_scanned(self) -> bool:
        return self.summary is not None and not self.summary.skipped

    @property
    def rank(self) -> int:
        """What needs a person first."""
        if self.summary is None:
            return 0
        order = ("AgentsNotStarted", "Refused", "Incomplete", "Skipped")
        return order.index(self.name) + 1 if self.name in order else len(order) + 1


def scan_each(sources: Sequence[str], *, fail_on_refused: bool) -> ScanSummary:
    """Scan each root in a run of its own, with the other parameters of the current run.

    Args:
        sources: The roots, as the parameters name them.
        fail_on_refused: Whether models that are refused, or were not examined, fail the run.

    Returns:
        A state that says what came out, with the sums; typed as what callers of a flow get.

    Raises:
        ValueError: A root is named twice.
        MissingContextError: There is no current run of a flow.
    """
    twice = [visible(one, _WIDTH) for one, count in Counter(sources).items() if count > 1]
    if twice:
        raise ValueError(f"{twice[0]!r} is to be scanned twice: name each source once")
    roots = [_scan(source) for source in sources]
    summary = _sum(roots)
    runs = [root.state.state_details.flow_run_id for root in roots if root.state is not None]
    label_run(_headline(summary, len(roots)), tags_of(runs))
    _show(sources[0], roots)
    state = _ending(roots, summary, fail_on_refused=fail_on_refused)
    return cast("ScanSummary", state)


def _scan(source: str) -> _Root:
    context = FlowRunContext.get()
    if context is None or context.flow is None or context.parameters is None:
        raise MissingContextError("several roots are scanned by runs of the flow that is running")
    given = {**context.parameters, "source": source, "more_sources": []}
    try:
        run: Any = context.flow
        state: State[Any] = run(**given, return_state=True)
    except httpx.HTTPError as problem:
        return _Root(source, None, None, cannot_reach(problem))
    result = state.result(raise_on_failure=False)
    found = result if isinstance(result, ScanSummary) else getattr(result, "summary", None)
    message = state.message or ""
    if not isinstance(found, ScanSummary):
        found = None
        message = (str(result) or message).removeprefix(f"{source}: ")
        flow_logger().error("%s was not scanned: %s", visible(source, _WIDTH), message)
    return _Root(source, state, found, visible(message, _WIDTH))


def _sum(roots: Sequence[_Root]) -> ScanSummary:
    """Return the sums over the roots that were scanned."""
    scanned = [root.summary for root in roots if root.summary is not None]
    counts, drift, census = Counter[str](), Counter[str](), Census()
    for one in scanned:
        counts.update(one.counts)
        drift.update(one.drift)
        census.add(one.census)
    sums: dict[str, Any] = {
        name: sum(getattr(one, name) for one in scanned)
        for name in (
            "artifacts",
            "examined",
            "taken_over",
            "bytes_read",
            "requests",
            "not_examined",
        )
    }
    lists: dict[str, Any] = {
        name: list(islice((url for one in scanned for url in getattr(one, name)), _ADDRESSES))
        for name in ("passed", "failed", "unknown")
    }
    return ScanSummary(
        **sums,
        **lists,
        scan_id=scanned[0].scan_id if scanned else "",
        source=scanned[0].source if scanned else roots[0].source,
        counts={**dict.fromkeys(("passed", "failed", "unknown"), 0), **counts},
        drift=dict(drift),
        agents=[run for one in scanned for run in one.agents],
        census=list(census.rows),
        roots=scanned,
    )


def _headline(summary: ScanSummary, roots: int) -> str:
    """Return the outcome in a few words."""
    refused = summary.counts["failed"] + summary.counts["unknown"]
    found = verdicts_in_words(summary.artifacts, refused)
    left = roots - len(summary.roots)
    return f"{found}, {left} of {counted(roots, 'root')} not scanned" if left else found


def _ending(roots: Sequence[_Root], summary: ScanSummary, *, fail_on_refused: bool) -> State[Any]:
    """Return the final state; callers of the flow get the sums, or an exception with them."""
    first = sorted(roots, key=lambda root: root.rank)
    said = [f"{visible(root.source, 100)}: {root.message}" for root in first[:_NAMED]]
    more = f"; and {len(roots) - _NAMED} more" if len(roots) > _NAMED else ""
    message = f"{_headline(summary, len(roots))}; {'; '.join(said)}{more}"
    if len(summary.roots) < len(roots):
        problem: Exception = RootsNotScanned(message, summary)
        return Failed(name="RootsNotScanned", message=message, data=problem)
    if any(root.name == "AgentsNotStarted" for root in roots):
        problem = AgentsNotStarted(message, summary)
        return Failed(name="AgentsNotStarted", message=message, data=problem)
    refused = summary.counts["failed"] + summary.counts["unknown"]
    name = "Refused" if refused else "Incomplete" if summary.not_examined else "Passed"
    if fail_on_refused and name != "Passed":
        return Failed(name=name, message=message, data=ModelsRefused(message, summary))
    if not summary.artifacts and name == "Passed":
        name = "Skipped" if all(not root.was_scanned for root in roots) else "Empty"
    return Completed(name=name, message=message, data=summary)


def _show(source: str, roots: Sequence[_Root]) -> None:
    """Attach a page with a line for each root, and links to the runs."""
    lines = ["| root | outcome | |", "|---|---|---|"]
    for root in roots:
        run = root.state.state_details.flow_run_id if root.state is not None else None
        link = url_for("flow-run", obj_id=run) if run is not None else None
        shown = f"[{plain(root.source)}]({link})" if link else plain(root.source)
        lines.append(f"| {shown} | {plain(root.name)} | {plain(root.message)} |")
    try:
        create_markdown_artifact(
            markdown="\n".join(lines) + "\n",
            key=artifact_key("roots", source),
            description=f"What came out of {counted(len(roots), 'root')}.",
        )
    except httpx.HTTPError as problem:
        flow_logger().warning("the page on the roots is not shown: %s", cannot_reach(problem))
