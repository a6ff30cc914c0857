"""The processes between the harness and its agents: a fork server, a supervisor for each agent.

A program of its own (``python -I -S supervisor.py``), with the standard library alone, no threads
and an empty environment, so that a supervisor is a cheap fork: less than a megabyte and about a
millisecond, where a fresh interpreter takes four and fifteen.

The harness sends the fork server a byte with three descriptors: a control socket and the agent's
two outputs. The supervisor reads its order from the control socket (one line of JSON) and writes
back what became of it. When the harness closes its end, or its process is gone, the agent ends.

Where the kernel allows it, an agent runs in a PID namespace whose first process watches the control
socket: when that process ends, the kernel ends everything in the namespace, pid_namespaces(7).
Elsewhere the supervisor is the subreaper of all descendants, PR_SET_CHILD_SUBREAPER in prctl(2),
and sweeps until it has no child left.
"""

import ctypes
import errno
import json
import math
import os
import resource
import select
import shutil
import signal
import socket
import sys
import time
from collections.abc import Iterator
from typing import Any, Final

GRACE: Final = 1.0
"""Seconds that an agent has between SIGTERM and the end."""
_LINUX: Final = sys.platform == "linux"
_LIBC: Final = ctypes.CDLL(None, use_errno=True)
# sched.h, sys/mount.h and linux/prctl.h
_NEW_MOUNTS, _NEW_USERS, _NEW_PIDS = 0x00020000, 0x10000000, 0x20000000
_NO_SUID_DEV_EXEC, _PRIVATE_BELOW = 2 | 4 | 8, 1 << 14 | 1 << 18
_PARENT_DEATH_SIGNAL, _DUMPABLE, _SUBREAPER, _NO_NEW_PRIVILEGES = 1, 4, 36, 38


def serve(requests: socket.socket, harness: int) -> None:
    """Fork a supervisor for each request, until the harness closes its end.

    Args:
        requests: Where they come from.
        harness: Its process, which is the parent of this one.
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    watched = _watch(harness)
    isolates = _LINUX and _can_isolate()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # supervisors report to the harness, not here
    while True:
        message, descriptors, _, _ = socket.recv_fds(requests, 1, 3)
        if not message:
            return
        control = socket.socket(fileno=descriptors[0])
        child = _fork(control)
        for number, descriptor in enumerate(descriptors[1:], 1):
            if child == 0:
                os.dup2(descriptor, number)
            os.close(descriptor)
        if child == 0:
            requests.close()
            _supervise(control, watched, isolates=isolates)
            os._exit(0)  # at once: the harness waits for this
        control.close()


def _fork(control: socket.socket) -> int:
    try:
        return os.fork()
    except OSError as problem:
        _say(control, f"errno {problem.errno}")
        return -1


def _watch(harness: int) -> int:
    """Give a descriptor that can be read once the harness is gone; -1 where there is none.

    It holds where end of file does not: children that the harness has forked keep its sockets.
    """
    try:
        watched = os.pidfd_open(harness)
    except (AttributeError, OSError):
        return -1
    if os.getppid() != harness:
        sys.exit()  # it has ended already, and its number may be another's
    return watched


def _supervise(control: socket.socket, watched: int, *, isolates: bool) -> None:
    """Run one agent to its end, and report; at the end nothing of it is left."""
    control.set_inheritable(False)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    order = _read_order(control)
    if isolates and _enter_namespaces():
        _say(control, "kernel")
        first = os.fork()
        if first == 0:
            _set(_PARENT_DEATH_SIGNAL, signal.SIGKILL)
            _mount_proc()
            _set(_DUMPABLE, 0)  # whoever runs in there must not take this process over
            _tend(order, control, watched)
            os._exit(0)
        os.waitpid(first, 0)  # returns when the kernel has ended all the others
    elif _LINUX:
        _say(control, "sweep")
        _set(_SUBREAPER, 1)
        _tend(order, control, watched)
        _sweep()
    else:
        _say(control, "group")
        agent = _tend(order, control, watched)
        _kill_group(agent, signal.SIGKILL)
    if _is_gone(control, watched):
        shutil.rmtree(order["folder"], ignore_errors=True)  # nobody else will


def _read_order(control: socket.socket) -> dict[str, Any]:
    text = b""
    while not text.endswith(b"\n"):
        data = control.recv(1 << 16)
        if not data:
            sys.exit()  # the harness has thought better of it
        text += data
    order: dict[str, Any] = json.loads(text)
    return order


def _say(control: socket.socket, line: str) -> None:
    try:
        control.sendall(line.encode() + b"\n")
    except OSError:
        return  # nobody listens any more; what is to be done is done all the same


def _tend(order: dict[str, Any], control: socket.socket, watched: int) -> int:
    """Start the agent, wait for its end or for that of the harness; give its number."""
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    try:
        agent = _start(order)
    except OSError as problem:
        _say(control, f"errno {problem.errno}")
        return 0
    waiting = select.poll()
    for descriptor in {wake, control.fileno(), watched} - {-1}:
        waiting.register(descriptor, select.POLLIN)
    deadline = math.inf
    while True:
        for number, status in _reap():
            if number == agent:
                _say(control, f"ended {os.waitstatus_to_exitcode(status)}")
                return agent
        left = deadline - time.monotonic()
        if left <= 0:
            return agent
        for descriptor, _ in waiting.poll(left * 1000 if left < math.inf else None):
            if descriptor == wake:
                os.read(wake, 4096)
                continue
            waiting.unregister(descriptor)
            deadline = min(deadline, time.monotonic() + GRACE)
            _kill_group(agent, signal.SIGTERM)
            _kill_group(agent, signal.SIGCONT)  # one that was stopped shall hear it too


def _start(order: dict[str, Any]) -> int:
    """Start the agent.

    Raises:
        OSError: It cannot be started.
    """
    report, told = os.pipe()
    agent = os.fork()
    if agent == 0:
        try:
            _become(order)
        except (OSError, ValueError) as problem:
            number = getattr(problem, "errno", None) or errno.EINVAL
            os.write(told, str(number).encode())
        os._exit(127)
    os.close(told)
    failure = os.read(report, 16)
    os.close(report)
    if failure:
        raise OSError(int(failure), "the command cannot be started")
    return agent


def _become(order: dict[str, Any]) -> None:
    """Turn this process into the agent."""
    os.setsid()
    for number in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ):  # as subprocess.Popen does
        signal.signal(number, signal.SIG_DFL)
    if _LINUX:
        _set(_PARENT_DEATH_SIGNAL, signal.SIGKILL)
        _set(_NO_NEW_PRIVILEGES, 1)  # so that a signal reaches everything it starts
    os.dup2(os.open(order["stdin"], os.O_RDONLY), 0)
    os.chdir(order["working_folder"])
    _limit(resource.RLIMIT_CPU, order["cpu_seconds"], 1)
    _limit(resource.RLIMIT_AS, order["memory_bytes"], 0)
    command = [_bytes(word) for word in order["command"]]
    variables = {_bytes(name): _bytes(value) for name, value in order["environment"].items()}
    os.execvpe(command[0], command, variables)  # noqa: S606 - a list of words, and no shell


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _limit(kind: int, most: int, beyond: int) -> None:
    """Set a limit of the process; ``beyond`` is how far the hard one lies above the soft one."""
    if not most:
        return
    _, hard = resource.getrlimit(kind)
    if hard == resource.RLIM_INFINITY or most + beyond < hard:
        hard = most + beyond
    resource.setrlimit(kind, (min(most, hard), hard))


def _kill_group(leader: int, number: int) -> None:
    if not leader:
        return
    try:
        os.killpg(leader, number)
    except (ProcessLookupError, PermissionError):
        return  # gone, or all of it has ended and is about to be


def _reap() -> Iterator[tuple[int, int]]:
    """Give the children that have ended; orphans become children of this process."""
    while True:
        try:
            number, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if number == 0:
            return
        yield number, status


def _sweep() -> None:
    """End all descendants: stop all that are found until no new ones come, then kill them."""
    stopped: set[int] = set()
    while _has_children():
        for number in _children():  # at once: one that forks and ends is soon another
            _kill(number, signal.SIGKILL)
        found = _descendants(os.getpid())
        fresh = found - stopped
        for number in fresh or found:
            _kill(number, signal.SIGSTOP if fresh else signal.SIGKILL)
        stopped |= fresh
        if not fresh:
            time.sleep(0.002)


def _kill(number: int, how: int) -> None:
    try:
        os.kill(number, how)
    except (ProcessLookupError, PermissionError):
        return  # it has ended


def _children() -> list[int]:
    """Give the children of this process, where the kernel lists them."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def _has_children() -> bool:
    """Reap; a subreaper without a child has no descendant either."""
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
                    # The name before the last bracket is the process's own choice.
                    parent = int(file.read().rpartition(b")")[2].split()[1])
            except OSError:
                continue  # it has ended
            children.setdefault(parent, []).append(int(name))
    found: set[int] = set()
    waiting = [root]
    while waiting:
        for number in children.get(waiting.pop(), ()):
            if number not in found:
                found.add(number)
                waiting.append(number)
    return found


def _is_gone(control: socket.socket, watched: int) -> bool:
    """Say whether the harness is gone, or has closed the control socket altogether."""
    now = select.poll()
    now.register(control, 0)  # POLLHUP is always told; a half that was shut down does not make it
    if watched >= 0:
        now.register(watched, select.POLLIN)
    return bool(now.poll(0))


def _set(option: int, value: int) -> None:
    if _LIBC.prctl(option, value, 0, 0, 0):
        _raise()


def _raise() -> None:
    number = ctypes.get_errno()
    raise OSError(number, os.strerror(number))


def _enter_namespaces() -> bool:
    """Let the next child be the first of a PID namespace; say whether the kernel allows it.

    A process that may do so keeps its users. Any other has to make a user namespace first, in which
    it is the only user there is.
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
    """Give the namespace a /proc of its own: programs look themselves up there by their number."""
    if _LIBC.mount(None, b"/", None, _PRIVATE_BELOW, None):
        _raise()
    if _LIBC.mount(b"proc", b"/proc", b"proc", _NO_SUID_DEV_EXEC, None):
        _raise()


def _can_isolate() -> bool:
    """Try it once: many containers allow namespaces and no /proc in them, or no namespaces."""
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


if __name__ == "__main__":
    serve(socket.socket(fileno=0), int(sys.argv[1]))
