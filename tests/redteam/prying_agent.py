"""An agent that pries: ``prying_agent.py ATTEMPT HARNESS MARK``; it prints GOT and what it got.

HARNESS is the number of the harness outside of all namespaces, MARK makes processes easy to find.
"""

import contextlib
import ctypes
import fcntl
import os
import signal
import sys
import tempfile
import termios
import time
from collections.abc import Iterator

LIBC = ctypes.CDLL(None, use_errno=True)
DETACH, NEW_USERS, NEW_MOUNTS, NEW_PIDS = 2, 0x10000000, 0x00020000, 0x20000000
ATTACH, PIDFD_OPEN, PIDFD_GETFD, VM_READV, KEYCTL = 16, 434, 438, 310, 250


def got(text: object) -> None:
    print("GOT", text, flush=True)


def others() -> Iterator[int]:
    """Yield the processes that can be seen, but this one."""
    for name in os.listdir("/proc"):
        if name.isdecimal() and int(name) != os.getpid():
            yield int(name)


def read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(1 << 20)
    except OSError:
        return b""


def environments() -> None:
    for number in others():
        for path in (f"/proc/{number}/environ", f"/proc/{number}/root/proc/self/environ"):
            if b"SECRET=" in read(path):
                got(f"the secret in {path}")


def uncover() -> None:
    for _ in range(4):
        LIBC.umount2(b"/proc", DETACH)
    environments()


def become_root_elsewhere(flags: int) -> bool:
    user, group = os.geteuid(), os.getegid()
    if LIBC.unshare(NEW_USERS | flags):
        return False
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"0 {user} 1"),
        ("gid_map", f"0 {group} 1"),
    ):
        try:
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)
        except OSError:
            return False
    return True


def uncover_as_root_of_a_namespace() -> None:
    if become_root_elsewhere(NEW_MOUNTS):
        uncover()


def mount_another() -> None:
    folder = tempfile.mkdtemp()
    become_root_elsewhere(NEW_MOUNTS)
    if LIBC.mount(b"proc", folder.encode(), b"proc", 0, None) == 0:
        for name in os.listdir(folder):
            if b"SECRET=" in read(f"{folder}/{name}/environ"):
                got("the secret in another /proc")


def attach() -> None:
    for number in (*others(), HARNESS):
        if LIBC.ptrace(ATTACH, number, None, None) == 0:
            got(f"attached to {number}")


def read_memory() -> None:
    buffer = ctypes.create_string_buffer(8)
    local = (ctypes.c_size_t * 2)(ctypes.addressof(buffer), 8)
    for number in (*others(), HARNESS):
        for line in read(f"/proc/{number}/maps").splitlines()[:1]:
            remote = (ctypes.c_size_t * 2)(int(line.partition(b"-")[0], 16), 8)
            if LIBC.syscall(VM_READV, number, local, 1, remote, 1, 0) > 0:
                got(f"memory of {number}")


def take_descriptors() -> None:
    for number in (*others(), HARNESS):
        handle = LIBC.syscall(PIDFD_OPEN, number, 0)
        if handle >= 0 and LIBC.syscall(PIDFD_GETFD, handle, 0, 0) >= 0:
            got(f"a descriptor of {number}")


def enter_namespaces() -> None:
    for number in (*others(), HARNESS):
        for kind in ("pid", "mnt", "user"):
            path = f"/proc/{number}/ns/{kind}"
            try:
                if os.readlink(path) == os.readlink(f"/proc/self/ns/{kind}"):
                    continue
                with open(path, "rb") as file:
                    if LIBC.setns(file.fileno(), 0) == 0:
                        got(path)
            except OSError:
                continue


def see_roots() -> None:
    for number in others():
        try:
            got(f"the root of {number}: {os.listdir(f'/proc/{number}/root')[:1]}")
        except OSError:
            continue


def signal_others() -> None:
    for number in (HARNESS, os.getppid()):
        if number > 1:
            try:
                os.kill(number, 0)
                got(f"{number} takes signals")
            except OSError:
                pass


def find_keys() -> None:
    number = LIBC.syscall(KEYCTL, 10, -3, b"user", b"mutagen-test", 0)
    if number > 0:
        got("a key of the harness")


def list_descriptors() -> None:
    for number in range(3, 256):
        try:
            os.fstat(number)
            got(f"descriptor {number}")
        except OSError:
            continue


def type_ahead() -> None:
    handles = [0, 1, 2]
    for path in ("/dev/tty", os.ttyname(1) if os.isatty(1) else "/dev/tty"):
        try:
            handles.append(os.open(path, os.O_RDWR))
        except OSError:
            continue
    for handle in handles:
        with contextlib.suppress(OSError):
            fcntl.ioctl(handle, termios.TIOCSCTTY, 1)
        try:
            for letter in b"id\n":
                fcntl.ioctl(handle, termios.TIOCSTI, bytes([letter]))
            got(f"typed through {handle}")
        except OSError:
            continue


def change_root() -> None:
    try:
        os.chroot("/tmp")  # noqa: S108 - any folder
        got("another root")
    except OSError:
        pass


def make_devices() -> None:
    try:
        os.mknod(os.path.join(tempfile.mkdtemp(), "d"), 0o20666, os.makedev(1, 1))
        got("a device")
    except OSError:
        pass


def change_user() -> None:
    try:
        os.setuid(12345)
        got("another user")
    except OSError:
        pass


def stop_and_kill(levels: int) -> None:
    """Leave a daemon, then stop and kill the supervisors above."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            while True:
                time.sleep(60)
        os._exit(0)
    time.sleep(0.2)
    number = os.getppid()
    above = []
    for _ in range(levels):
        above.append(number)
        fields = read(f"/proc/{number}/stat").rpartition(b")")[2].split()
        number = int(fields[1]) if len(fields) > 1 else 0
    for each in above:
        if each > 1 and each != HARNESS:
            os.kill(each, signal.SIGSTOP)
    for each in above[: max(1, levels - 1)]:
        if each > 1 and each != HARNESS:
            os.kill(each, signal.SIGKILL)
    time.sleep(60)


def kill_the_supervisor() -> None:
    stop_and_kill(1)


def stop_both_and_kill_one() -> None:
    stop_and_kill(2)


def main() -> None:
    globals()[ATTEMPT]()
    print("DONE", flush=True)


if __name__ == "__main__":
    ATTEMPT, HARNESS = sys.argv[1], int(sys.argv[2])
    main()
