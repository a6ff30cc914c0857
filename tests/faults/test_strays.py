"""No agent outlives its run, whatever it does and however the run ends: the matrix, on ``exec``."""

import itertools
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.builders import gguf
from tests.faults.stray_agent import KINDS
from tests.processes import (
    UNPRIVILEGED,
    marked,
    may_make_namespaces,
    refusing,
    seconds_until_gone,
    supervisors_of,
)

pytestmark = pytest.mark.slow
AGENT = str(Path(__file__).with_name("stray_agent.py"))
ENDINGS = {
    "exit": 0,
    "fail": 3,
    "time limit": 124,
    "SIGTERM": -signal.SIGTERM,
    "SIGKILL": -signal.SIGKILL,
}
GUARANTEES = ("kernel", "sweep")
CASES = [
    (kind.__name__, ending, guarantee)
    for kind, ending, guarantee in itertools.product(KINDS, ENDINGS, GUARANTEES)
]
CASES += [("hops", ending, each) for ending in ("exit", "SIGKILL") for each in GUARANTEES]


@dataclass
class Ended:
    status: int
    said: str
    gone_after: float
    files: list[str]


def _execute(folder: Path, model: Path, kind: str, ending: str, prefix: tuple[str, ...]) -> Ended:
    """Run one agent under ``exec``, end it, and look for what is left."""
    mark = uuid.uuid4().hex
    temporary, ready = folder / f"{mark}.tmp", folder / f"{mark}.ready"
    temporary.mkdir()
    errors = folder / f"{mark}.errors"
    end = ending if ending in ("exit", "fail") else "stay"
    limit = "2.5" if ending == "time limit" else "60"
    with errors.open("wb") as log:
        process = subprocess.Popen(
            [
                *(
                    *prefix,
                    sys.executable,
                    "-m",
                    "prefect_mutagen.scanner.commands.cli",
                    "exec",
                    str(model),
                ),
                *("--timeout", limit, "--memory", "256M", "--"),
                *(sys.executable, "-I", "-S", AGENT, kind, end, str(ready), mark),
            ],
            stdout=subprocess.PIPE,  # nobody reads it
            stderr=log,
            env=os.environ | {"TMPDIR": str(temporary)},
        )
        try:
            if ending.startswith("SIG"):
                deadline = time.monotonic() + 30
                while not ready.exists() and time.monotonic() < deadline:
                    time.sleep(0.02)
                assert ready.exists()
                process.send_signal(getattr(signal, ending))
            status = process.wait(60)
            gone_after = seconds_until_gone(mark, process.pid)
        finally:
            process.kill()
            process.wait()
            for pid in marked(mark):
                os.kill(pid, signal.SIGKILL)
            assert process.stdout is not None
            process.stdout.close()
    return Ended(status, errors.read_text(), gone_after, os.listdir(temporary))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[object, Future[Ended]]]:
    """All cases, several at a time: most of their time they wait."""
    folder = tmp_path_factory.mktemp("strays")
    model = folder / "a.gguf"
    model.write_bytes(gguf().data)
    prefixes = {"sweep": refusing()} | ({"kernel": ()} if may_make_namespaces() else {})
    with ThreadPoolExecutor(6) as pool:
        yield {
            (kind, ending, guarantee): pool.submit(
                _execute, folder, model, kind, ending, prefixes[guarantee]
            )
            for kind, ending, guarantee in CASES
            if guarantee in prefixes
        }


@pytest.mark.parametrize(("kind", "ending", "guarantee"), CASES)
def test_nothing_is_left(
    runs: dict[object, Future[Ended]], kind: str, ending: str, guarantee: str
) -> None:
    if (kind, ending, guarantee) not in runs:
        pytest.skip("this machine refuses namespaces")
    ended = runs[kind, ending, guarantee].result()
    assert ended.status == ENDINGS[ending], ended.said
    assert ended.gone_after <= 5
    assert ended.files == []
    if ending in {"exit", "fail", "time limit"}:
        assert ("ended by sweep" in ended.said) == (guarantee == "sweep")


@pytest.mark.parametrize("kind", ["daemonizes", "ignores"])
def test_an_ordinary_user_has_the_same_guarantee(tmp_path: Path, kind: str) -> None:
    if not may_make_namespaces(*UNPRIVILEGED):
        pytest.skip("this machine refuses namespaces")
    model = tmp_path / "a.gguf"
    model.write_bytes(gguf().data)
    ended = _execute(tmp_path, model, kind, "SIGKILL", UNPRIVILEGED)
    assert ended.files == []
    ended = _execute(tmp_path, model, kind, "exit", UNPRIVILEGED)
    assert (ended.status, ended.said) == (0, "")


def test_a_slow_supervisor_is_left_to_finish(tmp_path: Path) -> None:
    """Under ``sweep`` nobody else can end what has left the agent's session."""
    model, ready, mark = tmp_path / "a.gguf", tmp_path / "ready", uuid.uuid4().hex
    model.write_bytes(gguf().data)
    command = [*refusing(), sys.executable, "-m", "prefect_mutagen", "exec", str(model), "--"]
    command += [sys.executable, "-I", "-S", AGENT, "daemonizes", "stay", str(ready), mark]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while not ready.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        supervisors = supervisors_of(process.pid)
        assert len(supervisors) == 2
        for supervisor in sorted(supervisors):  # the outer one first: it kills a stopped one
            os.kill(supervisor, signal.SIGSTOP)
        process.terminate()
        assert process.wait(30) == -signal.SIGTERM
        for supervisor in supervisors:
            with suppress(ProcessLookupError):
                os.kill(supervisor, signal.SIGCONT)
        seconds_until_gone(mark, process.pid)
    finally:
        process.kill()
        process.wait()
        for pid in marked(mark):
            os.kill(pid, signal.SIGKILL)
