"""The form of what is seldom set: limits of starts, how long results are kept, other scans."""

from pydantic import BaseModel, ConfigDict, Field

from prefect_mutagen.scanner.table.retention import Retention
from prefect_mutagen.scanner.table.root_lease import IfBusy

__all__ = ["ScanAdvanced"]


class ScanAdvanced(BaseModel):
    """Limits of agents, how long results are kept, and what to do beside another scan."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    max_agent_runs: int = Field(default=100, ge=0, title="Agents to start at most")
    """The others wait for the next scan. Needs a table."""
    rerun_failed_agents: bool = Field(default=False, title="Start failed agents again")
    """Also for the same bytes."""
    keep_states: int = Field(default=0, ge=0, title="States to keep in the table")
    """Number of the newest ones; 0 keeps all, unless days are given."""
    keep_days: int = Field(default=0, ge=0, title="Days to keep every state in the table")
    """0 keeps all, unless a number of states is given."""
    if_busy: IfBusy = Field(default="wait", title="While another scan is at work")
    """On the same models with the same table: wait for its end, skip this scan, or scan all the
    same."""

    @property
    def retention(self) -> Retention:
        """How much history the table keeps."""
        return Retention(self.keep_states, self.keep_days)
