"""Run the code blocks of a Markdown page as they stand, in order, and compare what they print.

``console``: what stands after ``$`` is run by bash; the lines below it are its output, where the
page shows any. Its exit status is 0, or 1, which says that something did not pass.
``python``: the page's blocks run one after the other in one process.
``sql``: a query for ``prefect-mutagen query``, and for DuckDB alone after the page's views.
``yaml``: a policy; when its first line is a comment with a file's name, it is saved under it.
``text``: what the block before printed.

In expected output, three dots stand for anything, on a line of their own for any lines. A block
that cannot be run has a comment in front, ``<!-- not run: REASON -->``.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import duckdb
from markdown_it import MarkdownIt

from prefect_mutagen.scanner.policy.overrides import signers_of
from prefect_mutagen.scanner.policy.policy import load_policy
from prefect_mutagen.scanner.signing.check import check_signers

__all__ = ["LANGUAGES", "Block", "PageRun", "blocks_of", "matches", "programs"]

LANGUAGES: Final = ("console", "python", "sql", "yaml", "text")
_NOT_RUN: Final = re.compile(r"<!-- not run: (.+?) -->\s*", re.DOTALL)
_TABLE: Final = "demo/table"
_SECONDS: Final = 240
# Each block comes as a line of JSON: the path it is saved under. Its source is a real file, so that
# tracebacks and Prefect find it.
_PYTHON: Final = """
import contextlib, io, json, sys, traceback
names = {"__name__": "__main__"}
for line in sys.stdin:
    path, printed, trouble = json.loads(line), io.StringIO(), ""
    with contextlib.redirect_stdout(printed):
        try:
            exec(compile(open(path).read(), path, "exec"), names)
        except BaseException:
            trouble = traceback.format_exc()
    print(json.dumps([printed.getvalue(), trouble]), flush=True)
"""


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page; `reason` says why it is not run."""

    line: int
    language: str
    text: str
    reason: str


def blocks_of(markdown: str) -> list[Block]:
    """Return the code blocks of a page, indented ones included, in order."""
    blocks, reason = [], ""
    for token in MarkdownIt("commonmark").parse(markdown):
        if token.type in ("fence", "code_block") and token.map is not None:
            blocks.append(Block(token.map[0] + 1, token.info.strip(), token.content, reason))
        comment = _NOT_RUN.fullmatch(token.content) if token.type == "html_block" else None
        reason = comment[1] if comment else ""
    return blocks


def matches(printed: str, expected: str) -> bool:
    """Whether output is as expected; spaces at the ends of lines do not count."""
    lines = [line.rstrip() for line in expected.rstrip().splitlines()]
    pattern = "\n".join(
        "(?:.*\n)*?.*" if line == "..." else re.escape(line).replace(r"\.\.\.", ".*")
        for line in lines
    )
    found = "\n".join(line.rstrip() for line in printed.rstrip().splitlines())
    return re.fullmatch(pattern, found) is not None


class PageRun:
    """Run the blocks of one page in a folder."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        """Take the folder in which the reader stands, and the environment of all programs."""
        self._folder = folder
        self._environment = dict(environment)
        self._python: subprocess.Popen[str] | None = None
        self._database = duckdb.connect()
        self._views = False
        self._saved = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()
        if self._python is not None:
            self._python.communicate(timeout=_SECONDS)

    def run(self, block: Block) -> str:
        """Run a block, compare what it prints itself, and return what it printed."""
        run = {
            "console": self._run_console,
            "python": self._run_python,
            "sql": self._run_sql,
            "yaml": self._load_yaml,
        }
        return run[block.language](block)

    def _run_console(self, block: Block) -> str:
        commands = re.split(r"^\$ ", block.text, flags=re.MULTILINE)
        assert commands.pop(0) == "", "a console block begins with $"
        printed: list[str] = []
        steps: list[tuple[str, str]] = []
        for command in commands:
            typed, _, expected = re.sub(r"\\\n", "\x00", command).partition("\n")
            steps.append((typed.replace("\x00", "\\\n"), expected))
        # One shell for the block, so that `cd` holds; a NUL tells where an output ends.
        script = "".join(f"{typed}\nprintf '\\0%s\\0' $?\n" for typed, _ in steps)
        done = self._start(["/bin/bash", "-c", f"exec 2>&1\n{script}"])
        pieces = done.split("\0")
        assert len(pieces) == 2 * len(steps) + 1, done
        for (typed, expected), output, status in zip(
            steps, pieces[::2], pieces[1::2], strict=False
        ):
            assert not expected.strip() or matches(output, expected), f"$ {typed}\n{output}"
            assert int(status) in (0, 1), f"$ {typed}\n{output}\nstatus {status}"
            printed.append(output)
        return "".join(printed)

    def _run_python(self, block: Block) -> str:
        self._saved += 1
        path = self._folder / f"block_{self._saved}.py"
        path.write_text(block.text)
        if self._python is None:
            self._python = subprocess.Popen(
                [sys.executable, "-c", _PYTHON],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=self._folder,
                env=self._environment,
            )
        assert self._python.stdin is not None
        assert self._python.stdout is not None
        self._python.stdin.write(f"{json.dumps(str(path))}\n")
        self._python.stdin.flush()
        printed, trouble = json.loads(self._python.stdout.readline())
        assert not trouble, trouble
        return str(printed)

    def _run_sql(self, block: Block) -> str:
        # DuckDB runs in this process, which stands in another folder than the reader.
        text = block.text.replace(f"'{_TABLE}/", f"'{self._folder}/{_TABLE}/")
        if text.startswith("CREATE"):
            self._views = True
            self._database.execute(text)
            return ""
        program = [sys.executable, "-m", "prefect_mutagen.scanner.commands.cli"]
        printed = self._start([*program, "query", text, "--table", _TABLE], check=True)
        assert len(printed.splitlines()) > 1, "a query of the documentation finds something"
        if self._views:
            assert self._database.execute(text).fetchall(), "so it does in DuckDB alone"
        return printed

    def _load_yaml(self, block: Block) -> str:
        name = re.match(r"# (\S+\.yaml)\n", block.text)
        if name:
            (self._folder / name[1]).write_text(block.text)
        policy = load_policy(block.text, str(self._folder))
        check_signers(signers_of(policy))
        return ""

    def _start(self, command: list[str], *, check: bool = False) -> str:
        return subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self._folder,
            env=self._environment,
            check=check,
            timeout=_SECONDS,
        ).stdout


def programs(folder: Path, scripts: Mapping[str, str]) -> str:
    """Write the programs that a reader has, and return the PATH that begins with them.

    Args:
        folder: Where to write them; it is made.
        scripts: Further programs, in the shell's language.

    Returns:
        A PATH.
    """
    folder.mkdir()
    own = {
        "prefect-mutagen": f'exec {sys.executable} -m prefect_mutagen.scanner.commands.cli "$@"',
        "prefect": f'exec {sys.executable} -m prefect "$@"',
        "python": f'exec {sys.executable} "$@"',
        "python3": f'exec {sys.executable} "$@"',
    }
    for name, script in {**own, **scripts}.items():
        path = folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"
