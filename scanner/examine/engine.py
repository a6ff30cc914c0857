"""Examine the artifacts of one store, one result after the other: the entry to all engines.

Few artifacts are examined in this process (`scanner.examine.in_process`), many in worker processes
on all cores (`scanner.examine.worker_pool`) if the caller allows it.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from prefect_mutagen.scanner.examine.examiner import Examiner
from prefect_mutagen.scanner.examine.in_process import examine_in_process
from prefect_mutagen.scanner.examine.workers import Workers
from prefect_mutagen.scanner.listing.artifacts import Artifact
from prefect_mutagen.scanner.results import ScanResult
from prefect_mutagen.scanner.storage.store import Store

if TYPE_CHECKING:
    from prefect_mutagen.scanner.examine.retries import SharedRequests

__all__ = ["Workers", "examine_artifacts"]

_WORTHWHILE: Final = 1000
"""Artifacts from which on workers gain more time than their start takes."""

_T = TypeVar("_T")


@overload
def examine_artifacts(
    store: Store,
    artifacts: Iterable[Artifact],
    examiner: Examiner,
    concurrency: int = 64,
    shared: "SharedRequests | None" = None,
) -> Iterator[ScanResult]: ...


@overload
def examine_artifacts(
    store: Store,
    artifacts: Iterable[Artifact],
    examiner: Examiner,
    concurrency: int = 64,
    shared: None = None,
    *,
    make: Callable[[Iterable[ScanResult]], Iterable[_T]],
    workers: Workers | None = None,
) -> Iterator[_T]: ...


def examine_artifacts(
    store: Store,
    artifacts: Iterable[Artifact],
    examiner: Examiner,
    concurrency: int = 64,
    shared: "SharedRequests | None" = None,
    *,
    make: Callable[[Iterable[ScanResult]], Iterable[Any]] | None = None,
    workers: Workers | None = None,
) -> Iterator[Any]:
    """Examine artifacts of one store.

    Args:
        store: Where they lie.
        artifacts: What to examine; taken as examinations get free, never all at once.
        examiner: Policy, hash level and what folders have in common.
        concurrency: Remote artifacts that are examined at a time, in all processes together.
        shared: Requests and limits that concurrent examinations of one remote scan share; see
            `scanner.examine.remote_engine.share_requests`.
        make: Applied to results in the process that examined them, some at a time: a function that
            can be pickled and yields what is small to pickle, such as ``partial(map, render)``.
        workers: Processes that may examine where artifacts are many; None keeps to this process.

    Yields:
        One result per artifact, or what ``make`` yielded for them, in their order.
    """
    if (
        make is not None
        and workers is not None
        and workers.count(store, concurrency) > 1
        and examiner.hash_level != "full"  # hashing uses all cores through threads
    ):
        waiting = iter(artifacts)
        first = list(islice(waiting, _WORTHWHILE))
        artifacts = chain(first, waiting)
        if len(first) == _WORTHWHILE:
            from prefect_mutagen.scanner.examine.worker_pool import examine_in_workers

            yield from examine_in_workers(store, artifacts, examiner, concurrency, make, workers)
            return
    results = examine_in_process(store, artifacts, examiner, concurrency, shared)
    yield from results if make is None else make(results)
