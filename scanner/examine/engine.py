"""Examine the artifacts of one store, one result after the other.

Local files are examined in a plain loop: no event loop, no pool, no library is set up for them.
Remote ones are examined by `prefect_mutagen.scanner.examine.remote_engine`, many at a time. The
requests and what is made of them are the same.
"""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from prefect_mutagen.scanner.examine.driver import drive, serve
from prefect_mutagen.scanner.examine.examiner import Examiner
from prefect_mutagen.scanner.examine.unexamined import guarded
from prefect_mutagen.scanner.listing.artifacts import Artifact
from prefect_mutagen.scanner.results import ScanResult
from prefect_mutagen.scanner.storage.coroutines import finish
from prefect_mutagen.scanner.storage.requests import Cost
from prefect_mutagen.scanner.storage.store import Store

if TYPE_CHECKING:
    from prefect_mutagen.scanner.examine.retries import SharedRequests

__all__ = ["examine_artifacts"]


def examine_artifacts(
    store: Store,
    artifacts: Iterable[Artifact],
    examiner: Examiner,
    concurrency: int = 64,
    shared: "SharedRequests | None" = None,
) -> Iterator[ScanResult]:
    """Examine artifacts of one store.

    Args:
        store: Where they lie.
        artifacts: What to examine; taken as examinations get free, never all at once.
        examiner: Policy, hash level and what folders have in common.
        concurrency: Remote artifacts that are examined at a time.
        shared: Requests and limits that concurrent examinations of one remote scan share; see
            `scanner.examine.remote_engine.share_requests`.

    Yields:
        One result per artifact, in their order.
    """
    if store.loop is not None:
        from prefect_mutagen.scanner.examine.remote_engine import examine_remote, share_requests

        yield from examine_remote(artifacts, examiner, shared or share_requests(store, concurrency))
        return
    if examiner.hash_level == "full":
        yield from _examine_in_threads(store, artifacts, examiner, concurrency)
        return
    for artifact in artifacts:
        yield _examine_here(store, artifact, examiner)


def _examine_here(store: Store, artifact: Artifact, examiner: Examiner) -> ScanResult:
    cost = Cost()
    work = drive(examiner.examine(artifact, cost), partial(serve, store, cost))
    return finish(guarded(work, artifact))


def _examine_in_threads(
    store: Store, artifacts: Iterable[Artifact], examiner: Examiner, concurrency: int
) -> Iterator[ScanResult]:
    """Examine local artifacts side by side: hashing and reading let go of the interpreter."""
    from concurrent.futures import Future, ThreadPoolExecutor

    most = max(1, min(concurrency, os.cpu_count() or 1))
    waiting: deque[Future[ScanResult]] = deque()
    with ThreadPoolExecutor(most) as threads:
        try:
            for artifact in artifacts:
                waiting.append(threads.submit(_examine_here, store, artifact, examiner))
                if len(waiting) > most:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            threads.shutdown(cancel_futures=True)
