import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from prefect_mutagen.scanner.supervise import Outcome, run_supervised


def _run(code: str, given: bytes = b"", timeout: float = 30.0) -> tuple[Outcome, list[str]]:
    lines: list[str] = []
    outcome = run_supervised(
        [sys.executable, "-c", code], given, timeout=timeout, on_line=lines.append
    )
    return outcome, lines


def test_input_output_and_status() -> None:
    code = "import sys; print(sys.stdin.read()); print('err', file=sys.stderr); sys.exit(3)"
    outcome, lines = _run(code, b"given")
    assert outcome == Outcome(3, truncated=False)
    assert sorted(lines) == ["err", "given"]


def test_a_large_input_needs_no_reader() -> None:
    outcome, _ = _run("pass", b"x" * 5_000_000)
    assert outcome.status == 0


def test_a_signal_is_a_status() -> None:
    outcome, _ = _run("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert outcome.status == 128 + signal.SIGKILL


def test_the_time_limit_holds_against_one_that_ignores_signals() -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    start = time.monotonic()
    outcome, _ = _run(code, timeout=1)
    assert outcome.status == 124
    assert time.monotonic() - start < 10


def test_children_go_with_their_parent(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    code = (
        "import subprocess, sys;"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
        f"open({str(path)!r}, 'w').write(str(child.pid)); print('left')"
    )
    outcome, lines = _run(code)
    assert outcome.status == 0
    assert lines == ["left"]
    deadline = time.monotonic() + 5
    while _alive(int(path.read_text())) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _alive(int(path.read_text()))


def _alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def test_output_is_bounded_and_cut_into_lines() -> None:
    outcome, lines = _run("print('x' * 3_000_000)")
    assert outcome.truncated
    assert sum(map(len, lines)) == 1 << 20
    assert max(map(len, lines)) <= 4096


def test_the_last_line_needs_no_end_and_odd_bytes_do_no_harm() -> None:
    _, lines = _run(r"import sys; sys.stdout.buffer.write(b'a\r\nb\xff')")
    assert lines == ["a", "b\ufffd"]


def test_the_environment_and_the_folder_are_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    monkeypatch.setenv("PREFECT_API_KEY", "hunter2")
    _, lines = _run("import os; print(sorted(os.environ)); print(os.listdir()); print(os.getcwd())")
    assert "AWS_SECRET_ACCESS_KEY" not in lines[0]
    assert "PREFECT_API_KEY" not in lines[0]
    assert "PATH" in lines[0]
    assert lines[1] == "[]"
    assert not os.path.exists(lines[2])


def test_what_cannot_be_started_raises() -> None:
    with pytest.raises(FileNotFoundError):
        run_supervised(["/no/such/program"], b"", timeout=1, on_line=print)


def test_no_shell_reads_the_words(tmp_path: Path) -> None:
    lines: list[str] = []
    run_supervised(
        [sys.executable, "-c", "import sys; print(sys.argv[1])", f"; touch {tmp_path}/x; $(id)"],
        b"",
        timeout=30,
        on_line=lines.append,
    )
    assert lines == [f"; touch {tmp_path}/x; $(id)"]
    assert not (tmp_path / "x").exists()


def test_it_works_in_a_thread() -> None:
    outcomes: list[Outcome] = []
    thread = threading.Thread(target=lambda: outcomes.append(_run("print(1)")[0]))
    thread.start()
    thread.join()
    assert outcomes == [Outcome(0, truncated=False)]
