"""Listing and counting a bucket against its bare listing: ``python -m tests.benchmarks.census``.

One of ten objects is a model; a page of a thousand takes 60 ms.
"""

import argparse
import os
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from prefect_mutagen.scanner.census import Census
from prefect_mutagen.scanner.listing.counting import Counting
from prefect_mutagen.scanner.listing.listing import list_artifacts
from prefect_mutagen.scanner.storage.opening import open_store
from tests.benchmarks.listing_server import ListingServer
from tests.benchmarks.storage import LATENCY, say, timed
from tests.memory import peak_apart


def _count_all(options: dict[str, Any], engine: str) -> tuple[float, float, int, str]:
    """List and count a bucket; return wall and CPU seconds, artifacts, and the census."""
    os.environ["PREFECT_MUTAGEN_ENGINE"] = engine
    store, census, found = open_store("s3://models/", options), Census(), list[int]()
    counting = Counting(store.root, census)

    def count() -> None:
        found.append(sum(1 for _ in list_artifacts(store, counting=counting)))

    wall, cpu = timed(count)
    return wall, cpu, found[0], census.describe()


def _exhaust(pages: Iterable[Sequence[Any]]) -> int:
    return sum(map(len, pages))


def _bare_listing(options: dict[str, Any]) -> float:
    """Return the seconds in which s3fs alone lists the bucket."""
    import s3fs

    bare = s3fs.S3FileSystem(**options, use_listings_cache=False, skip_instance_cache=True)
    wall, _ = timed(lambda: bare.find("models", detail=True))
    return wall


def measure(counts: Sequence[int]) -> None:
    """Print what listing and counting a mixed bucket takes against a bare listing."""
    import obstore
    from obstore.store import S3Store

    for count in counts:
        with ListingServer(count, LATENCY) as server:
            store = S3Store(
                "models",
                config={"access_key_id": "k", "secret_access_key": "s", "endpoint": server.url},
                client_options={"allow_http": True},
            )
            rivals = {
                "obstore": timed(partial(_exhaust, obstore.list(store, chunk_size=1000)))[0],
                "fsspec": _bare_listing(server.options),
            }
            for engine, rival in rivals.items():
                megabytes, (wall, cpu, models, census) = peak_apart(
                    _count_all, server.options, engine
                )
                assert models == count // 10
                assert census.startswith(f"{count:,} objects: ")
                value = (
                    f"{wall:.1f} s ({cpu:.1f} s CPU, {megabytes:.0f} MB), bare listing "
                    f"{rival:.1f} s: {wall / rival:.2f}"
                )
                say(f"census of {count} objects, 60 ms a page, {engine}", value, "1.3, flat")


def main() -> None:
    """Measure a million objects, or a quick part."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    measure([20_000] if parser.parse_args().quick else [100_000, 1_000_000])


if __name__ == "__main__":
    main()
