import fcntl
import os
import pty
import re
import struct
import sys
import termios

import pytest

from prefect_mutagen.scanner.commands.progress import Progress
from prefect_mutagen.scanner.results import Summary


def _terminal(columns: int) -> tuple[int, int]:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    return ours, theirs


def _shown(columns: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """What is written until the line is there, and then taken away."""
    ours, theirs = _terminal(columns)
    with os.fdopen(theirs, "w") as terminal, os.fdopen(ours, "rb", buffering=0) as screen:
        monkeypatch.setattr(sys, "stderr", terminal)
        progress = Progress(Summary(artifacts=1234, passed=1200, failed=34), shown=True)
        progress.start()
        text = b""
        while b"\x1b[K" not in text:
            text += screen.read(1 << 16)
        progress.clear()
        progress.clear()
        while not text.endswith(b"\r\x1b[K"):
            text += screen.read(1 << 16)
        return text.decode()


def test_the_line_is_written_over_and_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    text = _shown(80, monkeypatch)
    assert "\r1234 artifacts, 34 not passed\x1b[K" in text
    assert text.endswith("\r\x1b[K")


def test_a_narrow_terminal_is_not_filled_with_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = re.findall(r"\r([^\r\x1b]+)", _shown(20, monkeypatch))
    assert lines
    assert {len(line) for line in lines} == {19}, "the last column would move the cursor on"


def test_a_terminal_without_a_size_gets_the_whole_line(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "34 not passed" in _shown(0, monkeypatch)


def test_nobody_looks(capfd: pytest.CaptureFixture[str]) -> None:
    progress = Progress(Summary(), shown=False)
    progress.start()
    progress.clear()
    assert capfd.readouterr() == ("", "")
