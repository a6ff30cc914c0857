"""Workarounds for Prefect's temporary server, so that it loses no task runs.

Without PREFECT_API_URL, Prefect starts a temporary server for the process. It allows the server
20 seconds to start, which fails the flow run on a busy machine. And task runs are recorded from an
event queue that is lost when the process ends: they stay in state running, or are missing.
"""

import os
import time
from typing import Final

from prefect import get_client
from prefect.context import FlowRunContext
from prefect.events.worker import EventsWorker
from prefect.settings import PREFECT_API_URL, get_current_settings

__all__ = ["give_time_to_start", "is_ephemeral", "wait_for_records"]

START_SECONDS: Final = 120
_VARIABLE: Final = "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"
_RECORD_SECONDS: Final = 120.0
_POLL_SECONDS: Final = 0.25
_FINAL_STATES: Final = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


def is_ephemeral() -> bool:
    """Whether this process uses its own temporary server."""
    return PREFECT_API_URL.value() is None


def give_time_to_start() -> None:
    """Raise the startup timeout of a temporary server to two minutes, unless it is configured."""
    os.environ.setdefault(_VARIABLE, str(START_SECONDS))
    settings = get_current_settings().server.ephemeral
    if "startup_timeout_seconds" not in settings.model_fields_set:
        settings.startup_timeout_seconds = START_SECONDS


def wait_for_records(expected: int) -> None:
    """Wait until a temporary server has recorded the task runs of the current flow run.

    Returns immediately with a permanent server, which outlives the process. Gives up after two
    minutes, because the table does not depend on these records.

    Args:
        expected: Number of task runs of the flow run.
    """
    context = FlowRunContext.get()
    if not is_ephemeral() or context is None or context.flow_run is None:
        return
    recorded = {
        "flow_runs": {"id": {"any_": [str(context.flow_run.id)]}},
        "task_runs": {"state": {"type": {"any_": list(_FINAL_STATES)}}},
    }
    deadline = time.monotonic() + _RECORD_SECONDS
    EventsWorker.instance().wait_until_empty()
    with get_client(sync_client=True) as client:
        while time.monotonic() < deadline:
            count = client.request("POST", "/task_runs/count", json=recorded).json()
            if count >= expected:
                return
            time.sleep(_POLL_SECONDS)
