"""What runs, in what order, how wide; and what starts after it.

* ``scan``: `scan_models`, the whole way from a root to agents.
* ``starting``: which agents start after a scan, and which have to wait.
* ``agent``: `run_agent`, a command for one artifact, verified immediately before it starts.
* ``run_log``: the log of a flow's own run, also when a task started it.
* ``ephemeral``: what Prefect's temporary server needs so that nothing is lost.
* ``demo``: a small bucket of good and broken models, and everything run on it.

The modules of this folder do without ``from __future__ import annotations``: Prefect reads the
annotations of flows when they run somewhere else, and then does not find what they name.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prefect_mutagen.flows.agent import run_agent
    from prefect_mutagen.flows.scan import AgentsNotStarted, ScanSummary, scan_models
    from prefect_mutagen.tasks.agent_launch import AgentLaunch

__all__ = ["AgentLaunch", "AgentsNotStarted", "ScanSummary", "run_agent", "scan_models"]

_HOMES = {
    "AgentLaunch": "prefect_mutagen.tasks.agent_launch",
    "AgentsNotStarted": "prefect_mutagen.flows.scan",
    "ScanSummary": "prefect_mutagen.flows.scan",
    "run_agent": "prefect_mutagen.flows.agent",
    "scan_models": "prefect_mutagen.flows.scan",
}


def __getattr__(name: str) -> Any:
    """Load a flow when it is first used: Prefect takes seconds to import."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
