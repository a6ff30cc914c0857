"""``prefect-mutagen exec``: what it starts, what it refuses to start, and its exit status."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from prefect_mutagen.scanner import verify
from prefect_mutagen.scanner.commands.cli import main
from tests.builders import gguf
from tests.scanner.storing import put_local

GGUF = gguf().data
ECHO = "import sys; sys.stdout.write(sys.stdin.read())"


@pytest.fixture
def model(tmp_path: Path) -> str:
    return put_local(tmp_path / "m", {"a.gguf": GGUF}) + "/a.gguf"


def _command(*words: str) -> list[str]:
    return [sys.executable, "-m", "prefect_mutagen.scanner.commands.cli", "exec", *words]


def _execute(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        _command(*words),
        capture_output=True,
        text=True,
        env=os.environ | environment,
        check=False,
        timeout=60,
    )


def _python(code: str) -> list[str]:
    return ["--", sys.executable, "-I", "-S", "-c", code]


def test_the_command_gets_the_handoff_and_its_output_comes_through(model: str) -> None:
    done = _execute(model, "--pin", verify(model).pin, *_python(ECHO))
    assert done.returncode == 0, done.stderr
    handed = json.loads(done.stdout)
    assert handed["url"] == model
    assert handed["verdict"] == {"status": "passed", "reasons": [], "waived": []}
    assert handed["parameters"] == {}


def test_outputs_stay_apart_and_whole(model: str) -> None:
    code = "import sys; sys.stdout.write('o' * 3_000_000); sys.stderr.write('e'); sys.exit(7)"
    done = _execute(model, *_python(code))
    assert done.returncode == 7
    assert done.stdout == "o" * 3_000_000
    assert done.stderr.startswith("e")


@pytest.mark.parametrize(
    ("options", "code", "status", "said"),
    [
        ([], "import os; os.kill(os.getpid(), 15)", 143, ""),
        (["--timeout", "0.5"], "import time; time.sleep(60)", 124, "within 0.5 seconds"),
        (["--memory", "200M"], "bytearray(1 << 30)", 1, "MemoryError"),
        (["--cpu", "1"], "while True: pass", 128 + signal.SIGXCPU, ""),
        (["--no-stdin"], "import sys; sys.exit(sys.stdin.read() != '')", 0, ""),
    ],
    ids=["signal", "time limit", "memory", "CPU time", "no input"],
)
def test_how_it_ends(model: str, options: list[str], code: str, status: int, said: str) -> None:
    done = _execute(*options, model, *_python(code))
    assert done.returncode == status, done.stderr
    assert said in done.stderr


def test_only_named_variables_are_passed_on(model: str) -> None:
    code = "import os; print(sorted(os.environ))"
    secrets = {"SOME_TOKEN": "hunter2", "OTHER_TOKEN": "hunter3"}
    names = _execute(model, "--env", "SOME_TOKEN", *_python(code), **secrets).stdout
    assert "SOME_TOKEN" in names
    assert "OTHER_TOKEN" not in names
    for name in ("MUTAGEN_URL", "MUTAGEN_PIN", "MUTAGEN_HANDOFF", "TMPDIR", "PATH"):
        assert name in names


@pytest.mark.parametrize("what", ["pin", "policy", "broken", "missing"])
def test_what_does_not_pass_starts_nothing(model: str, tmp_path: Path, what: str) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("require_license: true\n")
    if what == "broken":
        Path(model).write_bytes(GGUF[:100])
    if what == "missing":
        Path(model).unlink()
    options = {"pin": ["--pin", "x"], "policy": ["--policy", str(policy)]}.get(what, [])
    done = _execute(model, *options, *_python(f"open({str(tmp_path / 'ran')!r}, 'w')"))
    assert done.returncode == {"missing": 2, "pin": 4}.get(what, 1), done.stderr
    assert model in done.stderr
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["M"],
        ["M", "--"],
        ["--", "true"],
        ["M", "true"],
        ["M", "--timeout", "0", "--", "true"],
        ["M", "--timeout", "nan", "--", "true"],
        ["M", "--memory", "0", "--", "true"],
        ["M", "--memory", "1.5G", "--", "true"],
        ["M", "--cpu", "-1", "--", "true"],
        ["M", "--env", "NO_SUCH_VARIABLE", "--", "true"],
        ["M", "--", ""],
        ["", "--", "true"],
        ["M", "--pin", "", "--", "true"],
    ],
    ids=" ".join,
)
def test_wrong_usage(model: str, words: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["exec", *(model if word == "M" else word for word in words)]) == 2
    assert capfd.readouterr().err.count("\n") == 1


def test_the_words_of_the_command_are_its_own(
    model: str, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["a b", "--", "--pin", "$(id)", "; id", "\n", ""]
    code = "import sys; print(sys.argv[1:])"
    assert main(["exec", model, *_python(code), *words]) == 0
    assert capfd.readouterr().out.strip() == str(words)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_end_the_command_first(model: str, tmp_path: Path, number: int) -> None:
    ready, told = tmp_path / "ready", tmp_path / "told"
    code = (
        "import signal, sys, time\n"
        f"def leave(*_): open({str(told)!r}, 'w'); sys.exit()\n"
        f"signal.signal(signal.SIGTERM, leave); open({str(ready)!r}, 'w'); time.sleep(60)"
    )
    # Whoever runs the tests may have been told to ignore SIGINT; children inherit that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(_command(model, *_python(code)), stderr=subprocess.PIPE)
    signal.signal(signal.SIGINT, before)
    try:
        while not ready.exists() and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == -number  # for a shell: 128 and the number
    assert told.exists(), "it was told before this ended"
    assert b"Traceback" not in said
