import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from prefect_mutagen.flows.demo_models import write_bucket
from prefect_mutagen.scanner import Policy, scan
from tests.servers import PrefectServer

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


@pytest.mark.server
@pytest.mark.slow
def test_the_demo_runs_the_whole_way_and_the_second_time_nothing(
    tmp_path: Path, prefect: PrefectServer
) -> None:
    environment = os.environ | {"PREFECT_API_URL": prefect.api}
    command = [sys.executable, "-m", "prefect_mutagen.scanner.cli", "demo", str(tmp_path / "d")]
    first, second = (
        subprocess.run(
            command, capture_output=True, text=True, env=environment, check=False, timeout=200
        )
        for _ in range(2)
    )
    assert first.returncode == 0, first.stderr
    assert "9 artifacts: 4 passed, 5 failed, 0 unknown" in first.stdout
    assert first.stdout.count(": completed") == 4
    # What an agent prints is in the log of its run.
    assert "agent: demo-llama-Q8_0.gguf is mine" in first.stdout + first.stderr
    assert second.returncode == 0
    assert ": completed" not in second.stdout
    assert "nothing new" in second.stdout
    table = tmp_path / "d/table/artifacts/*/*.parquet"
    rows = duckdb.execute(f"SELECT count(*), count(DISTINCT scan_id) FROM '{table}'").fetchall()  # noqa: S608 - our own path
    assert rows == [(9, 1)]
    assert {path.name for path in (tmp_path / "d").iterdir()} <= {
        *("agent.py", "bucket", "table", "prefect")
    }
