"""The scanner's steps as Prefect tasks: names, retries, no caching. Thin.

* ``listing``: `list_artifacts`; `list_changes`, which writes what is to be examined to a file.
* ``scanning``: `scan_artifact`, `scan_batch`, and `scan_rows`, which goes from file to file;
  ``scan_sessions``: what task runs of one flow run share, so that they ask storage as one.
* ``recording``: `write_table` and `publish_scan`; ``agents``: `start_agents`.
* ``agent_checks``: which agents could never start, found before anything is examined.
* ``agent_launch``: `AgentLaunch`, and what becomes of one; ``agent_result``: how a command ended.
* ``scan_selection``: what a scan is about, as a form; ``hash_log``: how far hashing is.
* ``storage_blocks``: a Prefect block to options for the file system.
* ``showing``: the table and the summary in Prefect's UI.

Parameters are addresses and small records: Prefect looks into what it is given and keeps what it is
told to keep, so no bytes, handles or secrets travel through a task, and no task changes what it was
given: what it finds it returns, or writes to a place that it returns. Nothing is cached and no
result is persisted: a cache hit costs as much as a cheap task, and the table knows better what is
new.
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
