"""The logger of the current flow run, also when a task called the flow, and what a scan logs.

A flow called by a task runs in the task's thread and sees both contexts. Prefect's `get_run_logger`
prefers the task's, so the flow's messages would end up in the log of another run.
"""

import logging
from itertools import islice
from typing import Any, Final

from prefect import get_run_logger
from prefect.context import FlowRunContext
from prefect.logging.loggers import flow_run_logger

from prefect_mutagen.scanner.outputs.visible import counted, visible
from prefect_mutagen.scanner.results import Summary
from prefect_mutagen.scanner.table.recording import Recording
from prefect_mutagen.tasks.listing import Changes

__all__ = ["flow_logger", "log_internal_errors", "log_listing"]

_LOGGED: Final = 20
"""Internal errors that are logged; the table has all of them."""


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
    logger.info("%s, %d to examine", artifacts, len(changes.manifest))
    if changes.taken_over:
        artifacts = counted(changes.taken_over, "artifact")
        logger.info("%s taken over from a scan that was interrupted", artifacts)
    if not changes.selected:
        logger.warning("%s: there is no model file that the scan is about", source)
    if left_out:
        logger.info("%d more are known and not selected; they stay as they are", left_out)


def log_internal_errors(recording: Recording, summary: Summary) -> None:
    """Log the first internal errors of a scan, if there may be any by its counts."""
    if not summary.unknown:
        return
    for url, message in islice(recording.internal_errors(), _LOGGED):
        flow_logger().error("%s: %s", visible(url, 1000), message)
