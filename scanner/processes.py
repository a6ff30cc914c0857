"""Examine many artifacts in several processes: where one core is the limit.

Headers are parsed and documents built on every core; storage is opened once in each process. The
processes are spawned, never forked: storage clients do not survive a fork. A program that spawns is
imported again by its children, so nothing here is done unless the caller asks for it; the command
does.
"""

import multiprocessing
import os
import pickle
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from functools import partial
from itertools import chain, islice
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeVar

from prefect_mutagen.scanner.artifacts import Artifact
from prefect_mutagen.scanner.examine import Examiner
from prefect_mutagen.scanner.hashing import HashLevel
from prefect_mutagen.scanner.policy import Policy
from prefect_mutagen.scanner.results import ScanResult
from prefect_mutagen.scanner.scan import examine_artifacts
from prefect_mutagen.scanner.storage import Store, open_store

__all__ = ["examine_in_processes"]

_WORTH_IT: Final = 1000
"""Fewer artifacts are examined sooner than processes start."""
_BATCH: Final = 64
_LARGEST_BLOCK: Final = 16 << 20
_BUFFER: Final = 256 << 10

_T = TypeVar("_T")
_opened: dict[str, Any] = {}


def examine_in_processes(
    store: Store,
    root: tuple[str, Mapping[str, Any]],
    artifacts: Iterable[Artifact],
    examiner: Examiner,
    make: Callable[[ScanResult], _T],
    *,
    concurrency: int,
    processes: int,
) -> Iterator[_T]:
    """Examine artifacts, in processes of their own if there are many.

    Args:
        store: The root, opened here.
        root: Address and storage options, to open it elsewhere.
        artifacts: What to examine; taken as examinations get free, never all at once.
        examiner: Policy and hash level; its cost does not grow with what other processes read.
        make: What to make of each result, where it was examined; a function of a module. To carry
            a small thing from process to process costs less than a whole result.
        concurrency: Remote artifacts that are examined at a time, in all processes together.
        processes: How many to use.

    Yields:
        One thing per artifact, in their order.
    """
    waiting = iter(artifacts)
    first = list(islice(waiting, _WORTH_IT))
    if processes < 2 or len(first) < _WORTH_IT or examiner.hash_level == "full":
        yield from map(make, examine_artifacts(store, chain(first, waiting), examiner, concurrency))
        return
    each = max(1, concurrency // processes)
    settings = (*root, examiner.policy, examiner.hash_level, examiner.generated_at, each, make)
    begun: deque[list[Artifact]] = deque()
    running: deque[Future[str]] = deque()
    most = _BATCH if store.loop is None else max(_BATCH, 4 * each)
    batches = iter(partial(_take, chain(first, waiting), most), [])
    with (
        TemporaryDirectory(prefix="prefect-mutagen-") as folder,
        _pool(processes, settings) as pool,
    ):
        try:
            for number, batch in enumerate(batches):
                begun.append(batch)
                running.append(pool.submit(_examine, batch, os.path.join(folder, str(number))))
                if len(running) > 2 * processes:
                    yield from _take_over(running.popleft().result(), len(begun.popleft()))
            while running:
                yield from _take_over(running.popleft().result(), len(begun.popleft()))
        except BrokenProcessPool:
            # A process was killed, and nobody knows over what. The rest is examined here.
            rest = chain.from_iterable(chain(begun, batches))
            yield from map(make, examine_artifacts(store, rest, examiner, concurrency))


@contextmanager
def _pool(processes: int, settings: tuple[Any, ...]) -> Iterator[ProcessPoolExecutor]:
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, context, _open, initargs=settings)
    try:
        yield pool
    finally:
        # Whoever is told to end while the pool's thread begins cannot wait for it; it ends all the
        # same, and its processes with it.
        with suppress(RuntimeError):
            pool.shutdown(cancel_futures=True)


def _take(artifacts: Iterator[Artifact], most: int) -> list[Artifact]:
    return list(islice(artifacts, most))


def _open(
    url: str,
    options: Mapping[str, Any],
    policy: Policy,
    hash_level: HashLevel,
    generated_at: str,
    concurrency: int,
    make: Callable[[ScanResult], Any],
) -> None:
    """Prepare a process."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # glibc gives memory back to the system for every block that is larger than all it has seen
    # freed, and then a header's pieces are new pages each time: half of a GGUF's time. This block
    # is never touched, so it costs nothing.
    bytearray(_LARGEST_BLOCK)
    _opened.update(
        store=open_store(url, options),
        examiner=Examiner(policy, hash_level, generated_at),
        concurrency=concurrency,
        make=make,
    )


def _end_with_parent() -> None:
    """End this process when the one that started it is gone: killed, it cannot say so."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _examine(batch: list[Artifact], path: str) -> str:
    """Examine some artifacts, and write what was made of them to a file, one after the other.

    A pipe would hand over 64 KiB at a time, and both sides would wait for each other at each.
    """
    store, examiner, make = _opened["store"], _opened["examiner"], _opened["make"]
    with open(path, "wb", _BUFFER) as file:
        for result in examine_artifacts(store, batch, examiner, _opened["concurrency"]):
            pickle.dump(make(result), file, pickle.HIGHEST_PROTOCOL)
    return path


def _take_over(path: str, count: int) -> Iterator[Any]:
    """Read what a process of this pool has made, and free the room."""
    with open(path, "rb", _BUFFER) as file:
        for _ in range(count):
            yield pickle.load(file)  # noqa: S301 - written by ourselves, in a folder of our own
    os.unlink(path)
