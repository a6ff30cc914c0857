"""What Prefect's temporary server needs so that nothing is lost.

Without PREFECT_API_URL, Prefect starts a server of its own for the process. Two of its habits cost
task runs and whole runs. It gives that server 20 seconds to start, which is not enough on a busy
machine. And task runs reach it as events that it still has in a queue when the process ends and
takes it along: they stay for ever as running, or are not there at all.
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
_PAUSE: Final = 0.25
_FINAL: Final = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


def is_ephemeral() -> bool:
    """Say whether this process talks to a temporary server of its own."""
    return PREFECT_API_URL.value() is None


def give_time_to_start() -> None:
    """Let a temporary server take two minutes to start, unless somebody set another time."""
    os.environ.setdefault(_VARIABLE, str(START_SECONDS))
    settings = get_current_settings().server.ephemeral
    if "startup_timeout_seconds" not in settings.model_fields_set:
        settings.startup_timeout_seconds = START_SECONDS


def wait_for_records(expected: int) -> None:
    """Wait until a temporary server has recorded the task runs of the current flow run.

    A server that goes on running needs no waiting for; this returns at once then. It gives up
    after two minutes: the scan's own table does not depend on it.

    Args:
        expected: How many task runs the flow run has had.
    """
    context = FlowRunContext.get()
    if not is_ephemeral() or context is None or context.flow_run is None:
        return
    recorded = {
        "flow_runs": {"id": {"any_": [str(context.flow_run.id)]}},
        "task_runs": {"state": {"type": {"any_": list(_FINAL)}}},
    }
    deadline = time.monotonic() + _RECORD_SECONDS
    EventsWorker.instance().wait_until_empty()
    with get_client(sync_client=True) as client:
        while time.monotonic() < deadline:
            count = client.request("POST", "/task_runs/count", json=recorded).json()
            if count >= expected:
                return
            time.sleep(_PAUSE)
