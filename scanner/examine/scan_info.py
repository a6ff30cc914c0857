"""Identity and parameters of a scan."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from prefect_mutagen import __version__
from prefect_mutagen.scanner.policy.digest import policy_digest
from prefect_mutagen.scanner.policy.owners import Owners, owner_by_tag
from prefect_mutagen.scanner.policy.policy import Policy
from prefect_mutagen.scanner.storage.address import Address
from prefect_mutagen.scanner.storage.names import storable

__all__ = ["ScanInfo", "new_scan"]


@dataclass(frozen=True, slots=True)
class ScanInfo:
    """Identity, root and policy of a scan."""

    id: str
    """Sorts by start time."""
    source: str
    """The root without secrets; several are separated by spaces."""
    started_at: str
    tool_version: str
    policy: Policy = field(default_factory=Policy)
    policy_digest: str = field(init=False, compare=False)
    """SHA-256 of the policy; computed once, as it stands in every row."""
    owners: Owners = field(init=False, compare=False)
    """The policy's owners."""

    def __post_init__(self) -> None:
        """Prepare what every row needs of the policy."""
        object.__setattr__(self, "policy_digest", policy_digest(self.policy))
        object.__setattr__(self, "owners", Owners(self.policy.owners))

    def owner_of(self, url: str, facts: Mapping[str, Any]) -> str:
        """Return whose an artifact is by the policy, or by its tag; empty if nothing says so.

        Args:
            url: Its address, as `storable` gives it.
            facts: The facts beyond the SBOM.
        """
        return self.owners.of(url, self.source) or owner_by_tag(facts, self.policy.owner_tag)

    def to_report(self) -> dict[str, Any]:
        """Return the header of a report."""
        return {
            "id": self.id,
            "source": self.source,
            "started_at": self.started_at,
            "tool_version": self.tool_version,
            "policy": self.policy.to_dict(),
        }


def new_scan(source: str | Address, policy: Policy) -> ScanInfo:
    """Return a new scan with an id of its own.

    Args:
        source: The root; secrets are removed.
        policy: The policy it judges by.
    """
    now = datetime.now(UTC)
    scan_id = f"{now:%Y%m%dT%H%M%S%fZ}-{secrets.token_hex(4)}"
    return ScanInfo(
        scan_id, storable(Address.parse(source).text), now.isoformat(), __version__, policy
    )
