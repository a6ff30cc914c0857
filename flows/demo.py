"""``prefect-mutagen demo``: create a small bucket and run everything on it, agents included.

Everything is created in one folder: the bucket, the table, the agent and Prefect's own data. If
PREFECT_API_URL names a server, the demo uses it and the run appears in its UI. Progress goes to
stderr; results and suggestions go to stdout.
"""

import logging
import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from prefect_mutagen.flows.demo_models import write_bucket
from prefect_mutagen.flows.demo_progress import PhaseHandler, Progress
from prefect_mutagen.scanner.commands.arguments import Parser, filled

if TYPE_CHECKING:
    from prefect_mutagen.flows.scan import ScanSummary

__all__ = ["main", "program_as_typed"]

_AGENT = '''\
"""The demo's agent: it says what it was handed, and would load the model now."""

import json
import sys

given = json.load(sys.stdin)
sbom = given["sbom"]
print(f"agent: {sbom['model_filename']} is mine")
print(f"agent: {sbom['format']}, {sbom['architecture']}, {sbom['parameter_count']} parameters")
print(f"agent: licence {sbom['license']}, verdict {given['verdict']['status']}")
print(f"agent: {given['pin']}")
'''


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo.

    Args:
        arguments: Command line arguments without the program's name; None: those of the process.

    Returns:
        0 when it ran to the end, whatever the verdicts; 2 when Prefect's server is unreachable.
    """
    parser = Parser(
        prog="prefect-mutagen demo",
        description="Make a small bucket of good and broken models and run everything on it.",
    )
    parser.add_argument(
        "folder", nargs="?", type=filled, default="demo", metavar="DIR", help="default: demo"
    )
    parser.add_argument("--verbose", action="store_true", help="show Prefect's log lines as well")
    options = parser.parse_args(arguments)
    folder = os.path.abspath(options.folder)
    bucket, table = os.path.join(folder, "bucket"), os.path.join(folder, "table")
    agent = os.path.join(folder, "agent.py")
    with Progress(sys.stderr, rewrites=sys.stderr.isatty() and not options.verbose) as progress:
        progress.begin(f"writing good and broken models to {_typed(bucket)}")
        os.makedirs(folder, exist_ok=True)
        with open(agent, "w", encoding="utf-8") as file:
            file.write(_AGENT)
        write_bucket(bucket)
        summary = _run(folder, bucket, table, agent, progress, verbose=options.verbose)
    if summary is None:
        return 2
    _show(bucket, table, summary)
    _show_next(bucket, table, agent)
    return 0


def _run(
    folder: str, bucket: str, table: str, agent: str, progress: Progress, *, verbose: bool
) -> "ScanSummary | None":
    """Run the flow; Prefect's home and log levels must be set before it is imported."""
    if not verbose:
        os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "ERROR")
    server = os.environ.get("PREFECT_API_URL", "")
    if not server:
        os.environ.setdefault("PREFECT_HOME", os.path.join(folder, "prefect"))
        os.environ.setdefault("PREFECT_SERVER_LOGGING_LEVEL", "CRITICAL")
        os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    progress.begin("loading Prefect")
    from prefect import get_client

    from prefect_mutagen.flows import AgentLaunch, scan_models
    from prefect_mutagen.flows.run_log import LISTED, PUBLISHED
    from prefect_mutagen.scanner import Policy

    if server:
        progress.begin("looking for the Prefect server that PREFECT_API_URL names")
    else:
        progress.begin("starting a temporary Prefect server (set PREFECT_API_URL to use yours)")
    with get_client(sync_client=True) as client:
        problem = client.api_healthcheck()
    if problem is not None:
        progress.end()
        sys.stderr.write(
            f"demo: no Prefect server answers at {client.api_url}: {problem}; "
            "unset PREFECT_API_URL to have the demo start its own\n"
        )
        return None
    phases = {
        LISTED: "running the flow scan_models: examining headers, writing the table",
        PUBLISHED: "running the flow scan_models: an agent for each model that passed",
    }
    logging.getLogger("prefect.flow_runs").addHandler(PhaseHandler(progress, phases))
    progress.begin("running the flow scan_models: listing the bucket")
    return scan_models(
        bucket,
        policy=Policy(denied_licenses=("cc-by-nc-4.0",), fail_on="warning"),
        table=table,
        agents=[AgentLaunch(command=[sys.executable, agent])],
    )


def _show(bucket: str, table: str, summary: "ScanSummary") -> None:
    """Print the verdicts in the table and the agents that were started."""
    from prefect_mutagen.scanner.examine.scan_info import new_scan
    from prefect_mutagen.scanner.outputs import writer_of
    from prefect_mutagen.scanner.outputs.options import OutputOptions
    from prefect_mutagen.scanner.policy.policy import Policy
    from prefect_mutagen.scanner.results import Summary
    from prefect_mutagen.scanner.table.table import Table

    state = Table(table, bucket).read_state()
    counts = Summary()
    for result in state.values():
        counts.add(result)
    sys.stdout.write("\n")
    info = new_scan(bucket, Policy())
    writer_of("table")(state.values(), info, counts, sys.stdout, OutputOptions())
    sys.stdout.write("\nAgents, one for each artifact that passed:\n")
    if not summary.agents:
        sys.stdout.write("  none: nothing new has passed\n")
    for run in summary.agents:
        sys.stdout.write(f"  {run.agent} for {os.path.relpath(run.url, bucket)}: {run.state}\n")


def _show_next(bucket: str, table: str, agent: str) -> None:
    """Print three commands that work as they are in the current folder."""
    program, cut = program_as_typed(), _typed(os.path.join(bucket, "broken", "cut-download.gguf"))
    good = _typed(os.path.join(bucket, "llama", "demo-llama-Q8_0.gguf"))
    python = "python3" if shutil.which("python3") else shlex.quote(sys.executable)
    if find_spec("duckdb"):
        query = "SELECT status, count(*) AS models FROM artifacts GROUP BY status"
        third = f"query {shlex.quote(query)} --table {_typed(table)}"
    else:
        third = f"scan {_typed(bucket)} --table {_typed(table)} --format table"
    sys.stdout.write(
        f"\nThe Parquet table is in {_typed(table)}. Run the demo again: nothing has changed, so "
        "nothing is read and no agent\nstarts. Three commands to try next:\n\n"
        f"  {program} verify {cut}\n"
        f"  {program} exec {good} -- {python} {shlex.quote(agent)}\n"
        f"  {program} {third}\n"
    )


def program_as_typed() -> str:
    """Return this program as the user would type it."""
    called = sys.argv[0]
    if os.path.basename(called) != "prefect-mutagen":
        return f"{_typed(sys.executable)} -m prefect_mutagen.scanner.commands.cli"
    found = shutil.which("prefect-mutagen")
    if found and os.path.samefile(found, called):
        return "prefect-mutagen"
    return _typed(os.path.abspath(called))


def _typed(path: str) -> str:
    """Return a path quoted for a shell; relative if it lies below the current folder."""
    relative = os.path.relpath(path)
    return shlex.quote(path if relative.startswith("..") else relative)


if __name__ == "__main__":
    sys.exit(main())
