"""What an agent can see and do beyond its own namespaces, and what is left when it fights back."""

import ctypes
import os
import pty
import signal
import subprocess
import sys
import time
import uuid
from contextlib import suppress
from pathlib import Path

import pytest

from tests.builders import gguf
from tests.processes import UNPRIVILEGED, marked, may_make_namespaces, refusing

PROGRAM = str(Path(__file__).with_name("prying_agent.py"))
ATTEMPTS = (
    *("environments", "uncover", "uncover_as_root_of_a_namespace", "mount_another", "attach"),
    *("read_memory", "take_descriptors", "enter_namespaces", "see_roots", "find_keys"),
    *("list_descriptors", "type_ahead", "change_root", "make_devices", "change_user"),
    "signal_others",
)
# Without namespaces, an agent of the same user sees processes, and may send them signals.
SEEN_WITHOUT_NAMESPACES = {"signal_others"}


def _harness(model: Path, attempt: str, mark: str) -> list[str]:
    """Return the words of a harness that tells the agent its own number."""
    code = (
        "import os, sys; from prefect_mutagen.scanner.commands.cli import main; "
        "words = [str(os.getpid()) if word == 'NUMBER' else word for word in sys.argv[1:]]; "
        "sys.exit(main(words))"
    )
    agent = [sys.executable, "-I", "-S", PROGRAM, attempt, "NUMBER", mark]
    return [
        sys.executable,
        "-c",
        code,
        "exec",
        str(model),
        "--no-stdin",
        "--timeout",
        "20",
        "--",
        *agent,
    ]


def _prefix(guarantee: str, user: str) -> tuple[str, ...]:
    if guarantee == "sweep":
        return refusing()
    if user == "nobody":
        if not may_make_namespaces(*UNPRIVILEGED):
            pytest.skip("this machine lets root be nobody else")
        return UNPRIVILEGED
    if not may_make_namespaces():
        pytest.skip("this machine refuses namespaces")
    return ()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "m.gguf"
    path.write_bytes(gguf().data)
    for folder in (path, *path.parents[:3]):
        with suppress(PermissionError):
            folder.chmod(0o755)
    return path


@pytest.mark.parametrize("attempt", ATTEMPTS)
@pytest.mark.parametrize(
    ("guarantee", "user"), [("kernel", "own"), ("kernel", "nobody"), ("sweep", "own")]
)
def test_an_agent_gets_nothing_of_its_harness(
    guarantee: str, user: str, attempt: str, model: Path
) -> None:
    if guarantee == "sweep" and (attempt in SEEN_WITHOUT_NAMESPACES or os.geteuid() != 0):
        pytest.skip("docs/agents.md says that this is not kept from it")
    prefix = _prefix(guarantee, user)
    words = [*prefix, *_harness(model, attempt, uuid.uuid4().hex)]
    _put_key()
    said, status = _run_in_a_terminal(words)
    assert "GOT" not in said, said
    assert "DONE" in said, (status, said)


def _put_key() -> None:
    """Put a key into the session keyring of this process, which its children share."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall(248, b"user", b"mutagen-test", b"hunter2", 7, -3)  # add_key(2)


def _run_in_a_terminal(words: list[str]) -> tuple[str, int]:
    """Run a harness in a terminal of its own; what it said, with what was typed into it after."""
    controller, terminal = pty.openpty()
    environment = os.environ | {"SECRET": "hunter2"}
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", EXEC_IN_TERMINAL, *words],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            env=environment,
            start_new_session=True,
        )
        status = process.wait(60)
        os.set_blocking(terminal, False)
        typed = b""
        with suppress(BlockingIOError):
            typed = os.read(terminal, 100)
        os.set_blocking(controller, False)
        said = b""
        with suppress(BlockingIOError, OSError):
            while piece := os.read(controller, 1 << 16):
                said += piece
    finally:
        os.close(terminal)
        os.close(controller)
    text = said.decode("utf-8", "replace")
    return text + (f"GOT typed {typed!r}" if typed else ""), status


EXEC_IN_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "os.execvp(sys.argv[1], sys.argv[1:])"
)


@pytest.mark.slow
@pytest.mark.parametrize("attempt", ["kill_the_supervisor", "stop_both_and_kill_one"])
@pytest.mark.parametrize("guarantee", ["kernel", "sweep"])
@pytest.mark.parametrize("number", range(3))
def test_nothing_is_left_of_an_agent_that_kills_its_supervisor(
    number: int, guarantee: str, attempt: str, model: Path
) -> None:
    mark = f"{uuid.uuid4().hex}{number}"
    words = [*_prefix(guarantee, "own"), *_harness(model, attempt, mark)]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(60)
        deadline = time.monotonic() + 5
        while marked(mark) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not marked(mark)
    finally:
        process.kill()
        process.wait()
        for pid in marked(mark):
            os.kill(pid, signal.SIGKILL)
