"""Up to which state of a root its artifacts were considered for an agent.

An artifact is due for an agent when it passes now and did not, or had other bytes, in the state
that was considered last. That is mostly the previous state, but not where other scans came between:
one by the command line, one with other agents, one that was killed.
"""

import hashlib
from typing import Final

from prefect_mutagen.scanner.table.json_files import JsonFiles

__all__ = ["ConsideredStates"]

_ANY: Final = "any"


class ConsideredStates:
    """The states of one root that were considered last, by agent."""

    def __init__(self, files: JsonFiles, source: str) -> None:
        """Open them.

        Args:
            files: See `scanner.agents.waiting_starts.record_files`.
            source: The root, free of secrets.
        """
        digest = hashlib.sha256(source.encode("utf-8", "surrogateescape")).hexdigest()
        self._files, self._folder = files, f"considered/{digest[:16]}"

    def find(self, launch: str) -> str | None:
        """Return the state that was considered last for an agent.

        Args:
            launch: Identifies the agent.

        Returns:
            The id of the scan that wrote the state; empty for the state before the first scan; None
            if none was considered yet.

        Raises:
            StorageError: It cannot be read.
        """
        found = self._files.read(f"{self._folder}/{launch}")
        return None if found is None else str(found.get("state", ""))

    def find_any(self) -> str | None:
        """Return the state that was considered last for any agent; None if there was none.

        Raises:
            StorageError: It cannot be read.
        """
        return self.find(_ANY)

    def put(self, launch: str, state: str, *, for_new: bool = True) -> None:
        """Record that a state was considered for an agent.

        Args:
            launch: Identifies the agent.
            state: Id of the scan that wrote the state.
            for_new: Whether new agents go on from there too.

        Raises:
            StorageError: It cannot be written.
        """
        for name in (launch, _ANY) if for_new else (launch,):
            self._files.replace(f"{self._folder}/{name}", {"state": state})
