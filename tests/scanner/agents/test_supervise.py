import json
import multiprocessing
import os
import signal
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from prefect_mutagen.scanner.agents.supervise import (
    Limits,
    Outcome,
    end_all,
    named_variables,
    run_supervised,
)
from tests.processes import marked, supervisors_of

_HALF_A_MINUTE = Limits(30)


def _run(
    code: str, given: bytes = b"", limits: Limits = _HALF_A_MINUTE, *, stdin: bool = True
) -> tuple[Outcome, list[str]]:
    lines: list[str] = []
    outcome = run_supervised(
        [sys.executable, "-I", "-S", "-c", code], given, limits, on_line=lines.append, stdin=stdin
    )
    return outcome, lines


def test_input_output_and_status() -> None:
    code = "import sys; print(sys.stdin.read()); print('err', file=sys.stderr); sys.exit(3)"
    outcome, lines = _run(code, b"given")
    assert (outcome.status, outcome.truncated, outcome.timed_out) == (3, False, False)
    assert outcome.guarantee in {"kernel", "sweep", "group"}
    assert sorted(lines) == ["err", "given"]


def test_what_is_handed_is_in_a_file_too() -> None:
    code = "import os, sys; print(open(os.environ['MUTAGEN_HANDOFF']).read(), sys.stdin.read())"
    assert _run(code, b"given")[1] == ["given given"]
    assert _run(code, b"given", stdin=False)[1] == ["given "]


def test_a_large_input_needs_no_reader() -> None:
    outcome, _ = _run("pass", b"x" * 5_000_000)
    assert outcome.status == 0


def test_a_signal_is_a_status() -> None:
    outcome, _ = _run("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert outcome.status == 128 + signal.SIGKILL


def test_the_time_limit_holds_against_one_that_ignores_signals() -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    start = time.monotonic()
    outcome, _ = _run(code, limits=Limits(1))
    assert outcome.status == 124
    assert time.monotonic() - start < 10


def test_children_go_with_their_parent() -> None:
    mark = uuid.uuid4().hex
    code = (
        "import subprocess, sys;"
        f"subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)', '{mark}']);"
        "print('left')"
    )
    outcome, lines = _run(code)
    assert outcome.status == 0
    assert lines == ["left"]
    assert not marked(mark)


def test_output_is_bounded_and_cut_into_lines() -> None:
    outcome, lines = _run("print('x' * 3_000_000)")
    assert outcome.truncated
    assert sum(map(len, lines)) == 1 << 20
    assert max(map(len, lines)) <= 4096


def test_long_lines_are_cut_between_letters() -> None:
    code = "import os; os.write(1, b'a' + '\\u20ac'.encode() * 5000 + b'\\nend')"
    _, lines = _run(code)
    assert max(len(line.encode()) for line in lines) <= 4096
    assert lines[-1] == "end"
    assert "".join(lines[:-1]) == "a" + "\u20ac" * 5000


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
        run_supervised(["/no/such/program"], b"", on_line=print)


def test_no_shell_reads_the_words(tmp_path: Path) -> None:
    lines: list[str] = []
    run_supervised(
        [sys.executable, "-c", "import sys; print(sys.argv[1])", f"; touch {tmp_path}/x; $(id)"],
        b"",
        on_line=lines.append,
    )
    assert lines == [f"; touch {tmp_path}/x; $(id)"]
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        (["no-such-program-anywhere"], FileNotFoundError),
        (["/"], PermissionError),
        ([sys.executable, "x" * 300_000], OSError),
        ([sys.executable, "a\0b"], ValueError),
        ([""], ValueError),
    ],
    ids=["not in PATH", "a folder", "a word too long", "NUL", "empty"],
)
def test_commands_that_are_none(command: list[str], kind: type[Exception]) -> None:
    with pytest.raises(kind):
        run_supervised(command, b"", on_line=print)


def test_words_that_are_no_text_arrive_as_they_are() -> None:
    odd = os.fsdecode(b"\xff\xe9 \n\xf0\x9f\x8c\x8d")
    lines: list[str] = []
    code = "import os, sys; print(os.fsencode(sys.argv[1]), os.environb[b'ODD'])"
    run_supervised(
        [sys.executable, "-c", code, odd],
        b"",
        on_line=lines.append,
        environment={"ODD": odd},
    )
    assert lines == [f"{os.fsencode(odd)!r} {os.fsencode(odd)!r}"]


def test_a_program_named_from_here_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "agent").write_text("#!/bin/sh\necho here\n")
    (tmp_path / "agent").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    lines: list[str] = []
    run_supervised(["./agent"], b"", on_line=lines.append)
    assert lines == ["here"]


def test_memory_and_cpu_time_are_limited() -> None:
    outcome, lines = _run("x = bytearray(1 << 30)", limits=Limits(30, memory_bytes=256 << 20))
    assert (outcome.status, lines[-1]) == (1, "MemoryError")
    outcome, _ = _run("while True: pass", limits=Limits(30, cpu_seconds=1))
    assert outcome.status == 128 + signal.SIGXCPU


def test_it_is_told_before_it_is_ended() -> None:
    code = (
        "import signal, sys, time\n"
        "def leave(*_): print('told'); sys.exit(5)\n"
        "signal.signal(signal.SIGTERM, leave); time.sleep(60)"
    )
    outcome, lines = _run(code, limits=Limits(1))
    assert lines == ["told"]
    assert (outcome.status, outcome.timed_out) == (124, True)


def test_a_listener_that_fails_ends_it() -> None:
    code = "import sys, time; print(1, flush=True); time.sleep(60)"

    def fail(line: str) -> None:
        raise RuntimeError(line)

    start = time.monotonic()
    with pytest.raises(RuntimeError, match="1"):
        run_supervised([sys.executable, "-c", code], b"", on_line=fail)
    assert time.monotonic() - start < 10


def test_variables_are_passed_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", "hunter2")
    assert named_variables(["SOME_TOKEN"]) == {"SOME_TOKEN": "hunter2"}
    with pytest.raises(ValueError, match=r"not set in the environment: NO_SUCH$"):
        named_variables(["SOME_TOKEN", "NO_SUCH"])


def test_the_processes_above_it_hold_no_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_TOKEN", "hunter2")
    seen: list[bytes] = []

    def look(_: str) -> None:
        for pid in supervisors_of(os.getpid()):
            with suppress(PermissionError):  # the first of a namespace shows its own to root alone
                seen.append(Path(f"/proc/{pid}/environ").read_bytes())
        (tmp_path / "seen").touch()

    code = (
        "import os, sys, time; print(1, flush=True)\n"
        "while not os.path.exists(sys.argv[1]): time.sleep(0.01)"
    )
    command = [sys.executable, "-I", "-S", "-c", code, str(tmp_path / "seen")]
    run_supervised(command, b"", Limits(30), on_line=look)
    assert seen
    assert b"hunter2" not in b"".join(seen)


def test_many_threads_at_once() -> None:
    code = "import os; print(os.environ['MUTAGEN_HANDOFF'])"
    with ThreadPoolExecutor(20) as pool:
        ended = list(pool.map(lambda _: _run(code), range(60)))
    assert {outcome.status for outcome, _ in ended} == {0}
    assert len({lines[0] for _, lines in ended}) == 60
    assert not supervisors_of(os.getpid())


def test_a_killed_supervisor_takes_its_agent_along() -> None:
    outcome: list[Outcome] = []
    code = "import time; print('ready', flush=True); time.sleep(60)"

    def kill(_: str) -> None:
        for pid in supervisors_of(os.getpid()):
            with suppress(ProcessLookupError):  # the second may go with the first
                os.kill(pid, signal.SIGKILL)

    command = [sys.executable, "-c", code]
    outcome.append(run_supervised(command, b"", Limits(30), on_line=kill))
    assert outcome[0].status == 128 + signal.SIGKILL
    assert not outcome[0].timed_out


def test_all_can_be_ended_from_another_thread() -> None:
    ready = threading.Barrier(4)
    code = "import time; print(1, flush=True); time.sleep(60)"

    def arrive(_: str) -> None:
        ready.wait(30)

    def run(_: int) -> Outcome:
        return run_supervised([sys.executable, "-c", code], b"", Limits(60), on_line=arrive)

    with ThreadPoolExecutor(3) as pool:
        runs = [pool.submit(run, number) for number in range(3)]
        ready.wait(30)
        end_all()
        assert {each.result().status for each in runs} == {128 + signal.SIGTERM}


def _in_a_child(path: str) -> None:
    Path(path).write_text(json.dumps(_run("print('there')")[1]))


def test_a_forked_harness_runs_agents_too(tmp_path: Path) -> None:
    assert _run("print('here')")[1] == ["here"]
    child = multiprocessing.get_context("fork").Process(
        target=_in_a_child, args=(str(tmp_path / "said"),)
    )
    child.start()
    child.join(30)
    assert json.loads((tmp_path / "said").read_text()) == ["there"]
    assert _run("print('still here')")[1] == ["still here"]


def test_a_forked_child_does_not_end_the_agents_of_its_parent() -> None:
    def end_in_a_child(_: str) -> None:
        child = multiprocessing.get_context("fork").Process(target=end_all)
        child.start()
        child.join(30)

    code = "import time; print(1, flush=True); time.sleep(1)"
    outcome = run_supervised([sys.executable, "-c", code], b"", Limits(30), on_line=end_in_a_child)
    assert outcome.status == 0


def test_it_works_in_a_thread() -> None:
    outcomes: list[Outcome] = []
    thread = threading.Thread(target=lambda: outcomes.append(_run("print(1)")[0]))
    thread.start()
    thread.join()
    assert [outcome.status for outcome in outcomes] == [0]
