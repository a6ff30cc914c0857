"""Examine many artifacts in several processes: where one core is the limit.

Headers are parsed and documents built on every core; storage is opened once in each process. The
processes are spawned, never forked: storage clients do not survive a fork. A program that spawns is
imported again by its children, so nothing here is done unless the caller asks for it; the command
does.
"""

import multiprocessing
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import chain, islice
from typing import Any, Final

from prefect_mutagen.scanner.artifacts import Artifact
from prefect_mutagen.scanner.examine import Examiner
from prefect_mutagen.scanner.results import ScanResult
from prefect_mutagen.scanner.scan import examine_artifacts
from prefect_mutagen.scanner.storage import Store, open_store

__all__ = ["examine_in_processes"]

_WORTH_IT: Final = 1000
"""Fewer artifacts are examined sooner than processes start."""
_BATCH: Final = 50

_opened: dict[str, Any] = {}


def examine_in_processes(
    root: tuple[str, Mapping[str, Any]],
    artifacts: Iterable[Artifact],
    examiner: Examiner,
    *,
    concurrency: int,
    processes: int,
) -> Iterator[ScanResult]:
    """Examine artifacts, in processes of their own if there are many.

    Args:
        root: Address and storage options.
        artifacts: What to examine; taken as examinations get free, never all at once.
        examiner: Policy and hash level; its cost does not grow with what other processes read.
        concurrency: Remote artifacts that are examined at a time, in all processes together.
        processes: How many to use.

    Yields:
        One result per artifact, in their order.
    """
    waiting = iter(artifacts)
    first = list(islice(waiting, _WORTH_IT))
    if processes < 2 or len(first) < _WORTH_IT or examiner.hash_level == "full":
        store = open_store(*root)
        yield from examine_artifacts(store, chain(first, waiting), examiner, concurrency)
        return
    each = max(1, concurrency // processes)
    settings = (*root, examiner.policy, examiner.hash_level, examiner.generated_at, each)
    pool = ProcessPoolExecutor(
        processes, multiprocessing.get_context("spawn"), _open, initargs=settings
    )
    running: deque[Future[list[ScanResult]]] = deque()
    try:
        rest = chain(first, waiting)
        while batch := list(islice(rest, max(_BATCH, 4 * each))):
            running.append(pool.submit(_examine, batch))
            if len(running) > 2 * processes:
                yield from running.popleft().result()
        while running:
            yield from running.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _open(
    url: str,
    options: Mapping[str, Any],
    policy: Any,
    hash_level: Any,
    generated_at: str,
    concurrency: int,
) -> None:
    """Prepare a process."""
    store: Store = open_store(url, options)
    _opened.update(
        store=store,
        examiner=Examiner(policy, hash_level, generated_at),
        concurrency=concurrency,
    )


def _examine(batch: list[Artifact]) -> list[ScanResult]:
    found = examine_artifacts(_opened["store"], batch, _opened["examiner"], _opened["concurrency"])
    return list(found)
