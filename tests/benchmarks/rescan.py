"""A re-scan as the flow, while agents wait: ``python -m tests.benchmarks.rescan [FILES]``.

The command scans a folder of models into a table. Then the flow scans it again, with an agent for
which everything is due and nothing is started: every model is on a list of waiting agents. Once
more, nothing has changed and all of them still wait. The rivals of the same run are an empty flow
in the same process and a bare walk over the same files.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from tests.benchmarks.clock import Table
from tests.benchmarks.table import make_models, walk
from tests.servers import PrefectServer

FULL: Final = 100_000
_KIB: Final = 1024
_PATIENCE: Final = 900.0
"""Seconds for the server to start, also where others use the machine."""
_PROGRAM: Final = """
import json, resource, sys, time
from prefect import flow
from prefect_mutagen.flows import ScanAdvanced, scan_models
from prefect_mutagen.tasks import AgentLaunch

@flow
def empty() -> None:
    pass

def timed(what):
    cpu, wall = time.process_time(), time.perf_counter()
    what()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return time.process_time() - cpu, time.perf_counter() - wall, peak

root, table = sys.argv[1:]
agents = [AgentLaunch(command=["true"])]
def scan():
    summary = scan_models(root, table=table, agents=agents, advanced=ScanAdvanced(max_agent_runs=0))
    assert summary.counts["passed"] == summary.artifacts, summary.counts
print(json.dumps([timed(empty), timed(empty), timed(scan), timed(scan)]))
"""


def main() -> None:
    """Print the table."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else FULL
    with tempfile.TemporaryDirectory() as name:
        root, table = Path(name) / "root", Path(name) / "table"
        make_models(root, count)
        words = [sys.executable, "-m", "prefect_mutagen", "scan", str(root), "--table", str(table)]
        subprocess.run([*words, "--format", "summary"], check=True, stdout=subprocess.DEVNULL)
        server = PrefectServer(f"{name}/home")
        server.patience = _PATIENCE
        with server:
            ran = subprocess.run(
                [sys.executable, "-c", _PROGRAM, str(root), str(table)],
                check=True,
                env=os.environ | server.client_environment | {"PREFECT_LOGGING_LEVEL": "ERROR"},
                stdout=subprocess.PIPE,
            )
        _, empty, first, again = json.loads(ran.stdout.splitlines()[-1])
        walk(str(root))
        begun = time.process_time()
        files = walk(str(root))
        walked = time.process_time() - begun
    lines = Table(f"{count} unchanged models in {files} files as the flow, all agents waiting, CPU")
    lines.add("the scan that lists them", first[0], "an empty flow", empty[0], "")
    lines.add("the next one", again[0], "an empty flow", empty[0], "")
    lines.add("the next one, less the empty flow", again[0] - empty[0], "a walk", walked, "3")
    lines.say("peak memory of the process", f"{again[2] / _KIB:.0f} MB", "260 MB")
    lines.say("before, with Prefect imported", f"{empty[2] / _KIB:.0f} MB", "")
    lines.print()


if __name__ == "__main__":
    main()
