"""Commands that a signal ends at any moment: one line, the signal's status, and nothing left."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from prefect_mutagen.scanner.table.table import Table
from tests.builders import gguf, safetensors
from tests.processes import marked, started_with, supervisors_of
from tests.servers import HOST, free_port

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")

COMMAND = [sys.executable, "-m", "prefect_mutagen"]
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
MOMENTS = 10
PATIENCE = 5.0
MANY = 10_000
REMOTE_MANY = 3000
REMOTE = "s3://bucket/models"


class Place(NamedTuple):
    """Where the commands of a test work."""

    models: Path
    """10,000 of them."""
    large: Path
    """Some that take long to hash."""
    bucket: str
    """Storage options of a bucket that answers slowly."""
    tables: Path
    folder: Path
    """Nothing may be left there."""


def _scan(*options: str) -> Callable[[Place], list[str]]:
    return lambda place: ["scan", str(place.models), *options]


def _remote(*words: str) -> Callable[[Place], list[str]]:
    return lambda place: [*words, "--storage-options", place.bucket]


MODES: dict[str, Callable[[Place], list[str]]] = {
    "json, several processes": _scan("--processes", "2"),
    "json, one process": _scan("--processes", "1"),
    "jsonl, several processes": _scan("--processes", "2", "--format", "jsonl"),
    "report": _scan("--format", "report"),
    "table": _scan("--format", "table"),
    "output file": lambda place: [
        *_scan("--processes", "2")(place),
        *("--output", str(place.folder / "out.json")),
    ],
    "Parquet table, summary": lambda place: [
        *_scan("--processes", "2", "--format", "summary")(place),
        *("--table", str(place.tables)),
    ],
    "Parquet table, S3": lambda place: [
        *_remote("scan", REMOTE, "--format", "jsonl", "--processes", "2")(place),
        *("--table", str(place.tables)),
    ],
    "Parquet table": lambda place: [*_scan()(place), "--table", str(place.tables)],
    "hashes": lambda place: ["scan", str(place.large), "--hash", "full"],
    "s3fs": _remote("scan", REMOTE, "--concurrency", "2"),
    "s3fs, several processes": _remote("scan", REMOTE, "--processes", "2"),
    "obstore": _remote("scan", REMOTE, "--concurrency", "2"),
    "verify": _remote("verify", f"{REMOTE}/00/00/model-0000000.safetensors"),
    "exec": lambda place: [
        *("exec", str(place.models / "0/0.safetensors"), "--"),
        *(sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)"),
    ],
    "exec, deaf command": lambda place: [
        *("exec", str(place.models / "0/0.safetensors"), "--"),
        *("sh", "-c", "trap '' TERM INT HUP; sleep 60 & sleep 60; sleep 60"),
    ],
    "query": lambda place: [
        *("query", "--table", str(place.tables)),
        "SELECT count(DISTINCT hash(a.range)) FROM range(40000) a, range(100000) b",
    ],
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    first = root / "m.safetensors"
    first.write_bytes(safetensors({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, 4))
    for number in range(MANY):
        if number % 1000 == 0:
            (root / f"{number}").mkdir()
        os.link(first, root / f"{number - number % 1000}" / f"{number}.safetensors")
    return root


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("large")
    content = gguf().data
    for number in range(40):
        path = root / f"{number}.gguf"
        path.write_bytes(content)
        os.truncate(path, 1 << 30)  # a hole: it takes no room, and as long to hash
    return root


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """Run a slow S3 in a process of its own."""
    port = free_port()
    words = ["--port", str(port), "--models", str(REMOTE_MANY), "--latency", "0.4"]
    server = subprocess.Popen([sys.executable, "-m", "tests.synthetic_s3", *words])
    yield json.dumps({"key": "k", "secret": "s", "endpoint_url": f"http://{HOST}:{port}"})
    server.terminate()
    server.wait()


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Path:
    """Give a table with a state that a scan which is ended must leave as it is."""
    folder = tmp_path_factory.mktemp("tables")
    words = ["scan", str(models), "--include", "0/1*", "--table", str(folder), "--format", "table"]
    subprocess.run([*COMMAND, *words], check=True, stdout=subprocess.DEVNULL)
    return folder


@pytest.fixture
def place(models: Path, large: Path, bucket: str, tables: Path, tmp_path: Path) -> Place:
    return Place(models, large, bucket, tables, tmp_path)


@contextlib.contextmanager
def begun(
    words: list[str], spool: Path, *, stdout: int = subprocess.DEVNULL, engine: str = "fsspec"
) -> Iterator[subprocess.Popen[str]]:
    """Start a command, and wait until it hears signals."""
    spool.mkdir()
    environment = {"TMPDIR": str(spool), "PREFECT_MUTAGEN_ENGINE": engine}
    # Whoever runs the tests may have been told to ignore signals; children inherit that.
    before = {number: signal.signal(number, signal.SIG_DFL) for number in ENDING}
    process = subprocess.Popen(
        [*COMMAND, *words],
        env=os.environ | environment,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    for number, handler in before.items():
        signal.signal(number, handler)
    try:
        while process.poll() is None and not _hears(process.pid):
            time.sleep(0.002)
        yield process
    finally:
        process.kill()
        process.communicate()


def _hears(pid: int) -> bool:
    """Whether a process catches or blocks SIGTERM."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            name, _, mask = line.partition(":")
            if name in ("SigCgt", "SigBlk") and int(mask, 16) >> (signal.SIGTERM - 1) & 1:
                return True
    return False


def check_end(
    process: subprocess.Popen[str], numbers: list[signal.Signals], pause: float, spool: Path
) -> None:
    """Send signals, and hold the end against what is promised."""
    sent = time.monotonic()
    for count, number in enumerate(numbers):
        time.sleep(pause if count else 0)
        process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert time.monotonic() - sent < PATIENCE
    # It dies of the signal, unless the main thread is deep in a library, or ending by itself.
    status = process.returncode if process.returncode >= 0 else 128 - process.returncode
    assert status in {128 + number for number in numbers}, said
    assert said == f"prefect-mutagen: stopped by {signal.Signals(status - 128).name}\n"
    assert list(spool.iterdir()) == []
    deadline = time.monotonic() + 1  # an orphan that has been killed is not gone at once
    while left := [*started_with(spool), *marked(str(spool)), *supervisors_of(process.pid)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.02)


def run_moments(
    place: Place, mode: str, numbers: Callable[[int], list[signal.Signals]], pause: float
) -> None:
    """End a command at ten moments, from its start to when it is busy."""
    met = 0
    for moment in range(MOMENTS):
        spool = place.folder / f"spool-{moment}"
        engine = "obstore" if mode == "obstore" else "fsspec"
        with begun(MODES[mode](place), spool, engine=engine) as process:
            time.sleep(moment * 0.15)
            if process.poll() is not None:
                continue  # it was quicker
            met += 1
            check_end(process, numbers(moment), pause, spool)
        spool.rmdir()
        assert list(place.folder.iterdir()) == []
    assert met > MOMENTS // 2
    assert list(place.tables.rglob("*.tmp")) == []
    local, remote = (Table(str(place.tables), root) for root in (str(place.models), REMOTE))
    assert len(local.read_state()) == 111
    assert [len(table.files.names("scans")) for table in (local, remote)] == [1, 0]


@pytest.mark.parametrize("mode", ["json, several processes", "exec"])
def test_signals_that_come_twice(place: Place, mode: str) -> None:
    run_moments(place, mode, lambda moment: [ENDING[moment % 3]] * 2, 0.05)


@pytest.mark.slow
@pytest.mark.parametrize("pause", [None, 0.01, 0.09])
@pytest.mark.parametrize("number", ENDING)
def test_one_signal_or_two(place: Place, number: signal.Signals, pause: float | None) -> None:
    numbers = [number] if pause is None else [number, number]
    run_moments(place, "json, several processes", lambda _: numbers, pause or 0)


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("mode", MODES)
def test_every_command_in_every_mode(place: Place, mode: str, times: int) -> None:
    run_moments(place, mode, lambda moment: [ENDING[(moment + times) % 3]] * times, 0.05)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["json, several processes", "Parquet table", "exec, deaf command"])
def test_signals_of_all_kinds_and_many(place: Place, mode: str) -> None:
    run_moments(place, mode, lambda _: [*ENDING] * 20, 0.002)


@pytest.mark.slow
@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_scan_goes_on_where_a_signal_ended_one(place: Place, processes: str) -> None:
    table = Table(str(place.folder / "table"), REMOTE)
    words = _remote("scan", REMOTE, "--table", table.files.url, "--processes", processes)(place)
    words += ["--format", "jsonl", "--concurrency", "256"]
    with begun(words, place.folder / "spool") as process:
        while len(table.files.names("staging")) < 3:
            assert process.poll() is None
            time.sleep(0.01)
        check_end(process, [signal.SIGTERM], 0, place.folder / "spool")
    assert table.files.names("scans") == []
    done = subprocess.run([*COMMAND, *words], capture_output=True, text=True, check=True)
    assert "taken over from a scan that was interrupted" in done.stderr
    assert len(done.stdout.splitlines()) == len(table.read_state()) == REMOTE_MANY
    assert table.files.names("staging") == []


@pytest.mark.parametrize("form", ["json", "jsonl", "report", "table"])
def test_a_reader_who_has_seen_enough(place: Place, form: str) -> None:
    spool = place.folder / "spool"
    words = _scan("--processes", "2", "--format", form)(place)
    with begun(words, spool, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.read(1)
        process.stdout.close()
        closed = time.monotonic()
        assert process.stderr is not None
        assert process.stderr.read() == ""
        process.wait(60)
    assert time.monotonic() - closed < PATIENCE
    assert list(spool.iterdir()) == []
    assert process.returncode == 1
    assert started_with(spool) == []


@pytest.mark.slow
@pytest.mark.server
def test_the_demo_with_its_server(tmp_path: Path) -> None:
    for moment in range(MOMENTS):
        spool, number = tmp_path / f"spool-{moment}", ENDING[moment % 3]
        with begun(["demo", str(tmp_path / f"demo-{moment}")], spool) as process:
            # It says a lot, and a pipe that nobody reads would stop it.
            threading.Timer(moment * 2, process.send_signal, [number]).start()
            threading.Timer(moment * 2 + 0.05, process.send_signal, [number]).start()
            threading.Timer(moment * 2 + PATIENCE, process.kill).start()
            _, said = process.communicate(timeout=60)
            if process.returncode == 0:
                continue
            assert said.endswith(f"prefect-mutagen: stopped by {number.name}\n"), said
            assert process.returncode in (-number, 128 + number)
            assert list(spool.iterdir()) == []
            deadline = time.monotonic() + 1
            while left := started_with(spool):
                assert time.monotonic() < deadline, left
                time.sleep(0.02)
