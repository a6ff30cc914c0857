"""Run an agent under supervision: limits while it runs, and nothing of it left afterwards.

The command is a list of words, never a shell line. It gets a working folder of its own, a chosen
environment, limits, and its handoff as a file. A supervisor process (`scanner.agents.supervisor`)
kills it and all its descendants when it ends, when its time limit is reached, when this call is
left for whatever reason, and when this process, the harness, is gone.

Each agent has a supervisor of its own: a Python interpreter, which costs 4.7 MB and 10 to 15 ms
(`tests/benchmarks/agents.py`), little beside the program and the flow run of an agent.
"""

import contextlib
import math
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, cast

from prefect_mutagen.scanner.agents.line_splitter import LineSplitter
from prefect_mutagen.scanner.agents.orders import PASSED_ON, Limits, Serving, make_order
from prefect_mutagen.scanner.shutdown import on_shutdown, passed_on
from prefect_mutagen.scanner.temporary import own_folder

__all__ = [
    "Guarantee",
    "Limits",
    "Outcome",
    "Serving",
    "end_all",
    "find_program",
    "named_variables",
    "run_supervised",
]

Guarantee = Literal["kernel", "sweep", "group"]
"""What ensures that nothing is left: ``kernel``, a PID namespace; ``sweep``, the supervisor, which
killed all descendants; ``group``, outside Linux: only the process group was killed."""
TIME_LIMIT_STATUS: Final = 124
"""Exit status at the time limit, as for the command ``timeout``."""
_CHUNK: Final = 1 << 16
_LAST_CHUNKS: Final = 16
"""Reads after the end; a process that kept the pipe could otherwise write for ever."""
_END_TIMEOUT: Final = 2.0
"""Seconds that a supervisor has to end its command and itself; half of them are its grace."""
_POLL_INTERVAL: Final = 1.0
"""Seconds after which a waiting thread wakes, so that an exception set elsewhere reaches it."""
_SUPERVISOR: Final = (
    "import sys; sys.path.append(sys.argv[1]); import supervisor; supervisor.main()"
)
"""Imported, not run as a file, so that its compiled module is used."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended."""

    status: int
    """Exit status; 124 at the time limit, 128 plus the signal's number when a signal ended it."""
    guarantee: Guarantee
    timed_out: bool = False
    truncated: bool = False
    """Whether output beyond the limit was dropped."""


def find_program(name: str) -> str | None:
    """Return the path of a program, looked up as `run_supervised` does.

    Args:
        name: First word of a command: with a slash, a path relative to the folder of this process;
            else a name in PATH.

    Returns:
        The path; None if there is no such executable file.
    """
    return shutil.which(os.path.abspath(name) if "/" in name else name)


def named_variables(names: Sequence[str]) -> dict[str, str]:
    """Return environment variables to pass to a command beyond `INHERITED`.

    Raises:
        ValueError: One of them is not set.
    """
    missing = [name for name in names if name not in os.environ]
    if missing:
        raise ValueError(f"not set in the environment: {', '.join(missing)}")
    return {name: os.environ[name] for name in names}


def end_all() -> None:
    """End the commands that all threads of this process run; their calls return or raise.

    A thread that waits for a command sees no signal: the thread that does see one calls this.
    """
    for run in list(_runs):
        run.end()


def _end_and_wait() -> None:
    """End all commands, and wait until nothing of them is left; see `on_shutdown`."""
    end_all()
    for run in list(_runs):
        run.wait(_END_TIMEOUT)


def run_supervised(  # noqa: PLR0913 - each is an aspect of one run, and most are optional
    command: Sequence[str],
    handoff: bytes,
    limits: Limits = Limits(),
    *,
    on_line: Callable[[str], None] | None = None,
    environment: Mapping[str, str] | None = None,
    stdin: bool = True,
    on_guarantee: Callable[[Guarantee], None] | None = None,
    may_start: Callable[[], bool] = lambda: True,
    serving: Serving | None = None,
) -> Outcome:
    """Run a command, and return when nothing of it is left.

    Args:
        command: The program and its arguments. A program with a slash is a path relative to the
            folder of this process; any other is looked up in PATH.
        handoff: Content of the file that MUTAGEN_HANDOFF names.
        limits: Limits on time, memory and CPU time.
        on_line: Called with each line of standard output and standard error; a megabyte in all at
            most, in lines of 4096 bytes at most. None: the command inherits the outputs of this
            process.
        environment: Variables beyond PATH, HOME and the locale.
        stdin: Whether standard input is the handoff too, or that of this process for a server;
            else it is empty.
        on_guarantee: Called before the command starts, or while it does, with what ensures that
            nothing of it is left.
        may_start: Asked once more when `end_all` would end the command: whether it may start.
        serving: That the command is a server; only for the main thread of the process.

    Returns:
        How it ended.

    Raises:
        OSError: The command cannot be started.
        ValueError: An argument or a variable cannot be passed to a program.
    """
    with (
        on_shutdown(_end_and_wait),
        own_folder("agent", ignore_cleanup_errors=True) as folder,
    ):
        with open(f"{folder}/handoff.json", "wb") as file:
            file.write(handoff)
        given = _own_input() if serving and stdin else None
        own = file.name if stdin and not serving else os.devnull
        source = own if given is None else given
        order = make_order(
            command, limits, environment or {}, folder, source, serving=serving is not None
        )
        lines = None if on_line is None else LineSplitter(on_line)
        run = _Run(order, lines, on_guarantee, given, serving)
        try:
            if not may_start():
                run.end()
            with passed_on(PASSED_ON if serving else (), run.pass_on):
                run.follow(time.monotonic() + (limits.seconds or math.inf))
        finally:
            run.close()
    return run.outcome(command[0])


def _own_input() -> int | None:
    """Return the standard input of this process as a file of its own; None if it was closed."""
    # Where it was closed at the start, its number is that of another file by now.
    return None if sys.stdin is None else os.dup(0)


def _start_supervisor(
    control: socket.socket, output: int, errors: int, given: int | None
) -> "subprocess.Popen[bytes]":
    # An agent can read the environment of its supervisor: it has what the interpreter may need to
    # find its own libraries, and nothing else.
    environment = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    folder = os.path.dirname(os.path.abspath(__file__))
    return subprocess.Popen(  # noqa: S603 - this interpreter and a module of ours
        [sys.executable, "-I", "-S", "-c", _SUPERVISOR, folder, str(os.getpid())],
        stdin=control.fileno(),
        stdout=output,
        stderr=errors,
        cwd="/",
        env=environment,
        pass_fds=() if given is None else (given,),
        start_new_session=True,  # signals of a terminal go to the harness alone
    )


class _Run:
    """A command under its supervisor."""

    def __init__(
        self,
        order: bytes,
        lines: LineSplitter | None,
        on_guarantee: Callable[[Guarantee], None] | None,
        given: int | None,
        serving: Serving | None,
    ) -> None:
        self._serving = serving
        self._given = given
        self._signals: list[int] = []
        self._kill_at = math.inf
        self._lines = lines
        self._on_guarantee = on_guarantee
        self._output = -1
        self._report = b""
        self._timed_out = False
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._control, theirs = socket.socketpair()
        _runs.add(self)
        try:
            with theirs:
                if lines is None:
                    self._supervisor = _start_supervisor(theirs, 1, 2, given)
                else:
                    self._output, writer = os.pipe()
                    try:
                        self._supervisor = _start_supervisor(theirs, writer, writer, given)
                    finally:
                        os.close(writer)
            self._control.sendall(order)
        except BaseException:
            self.close()
            raise

    def follow(self, deadline: float) -> None:
        """Pass on its output until nothing of it is left; end it at the deadline."""
        events = select.poll()
        for descriptor in (self._control.fileno(), self._output):
            if descriptor >= 0:
                events.register(descriptor, select.POLLIN)
        while True:
            left = deadline - time.monotonic()
            if left <= 0 and not self._timed_out:
                self._timed_out = True
                self.end()
            self._wake()
            self._attend()
            timeout = _POLL_INTERVAL if self._timed_out else min(left, _POLL_INTERVAL)
            for descriptor, _ in events.poll(timeout * 1000):
                if descriptor == self._output:
                    if not self._read_output():
                        events.unregister(descriptor)
                elif data := _receive(self._control):
                    self._take_report(data)
                else:
                    return self._finish()

    def _take_report(self, data: bytes) -> None:
        self._report += data
        guarantee, complete, _ = self._report.partition(b"\n")
        if complete and self._on_guarantee is not None:
            self._on_guarantee(cast("Guarantee", guarantee.decode()))
            self._on_guarantee = None
        self._send_signals()

    def pass_on(self, number: int) -> None:
        """Pass a signal on to a server; a handler of signals, in the main thread."""
        if number in (signal.SIGTERM, signal.SIGINT) and self._serving is not None:
            self._kill_at = min(self._kill_at, time.monotonic() + self._serving.grace)
        self._signals.append(number)
        self._send_signals()

    def _attend(self) -> None:
        """Kill a server after its grace, and do what falls to the first process of a container."""
        if self._serving is None or self._supervisor is None:
            return
        if time.monotonic() >= self._kill_at:
            self.pass_on(signal.SIGKILL)
        if os.getpid() == 1:
            with contextlib.suppress(ChildProcessError):  # those whose parents have ended are ours
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if ended is not None and ended.si_pid != self._supervisor.pid:
                    os.waitpid(ended.si_pid, 0)

    def _send_signals(self) -> None:
        # The supervisor reads its order to the end before it reports its first line.
        while self._signals and b"\n" in self._report:
            with contextlib.suppress(OSError):  # it has ended
                self._control.send(bytes((self._signals.pop(0),)))

    def _read_output(self) -> bool:
        data = os.read(self._output, _CHUNK)
        if self._lines is not None:
            self._lines.feed(data)
        return bool(data)

    def _finish(self) -> None:
        """Pass on what is left in the pipe, without waiting for others that may hold it open."""
        if self._lines is None:
            return
        os.set_blocking(self._output, False)
        for _ in range(_LAST_CHUNKS):
            try:
                if not self._read_output():
                    break
            except BlockingIOError:
                break
        self._lines.flush()

    def _wake(self) -> None:
        """Continue the supervisor: without namespaces, an agent may have stopped it."""
        if self._supervisor is not None:
            with contextlib.suppress(OSError):
                self._supervisor.send_signal(signal.SIGCONT)

    def end(self) -> None:
        """Ask the supervisor to end it; safe in any thread."""
        with contextlib.suppress(OSError):  # it has ended, and the socket is closed
            self._control.shutdown(socket.SHUT_WR)

    def wait(self, seconds: float) -> bool:
        """Wait until nothing of it is left, or until the timeout; take no lock.

        Returns:
            Whether nothing is left.
        """
        events = select.poll()
        events.register(self._control, select.POLLIN)
        while events.poll(seconds * 1000):
            if not _receive(self._control):
                return True
        return False

    def close(self) -> None:
        """End it if it still runs, and wait until nothing of it is left."""
        try:
            self.end()
            while not self.wait(_POLL_INTERVAL):
                self._wake()
            if self._supervisor is not None:
                self._supervisor.wait()
        finally:
            _runs.discard(self)
            self._control.close()
            if self._given is not None:
                os.close(self._given)
            if self._output >= 0:
                os.close(self._output)

    def outcome(self, program: str) -> Outcome:
        """Return the outcome that the supervisor reported.

        Raises:
            OSError: The command was not started.
        """
        guarantee, *rest = self._report.decode().split("\n")
        events = dict(line.split(" ") for line in [guarantee, *rest] if " " in line)
        if "errno" in events:
            number = int(events["errno"])
            raise OSError(number, os.strerror(number), program)
        if not guarantee:
            raise ChildProcessError("the supervisor ended before it could start the command")
        # Without this line the supervisor was killed, and the command with it.
        status = int(events.get("ended", -signal.SIGKILL))
        if self._timed_out:
            status = TIME_LIMIT_STATUS
        truncated = self._lines is not None and self._lines.truncated
        return Outcome(
            status if status >= 0 else 128 - status,
            cast("Guarantee", guarantee),
            self._timed_out,
            truncated,
        )


_runs: Final[set[_Run]] = set()
# A forked child shares the sockets: ending its parent's commands is not its business.
os.register_at_fork(after_in_child=_runs.clear)


def _receive(control: socket.socket) -> bytes:
    """Return what the supervisor reports; empty when it has ended, however early."""
    try:
        return control.recv(_CHUNK)
    except ConnectionResetError:
        return b""
