import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import duckdb
import pytest

from prefect_mutagen.flows.demo import program_as_typed
from prefect_mutagen.flows.demo_models import write_bucket
from prefect_mutagen.scanner import Policy, scan
from tests.servers import HOST, PrefectServer, free_port

VERDICTS = {
    "adapter/adapter_model.safetensors": ("passed", ""),
    "broken/called-Q8_0.gguf": ("failed", "sbom/quantization-disagrees"),
    "broken/cut-download.gguf": ("failed", "gguf/truncated-data"),
    "broken/login-page.safetensors": ("failed", "safetensors/web-page"),
    "broken/overlapping.safetensors": ("failed", "safetensors/overlap"),
    "forbidden/research-only.gguf": ("failed", "policy/license"),
    "llama/demo-llama-Q4_K_M.gguf": ("passed", ""),
    "llama/demo-llama-Q8_0.gguf": ("passed", ""),
    "mistral/model.safetensors": ("passed", ""),
}


def test_the_bucket_has_every_kind_of_trouble(tmp_path: Path) -> None:
    write_bucket(str(tmp_path))
    policy = Policy(denied_licenses=("cc-by-nc-4.0",), fail_on="warning")
    found = {
        result.url.removeprefix(f"{tmp_path}/"): (
            result.verdict.status,
            "".join(reason.code for reason in result.verdict.reasons),
        )
        for result in scan(str(tmp_path), policy=policy)
    }
    assert found == VERDICTS


def test_a_bucket_that_is_there_is_left_alone(tmp_path: Path) -> None:
    write_bucket(str(tmp_path))
    pins = [result.pin for result in scan(str(tmp_path))]
    write_bucket(str(tmp_path))
    assert [result.pin for result in scan(str(tmp_path))] == pins


def _run(
    *words: str, folder: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "prefect_mutagen.scanner.commands.cli", *words],
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment,
        check=False,
        timeout=200,
    )


def _shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/bash", "-c", command],
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
        timeout=100,
    )


@pytest.mark.parametrize(
    ("called", "typed"), [("x/prefect-mutagen", "x/prefect-mutagen"), ("", "")]
)
def test_it_says_how_it_was_called(
    called: str, typed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / (called or "bin/prefect-mutagen")
    program.parent.mkdir()
    program.touch(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(program)])
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert program_as_typed() == (typed or "prefect-mutagen")


def test_a_server_that_does_not_answer_is_said_in_a_sentence(tmp_path: Path) -> None:
    environment = os.environ | {"PREFECT_API_URL": f"http://{HOST}:{free_port()}/api"}
    done = _run("demo", folder=tmp_path, environment=environment)
    assert done.returncode == 2
    assert "unset PREFECT_API_URL" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.server
def test_the_demo_runs_the_whole_way_and_the_second_time_nothing(
    tmp_path: Path, prefect: PrefectServer
) -> None:
    environment = os.environ | {"PREFECT_API_URL": prefect.api}
    first = _run("demo", "d", folder=tmp_path, environment=environment)
    second = _run("demo", "d", "--verbose", folder=tmp_path, environment=environment)
    assert first.returncode == 0, first.stderr
    assert "9 artifacts: 4 passed, 5 failed, 0 unknown" in first.stdout
    assert first.stdout.count(": completed") == 4
    # The table stands alone, and what is done meanwhile is said without a line of Prefect's logs.
    assert first.stdout.lstrip().startswith("verdict ")
    progress = first.stderr.splitlines()
    assert all(line.startswith("demo: ") for line in progress), first.stderr
    for phase in ("Prefect server", "listing", "examining", "an agent for each"):
        assert any(phase in line for line in progress), phase
    assert second.returncode == 0
    assert ": completed" not in second.stdout
    assert "nothing new" in second.stdout
    assert " | INFO " in second.stderr
    # What comes next works as it is typed, from where the person stands.
    commands = [line.strip() for line in first.stdout.splitlines()[-3:]]
    outcomes = [_shell(command, tmp_path) for command in commands]
    assert [done.returncode for done in outcomes] == [1, 0, 0], outcomes
    assert "gguf/truncated-data" in outcomes[0].stderr
    assert "agent: demo-llama-Q8_0.gguf is mine" in outcomes[1].stdout
    assert "failed" in outcomes[2].stdout
    table = tmp_path / "d/table/artifacts/*/*.parquet"
    rows = duckdb.execute(f"SELECT count(*), count(DISTINCT scan_id) FROM '{table}'").fetchall()  # noqa: S608 - our own path
    assert rows == [(9, 1)]
    assert {path.name for path in (tmp_path / "d").iterdir()} <= {
        *("agent.py", "bucket", "table", "prefect")
    }
