"""The harness's end of its fork server: one small child process that forks all supervisors.

A harness may be large and full of threads: forking it is slow and unsafe, and an interpreter for
each agent costs memory. The fork server is started with the first agent, serves every thread, and
ends with the harness.
"""

import atexit
import os
import socket
import subprocess
import sys
import threading
from typing import Final

__all__ = ["fork_supervisor"]

_PROGRAM: Final = os.path.join(os.path.dirname(os.path.abspath(__file__)), "supervisor.py")


class _ForkServer:
    """The running server; it is gone when its process is."""

    def __init__(self) -> None:
        self._requests, theirs = socket.socketpair()
        # An agent can read the variables of the processes above it. Only what the interpreter may
        # need to find its own libraries is passed on.
        needed = {"LD_LIBRARY_PATH"} & os.environ.keys()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter and a file of ours
                [sys.executable, "-I", "-S", _PROGRAM, str(os.getpid())],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                cwd="/",
                env={name: os.environ[name] for name in needed},
                start_new_session=True,
            )

    def ask(self, descriptors: list[int]) -> None:
        """Ask for a supervisor that gets these descriptors."""
        socket.send_fds(self._requests, [b"."], descriptors)

    def close(self) -> None:
        """Let it end, and wait for that; supervisors live on as long as their agents."""
        self._requests.close()
        self._process.wait()

    def forget(self) -> None:
        """Drop it in a forked child: it belongs to the parent."""
        self._requests.close()
        self._process.returncode = 0  # nobody waits for it here


_lock = threading.Lock()
_running: list[_ForkServer] = []


def fork_supervisor(control: socket.socket, output: int, errors: int) -> None:
    """Start a supervisor; any thread may ask.

    Args:
        control: Its end of the control socket; the caller closes its own copy.
        output: Standard output of the agent, and of nothing else.
        errors: Its standard error.

    Raises:
        OSError: None can be started.
    """
    descriptors = [control.fileno(), output, errors]
    with _lock:
        if _running:
            try:
                _running[0].ask(descriptors)
            except (BrokenPipeError, ConnectionResetError):
                _running.pop().close()  # somebody has killed it
        if not _running:
            _running.append(_ForkServer())
            _running[0].ask(descriptors)


def _close() -> None:
    with _lock:
        while _running:
            _running.pop().close()


def _forget() -> None:
    global _lock  # noqa: PLW0603 - another thread of the parent may have held it
    _lock = threading.Lock()
    while _running:
        _running.pop().forget()


atexit.register(_close)
os.register_at_fork(after_in_child=_forget)
