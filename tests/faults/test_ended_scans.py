"""A scan that is told to end: nothing stays behind, in files or processes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.builders import safetensors

SCAN = [sys.executable, "-m", "prefect_mutagen.scanner.cli", "scan", "--processes", "2"]
MANY = 20_000


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give so many models that a scan of them takes a while."""
    root = tmp_path_factory.mktemp("models")
    first = root / "m.safetensors"
    first.write_bytes(safetensors({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, 4))
    for number in range(MANY):
        if number % 1000 == 0:
            (root / f"{number}").mkdir()
        os.link(first, root / f"{number - number % 1000}" / f"{number}.safetensors")
    return root


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_a_scan_that_is_told_to_end_leaves_nothing(
    tmp_path: Path, models: Path, form: str, number: signal.Signals
) -> None:
    spool, out = tmp_path / "spool", tmp_path / "out.json"
    spool.mkdir()
    command = [*SCAN, "--format", form, "--output", str(out), str(models)]
    # Whoever runs the tests may have been told to ignore SIGINT; children inherit that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        command, env=os.environ | {"TMPDIR": str(spool)}, stderr=subprocess.PIPE
    )
    signal.signal(signal.SIGINT, before)
    deadline = time.monotonic() + 60
    while not _children(process.pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    begun = _children(process.pid)
    assert begun, "it has begun to examine in processes of its own"
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == (143 if number == signal.SIGTERM else 130)
    assert list(spool.iterdir()) == []
    assert list(tmp_path.iterdir()) == [spool], "half a document is not written"
    deadline = time.monotonic() + 5  # multiprocessing's resource tracker ends when it is alone
    while (left := list(filter(_runs, begun))) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert left == []


def _children(pid: int) -> list[int]:
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def _runs(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
