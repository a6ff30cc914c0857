"""Half a minute of fuzzing for each format; what longer runs found is in the case tables."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("form", ["gguf", "safetensors"])
def test_nothing_breaks_a_promise(form: str, tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="atheris is not built for this machine")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tests.fuzz.fuzz_headers", form),
            *("-max_total_time=30", "-print_final_stats=1", f"-artifact_prefix={tmp_path}/"),
        ],
        cwd=Path(__file__).parent.parent.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "stat::number_of_executed_units" in done.stderr


@pytest.mark.parametrize("module", ["fuzz_pickles", "fuzz_other_weights"])
def test_no_file_breaks_a_promise(module: str, tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="atheris is not built for this machine")
    done = subprocess.run(
        [
            *(sys.executable, "-m", f"tests.fuzz.{module}"),
            *("-max_total_time=30", "-print_final_stats=1", f"-artifact_prefix={tmp_path}/"),
        ],
        cwd=Path(__file__).parent.parent.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "stat::number_of_executed_units" in done.stderr
