"""Scans that are killed in the middle of many remote artifacts, and the ones after them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from prefect_mutagen.scanner.storage.options import OPTIONS_VARIABLE
from prefect_mutagen.scanner.table.table import Table
from tests.builders import safetensors
from tests.parsers.safetensors_cases import GOOD
from tests.servers import PrefectServer
from tests.synthetic_contents import Written
from tests.synthetic_s3 import SyntheticS3

pytestmark = [pytest.mark.slow, pytest.mark.server]

ROOT = Path(__file__).parent.parent.parent
SOURCE = "s3://b/m"
COUNT = 2000
SMALL = safetensors('{"a":%s}' % GOOD, 4)

FLOW = """
import sys
from prefect_mutagen.flows import scan_models
scan_models(sys.argv[1], table=sys.argv[2], concurrency=32)
"""
COMMAND = [sys.executable, "-m", "prefect_mutagen.scanner.commands.cli", "scan", SOURCE]


@pytest.fixture
def server() -> Iterator[SyntheticS3]:
    names = {f"m/{n // 100:02}/{n:04}.safetensors": SMALL for n in range(COUNT)}
    with SyntheticS3(Written(names), latency=0.06) as started:
        yield started


@pytest.fixture(params=["command", "flow"])
def start(request: pytest.FixtureRequest, server: SyntheticS3, tmp_path: Path) -> "Starter":
    environment = {OPTIONS_VARIABLE: json.dumps(server.options)}
    table = str(tmp_path / "table")
    if request.param == "command":
        output = str(tmp_path / "out.jsonl")
        options = ["--table", table, "--format", "jsonl", "--output", output]
        return Starter([*COMMAND, "--concurrency", "32", *options], environment)
    prefect: PrefectServer = request.getfixturevalue("prefect_server")
    environment["PREFECT_API_URL"] = prefect.api
    return Starter([sys.executable, "-c", FLOW, SOURCE, table], environment)


class Starter:
    """Starts a scan as a process."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self._command, self._environment = command, environment

    def __call__(self) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            self._command,
            env=os.environ | self._environment,
            stderr=subprocess.STDOUT,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )


def _asked(server: SyntheticS3) -> int:
    return sum(1 for key in server.counts.keys if key.endswith(".safetensors"))


def _kill_in_the_middle(scan: "subprocess.Popen[str]", server: SyntheticS3, asked: int) -> None:
    deadline = time.monotonic() + 120
    while _asked(server) < asked:
        assert scan.poll() is None, scan.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.002)
    scan.kill()
    scan.communicate()
    assert scan.returncode == -signal.SIGKILL


def test_a_killed_scan_is_resumed(start: Starter, server: SyntheticS3, tmp_path: Path) -> None:
    _kill_in_the_middle(start(), server, COUNT // 2)
    table = Table(str(tmp_path / "table"), SOURCE)
    assert table.files.names("scans") == []
    scan = start()
    said, _ = scan.communicate(timeout=240)
    assert scan.returncode == 0, said
    assert "taken over from a scan that was interrupted" in said
    state = table.read_state()
    keys = [key for key in server.counts.keys if key.endswith(".safetensors")]
    assert sorted(state) == sorted(f"s3://b/{key}" for key in keys)
    assert len(state) == COUNT
    assert {result.verdict.status for result in state.values()} == {"passed"}
    twice = sum(server.counts.keys[key] > 1 for key in keys)
    print(f"{twice} of {COUNT} were requested twice")
    assert max(server.counts.keys[key] for key in keys) <= 2
    assert twice <= COUNT // 10
    assert table.files.names("staging") == [], "nobody needs it any more"
