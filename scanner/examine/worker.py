"""A process that examines batches of artifacts for `scanner.examine.worker_pool`.

It lives as long as its socket: when the process that started it closes the other end, or is gone,
this one ends, whatever it is doing.
"""

import os
import pickle
import socket
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from prefect_mutagen.scanner.examine.examiner import Examiner
from prefect_mutagen.scanner.examine.in_process import examine_in_process
from prefect_mutagen.scanner.examine.workers import Workers
from prefect_mutagen.scanner.listing.artifacts import Artifact
from prefect_mutagen.scanner.policy.policy import Policy
from prefect_mutagen.scanner.results import ScanResult
from prefect_mutagen.scanner.storage.hashing import HashLevel
from prefect_mutagen.scanner.storage.opening import open_store

if TYPE_CHECKING:
    from prefect_mutagen.scanner.examine.retries import SharedRequests

__all__ = ["AT_ONCE", "BUFFER", "FINISHED", "Order", "Settings", "serve"]

AT_ONCE: Final = 3
"""Remote batches that a worker examines at once: one begins while the last replies for another are
awaited, so that they can be small."""
BUFFER: Final = 256 << 10
FINISHED: Final = b"."
"""What is said for each batch whose file is written."""
_LARGEST_BLOCK: Final = 16 << 20


class Settings(NamedTuple):
    """What all batches of a worker have in common."""

    concurrency: int
    """The worker's share; all else is the same for all workers."""
    workers: Workers
    policy: Policy
    hash_level: HashLevel
    generated_at: str
    make: Callable[[Iterable[ScanResult]], Iterable[Any]]


class Order(NamedTuple):
    """A batch, and the file to write what was made of it."""

    batch: list[Artifact]
    path: str


def serve() -> None:
    """Examine what the socket on standard input asks for, until its other end is closed."""
    control = socket.socket(fileno=0)
    orders: SimpleQueue[Any] = SimpleQueue()
    threading.Thread(target=_take_orders, args=(control, orders), daemon=True).start()
    try:
        settings: Settings = orders.get()
        # glibc gives memory back to the system for every block that is larger than all it has seen
        # freed, and then a header's pieces are new pages each time: half of a GGUF's time. This
        # block is never touched, so it costs nothing.
        bytearray(_LARGEST_BLOCK)
        work = _Work(settings)
        if not work.is_remote:
            while True:
                work.carry_out(orders.get())
                control.sendall(FINISHED)
        finished: SimpleQueue[Future[None]] = SimpleQueue()
        threading.Thread(target=_report, args=(control, finished), daemon=True).start()
        with ThreadPoolExecutor(AT_ONCE) as threads:
            while True:
                finished.put(threads.submit(work.carry_out, orders.get()))
    finally:
        # Whoever started this one does the work again, meets the same fault and can tell it.
        os._exit(1)


class _Work:
    """The examination of batches, with what they have in common."""

    def __init__(self, settings: Settings) -> None:
        root = settings.workers
        self._store = open_store(root.address, root.options, versions=root.versions)
        self._examiner = Examiner(settings.policy, settings.hash_level, settings.generated_at)
        self._concurrency, self._make = settings.concurrency, settings.make
        self._shared: SharedRequests | None = None
        self.is_remote = self._store.loop is not None
        if self.is_remote:
            from prefect_mutagen.scanner.examine.remote_engine import share_requests

            self._shared = share_requests(self._store, settings.concurrency)

    def carry_out(self, order: Order) -> None:
        """Examine a batch, and write what is made of it to the order's file."""
        batch, common = order.batch, (self._examiner, self._concurrency, self._shared)
        results = examine_in_process(self._store, batch, *common)
        # A pipe would hand over 64 KiB at a time, and both sides would wait for each other.
        with open(order.path, "wb", BUFFER) as file:
            for made in self._make(results):
                pickle.dump(made, file, pickle.HIGHEST_PROTOCOL)


def _report(control: socket.socket, finished: "SimpleQueue[Future[None]]") -> None:
    """Say which orders are carried out, in their order."""
    try:
        while True:
            finished.get().result()
            control.sendall(FINISHED)
    finally:
        os._exit(1)


def _take_orders(control: socket.socket, orders: "SimpleQueue[Any]") -> None:
    try:
        with control.makefile("rb") as file:
            while True:
                orders.put(pickle.load(file))  # noqa: S301 - written by the process that started us
    finally:
        os._exit(0)
