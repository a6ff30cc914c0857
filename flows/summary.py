"""What a scan returns, and how one ends that did not take place."""

from typing import Any

from prefect.states import Completed
from pydantic import BaseModel

from prefect_mutagen.flows.run_log import flow_logger
from prefect_mutagen.scanner.census import CensusRow
from prefect_mutagen.scanner.table.root_lease import Holder
from prefect_mutagen.tasks.agent_launch import AgentRun

__all__ = ["AgentsNotStarted", "ModelsRefused", "ScanSummary", "skipped"]


class ScanSummary(BaseModel):
    """The result of a scan."""

    scan_id: str
    source: str
    artifacts: int
    passed: list[str]
    """The first 10,000 addresses of artifacts that passed, sorted. The table has all of them."""
    failed: list[str]
    """Likewise for failed artifacts."""
    unknown: list[str]
    """Likewise for artifacts that could not be examined."""
    counts: dict[str, int]
    """Number of artifacts by verdict: passed, failed, unknown."""
    examined: int
    """Artifacts that were read; the others are unchanged since the previous scan, or were taken
    over."""
    taken_over: int = 0
    """Artifacts that an earlier scan had examined before it was interrupted."""
    drift: dict[str, int]
    """Number of artifacts added, changed, removed, unchanged, and left out: known, and not selected
    or not examined. Without a table, all are added."""
    bytes_read: int
    """Bytes read of models and of the files beside them."""
    requests: int
    """Requests sent for them, including failed ones; those of the listing and the table are not
    counted."""
    agents: list[AgentRun]
    not_examined: int = 0
    """Artifacts whose task runs broke; they keep the state that they had, and count as left out."""
    not_found: list[str] = []
    """Addresses of keys without an object; the first 10,000."""
    skipped: str = ""
    """Why nothing was scanned: who else scans the root. Empty if it was."""
    census: list[CensusRow] = []
    """All listed objects by role and state: examined, named only, not understood."""
    roots: list["ScanSummary"] = []
    """With several roots, the summary of each that was scanned; the counts here are sums, and
    source and scan id those of the first. Empty with one root."""


class AgentsNotStarted(Exception):  # noqa: N818 - it names what happened, as it is read in the UI
    """Some agents could not start. The rest is done: verdicts, table and the other agents."""

    def __init__(self, message: str, summary: ScanSummary | None = None) -> None:
        """Set message and summary.

        Args:
            message: How many agents could not start, the first of them, and why.
            summary: The result of the scan, for flows that call it.
        """
        super().__init__(message)
        self.summary = summary


class ModelsRefused(Exception):  # noqa: N818 - it names what happened, as it is read in the UI
    """Models are refused or were not examined, and the scan was asked to fail then."""

    def __init__(self, message: str, summary: ScanSummary | None = None) -> None:
        """Set message and summary.

        Args:
            message: How many are refused, and why the first are.
            summary: The result of the scan, for flows that call it.
        """
        super().__init__(message)
        self.summary = summary


def skipped(holder: Holder) -> Any:
    """Return the state of a scan that was skipped; callers of the flow get its summary."""
    reason = f"{holder.describe()}; this scan was skipped"
    flow_logger().warning("%s", reason)
    nothing: dict[str, Any] = {
        **dict.fromkeys(("artifacts", "examined", "bytes_read", "requests"), 0),
        **{name: [] for name in ("passed", "failed", "unknown", "agents")},
        "counts": dict.fromkeys(("passed", "failed", "unknown"), 0),
    }
    summary = ScanSummary(scan_id="", source=holder.source, drift={}, skipped=reason, **nothing)
    return Completed(name="Skipped", message=reason, data=summary)
