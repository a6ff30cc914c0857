"""The scanner's steps as Prefect tasks: thin wrappers with names and retries, without caching.

* ``listing``: `list_artifacts`; `list_changes`, which writes a manifest of artifacts to examine.
* ``scanning``: `scan_artifact`, `scan_batch`, and `scan_rows`, which reads and writes files;
  ``scan_sessions``: connections and limits shared by the task runs of one flow run.
* ``recording``: `write_table` and `publish_scan`; ``agents``: `start_agents`.
* ``agent_checks``: find agents that could never start, before anything is examined.
* ``agent_launch``: `AgentLaunch` and `AgentRun`; ``agent_result``: the page on a finished command.
* ``scan_selection``: the form that selects artifacts; ``hash_log``: log the progress of hashing.
* ``events``: what automations hear of a scan; ``metrics``: its counts for OpenTelemetry;
  ``assets``: tables and models as Prefect assets.
* ``storage_blocks``: file system options from a Prefect block.
* ``showing``: the table and the summary in Prefect's UI; ``report_page``: the page on a table.

Parameters are addresses and small records: Prefect inspects parameters and may store them, so no
bytes, handles or secrets pass through a task. No task changes its arguments: it returns its
results, or writes them to a file that it returns. Nothing is cached and no result is persisted: a
cache hit costs as much as a cheap task, and the table tracks what is new.
"""

from prefect_mutagen.tasks.agent_launch import AgentLaunch, AgentRun
from prefect_mutagen.tasks.agents import start_agents
from prefect_mutagen.tasks.listing import list_artifacts
from prefect_mutagen.tasks.recording import write_table
from prefect_mutagen.tasks.scanning import scan_artifact, scan_batch

__all__ = [
    "AgentLaunch",
    "AgentRun",
    "list_artifacts",
    "scan_artifact",
    "scan_batch",
    "start_agents",
    "write_table",
]
