"""The latch that a flow run closes when it ends before its end: nothing more of it begins.

Prefect raises an exception in the main thread of a run that is cancelled or stopped, and then waits
for the threads of its task runs, those that are queued included. So every start of an agent looks
at the latch before it claims and before its command begins, and so does every artifact of a
batch.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from prefect.context import FlowRunContext, TaskRunContext

__all__ = [
    "ExaminationEnded",
    "RunIsEnding",
    "begin_ending",
    "ends_with",
    "is_ending",
    "run_key",
    "until_ending",
]


class ExaminationEnded(BaseException):
    """The flow run is ending in the middle of an artifact; no fault of the artifact's."""


_ending: Final[set[str]] = set()
T = TypeVar("T")


class RunIsEnding(Exception):  # noqa: N818 - no error: what it stops is not wanted any more
    """The flow run was cancelled or stopped, so nothing more of it begins."""


def run_key() -> str:
    """Return what identifies the current try of the flow run; empty outside of one."""
    task = TaskRunContext.get()
    if task is not None and task.task_run.flow_run_id is not None:
        return f"{task.task_run.flow_run_id}-{task.task_run.flow_run_run_count}"
    flow = FlowRunContext.get()
    if flow is not None and flow.flow_run is not None:
        return f"{flow.flow_run.id}-{flow.flow_run.run_count}"
    return ""


def is_ending(run: str) -> bool:
    """Whether a run, by its key, ends before its end."""
    return run in _ending


def begin_ending(run: str, end: Callable[[], Any]) -> None:
    """Close the latch of a run.

    Args:
        run: Its key.
        end: Ends what has begun; called after the latch is closed.
    """
    _ending.add(run)
    end()


@contextmanager
def ends_with(run: str, end: Callable[[], Any] = lambda: None) -> Iterator[None]:
    """Close the latch of a run when an exception leaves this context.

    Args:
        run: Its key.
        end: Ends what has begun; called after the latch is closed.
    """
    try:
        yield
    except BaseException:
        begin_ending(run, end)
        raise


def until_ending(items: Iterable[T], run: str) -> Iterator[T]:
    """Yield items until the latch of a run is closed.

    Raises:
        RunIsEnding: It is closed.
    """
    for item in items:
        if is_ending(run):
            raise RunIsEnding("the flow run is ending")
        yield item
