"""Name a scan and what it was asked to do."""

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from prefect_mutagen import __version__
from prefect_mutagen.scanner.policy.policy import Policy
from prefect_mutagen.scanner.storage.address import Address

__all__ = ["ScanInfo", "new_scan"]


@dataclass(frozen=True, slots=True)
class ScanInfo:
    """What a scan was asked to do."""

    id: str
    """Sorts by time of start."""
    source: str
    """The root, free of secrets; several are separated by spaces."""
    started_at: str
    tool_version: str
    policy: Policy = field(default_factory=Policy)

    def to_report(self) -> dict[str, Any]:
        """Give the report's head."""
        return {
            "id": self.id,
            "source": self.source,
            "started_at": self.started_at,
            "tool_version": self.tool_version,
            "policy": self.policy.to_dict(),
        }


def new_scan(source: str | Address, policy: Policy) -> ScanInfo:
    """Give a scan its name.

    Args:
        source: The root; secrets in it are left out.
        policy: What the scan judges by.
    """
    now = datetime.now(UTC)
    name = f"{now:%Y%m%dT%H%M%S%fZ}-{secrets.token_hex(4)}"
    return ScanInfo(name, Address.parse(source).text, now.isoformat(), __version__, policy)
