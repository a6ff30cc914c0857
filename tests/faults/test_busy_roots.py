"""Two scans of one root at once: by the command and by the flow."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from prefect_mutagen.flows import ScanAdvanced, ScanSummary, scan_models
from prefect_mutagen.scanner.storage.options import OPTIONS_VARIABLE
from prefect_mutagen.scanner.table.table import Table
from tests.builders import safetensors
from tests.parsers.safetensors_cases import GOOD
from tests.servers import PrefectServer
from tests.synthetic_contents import Written
from tests.synthetic_s3 import SyntheticS3

ROOT = Path(__file__).parent.parent.parent
SOURCE = "s3://b/m"
SKIP = ScanAdvanced(if_busy="skip")
COUNT = 200
COMMAND = [sys.executable, "-m", "prefect_mutagen.scanner.commands.cli", "scan", SOURCE]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[SyntheticS3]:
    small = safetensors('{"a":%s}' % GOOD, 4)
    names = {f"m/{n:03}.safetensors": small for n in range(COUNT)}
    with SyntheticS3(Written(names), latency=0.06) as started:
        monkeypatch.setenv(OPTIONS_VARIABLE, json.dumps(started.options))
        yield started


def _start(table: Path, *options: str) -> "subprocess.Popen[str]":
    command = [*COMMAND, "--table", str(table), "--format", "jsonl", *options]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=ROOT)


def _hold(table: Path, server: SyntheticS3) -> "subprocess.Popen[str]":
    """Start a scan that goes on for some seconds, and wait until it holds the root."""
    # Nobody reads its output meanwhile: it goes to a file.
    scan = _start(table, "--concurrency", "2", "--output", f"{table}.jsonl")
    deadline = time.monotonic() + 60
    while not server.counts.keys:
        assert scan.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return scan


def test_the_second_waits_and_finds_nothing_to_do(server: SyntheticS3, tmp_path: Path) -> None:
    with _hold(tmp_path, server) as first, _start(tmp_path) as second:
        said = second.communicate(timeout=120)
        assert first.communicate(timeout=120)[1] == ""
        assert (first.returncode, second.returncode) == (0, 0)
    assert f"has been scanned by process {first.pid} on " in said[1]
    assert "; waiting for that scan to end" in said[1]
    assert len(said[0].splitlines()) == COUNT
    models = {key: count for key, count in server.counts.keys.items() if key != "m"}
    assert models == {f"m/{n:03}.safetensors": 1 for n in range(COUNT)}
    table = Table(str(tmp_path), SOURCE)
    assert len(table.files.names("scans")) == 2
    assert len(table.files.names("artifacts")) == 1, "a change stands there once"


def test_the_second_is_skipped(server: SyntheticS3, tmp_path: Path) -> None:
    with _hold(tmp_path, server) as first:
        with _start(tmp_path, "--if-busy", "skip") as second:
            said = second.communicate(timeout=120)
        assert first.poll() is None
        assert second.returncode == 1, "nothing is known of it"
        assert said[0] == ""
        assert f"process {first.pid} on " in said[1]
        assert said[1].endswith("; it is skipped\n")
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("staging/*/*.parquet")):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert first.poll() is None
        first.kill()
    with _start(tmp_path, "--if-busy", "skip") as third:
        said = third.communicate(timeout=120)
    assert third.returncode == 0, "who is dead holds nothing"
    assert len(said[0].splitlines()) == COUNT
    assert "taken over from a scan that was interrupted" in said[1]


def test_both_scan_if_they_are_told_to(server: SyntheticS3, tmp_path: Path) -> None:
    with _hold(tmp_path, server) as first:
        with _start(tmp_path, "--if-busy", "scan") as second:
            said = second.communicate(timeout=120)
        first.communicate(timeout=120)
    assert (first.returncode, second.returncode) == (0, 0)
    assert "; it is scanned twice at the same time" in said[1]
    assert len(Table(str(tmp_path), SOURCE).read_state()) == COUNT


def test_the_option_needs_a_table(tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND[:-1], str(tmp_path), "--if-busy", "skip"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 2
    assert "--if-busy does nothing without --table" in done.stderr


@pytest.mark.server
def test_a_flow_is_skipped_and_says_why(
    server: SyntheticS3, tmp_path: Path, prefect_server: PrefectServer
) -> None:
    @flow
    def own() -> ScanSummary:
        return scan_models(SOURCE, table=str(tmp_path), advanced=SKIP)

    with temporary_settings({PREFECT_API_URL: prefect_server.api}):
        with _hold(tmp_path, server) as first:
            summary = own()
            state = scan_models(
                SOURCE,
                table=str(tmp_path),
                advanced=SKIP,
                return_state=True,
            )
            assert first.poll() is None
            first.kill()
        assert f"process {first.pid} on " in summary.skipped
        assert (summary.artifacts, summary.passed, summary.agents) == (0, [], [])
        assert state.is_completed()
        assert (state.name, state.message) == ("Skipped", _same_but_for_time(state, summary))
        with get_client(sync_client=True) as client:
            runs = client.read_flow_runs()
        assert "Skipped" in {run.state_name for run in runs}
        scanned = scan_models(SOURCE, table=str(tmp_path), advanced=SKIP)
    assert scanned.skipped == ""
    assert len(scanned.passed) == COUNT
    assert scanned.taken_over + scanned.examined == COUNT


def _same_but_for_time(state: object, summary: ScanSummary) -> str:
    """Return the state's message if it says the same as the summary."""
    message = str(getattr(state, "message", ""))
    before, after = (text.partition(" for ")[0] for text in (message, summary.skipped))
    return message if before == after else summary.skipped


@pytest.mark.server
@pytest.mark.slow
def test_a_flow_that_waits_can_be_ended(
    server: SyntheticS3, tmp_path: Path, prefect_server: PrefectServer
) -> None:
    code = (
        "import sys; from prefect_mutagen.flows import scan_models\n"
        "scan_models(sys.argv[1], table=sys.argv[2])"
    )
    with (
        _hold(tmp_path, server) as first,
        subprocess.Popen(
            [sys.executable, "-c", code, SOURCE, str(tmp_path)],
            env=os.environ | {"PREFECT_API_URL": prefect_server.api},
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        ) as waiting,
    ):
        server.latency = 5  # the first goes on
        assert waiting.stderr is not None
        for line in waiting.stderr:
            if "waiting for that scan to end" in line:
                break
        start = time.monotonic()
        waiting.terminate()
        waiting.communicate(timeout=30)
        assert time.monotonic() - start < 10
        assert waiting.returncode != 0
        assert first.poll() is None
        first.kill()
