"""Scan a root: list, group and examine its artifacts."""

from collections.abc import Iterator, Mapping
from typing import Any

from prefect_mutagen.scanner.examine.engine import examine_artifacts
from prefect_mutagen.scanner.examine.examiner import Examiner
from prefect_mutagen.scanner.listing.listing import list_artifacts, root_of
from prefect_mutagen.scanner.policy.policy import Policy
from prefect_mutagen.scanner.results import ScanResult
from prefect_mutagen.scanner.storage.address import Address
from prefect_mutagen.scanner.storage.hashing import HashLevel
from prefect_mutagen.scanner.storage.opening import open_store

__all__ = ["scan"]


def scan(
    url: str,
    *,
    policy: Policy | None = None,
    storage_options: Mapping[str, Any] | None = None,
    hash: HashLevel = "stored",  # noqa: A002 - the name of the option everywhere
    concurrency: int = 64,
) -> Iterator[ScanResult]:
    """Examine every model file below a root, or a single one.

    Args:
        url: A path, or an address of any kind that fsspec supports.
        policy: What to accept; the default accepts what loaders load.
        storage_options: Options for fsspec's file system, such as credentials and endpoint.
        hash: Where SHA-256 values come from: ``none``, ``stored``, ``lookup`` or ``full``.
        concurrency: Maximum concurrent requests to remote storage.

    Yields:
        One result per artifact, in listing order. Problems of an artifact are findings in its
        result. Memory use does not grow with the root.

    Raises:
        StorageError: The root does not exist or cannot be listed.
    """
    address = Address.parse(url)
    root, only = root_of(address)
    store = open_store(root, storage_options)
    examiner = Examiner(policy or Policy(), hash)
    artifacts = list_artifacts(store, only=only)
    yield from examine_artifacts(store, artifacts, examiner, concurrency)
