"""What is written for people, on the screen of a real terminal."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.builders import STRING, gguf
from tests.scanner.storing import put_local
from tests.terminal import COMMAND, Seen, run_in_terminal

GGUF = gguf().data
LICENSED = gguf(
    (("general.architecture", STRING, "llama"), ("general.license", STRING, "mit"))
).data
NAMES = (
    "short.gguf",
    "publisher/some-model-of-70B-instruct/some-model-of-70B-Q4_K_M.gguf",
    f"{'long/' * 30}name of a model.gguf",
    "模型/很长的名字-很长的名字-很长的名字-很长的名字/权重.gguf",
    "\xe9\U0001f9ea/ok.gguf",
)
HOSTILE = {
    "colours": "\x1b[31mred\x1b[0m.gguf",
    "title": "\x1b]0;owned\x07.gguf",
    "clears": "\x1b[2J\x1b[Hpassed.gguf",
    "one byte": "a\x9b2Jb.gguf",
    "overwrites": "x\rpassed  y.gguf",
    "new line": "x\npassed  y.gguf",
    "backwards": "\u202eexe.gguf",
    "answers": "\x1b[6n\x1b[c\x05.gguf",
}
WIDTHS = (60, 80, 120, 200)
ESCAPES = re.compile(rb"\x1b\[[0-9;]*m")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    put_local(folder, dict.fromkeys(NAMES, LICENSED) | {"bad/cut.gguf": GGUF[:90]})
    return folder


def _seen(root: Path, columns: int, *words: str, **environment: str) -> Seen:
    command = [*COMMAND, words[0], str(root), *words[1:]]
    return run_in_terminal(command, columns, environment=environment)


@pytest.mark.parametrize("columns", WIDTHS)
def test_a_path_can_be_copied_whatever_the_width(root: Path, columns: int) -> None:
    seen = _seen(root, columns, "scan", "--format", "table")
    rows = seen.rows
    for name in (*NAMES, "bad/cut.gguf"):
        begins = [
            number
            for number, row in enumerate(rows)
            if row.startswith(("passed", "failed"))
            and seen.selected(number).partition("  ")[2].strip().startswith(name[:20])
        ]
        assert len(begins) == 1, name
        line = seen.selected(begins[0])
        cells = re.split(" {2,}", line)
        assert cells[1] == name
    assert "..." not in "".join(rows)
    assert re.split(" {2,}", rows[0])[:2] == ["verdict", "artifact"]


def test_other_columns_go_first_and_the_reason_last(tmp_path: Path) -> None:
    put_local(tmp_path, {"publisher/a-model/model.gguf": LICENSED, "publisher/b/b.gguf": GGUF[:90]})
    headings = {
        columns: re.split(" {2,}", _seen(tmp_path, columns, "scan", "--format", "table").rows[0])[
            2:
        ]
        for columns in (50, 60, 80, 120)
    }
    assert headings == {
        50: [],
        60: ["worst finding"],
        80: ["licence", "size", "worst finding"],
        120: ["architecture", "parameters", "quantization", "licence", "size", "worst finding"],
    }


@pytest.mark.parametrize("columns", WIDTHS)
def test_sentences_are_broken_between_words(root: Path, columns: int) -> None:
    rows = _seen(root, columns, "scan", "--format", "table").rows
    start = rows.index(f"{root}/bad/cut.gguf"[:columns])
    said = " ".join(row.strip() for row in rows[start:])
    assert "Fetch the file again from its source and compare its size or SHA-256." in said
    assert "6 artifacts: 5 passed, 1 failed, 0 unknown" in said


@pytest.mark.parametrize("form", ["table", "summary"])
def test_a_pipe_gets_everything_and_no_colours(root: Path, form: str) -> None:
    command = [*COMMAND, "scan", str(root), "--format", form]
    environment = {**os.environ, "COLUMNS": "20"}
    done = subprocess.run(command, capture_output=True, env=environment, check=False, timeout=240)
    assert done.returncode == 1
    assert b"\x1b" not in done.stdout
    assert done.stderr == b""
    lines = done.stdout.decode().splitlines()
    if form == "table":
        assert all(
            any(name in map(str.strip, line.split("  ")) for line in lines) for name in NAMES
        )
        assert len(re.split(" {2,}", lines[0])) == 8
    else:
        assert lines[0] == str(root)


@pytest.mark.parametrize("form", ["table", "summary"])
def test_verdicts_have_colours(root: Path, form: str) -> None:
    seen = _seen(root, 80, "scan", "--format", form)
    assert seen.colour("passed") == "008700"
    assert seen.colour("failed") == "ff0000"
    assert seen.colour("artifact") == "default"
    for variables in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        plain = _seen(root, 80, "scan", "--format", form, **variables)
        assert b"\x1b" not in plain.raw
        assert plain.rows == seen.rows


def test_a_count_of_nothing_has_no_colour(tmp_path: Path) -> None:
    put_local(tmp_path, {"a.gguf": GGUF})
    seen = _seen(tmp_path, 80, "scan", "--format", "summary")
    assert seen.colour("1 passed") == "008700"
    assert seen.colour("0 failed") == "default"


@pytest.mark.parametrize("columns", [40, 60])
def test_a_narrow_summary_loses_nothing(root: Path, columns: int, tmp_path: Path) -> None:
    words = ("scan", "--format", "summary", "--table", str(tmp_path / "t"))
    said = " ".join(" ".join(_seen(root, columns, *words).rows).split())
    assert "5 passed, 1 failed, 0 unknown" in said
    assert "since the scan before 6 added" in said


def test_verify_says_the_whole_path(root: Path) -> None:
    for name in NAMES:
        seen = _seen(root / name, 60, "verify")
        assert seen.status == 0
        assert seen.selected(0).startswith(f"passed {root / name} ")
        assert seen.colour("passed") == "008700"


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("words", [("scan", "--format", "table"), ("scan", "--format", "summary")])
def test_a_name_does_nothing_to_a_terminal(
    name: str, words: tuple[str, ...], tmp_path: Path
) -> None:
    put_local(tmp_path, {name: GGUF[:90]})
    seen = _seen(tmp_path, 80, *words)
    printed = ESCAPES.sub(b"", seen.raw).replace(b"\r\n", b"\n").decode()
    printed = re.sub("\r[^\r\x1b]*\x1b\\[K", "", printed)  # the line of progress
    assert [letter for letter in printed if not letter.isprintable() and letter != "\n"] == []
    assert sum(row.startswith("passed") for row in seen.rows) == 0
    for one in (("verify",), ("verify", "--pin", "x")):
        refused = _seen(tmp_path / name, 80, *one).raw.replace(b"\r\n", b"\n").decode()
        assert [letter for letter in refused if not letter.isprintable() and letter != "\n"] == []
