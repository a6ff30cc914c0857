"""Completion, in the shells themselves: what they offer when a person presses Tab."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.scanner.commands.cli import main
from prefect_mutagen.scanner.commands.completion import add_parser
from prefect_mutagen.scanner.findings import CODES
from prefect_mutagen.scanner.outputs import FORMATS
from tests.documentation import programs
from tests.terminal import run_in_terminal

SHELLS = [
    pytest.param(
        shell,
        marks=pytest.mark.skipif(not shutil.which(shell), reason=f"{shell} is not installed"),
    )
    for shell in ("bash", "zsh", "fish")
]
PROMPT = "what?"
START = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "--no-rcs", "-i"],
    "fish": ["fish", "--no-config", "-i", "-C", f"function fish_prompt; echo '{PROMPT} '; end"],
}
SETUP = {
    "bash": "bind 'set show-all-if-ambiguous on'; bind 'set page-completions off'",
    "zsh": "autoload -U compinit; compinit -u -D; unsetopt beep",
    "fish": "",
}
LOAD = {
    "bash": 'eval "$(cat script.bash)"',
    "zsh": 'eval "$(cat script.zsh)"',
    "fish": "cat script.fish | source",
}
_ASK_BASH = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 ))
_shtab_prefect_mutagen
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def stand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A folder with the scripts, models to name, and the program on the PATH."""
    for shell in START:
        assert main(["completion", shell]) == 0
        (tmp_path / f"script.{shell}").write_text(capsys.readouterr().out)
    (tmp_path / "models").mkdir()
    (tmp_path / "policy.yaml").write_text("")
    programs(tmp_path / "bin", {})
    return tmp_path


def _offered(shell: str, stand: Path, *words: str) -> set[str]:
    """What a shell offers for the last word."""
    script = str(stand / f"script.{shell}")
    line = " ".join(("prefect-mutagen", *words))
    command = {
        "bash": ["bash", "-c", _ASK_BASH, "-", script, "prefect-mutagen", *words],
        "fish": ["fish", "--no-config", "-c", f"source {script}; complete -C '{line}'"],
    }[shell]
    path = f"{stand / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        cwd=stand,
        env={**os.environ, "PATH": path, "HOME": str(stand)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stderr == ""
    return {text.partition("\t")[0] for text in done.stdout.splitlines() if text}


@pytest.mark.parametrize("shell", [shell for shell in SHELLS if shell.values[0] != "zsh"])
def test_commands_options_choices_and_files_are_offered(shell: str, stand: Path) -> None:
    def offered(*words: str) -> set[str]:
        return _offered(shell, stand, *words)

    every = {"scan", "verify", "exec", "query", "report", "release", "deployments", "demo"}
    assert every <= offered("")
    assert offered("sc") == {"scan"}
    assert offered("scan", "--tab") == {"--table"}
    assert offered("scan", "models", "--format", "") == set(FORMATS)
    assert offered("scan", "models", "--hash", "l") == {"lookup"}
    assert offered("query", "--format", "") >= {"table", "json", "csv"}
    assert offered("completion", "") == {"bash", "fish", "zsh"}
    assert {name.rstrip("/") for name in offered("scan", "mod")} == {"models"}
    assert offered("scan", "models", "--policy", "pol") == {"policy.yaml"}
    assert offered("scan", "--no-such") == set()


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("typed", "whole"),
    [
        ("veri\t", "verify"),
        ("scan --format spdx-\t", "spdx-json"),
        ("scan models --ha\t", "--hash"),
    ],
)
def test_a_person_presses_tab(shell: str, typed: str, whole: str, stand: Path) -> None:
    # A shell that is still busy takes what is typed as it comes, and Ctrl-C throws it away.
    script = f"{SETUP[shell]}\n{LOAD[shell]}; echo rea''dy\n"
    # The line is left unfinished, and with it the shell: nothing of it is run.
    seen = run_in_terminal(
        START[shell],
        100,
        folder=stand,
        environment={
            "PATH": f"{stand / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(stand),
            "PS1": f"{PROMPT} ",
        },
        typed=[
            (PROMPT, script),
            ("ready", f"prefect-mutagen {typed}"),
            (whole, "\x03"),
            ("", "exit\n"),
        ],
    )
    assert any(re.search(rf"(^|\s){whole}\b", row) for row in seen.rows if "script" not in row), (
        seen.rows
    )


def test_codes_of_findings_are_offered_where_one_is_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from prefect_mutagen.scanner.commands.arguments import Parser

    parser = Parser(prog="prefect-mutagen")
    commands: Any = parser.add_subparsers()
    commands.add_parser("allow", help="allow it").add_argument("code", metavar="CODE")
    add_parser(commands, parser)
    options = parser.parse_args(["completion", "bash"])
    assert options.run(options) == 0
    script = capsys.readouterr().out
    assert all(re.search(rf"\b{code}\b", script) for code in CODES)


def test_another_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "tcsh"]) == 2
    assert "has no choice 'tcsh'" in capsys.readouterr().err
