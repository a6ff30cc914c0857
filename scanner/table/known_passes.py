"""What the newest scans of a table passed: accepted by pin, without reading it again.

The rule is that of a scan of unchanged artifacts (`scanner.table.state.State.find_current`): a row
counts if an artifact has its pin as it is listed now, and this version of the tool examined it. It
is judged anew, so that another policy, or a waiver that has expired, counts at once. What does not
pass by its row is examined: a refusal is never taken from a table.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from prefect_mutagen.scanner.listing.artifacts import Artifact
from prefect_mutagen.scanner.listing.unnamed import Looked
from prefect_mutagen.scanner.policy.judge import judge
from prefect_mutagen.scanner.policy.policy import Policy
from prefect_mutagen.scanner.results import ScanResult
from prefect_mutagen.scanner.storage.address import Address
from prefect_mutagen.scanner.storage.store import Store
from prefect_mutagen.scanner.table.roots import tables_above
from prefect_mutagen.scanner.table.signed_folders import SignedFolders
from prefect_mutagen.scanner.table.state import State

__all__ = ["KnownPasses", "PassesOfTable"]


class PassesOfTable:
    """A table, whose states are read once for all addresses."""

    def __init__(self, table: Address, options: Mapping[str, Any], policy: Policy) -> None:
        """Read nothing yet.

        Args:
            table: Address of the table.
            options: Storage options of what is verified; those of the table too if it lies in the
                same kind of storage.
            policy: The policy to judge by.
        """
        self._table, self._options, self._policy = table, options, policy
        self._states: dict[str, State] = {}

    def below(self, place: Address) -> "KnownPasses":
        """Return what is known of the artifacts at an address and below it.

        Raises:
            StorageError: There is no table, or it cannot be read.
        """
        options = self._options if self._table.shares_storage(place) else {}
        states = []
        for table in tables_above(self._table, place, options):
            if table.source not in self._states:
                self._states[table.source] = table.open_state()
            states.append(self._states[table.source])
        return KnownPasses(states, self._policy)


class KnownPasses:
    """What passed below one address; see `scanner.verify.Known`.

    Attributes:
        looked: Files that were looked into because their names say nothing.
    """

    def __init__(self, states: list[State], policy: Policy) -> None:
        """Start with states.

        Args:
            states: Those of the roots around the address; the first one that knows an artifact
                decides.
            policy: The policy to judge by.
        """
        self._states, self._policy = states, policy
        self._folders: SignedFolders | None = None
        self.looked = Looked(
            {file: it for one in reversed(states) for file, it in one.looked.items()}
        )

    def find_passed(self, store: Store, artifact: Artifact) -> ScanResult | None:
        """Return the result of an artifact that passes and need not be read again, or None.

        Args:
            store: The storage, for signed folders.
            artifact: The artifact as listed now.
        """
        folders = self._folders = self._folders or SignedFolders(store)
        for state in self._states:
            place = state.find_current(artifact, "stored", self._policy, folders)
            known = state.result_at(place, artifact.url) if place is not None else None
            if known is not None:
                verdict = judge(known.subject(), self._policy)
                return replace(known, verdict=verdict) if verdict.status == "passed" else None
        return None
