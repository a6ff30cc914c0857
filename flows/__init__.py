"""Flows: the order of the steps, their fan-out, and the agents they start.

* ``scan``: `scan_models`, its form; ``root_scan``: the scan, from a root to the table and the
  agents, and the checks before it.
* ``fan_out``: the task runs that examine artifacts; ``task_runners``: what runs them;
  ``arrows``: what depends on what in the run graph.
* ``shards``: `scan_shards`, the same on several machines, and `scan_shard`, a part of it;
  ``shard_runs``: the runs that examine the parts, watched and started again.
* ``form``: the order and the titles of the fields in Prefect's form; ``scan_advanced``: what is
  seldom set.
* ``blocks``: the types of blocks; ``named_blocks``: what parameters stand for that name one.
* ``several_roots``: a run for each of several roots, and what came out of all.
* ``summary``: what a scan returns; ``scan_ending``: the state that it ends in; ``run_labels``:
  names and tags of its run; ``scan_progress``: how far it is.
* ``choosing``: which agents are due after a scan; ``starting``: which start and which wait.
* ``agent``: `run_agent`, a command for one artifact, verified immediately before it starts.
* ``digest``: `daily_digest`, what changed in a table since yesterday.
* ``run_log``: the logger of the flow's own run, also when a task called the flow, and what a scan
  logs.
* ``ephemeral``: workarounds for Prefect's temporary server, so that it loses no task runs.
* ``receiver``: starts scans of keys for what was written to a bucket; ``notifications``: what
  storages send then; ``automations``: installs automations from files.
* ``demo``: a small bucket of good and broken models, and a complete run on it.

The modules of this folder do not use ``from __future__ import annotations``: Prefect evaluates the
annotations of a flow when it runs elsewhere, and could not resolve their names.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prefect_mutagen.flows.agent import run_agent
    from prefect_mutagen.flows.blocks import ModelPolicy, ModelRoot, ModelTable
    from prefect_mutagen.flows.digest import DigestSummary, daily_digest
    from prefect_mutagen.flows.fan_out import ScanBroken
    from prefect_mutagen.flows.scan import (
        AgentsNotStarted,
        ModelsRefused,
        RootsNotScanned,
        ScanSummary,
        scan_models,
    )
    from prefect_mutagen.flows.scan_advanced import ScanAdvanced
    from prefect_mutagen.flows.shards import scan_shard, scan_shards
    from prefect_mutagen.tasks.agent_launch import AgentLaunch

__all__ = [
    "AgentLaunch",
    "AgentsNotStarted",
    "DigestSummary",
    "ModelPolicy",
    "ModelRoot",
    "ModelTable",
    "ModelsRefused",
    "RootsNotScanned",
    "ScanAdvanced",
    "ScanBroken",
    "ScanSummary",
    "daily_digest",
    "run_agent",
    "scan_models",
    "scan_shard",
    "scan_shards",
]

_HOMES = {
    "AgentLaunch": "prefect_mutagen.tasks.agent_launch",
    "AgentsNotStarted": "prefect_mutagen.flows.scan",
    "DigestSummary": "prefect_mutagen.flows.digest",
    "ModelPolicy": "prefect_mutagen.flows.blocks",
    "ModelRoot": "prefect_mutagen.flows.blocks",
    "ModelTable": "prefect_mutagen.flows.blocks",
    "ModelsRefused": "prefect_mutagen.flows.scan",
    "RootsNotScanned": "prefect_mutagen.flows.scan",
    "ScanAdvanced": "prefect_mutagen.flows.scan_advanced",
    "ScanBroken": "prefect_mutagen.flows.fan_out",
    "ScanSummary": "prefect_mutagen.flows.scan",
    "daily_digest": "prefect_mutagen.flows.digest",
    "run_agent": "prefect_mutagen.flows.agent",
    "scan_models": "prefect_mutagen.flows.scan",
    "scan_shard": "prefect_mutagen.flows.shards",
    "scan_shards": "prefect_mutagen.flows.shards",
}


def __getattr__(name: str) -> Any:
    """Import a flow on first use, because importing Prefect takes seconds."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
