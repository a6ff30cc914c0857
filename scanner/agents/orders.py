"""The order for a supervisor: a command with its surroundings and its limits.

An agent is a stranger's program: it gets folders of its own, a chosen environment and its handoff
as standard input. A server is the program that the container or the service is for: it gets what
it would have had without a gate in front of it.
"""

import marshal
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from prefect_mutagen.scanner.shutdown import outermost_folder
from prefect_mutagen.scanner.storage.options import OPTIONS_VARIABLE
from prefect_mutagen.scanner.table import ADDED_VARIABLES

__all__ = ["HANDOFF_VARIABLE", "PASSED_ON", "Limits", "Serving", "make_order"]

_INHERITED: Final = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ")
"""Environment variables that an agent inherits; credentials are not among them."""
HANDOFF_VARIABLE: Final = "MUTAGEN_HANDOFF"
"""Environment variable that names the handoff file."""
PASSED_ON: Final = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
"""Signals that a server gets from whoever sends them to the command in front of it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a command; 0 means none. Memory and CPU time count for each process alone."""

    seconds: float = 3600
    """Wall time from start to end."""
    memory_bytes: int = 0
    """Address space, RLIMIT_AS in setrlimit(2)."""
    cpu_seconds: int = 0
    """CPU time, RLIMIT_CPU."""


@dataclass(frozen=True, slots=True)
class Serving:
    """That a command is a server, which takes the place of the command in front of it.

    It has the environment (but not the variable with our own storage options), the working folder
    and the standard input of this process, and gets the signals `PASSED_ON`.
    """

    grace: float = 30
    """Seconds after SIGTERM or SIGINT before it is killed; Kubernetes gives a pod as many."""


def make_order(
    command: Sequence[str],
    limits: Limits,
    environment: Mapping[str, str],
    folder: str,
    stdin: str | int,
    *,
    serving: bool,
) -> bytes:
    """Return an order, and create the folders of an agent.

    Args:
        command: The program and its arguments.
        limits: Its limits.
        environment: Variables beyond those it has anyway.
        folder: A temporary folder of this process, with the handoff in it.
        stdin: Path of its standard input, or the number of an open file.
        serving: Whether it is a server, see `Serving`.

    Raises:
        ValueError: An argument or a variable cannot be passed to a program.
    """
    if serving:
        working_folder = os.getcwd()
        ours = (OPTIONS_VARIABLE, *ADDED_VARIABLES)
        variables = {name: text for name, text in os.environ.items() if name not in ours}
    else:
        working_folder, temporary_folder = f"{folder}/work", f"{folder}/temporary"
        os.mkdir(working_folder)
        os.mkdir(temporary_folder)
        variables = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        environment = {**environment, "TMPDIR": temporary_folder}
    variables |= {**environment, HANDOFF_VARIABLE: f"{folder}/handoff.json"}
    program, *words = command
    if "/" in program:
        program = os.path.abspath(program)
    texts = [program, *words, *variables, *variables.values()]
    if not program or any("\0" in text for text in texts) or any("=" in name for name in variables):
        reason = "the command is empty, or it or its environment has a NUL byte or a name with ="
        raise ValueError(reason)
    order: dict[str, Any] = {
        # As bytes: the supervisor's locale, and so its encoding, may differ.
        "command": [os.fsencode(word) for word in (program, *words)],
        "environment": {os.fsencode(name): os.fsencode(each) for name, each in variables.items()},
        "folder": outermost_folder(folder),
        "working_folder": working_folder,
        "stdin": stdin,
        "memory_bytes": limits.memory_bytes,
        "cpu_seconds": limits.cpu_seconds,
    }
    return marshal.dumps(order)
