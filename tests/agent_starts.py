"""A root whose models start agents that write down what happens to them."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prefect_mutagen.flows import AgentLaunch, scan_models
from tests.builders import STRING, gguf
from tests.scanner.storing import put_local
from tests.servers import PrefectServer

__all__ = ["Place", "model", "wait_until"]

AGENT = """
import json, sys, time
given = json.load(sys.stdin)
with open(sys.argv[1], "a") as log:
    log.write(given["sbom"]["model_filename"] + "\\n")
time.sleep(float(sys.argv[2]))
sys.exit(int(sys.argv[3]))
"""
CAREFUL_AGENT = """
import fcntl, json, os, sys, time
given = json.load(sys.stdin)
name, attempt = given["sbom"]["model_filename"], given["attempt"]
def note(what):
    with open(sys.argv[1], "a") as log:
        log.write(f"{what} {name} {attempt}\\n")
alone = open(f"{sys.argv[1]}.{name}.lock", "w")
try:
    fcntl.flock(alone, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    note("twice")
note("begin")
time.sleep(0.3)
note("end")
"""
"""Writes down when it begins and ends, and whether another one runs for the same model."""
SCAN = """
import signal, sys
# Whoever runs the tests may have been told to ignore it; children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
from prefect_mutagen.flows import AgentLaunch, scan_models
root, table, *command = sys.argv[1:]
scan_models(root, table=table, agents=[AgentLaunch(command=command)])
"""


class Place:
    """A bucket, a table, and an agent that writes down for what it was started."""

    def __init__(self, folder: Path, count: int) -> None:
        self.root = put_local(folder / "root", {f"{n}.gguf": model(n) for n in range(count)})
        self.table = str(folder / "table")
        self.log = folder / "log"
        self.program = folder / "agent.py"
        self.program.write_text(AGENT)
        self.careful = folder / "careful.py"
        self.careful.write_text(CAREFUL_AGENT)

    def command(self, seconds: float = 0, status: int = 0) -> list[str]:
        return [
            *(sys.executable, str(self.program), str(self.log)),
            *(str(seconds), str(status)),
        ]

    def careful_command(self) -> list[str]:
        return [sys.executable, str(self.careful), str(self.log)]

    def lines(self) -> list[tuple[str, str, int]]:
        """What careful agents wrote: begin, end or twice; the model; the attempt."""
        lines = [line.split() for line in self.log.read_text().splitlines()]
        return [(what, name, int(attempt)) for what, name, attempt in lines]

    def scan(self, command: list[str] | None = None, **more: Any) -> list[str]:
        """Scan in this process; what became of the agents."""
        agents = [AgentLaunch(command=command or self.command())]
        summary = scan_models(self.root, table=self.table, agents=agents, **more)
        return [run.state for run in summary.agents]

    def begin(self, server: PrefectServer, command: list[str]) -> subprocess.Popen[bytes]:
        """Scan in a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-c", SCAN, self.root, self.table, *command],
            env=os.environ | {"PREFECT_API_URL": server.api},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def started(self) -> list[str]:
        return sorted(self.log.read_text().split()) if self.log.exists() else []


def model(number: int) -> bytes:
    return gguf((("general.architecture", STRING, f"a{number}"),)).data


def wait_until(condition: Callable[[], bool], seconds: float = 120) -> None:
    """Wait for a condition; a test that waits for too long fails."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.02)
