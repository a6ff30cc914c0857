"""The supervisor: the process between the harness and one agent, which ends all that it started.

A program of its own, started by `scanner.agents.supervise` with ``python -I -S`` and an empty
environment. Every agent has one, so it imports as little of the standard library as it can.

File 0 is the control socket. The harness sends the order over it, a dictionary in `marshal` format;
the supervisor answers with one line per event: ``kernel``, ``sweep`` or ``group`` (the guarantee),
``errno N`` (the agent was not started) or ``ended N`` (its exit status, negative for a signal).
What the harness sends then are signals for the agent, a byte each. When it closes or shuts down its
end, or is gone, the supervisor ends the agent.

Where the kernel allows it, the agent runs in a PID namespace whose first process watches the
control socket: when that process ends, the kernel kills everything in the namespace,
pid_namespaces(7). Elsewhere the supervisor is the subreaper of all descendants,
PR_SET_CHILD_SUBREAPER in prctl(2), and sweeps until it has no child left. There a second subreaper
stands above it, for an agent of the same user may stop or kill the first.

The agent has no capability that leads out of its namespaces, no terminal, and a keyring of its own.
"""

from __future__ import annotations

import ctypes
import errno
import marshal
import math
import os
import resource
import select
import signal
import sys
import time

TYPE_CHECKING = False  # importing typing would be a third of the supervisor's start
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, Final

__all__ = ["GRACE", "main"]

GRACE: Final = 1.0  # seconds between SIGTERM and SIGKILL
_CONTROL: Final = 0
_LINUX: Final = sys.platform == "linux"
_LIBC: Final = ctypes.CDLL(None, use_errno=True)
# sched.h, sys/mount.h and linux/prctl.h
_NEW_MOUNTS, _NEW_USERS, _NEW_PIDS = 0x00020000, 0x10000000, 0x20000000
_NO_SUID_DEV_EXEC, _PRIVATE_RECURSIVE, _DETACH = 2 | 4 | 8, 1 << 14 | 1 << 18, 2
_READ_ONLY, _REMOUNT, _BIND = 1, 32, 4096
_PARENT_DEATH_SIGNAL, _DUMPABLE, _SUBREAPER, _NO_NEW_PRIVILEGES = 1, 4, 36, 38
_BOUNDING_READ, _BOUNDING_DROP, _AMBIENT, _AMBIENT_CLEAR_ALL = 23, 24, 47, 4
# linux/capability.h: an agent of root keeps CHOWN, DAC_OVERRIDE, FOWNER and FSETID, for its files.
_KEPT_CAPABILITIES, _CAPABILITIES_VERSION = (0, 1, 3, 4), 0x20080522
# Numbers of keyctl(2), which the C library does not wrap, by machine; KEYCTL_JOIN_SESSION.
_KEYCTL, _JOIN_SESSION_KEYRING = {"x86_64": 250, "aarch64": 219, "riscv64": 219}, 1


def main() -> None:
    """Supervise one agent for the harness whose process number is the last argument."""
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    harness = _watch(int(sys.argv[-1]))
    order = _read_order()
    try:
        _supervise(order, harness)
    except OSError as problem:
        _report(f"errno {problem.errno}")
    if _is_gone(harness):
        import shutil

        shutil.rmtree(order["folder"], ignore_errors=True)  # nobody else will remove it
    os._exit(0)  # at once: the harness waits for the end


def _watch(harness: int) -> int:
    """Return a file descriptor that becomes readable when the harness ends; -1 if unsupported."""
    # End of file on the control socket is not enough: forked children of the harness have its end.
    try:
        watched = os.pidfd_open(harness)
    except (AttributeError, OSError):
        return -1
    if os.getppid() != harness:
        sys.exit()  # the harness has ended already, and its number may have been reused
    return watched


def _read_order() -> dict[str, Any]:
    try:
        with open(_CONTROL, "rb", closefd=False) as control:
            order: dict[str, Any] = marshal.load(control)  # noqa: S302 - written by the harness
    except EOFError:
        sys.exit()  # the harness withdrew before it had sent the whole order
    return order


def _report(line: str) -> None:
    try:
        os.write(_CONTROL, line.encode() + b"\n")
    except OSError:
        return  # the harness is gone; clean up all the same


def _supervise(order: dict[str, Any], harness: int) -> None:
    """Run the agent to its end; on return none of its processes is left."""
    if _LINUX and _can_isolate() and _enter_namespaces():
        _report("kernel")
        first = os.fork()
        if first == 0:
            _prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)
            _mount_proc()
            _prctl(_DUMPABLE, 0)  # keeps the agent from attaching to this process
            _run_agent(order, harness)
            os._exit(0)
        os.waitpid(first, 0)  # returns once the kernel has killed all others in the namespace
    elif _LINUX:
        _report("sweep")
        _guard(order, harness)
    else:
        _report("group")
        agent = _run_agent(order, harness)
        _kill(agent, signal.SIGKILL, os.killpg)


def _guard(order: dict[str, Any], harness: int) -> None:
    """Run the agent under a second supervisor, and sweep whatever becomes of that."""
    _prctl(_SUBREAPER, 1)
    inner = os.fork()
    if inner == 0:  # without a parent-death signal: it goes on alone if the agent kills the outer
        _prctl(_SUBREAPER, 1)
        try:
            _run_agent(order, harness)
        except OSError as problem:
            _report(f"errno {problem.errno}")
        _sweep()
        _kill(os.getppid(), signal.SIGCONT)  # the agent may have stopped it
        os._exit(0)
    number, status = 0, 0
    while number != inner or os.WIFSTOPPED(status):
        number, status = os.waitpid(-1, os.WUNTRACED)
        if number == inner and os.WIFSTOPPED(status):
            _kill(inner, signal.SIGKILL)
    _sweep()


def _run_agent(order: dict[str, Any], harness: int) -> int:
    """Start the agent and wait for its end, or end it when the harness asks or is gone.

    Return its number; it may still run: the caller kills what is left. OSError as `_start`.
    """
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    agent = _start(order)
    events = select.poll()
    for descriptor in {wake, _CONTROL, harness} - {-1}:
        events.register(descriptor, select.POLLIN)
    deadline = math.inf
    while True:
        for number, status in _reap():
            if number == agent:
                _report(f"ended {os.waitstatus_to_exitcode(status)}")
                return agent
        left = deadline - time.monotonic()
        if left <= 0:
            return agent
        for descriptor, _ in events.poll(left * 1000 if left < math.inf else None):
            if descriptor == wake:
                os.read(wake, 4096)
                continue
            if descriptor == _CONTROL and (numbers := _read_signals()):
                for sent in numbers:
                    _kill(agent, sent)
                continue
            events.unregister(descriptor)
            deadline = min(deadline, time.monotonic() + GRACE)
            _kill(agent, signal.SIGTERM, os.killpg)
            _kill(agent, signal.SIGCONT, os.killpg)  # a stopped process handles SIGTERM only then


def _read_signals() -> bytes:
    try:
        return os.read(_CONTROL, 64)
    except ConnectionResetError:
        return b""  # the harness is gone


def _start(order: dict[str, Any]) -> int:
    """Fork the agent and return its process number; OSError if it cannot be started."""
    reader, writer = os.pipe()
    agent = os.fork()
    if agent == 0:
        try:
            _exec(order)
        except (OSError, ValueError) as problem:
            os.write(writer, b"%d" % (getattr(problem, "errno", None) or errno.EINVAL))
        os._exit(127)
    os.close(writer)
    failure = os.read(reader, 16)
    os.close(reader)
    if failure:
        raise OSError(int(failure), "the command cannot be started")
    return agent


def _exec(order: dict[str, Any]) -> None:
    """Replace this process by the agent."""
    os.setsid()
    for number in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ):  # as subprocess.Popen does
        signal.signal(number, signal.SIG_DFL)
    if _LINUX:
        _prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)
        _prctl(_NO_NEW_PRIVILEGES, 1)  # without set-user-ID programs, signals reach all descendants
        if keyctl := _KEYCTL.get(os.uname().machine):  # leave the harness's keyring, keyrings(7)
            _LIBC.syscall(keyctl, _JOIN_SESSION_KEYRING, None)
        _drop_capabilities()
    given = order["stdin"]  # a path, or the number of a file that is open
    given = given if isinstance(given, int) else os.open(given, os.O_RDONLY)
    os.dup2(given, 0)
    os.set_inheritable(given, False)  # noqa: FBT003 - its only parameter
    os.chdir(order["working_folder"])
    _limit(resource.RLIMIT_CPU, order["cpu_seconds"], 1)
    _limit(resource.RLIMIT_AS, order["memory_bytes"], 0)
    command = order["command"]
    os.execvpe(command[0], command, order["environment"])  # noqa: S606 - no shell on purpose


def _drop_capabilities() -> None:
    """Keep no capability beyond those over files, across exec too; capabilities(7).

    With more, an agent of root could read the environment of the harness below its /proc, attach to
    other processes, or type into a terminal.
    """
    for number in range(64):
        known = _LIBC.prctl(_BOUNDING_READ, number, 0, 0, 0)
        if known < 0:
            break
        drop = known and number not in _KEPT_CAPABILITIES
        if drop and _LIBC.prctl(_BOUNDING_DROP, number, 0, 0, 0) and os.geteuid() == 0:
            _raise_errno()
    _LIBC.prctl(_AMBIENT, _AMBIENT_CLEAR_ALL, 0, 0, 0)
    kept = sum(1 << number for number in _KEPT_CAPABILITIES)
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_VERSION, 0)
    data = (ctypes.c_uint32 * 6)()  # effective, permitted and inheritable: lower halves, then upper
    known = _LIBC.capget(header, data)
    data[:] = [data[0] & kept, data[1] & kept, 0, 0, 0, 0]
    if known or _LIBC.capset(header, data):
        _raise_errno()


def _limit(kind: int, soft: int, margin: int) -> None:
    """Set a resource limit; ``margin`` is how far the hard limit lies above the soft one."""
    if not soft:
        return
    _, hard = resource.getrlimit(kind)
    if hard == resource.RLIM_INFINITY or soft + margin < hard:
        hard = soft + margin
    resource.setrlimit(kind, (min(soft, hard), hard))


def _reap() -> Iterator[tuple[int, int]]:
    """Yield number and status of each child that has ended; adopted orphans are children too."""
    while True:
        try:
            number, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if number == 0:
            return
        yield number, status


def _sweep() -> None:
    """Kill all descendants: stop those found until no new ones appear, then kill them."""
    stopped: set[int] = set()
    while _has_children():
        for number in _children():  # kill at once: one that forks and ends is soon another
            _kill(number, signal.SIGKILL)
        found = _descendants(os.getpid())
        fresh = found - stopped
        for number in fresh or found:
            _kill(number, signal.SIGSTOP if fresh else signal.SIGKILL)
        stopped |= fresh
        if not fresh:
            time.sleep(0.002)


def _kill(number: int, how: int, kill: Callable[[int, int], None] = os.kill) -> None:
    try:
        kill(number, how)
    except (ProcessLookupError, PermissionError):
        return  # it has ended; or a group is empty, or all of it are zombies


def _children() -> list[int]:  # none where the kernel does not list them
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
            return [*map(int, file.read().split())]
    except OSError:
        return []


def _has_children() -> bool:
    """Reap zombies; whether a child is left. A subreaper without children has no descendants."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def _descendants(root: int) -> set[int]:
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    # The process chooses its own name, so fields count from the last bracket.
                    parent = int(file.read().rpartition(b")")[2].split()[1])
            except OSError:
                continue  # it has ended
            children.setdefault(parent, []).append(int(name))
    found, queue = set[int](), [root]
    while queue:
        for number in children.get(queue.pop(), ()):
            if number not in found:
                found.add(number)
                queue.append(number)
    return found


def _is_gone(harness: int) -> bool:
    """Whether the harness has ended, or has closed the control socket in both directions."""
    now = select.poll()
    now.register(_CONTROL, 0)  # POLLHUP needs no request, and a half-closed socket does not set it
    if harness >= 0:
        now.register(harness, select.POLLIN)
    return bool(now.poll(0))


def _prctl(option: int, value: int) -> None:
    if _LIBC.prctl(option, value, 0, 0, 0):
        _raise_errno()


def _raise_errno() -> None:
    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _enter_namespaces() -> bool:
    """Create the PID namespace whose first process is the next child; whether the kernel allows it.

    Without privileges it needs a user namespace first, in which its own user is the only one.
    """
    user, group = os.geteuid(), os.getegid()
    if _LIBC.unshare(_NEW_PIDS | _NEW_MOUNTS) == 0:
        return True
    if _LIBC.unshare(_NEW_USERS | _NEW_PIDS | _NEW_MOUNTS):
        return False
    for name, text in (
        ("setgroups", "deny"),  # user_namespaces(7): before gid_map can be written
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)
    return True


def _mount_proc() -> None:
    """Mount the namespace's own /proc: programs look themselves up there by their number.

    The one that shows all is taken away; in a user namespace the kernel keeps the agent from
    uncovering it, mount_namespaces(7). Settings of the kernel are read-only.
    """
    if _LIBC.mount(None, b"/", None, _PRIVATE_RECURSIVE, None):
        _raise_errno()
    while _LIBC.umount2(b"/proc", _DETACH) == 0:
        continue
    if _LIBC.mount(b"proc", b"/proc", b"proc", _NO_SUID_DEV_EXEC, None):
        _raise_errno()
    for path in (b"/proc/sys", b"/proc/sysrq-trigger", b"/proc/irq", b"/proc/bus", b"/proc/fs"):
        if _LIBC.mount(path, path, None, _BIND, None) == 0:  # not all kernels have all of them
            _LIBC.mount(None, path, None, _REMOUNT | _BIND | _READ_ONLY | _NO_SUID_DEV_EXEC, None)


def _can_isolate() -> bool:
    """Try both in a child: many containers allow namespaces without /proc, or no namespaces."""
    child = os.fork()
    if child == 0:
        try:
            allowed = _enter_namespaces()
            inner = os.fork() if allowed else 0
            if allowed and inner == 0:
                _mount_proc()
                os._exit(0)
            os._exit(int(not allowed or os.waitpid(inner, 0)[1] != 0))
        except OSError:
            os._exit(1)
    return os.waitpid(child, 0)[1] == 0
