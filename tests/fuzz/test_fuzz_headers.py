"""Half a minute of fuzzing for each reader; what longer runs found is in the case tables."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "fuzzer",
    [
        ["fuzz_headers", "gguf"],
        ["fuzz_headers", "safetensors"],
        ["fuzz_pickles"],
        ["fuzz_other_weights"],
    ],
    ids=" ".join,
)
def test_nothing_breaks_a_promise(fuzzer: list[str], tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="atheris is not built for this machine")
    module, *form = fuzzer
    done = subprocess.run(
        [
            *(sys.executable, "-m", f"tests.fuzz.{module}", *form),
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
