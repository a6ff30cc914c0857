"""How a scan grows with its bucket: ``python -m tests.benchmarks.growth [--largest 1000000]``.

The command scans ever larger buckets of the synthetic S3, with a delay of 60 ms before each first
byte, each time in a process of its own: without a table, into a new one, again with nothing
changed, and again with one object in a hundred replaced. The rivals of the same run are bare
obstore reading the same ranges and listing the same keys; where obstore is not installed, s3fs.

A growth is the exponent of the line through all sizes, by least squares of the logarithms: 1 is
straight. What a process costs whatever it does is taken off first, as measured at the smallest
size with nothing to read. From the same figures a bucket of 10^8 is planned
(`tests.benchmarks.capacity`).
"""

import argparse
import importlib.util
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.benchmarks.capacity import check_plan, plan_for
from tests.benchmarks.storage import Storage, bare_obstore, bare_s3fs, storage

LATENCY: Final = "0.06"
ROOT: Final = "s3://bucket/models/"
FAST: Final = importlib.util.find_spec("obstore") is not None
FOLDER: Final = 1000
"""Models of a folder of the synthetic bucket."""
_POLL: Final = 0.1


@dataclass(frozen=True, slots=True)
class Run:
    """What one run of the command took."""

    wall: float
    cpu: float
    """Seconds, of all its processes."""
    megabytes: float
    """The peak of the process itself."""
    of_worker: float
    """The peak of the largest of its worker processes; 0 without any."""
    requests: int
    table: int
    """Bytes that it added to the table."""


@dataclass(frozen=True, slots=True)
class Bare:
    """What the bare client took, in this process."""

    wall: float
    cpu: float


def scan(server: Storage, at_once: int, table: Path | None = None) -> Run:
    """Run the command over the whole bucket."""
    words = [sys.executable, "-m", "prefect_mutagen", "scan", ROOT, "--format", "summary"]
    words += ["--concurrency", str(at_once), "--storage-options", json.dumps(server.options)]
    words += ["--table", str(table)] if table is not None else []
    before = _bytes_of(table)
    server.counts()
    begun = time.perf_counter()
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    peaks: dict[str, int] = {}
    while True:
        ended, _, usage = os.wait4(process.pid, os.WNOHANG)
        if ended:
            break
        peaks |= _peaks(str(process.pid))
        time.sleep(_POLL)
    wall = time.perf_counter() - begun
    counts = server.counts()["requests"]
    return Run(
        wall,
        usage.ru_utime + usage.ru_stime,
        peaks.pop(str(process.pid), 0) / 1024,
        max(peaks.values(), default=0) / 1024,
        sum(count for kind, count in counts.items() if not kind.startswith("STATUS")),
        _bytes_of(table) - before,
    )


def _peaks(pid: str) -> dict[str, int]:
    """Give the peak memory of a process and of its children, in KiB."""
    found: dict[str, int] = {}
    for path in (Path("/proc") / pid / "task").glob("*/children"):
        try:
            pids = [pid, *path.read_text().split()]
        except OSError:
            continue
        for one in pids:
            try:
                status = Path(f"/proc/{one}/status").read_text()
            except OSError:
                continue
            _, mark, rest = status.partition("VmHWM:")
            if mark:
                found[one] = int(rest.split()[0])
    return found


def _bytes_of(table: Path | None) -> int:
    if table is None:
        return 0
    return sum(path.stat().st_size for path in table.rglob("*") if path.is_file())


def bare_reads(server: Storage, models: int, at_once: int) -> Bare:
    """Read the first bytes of every model with the bare client."""
    keys = [
        f"models/{folder:06}/model-{place:06}.safetensors"
        for folder in range(math.ceil(models / FOLDER))
        for place in range(1, min(FOLDER, models - folder * FOLDER) + 1)
    ]
    begun = time.perf_counter(), time.process_time()
    (bare_obstore if FAST else bare_s3fs)(server, keys, at_once)
    return Bare(time.perf_counter() - begun[0], time.process_time() - begun[1])


def bare_listing(server: Storage) -> Bare:
    """List the bucket with the bare client."""
    begun = time.perf_counter(), time.process_time()
    if FAST:
        import obstore
        from obstore.store import S3Store

        store = S3Store(
            "bucket",
            config={"access_key_id": "k", "secret_access_key": "s", "endpoint": server.url},
            client_options={"allow_http": True},
        )
        for _ in obstore.list(store, chunk_size=1000):
            pass
    else:
        import s3fs

        system = s3fs.S3FileSystem(**server.options)
        system.find("bucket")
    return Bare(time.perf_counter() - begun[0], time.process_time() - begun[1])


@dataclass(frozen=True, slots=True)
class Found:
    """What was measured over a bucket of one size."""

    runs: dict[str, Run]
    reads: Bare
    listing: Bare


def measure(models: int, at_once: int) -> Found:
    """Measure all runs over a bucket of so many models, and the bare reads and listing."""
    arguments = ["--models", str(models), "--latency", LATENCY]
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "table"
        with storage(*arguments) as server:
            reads, listing = bare_reads(server, models, at_once), bare_listing(server)
            runs = {
                "without a table": scan(server, at_once),
                "with a new table": scan(server, at_once, table),
                "again, unchanged": scan(server, at_once, table),
            }
        with storage(*arguments, "--replaced", "100") as server:
            runs["again, 1 % replaced"] = scan(server, at_once, table)
    return Found(runs, reads, listing)


def growth(sizes: Sequence[int], values: Sequence[float]) -> float:
    """Give the exponent of the growth of values with sizes."""
    points = [(math.log(n), math.log(v)) for n, v in zip(sizes, values, strict=True) if v > 0]
    if len({size for size, _ in points}) < 2:
        return math.nan
    middle = [sum(values) / len(points) for values in zip(*points, strict=True)]
    above = sum((x - middle[0]) * (y - middle[1]) for x, y in points)
    spread: float = sum((x - middle[0]) * (x - middle[0]) for x, _ in points)
    slope: float = above / spread
    return slope


def report(sizes: Sequence[int], found: Sequence[Found]) -> None:
    """Print a table for each kind of run, its growth, and the ratios to the bare client."""
    client = "obstore" if FAST else "s3fs"
    base = found[0].runs["again, unchanged"]
    columns: dict[str, Callable[[Run], float]] = {
        "wall s": lambda run: run.wall,
        "CPU s": lambda run: run.cpu,
        "MB": lambda run: run.megabytes,
        "MB, worker": lambda run: run.of_worker,
        "requests": lambda run: run.requests,
        "table bytes": lambda run: run.table,
    }
    for kind in found[0].runs:
        runs = [each.runs[kind] for each in found]
        print(f"\n{kind}\n{'artifacts':>10}" + "".join(f"{name:>13}" for name in columns))
        for size, run in zip(sizes, runs, strict=True):
            print(f"{size:>10}" + "".join(f"{of(run):>13,.1f}" for of in columns.values()))
        exponents: list[str] = []
        for name, of in columns.items():
            fixed = of(base) if name in ("wall s", "CPU s") else 0.0
            least = 0.05  # seconds: less cannot be told from noise
            values = [max(of(run) - fixed, least) if fixed else of(run) for run in runs]
            exponents.append(f"{growth(sizes, values):>13.2f}")
        print(f"{'growth':>10}" + "".join(exponents))
    print(f"\nagainst bare {client} in the same run")
    for size, each in zip(sizes, found, strict=True):
        plain, table = each.runs["without a table"], each.runs["with a new table"]
        again, reads, listing = each.runs["again, unchanged"], each.reads, each.listing
        print(
            f"{size:>10}: {size / reads.wall:,.0f} reads/s; without a table "
            f"{reads.wall / plain.wall:.0%} of it, with one {reads.wall / table.wall:.0%} (goal "
            f"70 %); a re-scan {again.wall / listing.wall:.2f} times its listing (goal 1.3)"
        )
        spent = (reads.cpu, plain.cpu, table.cpu)
        print(
            f"{'':>12}CPU for each: "
            + ", ".join(f"{1000 * cpu / size:.2f} ms" for cpu in spent)
            + f" with a table; a re-scan {again.cpu:.1f} s, its listing {listing.cpu:.1f} s"
        )


def main() -> None:
    """Measure all sizes and print the report."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--smallest", type=int, default=1_000)
    parser.add_argument("--largest", type=int, default=100_000)
    parser.add_argument("--concurrency", type=int, default=256)
    parser.add_argument("--plan", type=int, default=100_000_000)
    given = parser.parse_args()
    sizes = [10**power for power in range(3, 9) if given.smallest <= 10**power <= given.largest]
    found = []
    for size in sizes:
        found.append(measure(size, given.concurrency))
        print(f"{size} measured", file=sys.stderr, flush=True)
    report(sizes, found)
    runs = {kind: [each.runs[kind] for each in found] for kind in found[0].runs}
    if len(sizes) > 2:
        print(check_plan(sizes, runs))
    if len(sizes) > 1:
        print(plan_for(given.plan, sizes, runs))


if __name__ == "__main__":
    main()
