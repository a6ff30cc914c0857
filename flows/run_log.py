"""The log of the flow run that is under way, whoever started it.

A flow that a task starts runs in the task's thread and sees the task's context beside its own, and
Prefect's `get_run_logger` prefers the task's: what the flow says would stand in the log of another
run, where nobody looks for it.
"""

import logging
from typing import Any

from prefect import get_run_logger
from prefect.context import FlowRunContext
from prefect.logging.loggers import flow_run_logger

__all__ = ["flow_logger"]


def flow_logger() -> "logging.Logger | logging.LoggerAdapter[Any]":
    """Return the logger of the innermost flow run.

    Raises:
        MissingContextError: No run is under way.
    """
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return get_run_logger()
    return flow_run_logger(context.flow_run, context.flow)
