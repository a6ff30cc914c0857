"""What a caller states about worker processes; a module of its own, so that it imports little."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from prefect_mutagen.scanner.storage.address import Address
from prefect_mutagen.scanner.storage.store import Store

__all__ = ["Workers"]


@dataclass(frozen=True, slots=True)
class Workers:
    """How many processes may examine, and how each opens the storage for itself."""

    most: int
    address: str | Address
    """The root."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options for fsspec's file system."""
    versions: bool = False
    """Whether the root's older versions are listed too."""

    def count(self, store: Store, concurrency: int) -> int:
        """Return how many to start; none without a remote artifact that it may examine."""
        return self.most if store.loop is None else min(self.most, concurrency)
