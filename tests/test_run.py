"""run.py: which tests run in which form, and that nobody waits in front of silence."""

import os
import re
import sys
import tomllib
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from tests.scheduling import FileScheduling

ROOT = Path(__file__).parent.parent


@pytest.fixture
def run() -> Any:
    spec = spec_from_file_location("run", ROOT / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def started(run: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """The arguments of pytest for those of ``run.py test``."""

    def start(*arguments: str) -> list[str]:
        commands: list[list[str]] = []

        def call(command: list[str], **_: Any) -> int:
            commands.append(command)
            return 5

        monkeypatch.chdir(ROOT)
        monkeypatch.setattr(run.subprocess, "call", call)
        assert run.test(list(arguments)) == 5
        ((python, *words),) = commands
        assert (python, words[:2]) == (run.PYTHON, ["-m", "pytest"])
        return words[2:]

    return start


def test_both_forms_together_have_every_test(started: Callable[..., list[str]]) -> None:
    assert started()[3:5] == ["-m", "not slow"]
    assert "-m" not in started("--all")
    assert started("--all", "-m", "slow")[-2:] == ["-m", "slow"]
    assert started("-m", "server")[-2:] == ["-m", "server"]  # pytest takes the last one
    for arguments in ((), ("--all",)):
        assert int(started(*arguments)[1]) > 1
        assert "--all" not in started(*arguments)


def test_ci_holds_the_default_tests_to_the_coverage(started: Callable[..., list[str]]) -> None:
    assert "--cov" not in started(), "it costs a fifth of the time"
    assert started("--cov", "--cov-report=")[3:] == ["-m", "not slow", "--cov", "--cov-report="]
    assert "run.py test --cov --cov-report=" in (ROOT / ".ci/run").read_text()
    coverage = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["coverage"]
    assert coverage["run"]["branch"]
    assert coverage["report"]["fail_under"] > 80


@pytest.mark.parametrize(
    "named", ["tests/test_run.py", "tests/test_run.py::test_x", "tests/faults"]
)
def test_what_is_named_runs_whether_it_is_slow_or_not(
    started: Callable[..., list[str]], named: str
) -> None:
    assert started(named, "-x") == [named, "-x"]


def test_ci_calls_both_forms_and_the_demo() -> None:
    commands = re.findall(
        r'^"\$python" run\.py (.*?)(?: #.*)?$', (ROOT / ".ci/run").read_text(), re.MULTILINE
    )
    cov = "test --cov --cov-report="
    assert commands == ['demo "$demo"', cov, "test --all -m slow", "check"]


def test_what_takes_long_says_so(
    run: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "REMIND_SECONDS", 0)
    assert run.wait_for([sys.executable, "-c", "import time; time.sleep(1); exit(3)"], "work") == 3
    assert capsys.readouterr().out.startswith("run.py: work\nrun.py: work: 0 s so far\n")


def test_the_command_is_named_from_where_the_person_stands(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert run.program() == os.path.join(".venv", "bin", "prefect-mutagen")
    monkeypatch.chdir(tmp_path)
    assert run.program() == str(ROOT / ".venv/bin/prefect-mutagen")


def test_tests_that_share_a_server_share_a_worker() -> None:
    scheduling = FileScheduling.__new__(FileScheduling)

    def unit(name: str) -> str:
        return str(scheduling._split_scope(f"tests/{name}.py::test_x[::a]"))

    assert unit("flows/test_scan_models") == unit("flows/test_own_flows") == "flows"
    assert unit("flows/test_agent_starts") == unit("test_docs") == "agents"
    assert unit("scanner/test_scan") != unit("scanner/test_sets")
