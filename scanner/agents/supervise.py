"""Run an agent and see to it that nothing of it is left behind.

The command is a list of words, never a line for a shell. It gets a working folder of its own, a
chosen environment, limits, and what it is handed as a file. A supervisor beside it
(`scanner.agents.supervisor`) ends it and all that it started: when it ends, when its time
is up, when this call is left for whatever reason, and when this process is gone.
"""

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from prefect_mutagen.scanner.agents.fork_server import fork_supervisor
from prefect_mutagen.scanner.shutdown import on_shutdown, outermost_folder

__all__ = [
    "HANDOFF_VARIABLE",
    "INHERITED",
    "Guarantee",
    "Limits",
    "Outcome",
    "end_all",
    "find_program",
    "named_variables",
    "run_supervised",
]

Guarantee = Literal["kernel", "sweep", "group"]
"""Who saw to it that nothing is left: ``kernel``, by a PID namespace; ``sweep``, the supervisor,
which ended all descendants; ``group``, not on Linux: only the process group was ended."""
TIME_LIMIT_STATUS: Final = 124
"""Exit status of a command whose time was up, as the command ``timeout`` gives it."""
INHERITED: Final = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ")
"""Variables of this process that a command gets; credentials are not among them."""
HANDOFF_VARIABLE: Final = "MUTAGEN_HANDOFF"
"""Variable that names the file with what the command is handed."""
_LINE_LIMIT: Final = 4096
_OUTPUT_LIMIT: Final = 1 << 20
_CHUNK: Final = 1 << 16
_ENDING: Final = 2.0
"""Seconds in which a supervisor has ended its command and itself, half of them its own patience."""
_BREATH: Final = 1.0
"""Seconds after which a waiting thread looks up, so that an exception set elsewhere reaches it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a command may use; 0: any amount. Memory and CPU time count for each process alone."""

    seconds: float = 3600
    """Time from start to end."""
    memory_bytes: int = 0
    """Address space, RLIMIT_AS in setrlimit(2)."""
    cpu_seconds: int = 0
    """CPU time, RLIMIT_CPU."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended."""

    status: int
    """Its exit status; 124 when its time was up, 128 and the signal's number when one ended it."""
    guarantee: Guarantee
    timed_out: bool = False
    truncated: bool = False
    """Whether it wrote more than was passed on."""


def find_program(name: str) -> str | None:
    """Find the program of a command where `run_supervised` looks for it.

    Args:
        name: Its first word: with a slash, a path from this process's folder; else one in PATH.

    Returns:
        Its path; None when there is none that may be executed.
    """
    return shutil.which(os.path.abspath(name) if "/" in name else name)


def named_variables(names: Sequence[str]) -> dict[str, str]:
    """Give variables of this process that a command shall have beyond `INHERITED`.

    Raises:
        ValueError: One is not set.
    """
    missing = [name for name in names if name not in os.environ]
    if missing:
        raise ValueError(f"not set in the environment: {', '.join(missing)}")
    return {name: os.environ[name] for name in names}


def end_all() -> None:
    """End all commands that other threads of this process run; their calls return, or raise.

    A thread that waits for a command sees no signal. Whoever sees one, and has started agents in
    other threads, calls this.
    """
    for run in list(_runs):
        run.end()


def _put_away() -> None:
    """End all commands, and wait until nothing of them is left; see `on_shutdown`."""
    end_all()
    for run in list(_runs):
        run.wait(_ENDING)


def run_supervised(
    command: Sequence[str],
    given: bytes,
    limits: Limits = Limits(),
    *,
    on_line: Callable[[str], None] | None = None,
    environment: Mapping[str, str] | None = None,
    stdin: bool = True,
) -> Outcome:
    """Run a command to its end, and return when nothing of it is left.

    Args:
        command: The program and its arguments. A program named with a slash is looked up from the
            folder of this process, any other in PATH.
        given: What it is handed: the file that MUTAGEN_HANDOFF names.
        limits: What it may use.
        on_line: Called with each line it writes, to either of its outputs; at most a megabyte in
            all, and no line longer than 4096 bytes. None: it writes to the outputs of this process.
        environment: Variables beyond `INHERITED`.
        stdin: Whether its standard input is what it is handed as well; else it is empty.

    Returns:
        How it ended.

    Raises:
        OSError: It cannot be started.
        ValueError: A word or a variable cannot be passed to a program.
    """
    with (
        on_shutdown(_put_away),
        tempfile.TemporaryDirectory(prefix="mutagen-agent-", ignore_cleanup_errors=True) as folder,
    ):
        order = _order(command, limits, environment or {}, folder, stdin=stdin)
        with open(f"{folder}/handoff.json", "wb") as file:
            file.write(given)
        lines = None if on_line is None else _Lines(on_line)
        run = _Run(order, lines)
        try:
            run.follow(time.monotonic() + limits.seconds)
        finally:
            run.close()
    return run.outcome(command[0])


def _order(
    command: Sequence[str],
    limits: Limits,
    environment: Mapping[str, str],
    folder: str,
    *,
    stdin: bool,
) -> bytes:
    """Write what the supervisor is to do, and make the folders."""
    working_folder, temporary_folder = f"{folder}/work", f"{folder}/temporary"
    os.mkdir(working_folder)
    os.mkdir(temporary_folder)
    handed = f"{folder}/handoff.json"
    variables = {name: os.environ[name] for name in INHERITED if name in os.environ}
    variables |= environment
    variables |= {"TMPDIR": temporary_folder, HANDOFF_VARIABLE: handed}
    program, *words = command
    if "/" in program:
        program = os.path.abspath(program)
    texts = [program, *words, *variables, *variables.values()]
    if not program or any("\0" in text for text in texts) or any("=" in name for name in variables):
        raise ValueError("the command or its environment cannot be passed to a program")
    order: dict[str, Any] = {
        "command": [_exact(word) for word in (program, *words)],
        "environment": {_exact(name): _exact(value) for name, value in variables.items()},
        "folder": outermost_folder(folder),
        "working_folder": working_folder,
        "stdin": handed if stdin else os.devnull,
        "memory_bytes": limits.memory_bytes,
        "cpu_seconds": limits.cpu_seconds,
    }
    return json.dumps(order).encode() + b"\n"


def _exact(text: str) -> str:
    """Write a text so that the supervisor finds the bytes that this process would pass on."""
    return os.fsencode(text).decode("utf-8", "surrogateescape")


class _Run:
    """One command under its supervisor."""

    def __init__(self, order: bytes, lines: "_Lines | None") -> None:
        self._lines = lines
        self._output = -1
        self._report = b""
        self._timed_out = False
        self._control, theirs = socket.socketpair()
        _runs.add(self)
        try:
            with theirs:
                if lines is None:
                    fork_supervisor(theirs, 1, 2)
                else:
                    self._output, its_output = os.pipe()
                    try:
                        fork_supervisor(theirs, its_output, its_output)
                    finally:
                        os.close(its_output)
            self._control.sendall(order)
        except BaseException:
            self.close()
            raise

    def follow(self, deadline: float) -> None:
        """Pass on what it writes until nothing of it is left; end it when its time is up."""
        waiting = select.poll()
        for descriptor in (self._control.fileno(), self._output):
            if descriptor >= 0:
                waiting.register(descriptor, select.POLLIN)
        while True:
            left = deadline - time.monotonic()
            if left <= 0 and not self._timed_out:
                self._timed_out = True
                self.end()
            pause = _BREATH if self._timed_out else min(left, _BREATH)
            for descriptor, _ in waiting.poll(pause * 1000):
                if descriptor == self._output:
                    if not self._pass_on():
                        waiting.unregister(descriptor)
                elif data := _receive(self._control):
                    self._report += data
                else:
                    return self._finish()

    def _pass_on(self) -> bool:
        data = os.read(self._output, _CHUNK)
        if self._lines is not None:
            self._lines.feed(data)
        return bool(data)

    def _finish(self) -> None:
        """Pass on what is left in the pipe; whoever else may still hold it is not waited for."""
        if self._lines is None:
            return
        os.set_blocking(self._output, False)
        for _ in range(_OUTPUT_LIMIT // _CHUNK):
            try:
                if not self._pass_on():
                    break
            except BlockingIOError:
                break
        self._lines.flush()

    def end(self) -> None:
        """Have it ended; any thread may ask."""
        with contextlib.suppress(OSError):  # it has ended, and all is closed
            self._control.shutdown(socket.SHUT_WR)

    def wait(self, seconds: float | None) -> None:
        """Wait until nothing of it is left, or for so many seconds."""
        waiting = select.poll()
        waiting.register(self._control, select.POLLIN)
        while waiting.poll(None if seconds is None else seconds * 1000):
            if not _receive(self._control):
                return

    def close(self) -> None:
        """End it, if it has not ended, and wait until nothing of it is left."""
        try:
            self.end()
            self.wait(None)
        finally:
            _runs.discard(self)
            self._control.close()
            if self._output >= 0:
                os.close(self._output)

    def outcome(self, program: str) -> Outcome:
        """Read the supervisor's report.

        Raises:
            OSError: The command was not started.
        """
        guarantee, *rest = self._report.decode().split("\n")
        said = dict(line.split(" ") for line in [guarantee, *rest] if " " in line)
        if "errno" in said:
            number = int(said["errno"])
            raise OSError(number, os.strerror(number), program)
        if not guarantee:
            raise ChildProcessError("the supervisor of the command ended before it was started")
        # A supervisor that could not report was killed, and the command with it.
        status = int(said.get("ended", -signal.SIGKILL))
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


class _Lines:
    """Cuts a stream into lines and passes on a limited number of bytes."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._rest = b""
        self._left = _OUTPUT_LIMIT
        self.truncated = False

    def feed(self, data: bytes) -> None:
        if len(data) > self._left:
            self.truncated = True
        data = data[: self._left]
        self._left -= len(data)
        *whole, self._rest = (self._rest + data).split(b"\n")
        for line in whole:
            self._pass_on(line)
        if len(self._rest) > _LINE_LIMIT:
            self._rest = self._pass_on(self._rest, whole=False)

    def flush(self) -> None:
        if self._rest:
            self._pass_on(self._rest)
            self._rest = b""

    def _pass_on(self, line: bytes, *, whole: bool = True) -> bytes:
        """Pass on a line in pieces, none of which ends within a letter; give what is left of it."""
        while len(line) > _LINE_LIMIT:
            cut = _LINE_LIMIT
            while cut > _LINE_LIMIT - 4 and line[cut] & 0xC0 == 0x80:
                cut -= 1
            self._on_line(line[:cut].decode("utf-8", "replace"))
            line = line[cut:]
        if not whole:
            return line
        self._on_line(line.decode("utf-8", "replace").rstrip("\r"))
        return b""


def _receive(control: socket.socket) -> bytes:
    """Take what a supervisor says; nothing when it is gone, or was killed before it began."""
    try:
        return control.recv(_CHUNK)
    except ConnectionResetError:
        return b""
