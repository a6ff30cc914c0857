"""``prefect-mutagen demo``: a small bucket, and the whole way from it to agents.

Everything lies under one folder: the bucket, the table, the agent, and what Prefect keeps. If
PREFECT_API_URL names a server, that one is used, and the run can be looked at in its UI.
"""

import os
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from prefect_mutagen.scanner.commands.arguments import Parser, filled

if TYPE_CHECKING:
    from prefect_mutagen.flows.scan import ScanSummary

__all__ = ["main"]

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
        arguments: Without the program's name; those of the process by default.

    Returns:
        0 when it ran to its end; broken models are what it is about.
    """
    parser = Parser(
        prog="prefect-mutagen demo",
        description="Make a small bucket of good and broken models and run everything on it.",
    )
    parser.add_argument(
        "folder", nargs="?", type=filled, default="demo", metavar="DIR", help="default: demo"
    )
    folder = os.path.abspath(parser.parse_args(arguments).folder)
    bucket, table = os.path.join(folder, "bucket"), os.path.join(folder, "table")
    agent = os.path.join(folder, "agent.py")
    os.makedirs(folder, exist_ok=True)
    with open(agent, "w", encoding="utf-8") as file:
        file.write(_AGENT)
    from prefect_mutagen.flows.demo_models import write_bucket

    write_bucket(bucket)
    _say(f"bucket of good and broken models: {bucket}")
    summary = _run(folder, bucket, table, agent)
    _show(bucket, table, summary)
    return 0


def _run(folder: str, bucket: str, table: str, agent: str) -> "ScanSummary":
    """Run the flow; Prefect is told where to live before it is imported."""
    if "PREFECT_API_URL" not in os.environ:
        os.environ.setdefault("PREFECT_HOME", os.path.join(folder, "prefect"))
        os.environ.setdefault("PREFECT_SERVER_LOGGING_LEVEL", "CRITICAL")
        os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
        _say("starting a temporary Prefect server (name yours in PREFECT_API_URL to use it)")
    started = time.monotonic()
    from prefect_mutagen.flows import AgentLaunch, scan_models
    from prefect_mutagen.scanner import Policy

    summary = scan_models(
        bucket,
        policy=Policy(denied_licenses=("cc-by-nc-4.0",), fail_on="warning"),
        table=table,
        agents=[AgentLaunch(command=[sys.executable, agent])],
    )
    _say(f"flow run done after {time.monotonic() - started:.0f} s")
    return summary


def _show(bucket: str, table: str, summary: "ScanSummary") -> None:
    """Show the verdicts as the table has them, and what was started."""
    from prefect_mutagen.scanner.outputs import writer_of
    from prefect_mutagen.scanner.outputs.options import OutputOptions
    from prefect_mutagen.scanner.policy import Policy
    from prefect_mutagen.scanner.results import Summary
    from prefect_mutagen.scanner.scan import new_scan
    from prefect_mutagen.scanner.table import Table

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
    sys.stdout.write(f"\nThe Parquet table: {table}\n")
    sys.stdout.write("Run it again: nothing has changed, so nothing is read and no agent starts.\n")


def _say(text: str) -> None:
    sys.stdout.write(f"demo: {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
