"""Draw the dependencies of task runs in the run graph: what a task run waits for.

The futures of the task runs themselves would do the same, but hold their results, and send them to
every worker.
"""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from prefect.client.schemas.objects import StateDetails
from prefect.futures import PrefectFuture, PrefectTaskRunFuture
from prefect.states import Completed

__all__ = ["Arrow", "arrows_from"]


class Arrow(PrefectTaskRunFuture[bool]):
    """The future of a task run that has completed, without its result."""

    def __init__(self, task_run_id: UUID) -> None:
        """Start from a task run."""
        super().__init__(task_run_id)
        details = StateDetails(task_run_id=task_run_id)
        self._final_state = Completed(state_details=details, data=True)

    def wait(self, timeout: float | None = None) -> None:
        """Return: the task run has completed."""

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> bool:  # noqa: ARG002, FBT001, FBT002 - Prefect's interface
        """Return true."""
        return True

    def add_done_callback(self, fn: Callable[[PrefectFuture[bool]], Any]) -> None:
        """Call the function: the task run has completed."""
        fn(self)


def arrows_from(*task_runs: UUID | None) -> list[Arrow]:
    """Return what a task run may wait for, so that it is drawn after these, which have completed.

    Args:
        task_runs: Their identities; None, as of a state outside of any task run, draws nothing.
    """
    return [Arrow(one) for one in task_runs if one is not None]
