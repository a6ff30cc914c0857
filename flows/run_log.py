"""The logger of the current flow run, also when a task called the flow, and what a scan logs.

A flow called by a task runs in the task's thread and sees both contexts. Prefect's `get_run_logger`
prefers the task's, so the flow's messages would end up in the log of another run.
"""

import logging
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any, Final

from prefect import get_run_logger
from prefect.context import FlowRunContext
from prefect.logging.loggers import flow_run_logger

from prefect_mutagen.scanner.outputs.key_lines import describe_keys
from prefect_mutagen.scanner.outputs.outcomes import (
    describe_changes,
    outcome,
    path_below,
    verdict_before,
)
from prefect_mutagen.scanner.outputs.visible import counted, visible
from prefect_mutagen.scanner.results import ScanResult, Summary
from prefect_mutagen.scanner.table.highlights import Highlights, Kind
from prefect_mutagen.scanner.table.recording import Recording
from prefect_mutagen.tasks.listing import Changes

__all__ = [
    "LISTED",
    "PUBLISHED",
    "flow_logger",
    "log_highlights",
    "log_internal_errors",
    "log_listing",
    "log_publication",
]

LISTED: Final = "listed"
"""The value of ``step`` in the record that says what was listed; programs follow a scan by it."""
PUBLISHED: Final = "published"
"""The same, in the record that says that the scan is published."""

_LOGGED: Final = 20
"""Internal errors that are logged; the table has all of them."""
_MODELS: Final = 50
"""Models that have a line each; the page and the table have the others."""
_ORDER: Final[tuple[Kind, ...]] = (
    "newly-refused",
    "still-refused",
    "newly-passed",
    "changed",
    "added",
    "removed",
)


def flow_logger() -> "logging.Logger | logging.LoggerAdapter[Any]":
    """Return the logger of the innermost flow run.

    Raises:
        MissingContextError: There is no current run.
    """
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return get_run_logger()
    return flow_run_logger(context.flow_run, context.flow)


def log_listing(source: str, changes: Changes, left_out: int) -> None:
    """Log what a listing found.

    Args:
        source: The root.
        changes: What was listed.
        left_out: Number of known artifacts that are not selected.
    """
    logger = flow_logger()
    artifacts = counted(changes.selected, "artifact")
    to_examine = len(changes.manifest)
    logger.info("%s, %d to examine", artifacts, to_examine, extra={"step": LISTED})
    if changes.taken_over:
        artifacts = counted(changes.taken_over, "artifact")
        logger.info("%s taken over from a scan that was interrupted", artifacts)
    for line in describe_keys(changes.keys):
        logger.warning("%s", line)
    if not (changes.selected or changes.keys.not_found or changes.keys.without_model):
        logger.warning("%s: there is no model file that the scan is about", source)
    if left_out:
        logger.info("%d more are known and not selected; they stay as they are", left_out)


def log_publication(table: str) -> None:
    """Log that a scan is published.

    Args:
        table: Address of the table.
    """
    flow_logger().info("published in %s", visible(table, 1000), extra={"step": PUBLISHED})


def log_highlights(highlights: Highlights, source: str) -> None:
    """Log a line for each model that is refused or different, the newly refused first.

    Args:
        highlights: What of the scan is worth showing.
        source: The root.
    """
    logger = flow_logger()
    kinds = [kind for kind in _ORDER if highlights[kind].count]
    for kind, result in islice(_each(highlights, kinds), _MODELS):
        level = logging.INFO if result.passed or kind == "removed" else logging.WARNING
        logger.log(level, "%s", _line(kind, result, source))
    more = sum(highlights[kind].count for kind in kinds) - _MODELS
    if more > 0:
        logger.info("and %s that are refused or different", counted(more, "more model"))


def _each(highlights: Highlights, kinds: list[Kind]) -> Iterator[tuple[Kind, ScanResult]]:
    """Yield what is refused or different, each once."""
    seen: set[str] = set()
    pairs = ([(kind, result) for result in highlights[kind].results] for kind in kinds)
    for kind, result in chain.from_iterable(pairs):
        if result.url not in seen:
            seen.add(result.url)
            yield kind, result


def _line(kind: Kind, result: ScanResult, source: str) -> str:
    """Return what came out for a model, and what is different."""
    if kind == "removed":
        return f"removed: {path_below(source, result.url)}, was {result.verdict.status}"
    said = [outcome(result, source)] if not result.passed else [path_below(source, result.url)]
    said += [f"was {before}" for before in (verdict_before(result),) if before]
    said += [f"changed: {changes}" for changes in (describe_changes(result, most=2),) if changes]
    heading = "refused" if kind == "still-refused" else kind.replace("-", " ")
    return f"{heading}: {', '.join(said)}"


def log_internal_errors(recording: Recording, summary: Summary) -> None:
    """Log the first internal errors of a scan, if there may be any by its counts."""
    if not summary.unknown:
        return
    for url, message in islice(recording.internal_errors(), _LOGGED):
        flow_logger().error("%s: %s", visible(url, 1000), message)
