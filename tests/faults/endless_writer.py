"""A process that writes scan after scan into a table: ``TABLE SOURCE ROUNDS``.

Every artifact is another one in each round. A line says that a round is published. Storage options
come from the environment.
"""

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from prefect_mutagen.scanner import Policy, ScanResult, scan
from prefect_mutagen.scanner.examine.scan_info import new_scan
from prefect_mutagen.scanner.results import ObjectResult, Summary
from prefect_mutagen.scanner.storage.options import load_options
from prefect_mutagen.scanner.table.table import Table
from tests.builders import gguf

COUNT = 200


def results(source: str, scan_id: str) -> Iterator[ScanResult]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.gguf"
        path.write_bytes(gguf().data)
        (one,) = scan(str(path))
    for number in range(COUNT):
        url = f"{source}/{number:04}.gguf"
        yield replace(one, url=url, pin=scan_id, objects=(ObjectResult(url, 1, scan_id),))


def main() -> None:
    address, source, rounds = sys.argv[1:]
    done = 0
    while done < int(rounds):
        info = new_scan(source, Policy())
        Table(address, source, load_options()).write(info, results(source, info.id), Summary())
        done += 1
        print(info.id, flush=True)


if __name__ == "__main__":
    main()
