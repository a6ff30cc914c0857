"""Whether something of an agent still runs whose harness was killed.

In a PID namespace the kernel ends everything with it. Elsewhere a supervisor sweeps, and only where
the agent killed both supervisors something may be left. It is found by the variable
`START_VARIABLE` in its environment, on the machine where it runs.
"""

import os
import time
from collections.abc import Iterator
from typing import Final

from prefect_mutagen.scanner.claimants import Claimant, this_claimant

__all__ = ["START_VARIABLE", "may_have_survivors"]

START_VARIABLE: Final = "MUTAGEN_START"
"""Environment variable that names the start of an agent."""
_PATIENCE_SECONDS: Final = 5.0
"""Within these all is gone after SIGKILL of the harness, unless something resists."""
_POLL_SECONDS: Final = 0.1


def may_have_survivors(start: str, claimant: Claimant, guarantee: str) -> str:
    """Search for processes of a start whose claimant is gone.

    Args:
        start: Its name.
        claimant: Who started it.
        guarantee: What ensured that nothing is left; empty if it is not known.

    Returns:
        Why something of it may still run; empty if nothing does.
    """
    here = this_claimant()
    if here.boot and claimant.machine == here.machine:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while left := list(_processes_of(start)):
            if time.monotonic() > deadline:
                return f"process {left[0]} of it still runs"
            time.sleep(_POLL_SECONDS)
        return ""
    if guarantee == "kernel":
        return ""
    where = f"on {claimant.host}" if claimant.host else "elsewhere"
    return f"something of it may still run {where}, which cannot be seen from here"


def _processes_of(start: str) -> Iterator[int]:
    entry = os.fsencode(f"{START_VARIABLE}={start}")
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/environ", "rb") as file:
                variables = file.read().split(b"\0")
        except OSError:
            continue  # it has ended, or is another user's
        if entry in variables:
            yield int(name)
