"""A scan that is killed leaves no process behind, and the next one finds nothing in its way."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.builders import gguf
from tests.processes import children_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")

COUNT = 20_000


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_the_processes_of_a_killed_scan_end_with_it(tmp_path: Path) -> None:
    root, content = tmp_path / "root", gguf().data
    root.mkdir()
    for number in range(COUNT):
        (root / f"{number:05}.gguf").write_bytes(content)
    command = [sys.executable, "-m", "prefect_mutagen.scanner.commands.cli", "scan", str(root)]
    command += ["--format", "jsonl", "--processes", "2"]
    # Somebody who reads nothing: the scan cannot get to its end meanwhile.
    with subprocess.Popen(command, stdout=subprocess.PIPE) as scan:
        deadline = time.monotonic() + 60
        while len(started := children_of(scan.pid)) < 2:
            assert scan.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(1)
        scan.kill()
    assert scan.returncode == -signal.SIGKILL
    while any(map(_lives, started)):
        assert time.monotonic() < deadline, "they outlive the scan"
        time.sleep(0.05)
