"""What Prefect's servers carry: ``python -m tests.benchmarks.servers [--quick] [MODELS AGENTS]``.

The same scan on the temporary server of its own process, on a server on SQLite and on one on
PostgreSQL: local models, and a command for some of them. Another scan, without agents, shows what
the agents cost. With --quick there are few of both.
"""

import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from prefect_mutagen.scanner.agents.start_table import read_starts
from tests.agent_starts import model
from tests.benchmarks.clock import Table
from tests.postgres_server import PostgresServer, can_run_postgres
from tests.servers import PrefectServer

MODELS, AGENTS = 2_000, 24
QUICK_MODELS, QUICK_AGENTS = 200, 6
KINDS = ("temporary", "SQLite", "PostgreSQL")
SETTLE_SECONDS = 60.0
TASK_RUNS = "SELECT count(*) FROM task_run"
LOCKED = "OperationalError) database is locked"
FLOW_RUNS = "SELECT count(*) FROM flow_run"

AGENT = """
import os, sys, time
with open(sys.argv[1], "a") as log:
    log.write(f"{os.environ['MUTAGEN_START']} {time.time()}\\n")
time.sleep(0.5)
"""
SCAN = """
import sys, time
from prefect_mutagen.flows import AgentLaunch, ScanAdvanced, scan_models
root, table, most, *command = sys.argv[1:]
agents = [AgentLaunch(command=command)] if int(most) else []
begun = time.time()
limits = ScanAdvanced(max_agent_runs=int(most))
summary = scan_models(root, table=table, agents=agents, advanced=limits)
made = [run for run in summary.agents if run.state != "waiting"]
assert all(run.state == "completed" for run in made), made
print("seconds", time.time() - begun)
"""


@dataclass
class Carried:
    """What was measured on one server."""

    scan: float = 0.0
    """Seconds of the scan with its agents."""
    bare: float = 0.0
    """Seconds of the one without."""
    begun: list[float] = field(default_factory=list)
    """Seconds since the first claim at which each command began."""
    waited: list[float] = field(default_factory=list)
    """Seconds between each claim and the beginning of its command."""
    task_runs: int = 0
    flow_runs: int = 0
    locked: int = 0


class _Temporary:
    """The server that Prefect starts for a process that names none."""

    def __init__(self, home: Path) -> None:
        self.environment = {"PREFECT_HOME": str(home)}

    def counts(self) -> tuple[int, int]:
        with sqlite3.connect(self.environment["PREFECT_HOME"] + "/prefect.db") as database:
            tasks, flows = (database.execute(sql).fetchone()[0] for sql in (TASK_RUNS, FLOW_RUNS))
        return tasks, flows


class _Permanent:
    """A server of its own."""

    def __init__(self, server: PrefectServer) -> None:
        self.environment, self._server = server.client_environment, server

    def counts(self) -> tuple[int, int]:
        with self._server.connect() as http:
            tasks, flows = (
                http.post(f"/{kind}/count", json={}).json() for kind in ("task_runs", "flow_runs")
            )
        return tasks, flows


@contextmanager
def _server(kind: str, folder: Path) -> Iterator[_Temporary | _Permanent]:
    home = folder / "home"
    home.mkdir()
    with ExitStack() as stack:
        if kind == "temporary":
            yield _Temporary(home)
            return
        settings = {"PREFECT_SERVER_LOGGING_LEVEL": "WARNING"}
        if kind == "PostgreSQL":
            database = stack.enter_context(PostgresServer())
            settings["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = database.url
        server = PrefectServer(str(home), **settings)
        server.log = str(folder / "log")
        yield _Permanent(stack.enter_context(server))


def _scan(root: Path, table: Path, agents: int, environment: dict[str, str]) -> float:
    """Give the seconds of a scan, that of a temporary server included, that of Python not."""
    program, log = root.parent / "agent.py", table.parent / "begun"
    program.write_text(AGENT)
    words = [str(root), str(table), str(agents), sys.executable, str(program), str(log)]
    done = subprocess.run(
        [sys.executable, "-c", SCAN, *words],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return float(done.stdout.split()[-1])


def _measure(kind: str, root: Path, agents: int, folder: Path) -> Carried:
    found = Carried()
    with _server(kind, folder) as server:
        # The first flow run of a server takes longer, and a temporary one starts with each.
        found.bare = min(_scan(root, folder / f"bare-{n}", 0, server.environment) for n in range(2))
        table = folder / "table"
        before = server.counts()
        found.scan = _scan(root, table, agents, server.environment)
        found.task_runs, found.flow_runs = _settled(server, before)
        starts = read_starts(str(table)).to_pylist()
    claimed = {row["name"]: row["claimed_at"].timestamp() for row in starts if row["claimed_at"]}
    begun = dict(line.split() for line in (folder / "begun").read_text().splitlines())
    first = min(claimed.values())
    found.begun = sorted(float(moment) - first for moment in begun.values())
    found.waited = [float(moment) - claimed[name] for name, moment in begun.items()]
    log = folder / "log"
    found.locked = (
        log.read_text().count("OperationalError) database is locked") if log.exists() else 0
    )
    return found


def _settled(server: _Temporary | _Permanent, before: tuple[int, int]) -> tuple[int, int]:
    """Wait until the server records nothing more; give what it has recorded."""
    last, deadline = server.counts(), time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < deadline:
        time.sleep(5)
        now = server.counts()
        if now == last:
            break
        last = now
    return last[0] - before[0], last[1] - before[1]


def main() -> None:
    """Measure all that there are, and print."""
    numbers = [int(word) for word in sys.argv[1:] if word.isdecimal()]
    quick = (QUICK_MODELS, QUICK_AGENTS) if "--quick" in sys.argv else (MODELS, AGENTS)
    models, agents = numbers or quick
    kinds = KINDS if can_run_postgres() else KINDS[:2]
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "root"
        root.mkdir()
        for number in range(models):
            (root / f"{number:06}.gguf").write_bytes(model(number))
        results = {}
        for kind in kinds:
            (Path(name) / kind).mkdir()
            results[kind] = _measure(kind, root, agents, Path(name) / kind)
    rival = results["SQLite"]
    table = Table(f"{models} models with {agents} agents on Prefect's servers; rival: SQLite")
    for kind, found in results.items():
        _tell(table, kind, found, rival, agents)
    table.print()


def _tell(table: Table, kind: str, found: Carried, rival: Carried, agents: int) -> None:
    table.add(f"{kind}: scan with agents", found.scan, "SQLite", rival.scan, "")
    table.add(f"{kind}: scan without", found.bare, "with agents", found.scan, "")
    per_agent = max(0.0, found.scan - found.bare) / agents
    table.say(f"{kind}: for each agent", f"{per_agent:.2f} s", "")
    table.say(f"{kind}: last command after", f"{found.begun[-1]:.1f} s", "")
    waited = f"{statistics.median(found.waited):.2f} s, at most {max(found.waited):.2f} s"
    table.say(f"{kind}: from claim to command", waited, "")
    recorded = f"{found.task_runs} and {found.flow_runs}"
    table.say(f"{kind}: task and flow runs", recorded, f"flow runs: {agents + 1}")
    if kind != "temporary":  # nobody sees its log
        table.say(f"{kind}: database is locked", f"{found.locked} times", "0")


if __name__ == "__main__":
    main()
