"""Examine many artifacts in worker processes: where one core is the limit.

Of 40,000 safetensors files, 11.3 s of CPU time in one process, 3.0 s stay in this one and the rest
is shared by all cores; of 1,000 GGUF files of 7.8 MB, 3.0 s, it is 0.3 s
(`tests/benchmarks/local_scan.py`).

Headers are parsed and documents built on every core; storage is opened once in each process. The
processes are started anew, never forked: storage clients do not survive a fork. There is no lock or
queue between them and this process, only a socket to each: they end when it is closed.
"""

import os
import pickle
import selectors
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from itertools import count as counting
from typing import Any, Final, TypeVar

from prefect_mutagen.scanner.examine.examiner import Examiner
from prefect_mutagen.scanner.examine.in_process import examine_in_process
from prefect_mutagen.scanner.examine.worker import AT_ONCE, BUFFER, Order, Settings
from prefect_mutagen.scanner.examine.workers import Workers
from prefect_mutagen.scanner.listing.artifacts import Artifact
from prefect_mutagen.scanner.results import ScanResult
from prefect_mutagen.scanner.storage.store import Store
from prefect_mutagen.scanner.temporary import own_folder

__all__ = ["examine_in_workers"]

_BATCH: Final = 64
_LARGEST_BATCH: Final = 256
"""Of local artifacts, once every worker has had some: less is said and fewer files are opened."""
_SMALLEST_BATCH: Final = 16
"""Of remote artifacts: a batch that is not finished is lost with a scan that is killed."""
_SMALL_SCAN: Final = 4000
"""Remote artifacts after which such a batch is a small share of the scan, however large."""
_PROGRAM: Final = (
    "import sys; sys.path[:] = sys.argv[1:]; "
    "from prefect_mutagen.scanner.examine.worker import serve; serve()"
)

_T = TypeVar("_T")


def examine_in_workers(
    store: Store,
    artifacts: Iterable[Artifact],
    examiner: Examiner,
    concurrency: int,
    make: Callable[[Iterable[ScanResult]], Iterable[_T]],
    workers: Workers,
) -> Iterator[_T]:
    """Examine artifacts in worker processes; see `prefect_mutagen.scanner.examine.engine`.

    Args:
        store: The storage, opened here: used when a worker is lost.
        artifacts: What to examine; taken as workers get free, never all at once.
        examiner: Policy and hash level; each worker has caches of its own.
        concurrency: Remote artifacts that are examined at a time, in all workers together.
        make: Applied to the results of a batch by the worker.
        workers: How many, and what they open.

    Yields:
        What ``make`` yielded for the artifacts, in their order.
    """
    processes = workers.count(store, concurrency)
    shares = [(concurrency + number) // processes for number in range(processes)]
    common = workers, examiner.policy, examiner.hash_level, examiner.generated_at, make
    settings = [Settings(max(1, share), *common) for share in shares]
    begun: deque[tuple[int, list[Artifact]]] = deque()
    if store.loop is None:
        ahead, batches = 2 * processes, _batches(artifacts, _BATCH, _LARGEST_BATCH, 4 * processes)
    else:
        # Half of what a worker requests at a time: two of its batches are enough for that.
        size = max(_SMALLEST_BATCH, *(share // 2 for share in shares))
        ahead = (AT_ONCE + 1) * processes
        batches = _batches(artifacts, size, max(size, _BATCH), _SMALL_SCAN // size)
    with own_folder("workers") as folder, _crew(processes, folder) as crew:
        try:
            crew.prepare(settings)
            for number, batch in enumerate(batches):
                begun.append((number, batch))
                crew.submit(number, batch)
                if len(begun) > ahead:
                    yield from _take_over(crew, begun)
            while begun:
                yield from _take_over(crew, begun)
        except _WorkerLost:
            # Killed, or by a fault of ours: nobody knows over what. The rest is examined here.
            rest = chain.from_iterable(chain((batch for _, batch in begun), batches))
            yield from make(examine_in_process(store, rest, examiner, concurrency))


def _batches(
    artifacts: Iterable[Artifact], smallest: int, largest: int, number: int
) -> Iterator[list[Artifact]]:
    """Yield batches: so many of the smallest size, then those of the largest."""
    waiting = iter(artifacts)
    for begun in counting():
        size = smallest if begun < number else largest
        batch = list(islice(waiting, size))
        if not batch:
            return
        yield batch


class _WorkerLost(Exception):  # noqa: N818 - no error that anybody sees
    """A process has ended before its work was done."""


class _Worker:
    """A process that examines batches (`scanner.examine.worker`), seen from its parent."""

    def __init__(self, folder: str) -> None:
        self.control, theirs = socket.socketpair()
        self.begun: deque[int] = deque()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter and a module of ours
                [sys.executable, "-c", _PROGRAM, *sys.path],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                env=os.environ | {"TMPDIR": folder},
                # What a terminal sends to the command is answered by the command.
                process_group=0,
            )

    def send(self, what: Settings | Order) -> None:
        """Hand over settings or an order.

        Raises:
            _WorkerLost: It has ended.
        """
        try:
            self.control.sendall(pickle.dumps(what, pickle.HIGHEST_PROTOCOL))
        except OSError:
            raise _WorkerLost from None

    def finish(self) -> list[int]:
        """Return the numbers of batches that it has finished since the last time.

        Raises:
            _WorkerLost: It has ended.
        """
        try:
            said = self.control.recv(64)
        except OSError:
            said = b""
        if not said:
            raise _WorkerLost
        return [self.begun.popleft() for _ in said]

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        self.control.close()


class _Crew:
    """Some workers, and which batches are finished."""

    def __init__(self, folder: str) -> None:
        self.workers: list[_Worker] = []
        self._folder = folder
        self._finished: set[int] = set()
        self._replies = selectors.DefaultSelector()

    def start(self) -> None:
        worker = _Worker(self._folder)
        self.workers.append(worker)
        self._replies.register(worker.control, selectors.EVENT_READ, worker)

    def prepare(self, settings: Sequence[Settings]) -> None:
        for worker, own in zip(self.workers, settings, strict=True):
            worker.send(own)

    def submit(self, number: int, batch: list[Artifact]) -> None:
        """Have a batch examined by whoever has the least to do."""
        self._hear(0)
        worker = min(self.workers, key=lambda each: len(each.begun))
        worker.begun.append(number)
        worker.send(Order(batch, self._path(number)))

    def wait_for(self, number: int) -> str:
        """Wait for a batch; the file with what was made of it."""
        while number not in self._finished:
            self._hear(None)
        self._finished.remove(number)
        return self._path(number)

    def _path(self, number: int) -> str:
        return os.path.join(self._folder, str(number))

    def _hear(self, seconds: float | None) -> None:
        for key, _ in self._replies.select(seconds):
            self._finished.update(key.data.finish())

    def close(self) -> None:
        self._replies.close()
        for worker in self.workers:
            worker.close()


@contextmanager
def _crew(count: int, folder: str) -> Iterator[_Crew]:
    crew = _Crew(folder)
    try:
        for _ in range(count):
            crew.start()
        yield crew
    finally:
        crew.close()


def _take_over(crew: _Crew, begun: deque[tuple[int, list[Artifact]]]) -> Iterator[Any]:
    """Wait for the first of these batches, give what was made of it, and free the room."""
    number, _ = begun[0]
    path = crew.wait_for(number)
    begun.popleft()
    with open(path, "rb", BUFFER) as file:
        size = os.fstat(file.fileno()).st_size
        while file.tell() < size:
            yield pickle.load(file)  # noqa: S301 - written by ourselves, in a folder of our own
    os.unlink(path)
