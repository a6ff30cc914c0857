"""Examine the artifacts of one store in this process.

Local files are examined in a plain loop: no event loop, no pool, no library is set up for them.
Remote ones are examined by `scanner.examine.remote_engine`, many at a time, with the same requests
and the same results.
"""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from prefect_mutagen.scanner.examine.driver import drive, serve
from prefect_mutagen.scanner.examine.examiner import Examiner
from prefect_mutagen.scanner.examine.overridden import examiner_at
from prefect_mutagen.scanner.examine.unexamined import guarded
from prefect_mutagen.scanner.listing.artifacts import Artifact
from prefect_mutagen.scanner.results import ScanResult
from prefect_mutagen.scanner.storage.coroutines import finish
from prefect_mutagen.scanner.storage.requests import Cost
from prefect_mutagen.scanner.storage.store import Store

if TYPE_CHECKING:
    from prefect_mutagen.scanner.examine.retries import SharedRequests

__all__ = ["examine_in_process"]


def examine_in_process(
    store: Store,
    artifacts: Iterable[Artifact],
    examiner: Examiner,
    concurrency: int,
    shared: "SharedRequests | None" = None,
) -> Iterator[ScanResult]:
    """Examine artifacts of one store; see `scanner.examine.engine`."""
    if store.loop is not None:
        from prefect_mutagen.scanner.examine.remote_engine import examine_remote, share_requests

        yield from examine_remote(artifacts, examiner, shared or share_requests(store, concurrency))
        return
    if examiner.hash_level == "full":
        yield from _examine_in_threads(store, artifacts, examiner, concurrency)
        return
    for artifact in artifacts:
        yield _examine_local(store, artifact, examiner)


def _examine_local(store: Store, artifact: Artifact, examiner: Examiner) -> ScanResult:
    cost = Cost()
    examination = examiner_at(examiner, artifact.url).examine(artifact, cost)
    work = drive(examination, partial(serve, store, cost))
    return finish(guarded(work, artifact))


def _examine_in_threads(
    store: Store, artifacts: Iterable[Artifact], examiner: Examiner, concurrency: int
) -> Iterator[ScanResult]:
    """Examine local artifacts in threads: hashing and reading release the interpreter."""
    from concurrent.futures import Future, ThreadPoolExecutor

    most = max(1, min(concurrency, os.cpu_count() or 1))
    waiting: deque[Future[ScanResult]] = deque()
    with ThreadPoolExecutor(most) as threads:
        try:
            for artifact in artifacts:
                waiting.append(threads.submit(_examine_local, store, artifact, examiner))
                if len(waiting) > most:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            threads.shutdown(cancel_futures=True)
