"""Run a program in a real pseudo-terminal, and see what is on its screen.

The screen is pyte's, an emulator of its own: what a person sees is what it makes of the bytes.
"""

import fcntl
import os
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from select import select
from typing import Final

import pyte

__all__ = ["COMMAND", "Seen", "open_terminal", "run_in_terminal"]

COMMAND: Final = (sys.executable, "-m", "prefect_mutagen.scanner.commands.cli")
_ROWS: Final = 400
"""Enough for all that the tests have printed: nothing scrolls away."""
_AT_TERMINAL: Final = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""
"""A shell wants the terminal to be its own."""
_QUIET_SECONDS: Final = 1.0
"""A shell that says nothing for this long waits for a person, or the machine is busy."""
_PATIENCE_SECONDS: Final = 120.0
"""Afterwards a part is typed in any case: what is not on the screen then fails the test."""
_COLOURS: Final = ("NO_COLOR", "FORCE_COLOR", "TERM")


@dataclass(frozen=True, slots=True)
class Seen:
    """What a program wrote to a terminal, and how it ended."""

    status: int
    raw: bytes
    screen: pyte.Screen

    @property
    def rows(self) -> list[str]:
        """The rows of the screen, without the empty ones at its end."""
        rows = [row.rstrip() for row in self.screen.display]
        while rows and not rows[-1]:
            rows.pop()
        return rows

    def selected(self, row: int) -> str:
        """What a terminal copies of a line that begins in a row: rows that it wrapped are one."""
        text = str(self.screen.display[row])
        while not text.endswith(" ") and row + 1 < _ROWS:
            row += 1
            text += str(self.screen.display[row])
        return text.rstrip()

    def colour(self, word: str) -> str:
        """The colour of a word, where it is first on the screen."""
        for number, row in enumerate(self.screen.display):
            if word in row:
                return str(self.screen.buffer[number][row.index(word)].fg)
        raise AssertionError(word)


def open_terminal(columns: int) -> tuple[int, int]:
    """Open a pseudo-terminal; its two ends, that of the screen first."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, columns, 0, 0))
    return ours, theirs


def run_in_terminal(
    words: Sequence[str],
    columns: int,
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    typed: Sequence[tuple[str, str]] = (),
) -> Seen:
    """Run a program until its end.

    Args:
        words: The program and its arguments.
        columns: Width of the terminal.
        folder: Where it stands.
        environment: Variables beyond those of the tests, which lose what is about colours.
        typed: What a person waits to see, and types then: each part once the program has said
            nothing for a while, and this text is on the screen.
    """
    kept = {name: value for name, value in os.environ.items() if name not in _COLOURS}
    ours, theirs = open_terminal(columns)
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", _AT_TERMINAL, *words] if typed else words,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=folder,
            env={**kept, "TERM": "xterm-256color", **(environment or {})},
            start_new_session=not typed,
        )
    finally:
        os.close(theirs)
    raw = b""
    shown = pyte.Screen(columns, _ROWS)
    stream = pyte.ByteStream(shown)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    with os.fdopen(ours, "r+b", buffering=0) as screen:
        waiting = list(typed)
        while True:
            if waiting and not select([ours], [], [], _QUIET_SECONDS)[0]:
                awaited, text = waiting[0]
                if awaited in "\n".join(shown.display) or time.monotonic() > deadline:
                    screen.write(text.encode())
                    del waiting[0]
                    deadline = time.monotonic() + _PATIENCE_SECONDS
                continue
            try:
                read = screen.read(1 << 16)
            except OSError:  # Linux says so when the last program has closed its end
                break
            if not read:
                break
            raw += read
            stream.feed(read)
    return Seen(process.wait(), raw, shown)
