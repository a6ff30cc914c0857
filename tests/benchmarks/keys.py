"""Scans of keys against the listing of their bucket: ``python -m tests.benchmarks.keys [MODELS]``.

A synthetic S3 server with latency has so many models, each in a folder of its own with a card and
a configuration. What one key, and what a thousand, cost until their artifacts are known is compared
with the listing of the whole bucket in the same run: in time and in requests.
"""

import sys
import time
from collections.abc import Sequence
from typing import Final

from prefect_mutagen.scanner.listing.listing import list_selected
from prefect_mutagen.scanner.listing.selection import Selection
from prefect_mutagen.scanner.storage.opening import open_store
from tests.benchmarks.clock import Table
from tests.builders import gguf
from tests.synthetic_contents import Written
from tests.synthetic_s3 import SyntheticS3

FULL: Final = 20_000
_LATENCY: Final = 0.06
_KEYS: Final = 1_000


class _Sorted(Written):
    """Objects whose keys are sorted once, and not for each request."""

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(files)
        self._sorted = super().keys()

    def keys(self) -> Sequence[str]:
        return self._sorted


def _listed(server: SyntheticS3, *keys: str) -> tuple[float, int, int]:
    """List; return seconds, requests and artifacts."""
    server.counts.requests.clear()
    store = open_store("s3://b", server.options)
    begun = time.perf_counter()
    found = sum(1 for _ in list_selected(store, Selection(keys=keys), {}))
    counts = server.counts.requests
    return time.perf_counter() - begun, counts["HEAD"] + counts["LIST"], found


def main() -> None:
    """Print the table."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else FULL
    header = gguf().data
    files: dict[str, bytes] = {}
    for number in range(count):
        folder = f"team{number % 10}/m{number:06}/"
        files |= {folder + "README.md": b"# x", folder + "config.json": b"{}"}
        files[f"{folder}m.gguf"] = header
    keys = [key for key in files if key.endswith(".gguf")][:: max(1, count // _KEYS)][:_KEYS]
    with SyntheticS3(content=_Sorted(files), latency=_LATENCY) as server:
        _listed(server, keys[0])
        whole, listing, models = _listed(server)
        one, asked, single = _listed(server, keys[0])
        many, requests, found = _listed(server, *keys)
    assert (models, single, found) == (count, 1, len(keys))
    lines = Table(f"keys in a bucket of {count} models at {_LATENCY * 1000:.0f} ms a request, wall")
    lines.add("one key", one, f"the listing, {listing} requests", whole, "")
    lines.add(f"{len(keys)} keys", many, "the listing", whole, "")
    lines.say("requests for one key", f"{asked}", "")
    lines.say(f"requests for each of {len(keys)} keys", f"{requests / len(keys):.1f}", "")
    lines.print()


if __name__ == "__main__":
    main()
