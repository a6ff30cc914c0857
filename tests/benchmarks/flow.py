"""The flow against the plain scanner: ``python -m tests.benchmarks.flow [--quick]``.

`scan_models` scans a synthetic bucket, with a delay of 60 ms before each first byte, and a local
folder, on a Prefect server of its own. The plain scanner and an empty flow take turns with it in
one process, and what the flow takes beyond an empty one is compared. The memory is measured in a
process that does nothing else, as a worker's: all of it, Prefect included. Afterwards the server is
asked for the task runs that were made.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

from prefect_mutagen.scanner import scan
from tests.benchmarks.clock import Table
from tests.benchmarks.local_scan import fill, model
from tests.benchmarks.storage import storage
from tests.memory import high_water
from tests.servers import PrefectServer

LATENCY: Final = "0.06"
BUCKET: Final = "s3://bucket/models/"
MEGABYTES: Final = 260
"""Goal for the whole process of a flow run."""
PATIENCE: Final = 60.0
"""Seconds within which a server records what it was sent."""


@dataclass(frozen=True, slots=True)
class Root:
    """What is scanned."""

    title: str
    url: str
    options: dict[str, Any]
    artifacts: int
    goal: float


def scan_flow(root: Root, table: str) -> list[str]:
    """Run the flow; the identities of its task runs, as the client made them."""
    from prefect_mutagen.flows import scan_models
    from prefect_mutagen.tasks.listing import list_changes
    from prefect_mutagen.tasks.recording import publish_scan
    from prefect_mutagen.tasks.scanning import scan_rows

    made: list[str] = []
    tasks: tuple[Any, ...] = (list_changes, scan_rows, publish_scan)
    for task in tasks:
        task.on_completion_hooks = [lambda _task, run, _state: made.append(str(run.id))]
    found = scan_models(root.url, table=table)
    assert (found.artifacts, found.counts["passed"]) == (root.artifacts, root.artifacts)
    return made


def take_turns(root: Root, folder: str, rounds: int) -> tuple[list[float], list[str]]:
    """Give the seconds of the empty flow, the plain scanner, and the flow with and without a table.

    Each is that of the best round. And the task runs that were made.
    """
    _configure(root)
    from prefect import flow

    @flow(name="empty", persist_result=False)
    def empty() -> None:
        """Do nothing."""

    made: list[str] = []

    def plain() -> None:
        found = scan(root.url, storage_options=root.options)
        assert sum(result.passed for result in found) == root.artifacts

    def alone() -> None:
        made.extend(scan_flow(root, ""))

    def with_table() -> None:
        made.extend(scan_flow(root, tempfile.mkdtemp(dir=folder)))

    empty()  # imports, and the connection to the server
    kinds: Sequence[Callable[[], object]] = (empty, plain, alone, with_table)
    times = [[_seconds(kind) for kind in kinds] for _ in range(rounds)]
    _send_all()
    return list(map(min, zip(*times, strict=True))), made


def peak(root: Root, table: str) -> float:
    """Give the megabytes of a process that runs the flow once."""
    _configure(root)
    scan_flow(root, table)
    _send_all()
    return high_water() / 1024


def _configure(root: Root) -> None:
    os.environ["PREFECT_MUTAGEN_STORAGE_OPTIONS"] = json.dumps(root.options)
    os.environ["PREFECT_LOGGING_LEVEL"] = "ERROR"


def _seconds(function: Callable[[], object]) -> float:
    begun = time.perf_counter()
    function()
    return time.perf_counter() - begun


def _send_all() -> None:
    """Wait until Prefect's client has sent what it knows, as it does when a process ends."""
    from prefect.events.worker import EventsWorker

    EventsWorker.instance().wait_until_empty()


def recorded(server: PrefectServer, made: Sequence[str]) -> int:
    """Count the task runs that a server has recorded as completed, once it has had its time."""
    found = 0
    deadline = time.monotonic() + PATIENCE
    with server.connect() as client:
        while found < len(made) and time.monotonic() < deadline:
            found = 0
            for at in range(0, len(made), 100):
                wanted = {"id": {"any_": list(made[at : at + 100])}}
                states = {"state": {"type": {"any_": ["COMPLETED"]}}}
                body = {"task_runs": wanted | states}
                found += client.post("/task_runs/count", json=body).json()
            time.sleep(0.2)
    return found


def measure(server: PrefectServer, root: Root, folder: str, rounds: int) -> None:
    """Print what a scan of a root takes."""
    with get_context("spawn").Pool(1) as pool:
        (empty, plain, alone, table), made = pool.apply(take_turns, (root, folder, rounds))
    megabytes = {}
    for kind in ("", tempfile.mkdtemp(dir=folder)):
        with get_context("spawn").Pool(1) as pool:
            megabytes["with a table" if kind else "without"] = pool.apply(peak, (root, kind))
    lines = Table(f"{root.title}; an empty flow takes {empty:.2f} s, which is taken off")
    rival = "the plain scanner"
    lines.add("the flow", alone - empty, rival, plain, f"at most {root.goal}")
    lines.add("the flow, with a new table", table - empty, rival, plain, "")
    for kind, size in megabytes.items():
        lines.say(f"memory at the peak, {kind}", f"{size:.0f} MB", f"at most {MEGABYTES} MB")
    value = f"{recorded(server, made)} of {len(made)}"
    lines.say("task runs on the server afterwards", value, "all")
    lines.print()


def roots(folder: Path, remote: Sequence[int], local: int) -> Iterator[Root]:
    """Give the roots one after the other; each is there until the next one."""
    for count in remote:
        with storage("--models", str(count), "--latency", LATENCY) as bucket:
            title = f"{count} remote artifacts at 60 ms"
            yield Root(title, BUCKET, bucket.options, count, 1.25)
    header, size = model()
    place = fill(folder / "local", "m.safetensors", header + bytes(size - len(header)), local)
    yield Root(f"{local} local artifacts", str(place), {}, local, 1.5)


def main() -> None:
    """Measure all, or a quick part."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    # The first round imports what the others find imported.
    sizes, local, rounds = ((300,), 1000, 2) if quick else ((1000, 10_000), 10_000, 3)
    with tempfile.TemporaryDirectory() as folder, PrefectServer(f"{folder}/home") as server:
        os.environ |= server.client_environment
        for root in roots(Path(folder), sizes, local):
            measure(server, root, folder, rounds)


if __name__ == "__main__":
    main()
