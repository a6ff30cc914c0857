"""Who claims something in a table: a process of a machine, and the flow run that it works for.

A claim without an end belongs to its claimant as long as that lives. On the same machine the kernel
tells: the process of that number is the one that claimed if it started at the same clock tick,
proc_pid_stat(5). About another machine, a container or an earlier boot nothing is known; there a
lease decides, which the claimant renews as long as it lives (`scanner.table.leases`).
"""

import os
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from typing import Any, Final

__all__ = ["Claimant", "this_claimant"]

_STATE, _START_TIME = 0, 19
"""Fields 3 and 22 of /proc/PID/stat, counted after the name in parentheses."""
_ENDED: Final = ("Z", "X")
"""A process that has ended and only waits for its parent to ask."""


@dataclass(frozen=True, slots=True)
class Claimant:
    """A process that may hold claims."""

    host: str
    """Name of the machine, for people."""
    boot: str
    """Identifies the machine and its boot; empty where the system does not tell."""
    pid_namespace: str
    """Identifies the PID namespace in which ``pid`` counts, pid_namespaces(7)."""
    pid: int
    start_time: str
    """When the process started, in clock ticks since the boot."""
    flow_run: str = ""
    """Id of the flow run that it works for; empty outside of flows."""

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Claimant":
        """Return the claimant of a JSON object; what is missing, or of another type, is empty."""
        given: dict[str, Any] = {
            entry.name: plain[entry.name]
            for entry in fields(cls)
            if type(plain.get(entry.name)) is entry.type
        }
        nobody: dict[str, Any] = {
            "host": "",
            "boot": "",
            "pid_namespace": "",
            "pid": 0,
            "start_time": "",
        }
        return cls(**(nobody | given))

    def to_plain(self) -> dict[str, Any]:
        """Return it as a JSON-compatible object."""
        return asdict(self)

    @property
    def machine(self) -> tuple[str, str]:
        """The machine, its boot, and the PID namespace there: where process numbers count."""
        return self.boot, self.pid_namespace

    @property
    def is_alive(self) -> bool | None:
        """Whether the process lives; None where this one cannot tell: on another machine."""
        here = this_claimant()
        if not self.boot or self.machine != here.machine:
            return None
        return self.start_time != "" and _start_time(self.pid) == self.start_time

    def describe(self) -> str:
        """Return one phrase for people: process, machine and flow run."""
        run = f", flow run {self.flow_run}" if self.flow_run else ""
        return f"process {self.pid} on {self.host or 'an unknown machine'}{run}"


def this_claimant(flow_run: str = "") -> Claimant:
    """Return the claimant of this process.

    Args:
        flow_run: Id of the flow run that it works for.
    """
    pid = os.getpid()  # a forked child is another process
    return Claimant(socket.gethostname(), *_machine(), pid, _start_time(pid), flow_run)


@cache
def _machine() -> tuple[str, str]:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot = file.read().strip()
        return boot, os.readlink("/proc/self/ns/pid")
    except OSError:
        return "", ""  # not Linux, or no /proc


def _start_time(pid: int) -> str:
    """Return when a process started; empty if there is none, or none that runs."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields_ = file.read().rpartition(b")")[2].split()
    except OSError:
        return ""
    state = fields_[_STATE].decode()
    return "" if state in _ENDED else fields_[_START_TIME].decode()
