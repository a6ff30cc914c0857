"""Terminate a command on SIGINT, SIGTERM or SIGHUP, once, and clean up after it.

An exception raised in the main thread at an arbitrary point would unwind half-open contexts, get
lost in destructors, and be interrupted by the next signal. So nothing is unwound. The main thread
stops where it is. A dedicated thread, which receives signals even while the main thread is inside a
C library, prints one line, runs the registered actions (`on_shutdown`), kills the child processes
and removes the process's temporary folder. Then the process re-raises the signal with its default
action, so that shells see status 128+n and a loop around the command ends too. Further signals are
ignored meanwhile.
"""

import os
import select
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final

from prefect_mutagen.scanner.temporary import owner_mark

__all__ = ["SIGNALS", "ended_by_signals", "on_shutdown", "outermost_folder", "passed_on"]

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that terminate a command. Those ignored at start, as under ``nohup``, stay ignored."""
_CLEANUP_TIMEOUT: Final = 3.0
"""Seconds that cleaning up may take; a hanging file system must not keep the process alive."""
_HALT_TIMEOUT: Final = 1.0
"""Seconds for the main thread to stop; inside a C library it may not."""
_POLL_INTERVAL: Final = 0.005

_actions: Final[dict[object, Callable[[], None]]] = {}
_folders: Final[list[str]] = []
_passed_on: Final[set[int]] = set()
"""Signals that are another process's for now."""


@contextmanager
def on_shutdown(action: Callable[[], None]) -> Iterator[None]:
    """Register an action that runs if a signal terminates the command in this context.

    Args:
        action: Runs in another thread while the main thread is stopped at an arbitrary point, so it
            must neither acquire a lock nor import a module. Exceptions are suppressed.
    """
    key = object()
    _actions[key] = action
    try:
        yield
    finally:
        del _actions[key]


@contextmanager
def passed_on(numbers: Sequence[int], pass_on: Callable[[int], None]) -> Iterator[None]:
    """Hand signals to a function instead of ending the command; for its main thread.

    Args:
        numbers: The signals. Those ignored at start, as under ``nohup``, stay ignored.
        pass_on: Called in the main thread with each that arrives.
    """
    before = {number: signal.getsignal(number) for number in numbers}
    taken = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    signal.pthread_sigmask(signal.SIG_BLOCK, taken)
    try:
        _passed_on.update(taken)
        for number in taken:
            signal.signal(number, lambda arrived, _frame: pass_on(arrived))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, taken)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, taken)
        for number in taken:
            signal.signal(number, before[number])
        _passed_on.difference_update(taken)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, taken)


def outermost_folder(folder: str) -> str:
    """Return the outermost temporary folder of this process around a folder, or the folder itself.

    Another process that cleans up after SIGKILL has to remove this one.
    """
    parents = (own for own in _folders if folder.startswith(own + os.sep))
    return next(parents, folder)


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Run a command that `SIGNALS` terminate, with its own folder for temporary files.

    Only for the main thread of the command's process. The handlers stay installed after the
    context: a signal may arrive during interpreter shutdown.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        with suppress(OSError):  # verify works on a read-only file system too
            name = f"prefect-mutagen-{owner_mark()}-{os.urandom(8).hex()}"
            folder = os.path.join(tempfile.gettempdir(), name)
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
    """Termination of this process by the first signal that arrives."""

    def __init__(self) -> None:
        self._number = 0
        self._halted = False
        self._done = False

    def listen(self) -> None:
        """Install the handlers and start the thread that waits for signals."""
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        # The C-level handler writes the signal's number to the pipe, whatever the main thread does.
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._halt)
        threading.Thread(
            target=self._clean_up, args=(reader,), name="shutdown", daemon=True
        ).start()

    def _halt(self, number: int, _frame: FrameType | None) -> None:
        """Block the main thread until cleanup is done, then die of the signal."""
        if self._halted:
            return
        self._halted = True
        self._wait(lambda: self._done, _CLEANUP_TIMEOUT)
        number = self._number or number
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        os._exit(128 + number)  # PID 1 of a container ignores its own signals

    def _clean_up(self, reader: int) -> None:
        while not self._number:
            arrived = (number for number in os.read(reader, 64) if number not in _passed_on)
            self._number = next((number for number in arrived if number in SIGNALS), 0)
        _print_last_line(f"stopped by {signal.Signals(self._number).name}")
        self._wait(lambda: self._halted, _HALT_TIMEOUT)
        for action in reversed(list(_actions.values())):
            with suppress(Exception):
                action()
        _kill_children()
        _remove_folders()
        self._done = True
        if self._halted:
            time.sleep(_HALT_TIMEOUT)
        os._exit(128 + self._number)

    @staticmethod
    def _wait(condition: Callable[[], bool], seconds: float) -> None:
        """Poll instead of using a lock, which the stopped main thread may hold."""
        deadline = time.monotonic() + seconds
        while not condition() and time.monotonic() < deadline:
            time.sleep(_POLL_INTERVAL)


def _kill_children() -> None:
    """Kill child processes where /proc lists them; elsewhere our own end by themselves.

    The leader of a session of its own is left alone: it is the supervisor of an agent, which ends
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


def _print_last_line(text: str) -> None:
    """Write one line to stderr, then redirect stderr to the null device."""
    with suppress(OSError, ValueError):
        stderr = 2
        if select.select([], [stderr], [], _HALT_TIMEOUT)[1]:  # a full pipe would block
            clear = "\r\x1b[K" if os.isatty(stderr) else ""
            os.write(stderr, f"{clear}prefect-mutagen: {text}\n".encode())
        os.dup2(os.open(os.devnull, os.O_WRONLY), stderr)
