"""What the task runner of a flow run offers: how many workers, and whether they see its files."""

from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

from prefect.context import FlowRunContext
from prefect.task_runners import ProcessPoolTaskRunner, ThreadPoolTaskRunner

__all__ = ["WORKERS", "Engine", "current_engine"]

WORKERS: Final = 16
"""Task runs that one process works at. Wider costs time: 250 task runs took twice that of 16."""


@dataclass(frozen=True, slots=True)
class Engine:
    """What runs the task runs of a flow run."""

    workers: int = WORKERS
    """Task runs that are worked at simultaneously, as far as that is known."""
    shares_files: bool = True
    """Whether task runs are threads of the flow's own process, and see its temporary folder."""
    is_here: bool = True
    """Whether they run on this machine, and see its local tables."""


def current_engine() -> Engine:
    """Return the engine of the current flow run; outside of any, threads of this process."""
    context = FlowRunContext.get()
    if context is None:
        return Engine()
    runner = context.task_runner
    # Pools of threads or processes; a pool of threads without a limit says sys.maxsize.
    limit: int = getattr(runner, "_max_workers", WORKERS)
    if isinstance(runner, ThreadPoolTaskRunner):
        return Engine(min(limit, WORKERS))
    workers = max(_cluster_workers(runner) or limit, 1)
    is_here = isinstance(runner, ProcessPoolTaskRunner)
    return Engine(workers, shares_files=False, is_here=is_here)


def _cluster_workers(runner: Any) -> int:
    """Return the number of threads or processors of a cluster; 0 if it has none yet, or is none."""
    kind = type(runner).__name__
    if kind == "DaskTaskRunner":
        return sum(runner.client.ncores().values())
    if kind == "RayTaskRunner":
        return int(import_module("ray").cluster_resources().get("CPU", 0))
    return 0
