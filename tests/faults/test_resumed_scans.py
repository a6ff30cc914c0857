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
from prefect.settings import PREFECT_API_URL, temporary_settings

from prefect_mutagen.scanner.storage.options import OPTIONS_VARIABLE
from prefect_mutagen.scanner.table.table import Table
from tests.agent_starts import wait_until
from tests.builders import safetensors
from tests.deployments.deployed import Client, Worker, deploy
from tests.parsers.safetensors_cases import GOOD
from tests.servers import PrefectServer
from tests.synthetic_contents import Written
from tests.synthetic_s3 import SyntheticS3

pytestmark = [pytest.mark.slow, pytest.mark.server]

ROOT = Path(__file__).parent.parent.parent
SOURCE = "s3://b/m"
COUNT = 2000
AWAY_SECONDS = 10
SMALL = safetensors('{"a":%s}' % GOOD, 4)

FLOW = """
import sys
from prefect_mutagen.flows import scan_models
scan_models(sys.argv[1], table=sys.argv[2], concurrency=32)
"""
COMMAND = [sys.executable, "-m", "prefect_mutagen.scanner.commands.cli", "scan", SOURCE]
WAYS = {
    "jsonl, one process": ("--processes", "1", "--format", "jsonl"),
    "jsonl, two processes": ("--processes", "2", "--format", "jsonl"),
    "summary, two processes": ("--processes", "2", "--format", "summary"),
    "flow": (),
}


@pytest.fixture
def server() -> Iterator[SyntheticS3]:
    names = {f"m/{n // 100:02}/{n:04}.safetensors": SMALL for n in range(COUNT)}
    # So slow that a busy machine, too, examines no more slowly than this one answers.
    with SyntheticS3(Written(names), latency=0.15) as started:
        yield started


@pytest.fixture(params=WAYS)
def start(request: pytest.FixtureRequest, server: SyntheticS3, tmp_path: Path) -> "Starter":
    table, options = str(tmp_path / "table"), WAYS[request.param]
    if options:
        output = str(tmp_path / "out")
        options = ("--concurrency", "32", "--table", table, "--output", output, *options)
        return Starter([*COMMAND, *options], _environment(server))
    prefect: PrefectServer = request.getfixturevalue("prefect_server")
    return _flow(server, prefect, table)


def _environment(server: SyntheticS3) -> dict[str, str]:
    return {OPTIONS_VARIABLE: json.dumps(server.options)}


def _flow(server: SyntheticS3, prefect: PrefectServer, table: str) -> "Starter":
    environment = _environment(server) | {"PREFECT_API_URL": prefect.api}
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


def _wait_until_asked(server: SyntheticS3, count: int, scan: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 120
    while _asked(server) < count:
        assert scan.poll() is None, scan.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.002)


def _finish(start: Starter, server: SyntheticS3, table: Table) -> None:
    """Scan once more, and see that everything is there and little was requested twice."""
    scan = start()
    said, _ = scan.communicate(timeout=240)
    assert scan.returncode == 0, said
    assert "taken over from a scan that was interrupted" in said
    _check(server, table)


def _check(server: SyntheticS3, table: Table) -> None:
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


def test_a_killed_scan_is_resumed(start: Starter, server: SyntheticS3, tmp_path: Path) -> None:
    scan = start()
    _wait_until_asked(server, COUNT // 2, scan)
    scan.kill()
    scan.communicate()
    assert scan.returncode == -signal.SIGKILL
    table = Table(str(tmp_path / "table"), SOURCE)
    assert table.files.names("scans") == []
    _finish(start, server, table)


def test_the_run_of_a_worker_that_is_lost_is_resumed(
    server: SyntheticS3, prefect_server: PrefectServer, tmp_path: Path
) -> None:
    """By the next run of the deployment, on another worker."""
    place = str(tmp_path / "table")
    with temporary_settings({PREFECT_API_URL: prefect_server.api}):
        folder = tmp_path / "deployed"
        folder.mkdir()
        deploy(prefect_server, "prefect_mutagen.flows.scan.scan_models", "lost", folder)
    body = {"source": SOURCE, "table": place, "concurrency": 32}
    environment = _environment(server) | {"PREFECT_WORKER_QUERY_SECONDS": "1"}
    with prefect_server.connect() as http:
        client = Client(http)
        client.start("scan-models/lost", body).raise_for_status()
        with Worker(prefect_server, tmp_path, **environment) as worker:
            wait_until(lambda: _asked(server) >= COUNT // 2)
            worker.lose()
        made = client.start("scan-models/lost", body).json()
        with Worker(prefect_server, tmp_path, **environment):
            assert client.finish(made["id"])["state_type"] == "COMPLETED"
    _check(server, Table(place, SOURCE))


def test_a_scan_survives_the_server_that_is_killed(server: SyntheticS3, tmp_path: Path) -> None:
    place = str(tmp_path / "table")
    with PrefectServer(str(tmp_path / "home")) as prefect:
        start = _flow(server, prefect, place)
        scan = start()
        _wait_until_asked(server, COUNT // 3, scan)
        assert prefect.process is not None
        prefect.process.kill()
        prefect.process.wait()
        time.sleep(AWAY_SECONDS)
        with prefect:
            # It may not be able to say how it ended; what it found is in the table.
            said, _ = scan.communicate(timeout=240)
            again = start()
            said_again, _ = again.communicate(timeout=240)
            assert again.returncode == 0, said_again
    table = Table(place, SOURCE)
    _check(server, table)
    assert len(table.files.names("scans")) == 2, said
