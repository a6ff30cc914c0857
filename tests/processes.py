"""Look processes up in /proc, and run programs where the kernel refuses them namespaces."""

import contextlib
import functools
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

# A user namespace of its own, in which nobody may make another PID namespace: a real refusal.
REFUSING = (
    *("unshare", "--user", "--map-root-user", "sh", "-c"),
    'echo 0 > /proc/sys/user/max_pid_namespaces && exec "$@"',
    "sh",
)
# One user without privileges, as most people are: it may make namespaces only with its own users.
UNPRIVILEGED = ("unshare", "--user", "--map-user=1000", "--map-group=1000")


@functools.cache
def may_make_namespaces(*prefix: str) -> bool:
    """Whether a process started this way gets a PID namespace with a /proc of its own."""
    if shutil.which("unshare") is None:
        return False
    words = ("unshare", "--user", "--map-current-user", "--pid", "--fork", "--mount-proc", "true")
    return subprocess.run([*prefix, *words], capture_output=True, check=False).returncode == 0


def refusing() -> tuple[str, ...]:
    """Words before a command that make the kernel refuse it namespaces."""
    return REFUSING if may_make_namespaces() else ()


def run_unprivileged(*words: str) -> subprocess.CompletedProcess[str]:
    """Run ``prefect-mutagen`` as a user whom the permissions of files stop."""
    prefix: tuple[str, ...] = ()
    if os.geteuid() == 0:
        if not may_make_namespaces(*UNPRIVILEGED):
            pytest.skip("root may do everything, and this machine lets it be nobody else")
        prefix = UNPRIVILEGED
    command = [*prefix, sys.executable, "-m", "prefect_mutagen", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def children_of(pid: int) -> set[int]:
    """Give the children of a process; none when it has ended."""
    try:
        return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
    except OSError:
        return set()


def kill_tree(pid: int) -> None:
    """Kill a process and all that it started, as when its machine is lost."""
    children = children_of(pid)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    for child in children:
        kill_tree(child)


def started_with(folder: Path) -> list[int]:
    """Give the living processes that were started with this folder for temporary files."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdecimal() and int(name) != os.getpid():
            # The environment of one that has ended and was not waited for is empty.
            with contextlib.suppress(OSError):
                if str(folder).encode() in Path(f"/proc/{name}/environ").read_bytes():
                    found.append(int(name))
    return found


def marked(mark: str) -> set[int]:
    """Give the living processes that have this among their arguments."""
    found = set()
    for name in os.listdir("/proc"):
        if name.isdecimal() and int(name) != os.getpid():
            try:
                words = Path(f"/proc/{name}/cmdline").read_bytes()
            except OSError:
                continue  # it has ended
            if mark.encode() in words.split(b"\0"):
                found.add(int(name))
    return found


def supervisors_of(harness: int) -> set[int]:
    """Give the supervisors of a process."""
    return {
        pid
        for pid in marked(str(harness))
        if any("import supervisor" in word for word in arguments(pid))
    }


def arguments(pid: int) -> list[str]:
    """Give the arguments of a process; none when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return []


def harness_of(pid: int) -> int:
    """Give the process that an agent runs for: its supervisor was told which one that is."""
    while pid > 1:
        words = arguments(pid)
        if any("import supervisor" in word for word in words):
            return int([word for word in words if word][-1])
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    raise LookupError("it has no supervisor")


def seconds_until_gone(mark: str, harness: int, patience: float = 5.0) -> float:
    """Wait until nothing is found any more, five times in a row; give the seconds it took.

    One look may miss a process that forks and ends between two entries of the list.

    Raises:
        AssertionError: Something is left after that.
    """
    start = last = time.monotonic()
    empty = 0
    while empty < 5:
        if left := marked(mark) | supervisors_of(harness):
            last = time.monotonic()
            if last - start > patience:
                raise AssertionError(f"left: {[arguments(pid) for pid in left]}")
        empty = 0 if left else empty + 1
        time.sleep(0.02)
    return last - start
