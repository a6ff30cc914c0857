import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from prefect_mutagen.scanner.commands.progress import Progress
from prefect_mutagen.scanner.listing.artifacts import Artifact
from prefect_mutagen.scanner.results import Summary
from tests.builders import gguf
from tests.scanner.storing import put_local
from tests.terminal import COMMAND, Seen, open_terminal, run_in_terminal

LINE = re.compile(rb"\r([^\r\x1b]+)\x1b\[K")


def _shown(columns: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """What is written until the line is there, and then taken away."""
    ours, theirs = open_terminal(columns)
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
    assert "\r1,234 artifacts, 34 not passed\x1b[K" in text
    assert text.endswith("\r\x1b[K")


def test_a_narrow_terminal_is_not_filled_with_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    assert re.findall(r"\r([^\r\x1b]+)", _shown(20, monkeypatch))[0] == "1,234 artifacts"
    lines = re.findall(r"\r([^\r\x1b]+)", _shown(10, monkeypatch))
    assert {len(line) for line in lines} == {9}, "the last column would move the cursor on"


def test_a_terminal_without_a_size_gets_the_whole_line(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "34 not passed" in _shown(0, monkeypatch)


def test_nobody_looks(capfd: pytest.CaptureFixture[str]) -> None:
    progress = Progress(Summary(), shown=False)
    progress.start()
    listing = iter([cast("Artifact", None)])
    assert progress.watch(listing) is listing, "nothing is read ahead"
    progress.clear()
    assert capfd.readouterr() == ("", "")


class _Scan:
    """A scan of so many artifacts, one a second, and what the line says of it."""

    def __init__(self, artifacts: int) -> None:
        self.summary = Summary()
        self.now = 0.0
        self.progress = Progress(self.summary, shown=True, clock=lambda: self.now)
        self.artifacts = self.progress.watch(cast("Iterator[Any]", iter(range(artifacts))))

    def examine(self, number: int) -> None:
        for _ in range(number):
            next(self.artifacts)
            self.now += 1
            self.summary.artifacts += 1
            self.progress.line()


def test_the_total_and_the_time_left_are_there_once_the_listing_is() -> None:
    scan = _Scan(5000)
    scan.examine(1)
    assert scan.progress.line() == "1 artifact, 0 not passed, 1 listed so far"
    for _ in scan.artifacts:  # all of it is read
        pass
    scan.examine(0)
    scan.now, scan.summary.artifacts = 4, 101
    scan.summary.failed = 2
    assert scan.progress.line() == "101 of 5,000 artifacts, 33/s, 2:27 left, 2 not passed"
    bar = "[>                           ]"
    assert scan.progress.line(99).startswith(f"{bar} 101 of 5,000 artifacts")
    scan.now, scan.summary.artifacts = 5, 5003
    assert scan.progress.line().startswith("5,000 of 5,000 artifacts"), "unchanged ones are no work"


def test_the_rate_is_that_of_the_last_seconds() -> None:
    scan = _Scan(100)
    scan.examine(30)
    scan.now += 9
    assert "0.1/s" in scan.progress.line()
    scan.now += 20
    scan.progress.line()
    assert "/s" not in scan.progress.line(), "nothing can be said of one moment"


@pytest.mark.parametrize("columns", [20, 40, 60, 80, 120, 200])
def test_the_line_fits(columns: int) -> None:
    scan = _Scan(2)
    scan.examine(2)
    assert next(scan.artifacts, None) is None
    scan.summary.artifacts, scan.summary.failed = 1, 123_456
    line = scan.progress.line(columns - 1)
    assert len(line) < columns
    assert line.startswith(("1 of 2 artifacts", "[===")), line
    assert ("[" in line) == (columns >= 60)


def test_roots_have_their_own_totals() -> None:
    scan = _Scan(3)
    scan.progress.start_root(1, 2)
    scan.summary.artifacts = 3
    scan.progress.start_root(2, 2)
    scan.summary.artifacts = 4
    assert scan.progress.line() == "root 2 of 2: 1 artifact, 0 not passed"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As many models as take some updates of the line, and enough for worker processes."""
    data = gguf().data
    folder = tmp_path_factory.mktemp("many")
    put_local(folder, {f"{n // 50}/{n}.gguf": data if n % 10 else data[:90] for n in range(4000)})
    return folder


def _scan(root: Path, *words: str, **environment: str) -> Seen:
    output = str(root.parent / "out.json")
    command = [*COMMAND, "scan", str(root), "--output", output, *words]
    seen = run_in_terminal(command, 100, environment=environment)
    assert seen.status == 1
    assert seen.rows == [], "the line is taken away, and nothing else is said"
    return seen


@pytest.mark.parametrize("words", [("--processes", "1"), ("--processes", "2"), ("--table", "t")])
def test_a_person_sees_examined_of_total_in_a_terminal(
    root: Path, words: tuple[str, ...], tmp_path: Path
) -> None:
    words = tuple(str(tmp_path / word) if word == "t" else word for word in words)
    lines = LINE.findall(_scan(root, *words).raw)
    assert lines
    assert all(len(line) < 100 for line in lines)
    whole = rb"(\[=*> *\] )?[\d,]+ of 4,000 artifacts, [\d,.]+/s, \d+:\d\d left, \d+ not passed"
    assert any(re.fullmatch(whole, line) for line in lines), lines


@pytest.mark.parametrize(
    ("words", "environment"),
    [(["--quiet"], {}), ([], {"NO_COLOR": "1"}), ([], {"TERM": "dumb"})],
)
def test_who_wants_none_gets_none(
    root: Path, words: list[str], environment: dict[str, str]
) -> None:
    assert _scan(root, "--processes", "1", *words, **environment).raw == b""
