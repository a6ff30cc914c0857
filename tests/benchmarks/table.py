"""The table against its rivals: ``python -m tests.benchmarks.table [--quick]``.

The rivals: a bare listing of the same objects, ``pyarrow.parquet.write_table`` of the same rows, a
read of the whole file for one row. Memory is that of a child process, beyond what it has before
the first row.
"""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from prefect_mutagen.scanner import Policy, ScanResult, scan
from prefect_mutagen.scanner.examine.scan_info import new_scan
from prefect_mutagen.scanner.listing.artifacts import Artifact
from prefect_mutagen.scanner.listing.listing import list_artifacts
from prefect_mutagen.scanner.listing.roles import is_relevant
from prefect_mutagen.scanner.listing.selection import Selection
from prefect_mutagen.scanner.results import ObjectResult, Summary
from prefect_mutagen.scanner.storage.opening import open_store
from prefect_mutagen.scanner.storage.store import StoredObject
from prefect_mutagen.scanner.table.rows import sbom_rows, to_row
from prefect_mutagen.scanner.table.schema import ARTIFACTS, SBOMS
from prefect_mutagen.scanner.table.state import Comparison
from prefect_mutagen.scanner.table.table import Table as Parquet
from prefect_mutagen.scanner.table.table_scan import TableScan, list_changed
from tests.benchmarks.clock import Table
from tests.benchmarks.listing_server import ListingServer
from tests.builders import gguf, safetensors
from tests.memory import Peak, peak_apart
from tests.parsers.safetensors_cases import GOOD

QUICK, FULL = 5_000, 100_000
MANY_QUICK, MANY = 20_000, 1_000_000


def make_folder(root: Path, count: int) -> None:
    """Make empty model files, a thousand to a folder; only their names and times matter."""
    for number in range(count):
        if number % 1000 == 0:
            folder = root / f"organisation-{number // 1000:03}"
            folder.mkdir(parents=True)
        (folder / f"model-{number:06}-Q4_K_M.gguf").touch()


def examined(artifacts: Iterator[Artifact], pattern: ScanResult) -> Iterator[ScanResult]:
    """Give results of artifacts without reading them."""
    for artifact in artifacts:
        (item,) = artifact.objects
        files = (ObjectResult(item.url, item.size, item.pin),)
        sbom = replace(pattern.sbom, model_path=artifact.url, model_filename=item.name)
        yield replace(pattern, url=artifact.url, pin=artifact.pin, objects=files, sbom=sbom)


def made_up(count: int) -> Iterator[Artifact]:
    """Give artifacts of a bucket that is not there, in the order in which S3 would list them."""
    for number in range(count):
        url = f"s3://models/organisation-{number // 1000:04}/model-{number:07}-Q4_K_M.gguf"
        yield Artifact(url, (StoredObject(url, 4_000_000_000, f"etag:{number:032x}"),))


def pattern(folder: Path) -> ScanResult:
    path = folder / "pattern.gguf"
    path.write_bytes(gguf().data)
    (result,) = scan(str(path))
    return result


def best(function: Callable[[], Any], times: int = 3) -> float:
    """Give the shortest of some runs in seconds of this process's CPU: noise only ever adds."""
    taken = []
    for _ in range(times):
        start = time.process_time()
        function()
        taken.append(time.process_time() - start)
    return min(taken)


def walk(root: str) -> int:
    """Walk a folder, with the status of every file, and do nothing else; how many there are."""
    files, waiting = 0, [root]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                else:
                    entry.stat()
                    files += 1
    return files


def make_models(root: Path, count: int) -> None:
    """Make small models, a hundred to a folder, and a file that is no model beside each."""
    data = safetensors('{"a":%s}' % GOOD, 4)
    for number in range(count):
        folder = root / f"{number // 100:04}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"model-{number:06}.safetensors").write_bytes(data)
        (folder / f"notes-{number:06}.txt").touch()


def best_command(*words: str, table: Path | None = None, times: int = 3) -> float:
    """Give the shortest of some scans by the command, start included, in seconds of CPU.

    Args:
        words: Its arguments.
        table: A table to delete before each.
        times: How many scans.
    """
    command = [sys.executable, "-m", "prefect_mutagen", "scan", *words]
    taken = []
    for _ in range(times):
        if table is not None:
            shutil.rmtree(table, ignore_errors=True)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(taken)


def measure_command(folder: Path, count: int) -> None:
    """Scan local models with a table and without one, and again."""
    root, table = folder / "models", folder / "kept"
    make_models(root, count)
    plain = str(root), "--format", "summary"
    kept = str(root), "--table", str(table), "--format"
    lines = Table(f"the command over {count} local models, start included")
    alone = best_command(*plain)
    new = best_command(*kept, "summary", table=table)
    lines.add("into a new table", new, "without a table", alone, "at most 1.3")
    walked = best(lambda: walk(str(root)))
    for shown in ("summary", "table"):
        again = best_command(*kept, shown)
        lines.add(f"again, --format {shown}", again, "a bare walk", walked, "at most 3")
    lines.print()


def rescan(root: str, table: str, options: dict[str, Any]) -> int:
    """Scan a root again, as the flow and the command do; how many had to be read."""
    opened, store = Parquet(table, root), open_store(root, options)
    summary, policy = Summary(), Policy()
    with TableScan(new_scan(root, policy), opened) as scan:
        listed = list_changed(
            scan.known, store, Selection(), options, hash_level="stored", policy=policy
        )
        changed = sum(1 for _ in listed)
        scan.finish(summary)
        opened.publish(scan.prepare(summary))
    return changed


def measure_rescan(title: str, folder: Path, root: str, options: dict[str, Any]) -> None:
    """Unchanged artifacts cost their listing."""
    table = str(folder / title)
    found = list_artifacts(open_store(root, options))
    results = examined(found, pattern(folder))
    Parquet(table, root).write(new_scan(root, Policy()), results, Summary())

    def bare() -> None:
        for _ in open_store(root, options).list_objects(is_relevant):
            pass

    def grouped() -> None:
        for artifact in list_artifacts(open_store(root, options)):
            assert artifact.pin

    def again() -> None:
        assert rescan(root, table, options) == 0

    def client() -> None:
        system, path = fsspec.core.url_to_fs(root, use_listings_cache=False, **options)
        for _ in system.find(path, detail=True).items():
            pass

    ours = best(again)
    lines = Table(f"unchanged artifacts scanned again, {title}")
    lines.add("re-scan", ours, "fsspec's listing (find)", best(client), "at most 1.3")
    lines.add("re-scan", ours, "our own listing", best(bare), "")
    lines.add("re-scan", ours, "listing, grouped and pinned", best(grouped), "")
    lines.print()


def measure_writing(folder: Path, count: int) -> None:
    """Rows that are streamed, against rows that are all there."""
    one, scanned = pattern(folder), new_scan("s3://models", Policy())
    results = list(examined(made_up(count), one))
    table = str(folder / "written")

    def ours() -> None:
        Parquet(table, "s3://models").write(scanned, iter(results), Summary())

    def plain() -> None:
        rows = pa.Table.from_pylist([to_row(result, scanned) for result in results], ARTIFACTS)
        pq.write_table(rows, folder / "artifacts.parquet", compression="zstd")
        documents = [row for result in results for row in sbom_rows(result, scanned)]
        rows = pa.Table.from_pylist(documents, SBOMS)
        pq.write_table(rows, folder / "sboms.parquet", compression="zstd")

    written, alone = best(ours, 2), best(plain, 2)
    lines = Table(f"{count} rows written, with their documents")
    lines.add("sorted, streamed", written, "write_table", alone, "")
    lines.say("rows per second", f"{count / written:,.0f}", "")
    path = Parquet(table, "s3://models").files._path_of("artifacts", scanned.id)
    url = results[count // 2].url
    query = f"SELECT status FROM '{path}' WHERE url = ?"  # noqa: S608 - our own file

    def lookup() -> None:
        assert duckdb.execute(query, [url]).fetchall() == [("passed",)]

    def whole() -> None:
        pq.read_table(path)

    lines.add("one artifact in DuckDB", best(lookup), "pyarrow reading all", best(whole), "")
    lines.print()


def measure_memory(counts: list[int]) -> None:
    """Write ever more rows, each time in a process of its own."""
    lines = Table("peak memory of writing, beyond what the process has before the first row")
    for count in counts:
        _, (megabytes, seconds) = peak_apart(write_rows, count)
        lines.say(
            f"{count} rows",
            f"{megabytes:.0f} MB, {seconds:.0f} s",
            "the same within 60 MB, but for 60 bytes a row",
        )
    lines.print()


def write_rows(count: int) -> tuple[float, float]:
    """Write rows in this process, and scan them again; the megabytes and seconds it took."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table, source = Parquet(str(folder / "table"), "s3://models"), "s3://models"
        one = pattern(folder)
        table.write(new_scan(source, Policy()), examined(made_up(1), one), Summary())
        peak = Peak()
        start = time.perf_counter()
        table.write(new_scan(source, Policy()), examined(made_up(count), one), Summary())
        known, changed = Comparison(table.open_state()), 0
        for number, artifact in enumerate(made_up(count)):
            changed += number % 100 != 0 and known.keep(artifact, "stored")
        rest = examined((a for n, a in enumerate(made_up(count)) if n % 100 == 0), one)
        table.write(new_scan(source, Policy()), rest, Summary(), known)
        seconds = time.perf_counter() - start
        return peak.megabytes(), seconds


def main() -> None:
    """Print all tables."""
    quick = "--quick" in sys.argv
    with tempfile.TemporaryDirectory() as name:
        folder, count = Path(name), QUICK if quick else FULL
        make_folder(folder / "root", count)
        measure_rescan(f"{count} local files", folder, str(folder / "root"), {})
        with ListingServer(count) as server:
            measure_rescan(f"{count} objects in S3", folder, "s3://models", server.options)
        measure_command(folder, count)
        measure_writing(folder, count)
    measure_memory([1000, MANY_QUICK] if quick else [1000, FULL, MANY])


if __name__ == "__main__":
    main()
