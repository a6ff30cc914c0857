"""Scans by the flow that are ended in the middle: they end at once, and the next one goes on."""

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
from tests.processes import started_with
from tests.servers import PrefectServer
from tests.synthetic_contents import Written
from tests.synthetic_s3 import SyntheticS3

pytestmark = [
    pytest.mark.server,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc"),
]

ROOT = Path(__file__).parent.parent.parent
SOURCE = "s3://b/m"
COUNT = 600
PATIENCE = 30.0
"""Seconds until nothing of it runs: 5 are promised; a machine with too much to do takes longer."""
FLOW = """
import sys
from prefect_mutagen.flows import scan_models
scan_models(sys.argv[1], table=sys.argv[2], concurrency=16)
"""


@pytest.fixture
def storage() -> Iterator[SyntheticS3]:
    small = safetensors('{"a":%s}' % GOOD, 4)
    names = {f"m/{n:03}.safetensors": small for n in range(COUNT)}
    # Slow enough that no scan is complete before it is ended, whatever else the machine does.
    with SyntheticS3(Written(names), latency=2.0) as started:
        yield started


@pytest.fixture(autouse=True)
def _interrupts() -> Iterator[None]:
    """Let SIGINT count, which is ignored by what a shell runs in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """Where temporary files go, whose name tells the processes of a test from others."""
    folder = tmp_path / "spool"
    folder.mkdir()
    return folder


def _environment(storage: SyntheticS3, server: PrefectServer, spool: Path) -> dict[str, str]:
    return {
        OPTIONS_VARIABLE: json.dumps(storage.options),
        "PREFECT_API_URL": server.api,
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "TMPDIR": str(spool),
    }


def _is_busy(storage: SyntheticS3) -> bool:
    return sum(key.endswith(".safetensors") for key in storage.counts.keys) >= 60


def _start(place: Path, environment: dict[str, str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", FLOW, SOURCE, str(place)],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
    )


def _check(storage: SyntheticS3, place: Path, environment: dict[str, str], spool: Path) -> None:
    """See that nothing is half done, and that the next scan goes on from there."""
    files = Table(str(place), SOURCE).files
    assert [files.names(part) for part in ("scans", "artifacts", "sboms", "changes")] == [[]] * 4
    storage.latency = 0
    with _start(place, environment) as scan:
        said, _ = scan.communicate(timeout=240)
    assert scan.returncode == 0, said
    assert "taken over from a scan that was interrupted" in said
    assert len(Table(str(place), SOURCE).read_state()) == COUNT
    assert files.names("staging") == []
    assert _left(spool) == []


def _left(spool: Path) -> list[str]:
    """Give our temporary files; those of Prefect's worker are others."""
    return [path.name for path in spool.glob("*mutagen*")]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda one: one.name)
def test_the_process_of_a_flow(
    storage: SyntheticS3,
    prefect_server: PrefectServer,
    tmp_path: Path,
    spool: Path,
    number: signal.Signals,
) -> None:
    environment = _environment(storage, prefect_server, spool)
    with _start(tmp_path / "table", environment) as scan:
        wait_until(lambda: _is_busy(storage))
        sent = time.monotonic()
        scan.send_signal(number)
        said, _ = scan.communicate(timeout=60)
        took = time.monotonic() - sent
    print(f"{number.name}: ended after {took:.1f} s")
    assert took < PATIENCE
    assert scan.returncode == -number, said
    assert _left(spool) == []
    assert started_with(spool) == []
    _check(storage, tmp_path / "table", environment, spool)


@pytest.mark.parametrize(
    "ending", ["cancellation", "SIGINT of the worker", "SIGTERM of the worker"]
)
def test_the_run_of_a_worker(
    storage: SyntheticS3, prefect_server: PrefectServer, tmp_path: Path, spool: Path, ending: str
) -> None:
    place = tmp_path / "table"
    with temporary_settings({PREFECT_API_URL: prefect_server.api}):
        folder = tmp_path / "deployed"
        folder.mkdir()
        deploy(prefect_server, "prefect_mutagen.flows.scan.scan_models", "ended", folder)
    body = {"source": SOURCE, "table": str(place), "concurrency": 16}
    environment = _environment(storage, prefect_server, spool)
    with (
        prefect_server.connect() as http,
        Worker(prefect_server, tmp_path, **environment) as worker,
    ):
        client = Client(http)
        run = client.start("scan-models/ended", body).json()
        wait_until(lambda: _is_busy(storage))
        (engine,) = (pid for pid in started_with(spool) if pid != worker.pid)
        sent = time.monotonic()
        if ending == "cancellation":
            state = {"state": {"type": "CANCELLING"}}
            http.post(f"/flow_runs/{run['id']}/set_state", json=state).raise_for_status()
        else:
            os.kill(worker.pid, getattr(signal, ending.partition(" ")[0]))
        wait_until(lambda: engine not in started_with(spool), 60)
        took = time.monotonic() - sent
        print(f"{ending}: ended after {took:.1f} s")
        assert took < PATIENCE
        if ending == "cancellation":
            # Prefect first starts a process that looks for hooks.
            assert client.finish(run["id"])["state_type"] == "CANCELLED"
            assert _left(spool) == []
        # A worker that is stopped kills its runs: what they leave is for the next scan.
    assert started_with(spool) == []
    _check(storage, place, environment, spool)
