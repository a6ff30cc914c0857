"""``prefect-mutagen exec --as-server``: a gate in front of a server, which is as if it were not."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from prefect_mutagen.scanner.commands.cli import main
from tests.builders import gguf
from tests.processes import children_of, marked, may_make_namespaces, refusing
from tests.scanner.commands.small_server import INTERRUPTED, STOPPED
from tests.scanner.storing import put_local

SERVER = str(Path(__file__).with_name("small_server.py"))
FIRST = ("unshare", "--user", "--map-current-user", "--pid", "--fork", "--mount-proc")
PATIENCE = 30.0


@pytest.fixture
def model(tmp_path: Path) -> str:
    return put_local(tmp_path / "m", {"a.gguf": gguf().data}) + "/a.gguf"


def _command(model: str, *words: str) -> list[str]:
    return [sys.executable, "-m", "prefect_mutagen", "exec", "--as-server", model, *words]


def _python(code: str) -> list[str]:
    return ["--", sys.executable, "-c", code]


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, "it does not come to pass"
        time.sleep(0.02)


@dataclass
class Served:
    """A server behind the command."""

    process: "subprocess.Popen[bytes]"
    log: Path
    mark: str

    @property
    def events(self) -> list[str]:
        return self.log.read_text().split() if self.log.exists() else []

    def wait_for(self, event: str) -> None:
        _until(lambda: event in self.events or self.process.poll() is not None)
        assert event in self.events

    def ask(self) -> str:
        url = f"http://127.0.0.1:{self.events[0]}/"
        with urllib.request.urlopen(url, timeout=PATIENCE) as reply:
            body: bytes = reply.read()
        return body.decode()

    def end(self) -> int:
        return self.process.wait(PATIENCE)

    def is_gone(self) -> bool:
        """Whether nothing is left of the server and of what it started."""
        return not marked(self.mark)


Serve = Callable[..., Served]


@pytest.fixture
def serve(model: str, tmp_path: Path) -> Iterator[Serve]:
    started: list[Served] = []

    def start(*options: str, prefix: tuple[str, ...] = (), how: tuple[str, ...] = ()) -> Served:
        mark = uuid.uuid4().hex
        log = tmp_path / mark
        # Whoever runs the tests may have been told to ignore SIGINT; children inherit that.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        process = subprocess.Popen(
            [
                *prefix,
                *_command(model, *options, "--", sys.executable, SERVER, str(log), mark, *how),
            ],
            env={**os.environ, "MODEL_NAME": "mine"},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        signal.signal(signal.SIGINT, before)
        served = Served(process, log, mark)
        started.append(served)
        _until(lambda: bool(served.events) or process.poll() is not None)
        assert process.poll() is None, process.communicate()[1]
        return served

    yield start
    for served in started:
        served.process.kill()
        served.process.communicate()


@pytest.fixture(params=["kernel", "sweep"])
def prefix(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """Words before the command, for each way to leave nothing behind."""
    return refusing() if request.param == "sweep" else ()


def test_a_request_under_way_is_answered_before_it_ends(
    serve: Serve, prefix: tuple[str, ...]
) -> None:
    served = serve(prefix=prefix)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(served.ask)
        served.wait_for("asked")
        served.process.terminate()
        assert answer.result() == "mine"
    assert served.end() == STOPPED, "its status is ours"
    assert served.events[1:] == ["asked", "SIGTERM", "answered", "closed"]
    _until(served.is_gone)


def test_signals_reach_it_and_do_not_end_the_command(serve: Serve, prefix: tuple[str, ...]) -> None:
    served = serve(prefix=prefix)
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP):
        before = len(served.events)
        served.process.send_signal(number)
        _until(lambda before=before: len(served.events) > before)  # type: ignore[misc] # bound now
        assert served.events[-1] == number.name
    assert served.ask() == "mine"
    served.process.send_signal(signal.SIGINT)
    assert served.end() == INTERRUPTED
    _until(served.is_gone)


def test_after_its_grace_it_is_killed(serve: Serve, prefix: tuple[str, ...]) -> None:
    served = serve("--grace", "1.5", prefix=prefix, how=("stubborn",))
    began = time.monotonic()
    served.process.terminate()
    assert served.end() == 128 + signal.SIGKILL
    assert time.monotonic() - began >= 1.5
    assert "SIGTERM" in served.events
    _until(served.is_gone)


def test_it_does_not_outlive_the_command(serve: Serve, prefix: tuple[str, ...]) -> None:
    served = serve(prefix=prefix, how=("stubborn",))
    assert not served.is_gone()
    served.process.kill()
    served.process.wait()
    _until(served.is_gone)


@pytest.fixture
def first(serve: Serve) -> Iterator[tuple[Served, int]]:
    """A command that is the first process of its PID namespace, as in a container; its number."""
    if not may_make_namespaces():
        pytest.skip("no PID namespaces here")
    served = serve(prefix=FIRST)
    (number,) = children_of(served.process.pid)
    yield served, number
    with contextlib.suppress(ProcessLookupError):
        os.kill(number, signal.SIGKILL)


def test_as_the_first_process_of_a_container(first: tuple[Served, int]) -> None:
    served, number = first
    os.kill(number, signal.SIGHUP)
    served.wait_for("SIGHUP")
    assert served.ask() == "mine"
    os.kill(number, signal.SIGTERM)
    assert served.end() == STOPPED
    _until(served.is_gone)


def _zombies_of(number: int) -> list[int]:
    states = {
        child: Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0]
        for child in children_of(number)
    }
    return [child for child, state in states.items() if state == "Z"]


def test_as_the_first_process_it_reaps_the_orphans_of_others(first: tuple[Served, int]) -> None:
    served, number = first
    if shutil.which("nsenter") is None:
        pytest.skip("no nsenter here")
    enter = ["nsenter", "--target", str(number), "--user", "--preserve-credentials", "--pid"]
    orphan = "sleep 0.5 & sleep 0.5 & echo started"
    done = subprocess.run([*enter, "sh", "-c", orphan], stdout=subprocess.PIPE, check=False)
    if done.returncode:
        pytest.skip("the namespaces of other processes cannot be entered here")
    _until(lambda: len(children_of(number)) == 3)  # the supervisor and both orphans
    _until(lambda: len(children_of(number)) == 1)
    assert _zombies_of(number) == []
    assert served.ask() == "mine"


def _run(
    model: str, code: str, *options: str, **given: object
) -> "subprocess.CompletedProcess[str]":
    done: subprocess.CompletedProcess[str] = subprocess.run(
        _command(model, *options, *_python(code)),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
        **given,  # type: ignore[call-overload] # of subprocess.run
    )
    return done


def test_environment_and_working_folder_are_kept(model: str, tmp_path: Path) -> None:
    given = {
        **os.environ,
        "HF_TOKEN": "hunter2",
        "TMPDIR": str(tmp_path),
        "PREFECT_MUTAGEN_STORAGE_OPTIONS": '{"secret": "hunter3"}',
    }
    code = "import json, os; print(json.dumps([dict(os.environ), os.getcwd()]))"
    done = _run(model, code, env=given, cwd=tmp_path)
    variables, folder = json.loads(done.stdout)
    del given["PREFECT_MUTAGEN_STORAGE_OPTIONS"]
    assert folder == str(tmp_path)
    assert variables.items() >= given.items()
    assert variables.keys() - given.keys() <= {
        *("MUTAGEN_URL", "MUTAGEN_PIN", "MUTAGEN_HANDOFF", "LC_CTYPE"),
    }
    assert "hunter3" not in done.stdout
    named = _run(
        model,
        code,
        *("--env", "PREFECT_MUTAGEN_STORAGE_OPTIONS"),
        env={**given, "PREFECT_MUTAGEN_STORAGE_OPTIONS": "{}"},
    )
    assert "PREFECT_MUTAGEN_STORAGE_OPTIONS" in named.stdout


def test_standard_input_is_kept(model: str, tmp_path: Path) -> None:
    code = "import os, sys; print(sys.stdin.read(), sorted(os.listdir('/proc/self/fd')))"
    assert _run(model, code, input="given").stdout.startswith("given ")
    (tmp_path / "file").write_text("of a file")
    with (tmp_path / "file").open() as file:
        file.seek(3)
        said = _run(model, code, stdin=file).stdout
    assert said == "a file ['0', '1', '2', '3']\n", "and no other file than that of the folder"
    read = "import sys; print(repr(sys.stdin.read()))"
    closed = ["sh", "-c", 'exec "$@" 0<&-', "sh", *_command(model, *_python(read))]
    assert subprocess.run(closed, stdout=subprocess.PIPE, check=False).stdout == b"''\n"
    assert _run(model, read, "--no-stdin", input="given").stdout == "''\n"


def test_there_is_no_time_limit_unless_one_is_given(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prefect_mutagen.scanner.commands.exec._TIME_LIMIT", 0.5)
    sleep = _python("import time; time.sleep(1.5)")
    assert main(["exec", "--as-server", model, *sleep]) == 0
    assert main(["exec", model, *sleep]) == 124
    assert main(["exec", "--as-server", "--timeout", "0.5", model, *sleep]) == 124


def test_what_does_not_pass_is_not_served(model: str, tmp_path: Path) -> None:
    Path(model).write_bytes(b"GGUF")
    code = f"open({str(tmp_path / 'ran')!r}, 'w')"
    assert _run(model, code).returncode == 1
    assert not (tmp_path / "ran").exists()
