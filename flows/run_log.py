"""The logger of the current flow run, also when a task called the flow.

A flow called by a task runs in the task's thread and sees both contexts. Prefect's `get_run_logger`
prefers the task's, so the flow's messages would end up in the log of another run.
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
        MissingContextError: There is no current run.
    """
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return get_run_logger()
    return flow_run_logger(context.flow_run, context.flow)
