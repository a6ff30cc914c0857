"""Keep "Finished in state Completed()" of our own task runs out of the log.

Hundreds of these lines say nothing that the states of the task runs do not show, and hide those
that matter. Prefect has no setting for them by task. A filter of its logger for task runs drops the
line of a run that asked for it, and passes everything else: other lines, among them the one before
on what failed, and those of other tasks.
"""

import logging
from collections.abc import Callable
from functools import wraps
from typing import Final, ParamSpec, TypeVar

from prefect.context import TaskRunContext
from prefect.logging import get_logger

__all__ = ["ends_quietly"]

_LOGGER: Final = "prefect.task_runs"
_END: Final = "Finished in state"

_P = ParamSpec("_P")
_R = TypeVar("_R")


class _QuietEnds(logging.Filter):
    """Drops the line on the end of known task runs."""

    def __init__(self) -> None:
        super().__init__()
        self._runs: set[str] = set()

    def add_current(self) -> None:
        """Drop the line of the current task run, if there is one."""
        context, logger = TaskRunContext.get(), get_logger(_LOGGER)
        if context is None or not logger.isEnabledFor(logging.INFO):
            return
        self._runs.add(str(context.task_run.id))
        logger.addFilter(self)  # once, however often it is added

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to log a record."""
        run = getattr(record, "task_run_id", "")
        if run not in self._runs or not str(record.msg).startswith(_END):
            return True
        self._runs.discard(run)
        return False


_quiet: Final = _QuietEnds()


def ends_quietly(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Keep Prefect's line on their end out of the log of a task's runs."""

    @wraps(function)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        _quiet.add_current()
        return function(*args, **kwargs)

    return run
