"""List a root as a task: all artifacts, or selected ones that have changed."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from prefect_mutagen.scanner.census import CensusRow
from prefect_mutagen.scanner.examine.scan_info import ScanInfo
from prefect_mutagen.scanner.listing.artifacts import Artifact
from prefect_mutagen.scanner.listing.keyed import FoundKeys
from prefect_mutagen.scanner.listing.listing import list_artifacts as list_root
from prefect_mutagen.scanner.listing.manifest import Manifest
from prefect_mutagen.scanner.listing.selection import Selection
from prefect_mutagen.scanner.policy.policy import Policy
from prefect_mutagen.scanner.storage.address import Address
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.hashing import HashLevel
from prefect_mutagen.scanner.storage.opening import open_store
from prefect_mutagen.scanner.table.resuming import Interrupted
from prefect_mutagen.scanner.table.spool import Spooled, spool_results
from prefect_mutagen.scanner.table.state import Comparison, State
from prefect_mutagen.scanner.table.table_scan import Rescan, list_changed
from prefect_mutagen.tasks.quiet_ends import ends_quietly
from prefect_mutagen.tasks.quoting import opens_quoted, quoted
from prefect_mutagen.tasks.recording import open_table
from prefect_mutagen.tasks.storage_blocks import storage_options

__all__ = ["Changes", "is_transient", "list_artifacts", "list_changes"]

_TRANSIENT = frozenset({"storage/timeout", "storage/throttled", "storage/unreachable"})


def is_transient(_task: Any, _run: Any, state: Any) -> bool:
    """Whether a retry may help: not if the root does not exist or access is denied."""
    problem = state.result(raise_on_failure=False)
    return isinstance(problem, StorageError) and problem.code in _TRANSIENT


_OPTIONS: dict[str, Any] = {
    "name": "list artifacts",
    "cache_policy": NO_CACHE,
    "persist_result": False,
    "retries": 2,
    "retry_delay_seconds": [2, 20],
    "retry_condition_fn": is_transient,
}


@task(**_OPTIONS)
@ends_quietly
def list_artifacts(source: str, storage: str = "") -> list[Artifact]:
    """List the artifacts below a root.

    Args:
        source: A path or an address.
        storage: Name of a block with the credentials; empty: those of the environment.

    Raises:
        StorageError: The root does not exist or cannot be listed.
        ValueError: The address holds a secret.
    """
    root = Address.parse_clear(source, "the parameter source")
    return list(list_root(open_store(root, storage_options(storage))))


@dataclass(frozen=True, slots=True)
class Changes:
    """A listing compared with a state."""

    manifest: Manifest
    """The artifacts to examine."""
    marks: bytes
    """A `scanner.table.marks.Mark` for each row of the state."""
    selected: int
    """Number of selected artifacts, including unchanged ones."""
    census: tuple[CensusRow, ...] = ()
    """All listed objects by role, as if all that is to be examined will be."""
    looked: Mapping[bytes, bool] | None = None
    """Files that were looked into because their names say nothing; see `Looked`."""
    keys: FoundKeys = field(default_factory=FoundKeys)
    """What became of selected keys that are no part of an artifact."""
    spooled: Spooled | None = None
    """What is taken over from interrupted scans; None if there is nothing."""

    @property
    def taken_over(self) -> int:
        """Number of artifacts that are taken over from interrupted scans."""
        return self.spooled.artifacts if self.spooled is not None else 0


@task(**_OPTIONS)
@ends_quietly
@opens_quoted
def list_changes(  # noqa: PLR0913, PLR0917 - a listing depends on all of these
    source: str,
    state: State,
    folder: str,
    storage: str = "",
    hash: HashLevel = "stored",  # noqa: A002 - the name of the option everywhere
    policy: Policy = Policy(),
    rescan: Rescan = "changed",
    selection: Selection = Selection(),
    table: str = "",
    scan: ScanInfo | None = None,
    table_storage: str = "",
) -> Changes:
    """List the selected artifacts below a root that have to be examined.

    Args:
        source: A path or an address.
        state: The previous state.
        folder: Folder for the manifest.
        storage: Name of a block with the credentials; empty: those of the environment.
        hash: Where SHA-256 values come from.
        policy: The current policy.
        rescan: Whether to examine only changed artifacts, or all selected ones.
        selection: Which artifacts to include.
        table: Address of the table in whose staging area interrupted scans left what they
            examined; empty: there is none.
        scan: The scan that takes it over; needed with a table.
        table_storage: Name of a block with the table's credentials; empty: none of its own.

    Returns:
        What was found, quoted.

    Raises:
        StorageError: The root does not exist, or it or the inventory cannot be read.
        ValueError: The inventory is invalid, or of another bucket.
    """
    options = storage_options(storage)
    root = Address.parse_clear(source, "the parameter source")
    store = open_store(root, options, versions=selection.all_versions)
    known = Comparison(state)
    interrupted: Interrupted | None = None
    if table and scan is not None:
        files = open_table(table, source, storage, table_storage).files
        interrupted = Interrupted(files, scan, rescan, folder)
    manifest = Manifest(os.path.join(folder, "manifest.jsonl"))
    manifest.write(
        list_changed(
            known,
            store,
            selection,
            options,
            hash_level=hash,
            policy=policy,
            rescan=rescan,
            interrupted=interrupted,
        )
    )
    spooled: Spooled | None = None
    if scan is not None and interrupted is not None and interrupted.count:
        path = os.path.join(folder, "taken-over")
        spooled = spool_results(interrupted.results(), scan, path)
    selected = known.kept + len(manifest) + (interrupted.count if interrupted else 0)
    census, looked = known.census.listed, known.looked.found
    marks = bytes(known.marks)
    return quoted(Changes(manifest, marks, selected, census, looked, known.keys, spooled))
