"""How a scan grows with its bucket: ``python -m tests.benchmarks.growth [--largest 1000000]``.

The command scans ever larger buckets of the synthetic S3, with a delay of 60 ms before each first
byte, each time in a process of its own: without a table, into a new one, again with nothing
changed, and again with one object in a hundred replaced. The rivals of the same run are bare
obstore reading the same ranges and listing the same keys; where obstore is not installed, s3fs.

A growth is the exponent of the line through all sizes, by least squares of the logarithms: 1 is
straight. What a process costs whatever it does is taken off first, as measured at the smallest
size with nothing to read.
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
    """The peaks of all its processes together."""
    requests: int
    table: int
    """Bytes that it added to the table."""


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
        sum(peaks.values()) / 1024,
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


def bare_reads(server: Storage, models: int, at_once: int) -> float:
    """Give the seconds that the bare client takes to read the first bytes of every model."""
    keys = [
        f"models/{folder:06}/model-{place:06}.safetensors"
        for folder in range(math.ceil(models / FOLDER))
        for place in range(1, min(FOLDER, models - folder * FOLDER) + 1)
    ]
    begun = time.perf_counter()
    (bare_obstore if FAST else bare_s3fs)(server, keys, at_once)
    return time.perf_counter() - begun


def bare_listing(server: Storage) -> float:
    """Give the seconds that the bare client takes to list the bucket."""
    begun = time.perf_counter()
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
    return time.perf_counter() - begun


def measure(models: int, at_once: int) -> tuple[dict[str, Run], float, float]:
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
    return runs, reads, listing


def growth(sizes: Sequence[int], values: Sequence[float]) -> float:
    """Give the exponent of the growth of values with sizes."""
    points = [(math.log(n), math.log(v)) for n, v in zip(sizes, values, strict=True) if v > 0]
    if len(points) < 2:
        return math.nan
    middle = [sum(values) / len(points) for values in zip(*points, strict=True)]
    above = sum((x - middle[0]) * (y - middle[1]) for x, y in points)
    spread: float = sum((x - middle[0]) * (x - middle[0]) for x, _ in points)
    slope: float = above / spread
    return slope


def report(sizes: Sequence[int], found: Sequence[tuple[dict[str, Run], float, float]]) -> None:
    """Print a table for each kind of run, its growth, and the ratios to the bare client."""
    client = "obstore" if FAST else "s3fs"
    base = found[0][0]["again, unchanged"]
    columns: dict[str, Callable[[Run], float]] = {
        "wall s": lambda run: run.wall,
        "CPU s": lambda run: run.cpu,
        "MB": lambda run: run.megabytes,
        "requests": lambda run: run.requests,
        "table bytes": lambda run: run.table,
    }
    for kind in found[0][0]:
        runs = [each[kind] for each, _, _ in found]
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
    for size, (each, reads, listing) in zip(sizes, found, strict=True):
        plain, table = each["without a table"].wall, each["with a new table"].wall
        again = each["again, unchanged"].wall
        print(
            f"{size:>10}: {size / reads:,.0f} reads/s; without a table {reads / plain:.0%} of it, "
            f"with one {reads / table:.0%} (goal 70 %); "
            f"a re-scan {again / listing:.2f} times its listing (goal 1.3)"
        )


def main() -> None:
    """Measure all sizes and print the report."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--largest", type=int, default=100_000)
    parser.add_argument("--concurrency", type=int, default=256)
    given = parser.parse_args()
    sizes = [10**power for power in range(3, 9) if 10**power <= given.largest]
    found = []
    for size in sizes:
        found.append(measure(size, given.concurrency))
        print(f"{size} measured", file=sys.stderr, flush=True)
    report(sizes, found)


if __name__ == "__main__":
    main()
