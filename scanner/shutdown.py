"""End a command on SIGINT, SIGTERM or SIGHUP, once, and leave nothing of it behind.

An exception raised wherever the main thread happens to be would run through contexts that are half
open, get lost in destructors, and be broken off itself by the next signal. Here nothing is unwound:
the main thread stops where it is, and a thread of its own, which hears a signal while the main
thread is deep in a library too, says so in one line, does what is left to do (`on_shutdown`), ends
the children and removes the process's folder of temporary files. Then the process dies of that
signal, so that shells see the status 128 and its number, and a loop around the command ends with
it. Signals that come meanwhile change nothing.
"""

import os
import select
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final

__all__ = ["SIGNALS", "ended_by_signals", "on_shutdown", "outermost_folder"]

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What ends a command. One that the process was started to ignore (``nohup``) stays ignored."""
_PATIENCE: Final = 3.0
"""Seconds that putting away may take; a file system that hangs must not keep the process."""
_HALTING: Final = 1.0
"""Seconds in which the main thread stops, unless it is deep in a library."""
_PAUSE: Final = 0.005

_actions: Final[dict[object, Callable[[], None]]] = {}
_folders: Final[list[str]] = []


@contextmanager
def on_shutdown(action: Callable[[], None]) -> Iterator[None]:
    """Have something done if a signal ends the command while this context is open.

    Args:
        action: What to do. It runs in another thread while the main thread stands still wherever
            it was, so it must neither wait for a lock nor import anything; what it raises is passed
            over.
    """
    key = object()
    _actions[key] = action
    try:
        yield
    finally:
        del _actions[key]


def outermost_folder(folder: str) -> str:
    """Return what to remove for a temporary folder to be gone when this process was killed."""
    inside = (own for own in _folders if folder.startswith(own + os.sep))
    return next(inside, folder)


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Run a command that `SIGNALS` end, with a folder of its own for temporary files.

    For a process that belongs to the command, and its main thread. The handlers stay when the
    context is left: a signal may come while the interpreter ends.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        with suppress(OSError):  # where nothing can be written, a verification works all the same
            folder = os.path.join(tempfile.gettempdir(), f"prefect-mutagen-{os.urandom(8).hex()}")
            os.mkdir(folder, 0o700)
            _folders.append(folder)
            tempfile.tempdir = folder
        _Shutdown().listen()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    try:
        yield
    finally:
        tempfile.tempdir = None
        _remove_folders()


def _remove_folders() -> None:
    for folder in _folders:
        shutil.rmtree(folder, ignore_errors=True)


class _Shutdown:
    """The end of this process by a signal: the first one that comes."""

    def __init__(self) -> None:
        self._number = 0
        self._halted = False
        self._done = False

    def listen(self) -> None:
        """Wait for signals, in a thread of its own."""
        wake, woken = os.pipe()
        os.set_blocking(woken, False)
        # The interpreter writes a signal's number there at once, whatever the main thread does.
        signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._halt)
        threading.Thread(target=self._put_away, args=(wake,), name="shutdown", daemon=True).start()

    def _halt(self, number: int, _frame: FrameType | None) -> None:
        """Stop the main thread where it is, until everything is put away; then die."""
        if self._halted:
            return
        self._halted = True
        self._wait(lambda: self._done, _PATIENCE)
        number = self._number or number
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        os._exit(128 + number)  # the first process of a container does not die of its own signals

    def _put_away(self, wake: int) -> None:
        while not self._number:
            self._number = next((each for each in os.read(wake, 64) if each in SIGNALS), 0)
        _say(f"stopped by {signal.Signals(self._number).name}")
        self._wait(lambda: self._halted, _HALTING)
        for action in reversed(list(_actions.values())):
            with suppress(Exception):
                action()
        _end_children()
        _remove_folders()
        self._done = True
        if self._halted:
            time.sleep(_HALTING)
        os._exit(128 + self._number)

    @staticmethod
    def _wait(over: Callable[[], bool], seconds: float) -> None:
        """Wait without a lock: the main thread may stand still with any of them."""
        deadline = time.monotonic() + seconds
        while not over() and time.monotonic() < deadline:
            time.sleep(_PAUSE)


def _end_children() -> None:
    """Kill the children of this process, where the kernel lists them.

    One that leads a session of its own is left alone: it is the supervisor of an agent, which ends
    once it has cleaned up.
    """
    with suppress(OSError):
        for task in os.listdir("/proc/self/task"):
            with open(f"/proc/self/task/{task}/children", "rb") as file:
                children = file.read().split()
            for child in map(int, children):
                with suppress(OSError):
                    if os.getsid(child) != child:
                        os.kill(child, signal.SIGKILL)
                        os.waitpid(child, 0)


def _say(text: str) -> None:
    """Say one line on stderr, and let nobody say anything after it."""
    with suppress(OSError, ValueError):
        stderr = 2
        if select.select([], [stderr], [], _HALTING)[1]:  # a pipe that nobody reads is full
            clear = "\r\x1b[K" if os.isatty(stderr) else ""
            os.write(stderr, f"{clear}prefect-mutagen: {text}\n".encode())
        os.dup2(os.open(os.devnull, os.O_WRONLY), stderr)
