"""Run a command and see to it that nothing of it is left behind.

The command is a list of words, never a line for a shell. It runs in a session of its own with a
working folder of its own, a chosen environment, its input from a file and its output through one
pipe. When it ends, or its time is up, or this call is left for whatever reason, its whole process
group is killed.
"""

import contextlib
import os
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["INHERITED", "Outcome", "run_supervised"]

TIME_LIMIT_STATUS: Final = 124
"""Exit status of a command whose time was up, as the command ``timeout`` gives it."""
INHERITED: Final = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR")
"""Variables of this process that a command gets; credentials are not among them."""
_LINE_LIMIT: Final = 4096
_OUTPUT_LIMIT: Final = 1 << 20
_GRACE: Final = 2.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended."""

    status: int
    """Its exit status; 124 when its time was up, 128 and the signal's number when one ended it."""
    truncated: bool
    """Whether it wrote more than was passed on."""


def run_supervised(
    command: Sequence[str],
    given: bytes,
    *,
    timeout: float,
    on_line: Callable[[str], None],
    environment: Mapping[str, str] | None = None,
) -> Outcome:
    """Run a command to its end.

    Args:
        command: The program and its arguments.
        given: What it reads from its standard input.
        timeout: Seconds it may take.
        on_line: Called with each line it writes, to either of its outputs; at most a megabyte in
            all, and no line longer than 4096 bytes.
        environment: Variables beyond `INHERITED`.

    Returns:
        How it ended.

    Raises:
        OSError: It cannot be started.
    """
    variables = {name: os.environ[name] for name in INHERITED if name in os.environ}
    variables.update(environment or {})
    with (
        tempfile.TemporaryDirectory(prefix="mutagen-agent-") as folder,
        tempfile.TemporaryFile() as handed,
    ):
        handed.write(given)
        handed.seek(0)
        process = subprocess.Popen(  # noqa: S603 - a list of words that the caller chose
            list(command),
            stdin=handed,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=variables,
            start_new_session=True,
        )
        lines = _Lines(on_line)
        try:
            in_time = _listen(process, lines, time.monotonic() + timeout)
        finally:
            _kill_group(process)
            if process.stdout is not None:
                process.stdout.close()
        lines.flush()
    if not in_time:
        return Outcome(TIME_LIMIT_STATUS, lines.truncated)
    status = process.returncode
    return Outcome(status if status >= 0 else 128 - status, lines.truncated)


def _listen(process: subprocess.Popen[bytes], lines: "_Lines", deadline: float) -> bool:
    """Pass on what the command writes; say whether it ended in time."""
    assert process.stdout is not None  # noqa: S101 - it was asked for
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            if selector.select(min(left, 0.2)):
                data = os.read(process.stdout.fileno(), 1 << 16)
                if not data:
                    break
                lines.feed(data)
            elif process.poll() is not None:
                # It is gone, and silent children of its own hold the pipe: they go with it.
                return True
    try:
        process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return False
    return True


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(_GRACE)


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
        while len(self._rest) > _LINE_LIMIT:
            self._pass_on(self._rest[:_LINE_LIMIT])
            self._rest = self._rest[_LINE_LIMIT:]

    def flush(self) -> None:
        if self._rest:
            self._pass_on(self._rest)
            self._rest = b""

    def _pass_on(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace").rstrip("\r")
        for start in range(0, max(1, len(text)), _LINE_LIMIT):
            self._on_line(text[start : start + _LINE_LIMIT])
