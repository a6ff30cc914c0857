"""What the staging area costs a scan into a new table: ``python -m tests.benchmarks.staging``.

The command scans local safetensors files, and a bucket of a synthetic server, with the staging area
and without it, in turn. Arguments: how many files, how many objects, how often each.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median

from prefect_mutagen.scanner.storage.options import OPTIONS_VARIABLE
from tests.benchmarks.clock import Table
from tests.builders import safetensors
from tests.parsers.safetensors_cases import GOOD
from tests.servers import HOST, free_port

WITHOUT = (
    "from prefect_mutagen.scanner.table.table_scan import TableScan\n"
    "TableScan.keep_results = lambda *_: None\n"
)
PROGRAM = """
import sys
{before}
from prefect_mutagen.scanner.commands.cli import main
main(["scan", sys.argv[1], "--table", sys.argv[2], "--format", "jsonl", "--output", sys.argv[3]])
"""


def _run(root: str, folder: Path, before: str, variables: Mapping[str, str]) -> tuple[float, float]:
    """Scan into a new table; seconds of wall time and of CPU."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    program = PROGRAM.format(before=before)
    command = [sys.executable, "-c", program, root, str(folder / "table"), str(folder / "out")]
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    subprocess.run(command, check=True, env=os.environ | variables)
    wall = time.perf_counter() - start
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime


def _compare(
    table: Table, what: str, root: str, folder: Path, rounds: int, variables: Mapping[str, str]
) -> None:
    taken: dict[str, list[tuple[float, float]]] = {"": [], WITHOUT: []}
    for _ in range(rounds):
        for before, times in taken.items():
            times.append(_run(root, folder, before, variables))
    for number, kind in enumerate(("wall", "CPU")):
        ours, theirs = (median(one[number] for one in times) for times in taken.values())
        table.add(f"{what}, {kind}", ours, "without", theirs, "1.05")


def main() -> None:
    """Time both on the same files and objects."""
    files, objects, rounds = (int(word) for word in [*sys.argv[1:], "10000", "5000", "5"][:3])
    table = Table("scans into a new table, with the staging area")
    with tempfile.TemporaryDirectory() as name:
        root, folder = Path(name) / "root", Path(name) / "kept"
        for number in range(files):
            path = root / f"{number // 100:04}" / f"{number:06}.safetensors"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(safetensors('{"a":%s}' % GOOD, 4))
        _compare(table, f"{files} local files", str(root), folder, rounds, {})
        port = free_port()
        options = {"key": "k", "secret": "s", "endpoint_url": f"http://{HOST}:{port}"}
        arguments = ["--port", str(port), "--models", str(objects), "--latency", "0.06"]
        server = subprocess.Popen([sys.executable, "-m", "tests.synthetic_s3", *arguments])
        try:
            time.sleep(3)
            variables = {OPTIONS_VARIABLE: json.dumps(options)}
            what = f"{objects} objects at 60 ms"
            _compare(table, what, "s3://b/models", folder, rounds, variables)
        finally:
            server.kill()
            server.wait()
    table.print()


if __name__ == "__main__":
    main()
