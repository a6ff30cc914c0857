"""Names and tags of flow runs: lists of runs show neither the name of a state nor its message."""

from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import httpx
from prefect import get_client
from prefect.context import FlowRunContext
from prefect.exceptions import ObjectNotFound
from prefect.runtime import flow_run

from prefect_mutagen.flows.run_log import flow_logger
from prefect_mutagen.scanner.outputs.outcomes import shortened
from prefect_mutagen.scanner.outputs.visible import visible
from prefect_mutagen.scanner.storage.secret_parts import without_secrets
from prefect_mutagen.tasks.agent_checks import cannot_reach

__all__ = ["DRIFT", "NEW_REFUSALS", "REFUSED", "label_run", "scan_run_name", "tags_of"]

REFUSED: Final = "refused"
"""The tag of a scan with models that are refused."""
NEW_REFUSALS: Final = "new-refusals"
"""The tag of a scan that refused what the scan before did not."""
DRIFT: Final = "drift"
"""The tag of a scan that found something different from the scan before."""

_ROOT: Final = 32
"""Characters of a root in the name of a run, so that lists show the outcome behind it, too."""
_ZONE: Final = "Z"
_TAGS: Final = frozenset({REFUSED, NEW_REFUSALS, DRIFT})


def scan_run_name() -> str:
    """Return the name of the current run of a scan until its outcome is known: root and time.

    It is short, because pages show some seventy characters of a name; the year is on them, too.
    """
    source = without_secrets(str(flow_run.parameters.get("source", "")))
    others = len(flow_run.parameters.get("more_sources") or ())
    more = f" and {others} more" if others else ""
    root = shortened(visible(source, 300), _ROOT)
    return f"{root}{more} {datetime.now(UTC):%m-%d %H:%M}{_ZONE}"


def _bare(name: str) -> str:
    """Return the name of a run without the outcome of an earlier try."""
    bare, marker, _ = name.rpartition(f"{_ZONE}: ")
    return f"{bare}{_ZONE}" if marker else name


def tags_of(runs: Iterable[UUID | None]) -> set[str]:
    """Return those of `REFUSED`, `NEW_REFUSALS` and `DRIFT` that hold for one of some runs.

    Args:
        runs: Their identities; a server that cannot be reached costs a warning.
    """
    found: set[str] = set()
    try:
        with get_client(sync_client=True) as client:
            for run in filter(None, runs):
                found.update(client.read_flow_run(run).tags)
    except (ObjectNotFound, httpx.HTTPError):
        flow_logger().warning("the tags of the runs of some roots are not known")
    return found & _TAGS


def label_run(label: str, tags: Collection[str]) -> None:
    """Add the outcome to the name of the current flow run, and its tags.

    A server that cannot be reached costs a warning. Tags that an earlier try of the run got and
    that are not right any more are taken away; those of others stay.

    Args:
        label: The outcome in a few words.
        tags: Those of `REFUSED`, `NEW_REFUSALS` and `DRIFT` that hold.
    """
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return
    run = context.flow_run
    try:
        with get_client(sync_client=True) as client:
            known = set(client.read_flow_run(run.id).tags)
            kept = sorted(known - _TAGS | set(tags))
            client.update_flow_run(run.id, name=f"{_bare(run.name)}: {label}", tags=kept)
    except ObjectNotFound:
        flow_logger().warning("the run is not named after its outcome: the server does not know it")
    except httpx.HTTPError as problem:
        reason = cannot_reach(problem)
        flow_logger().warning("the run is not named after its outcome: %s", reason)
