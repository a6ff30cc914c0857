"""Reading from storage against the bare clients doing the same reads, in one run.

``python -m tests.benchmarks.storage`` takes some minutes, with ``--quick`` some seconds. Storage is
the synthetic S3 of these tests, in a process of its own on this machine, with a delay before each
first byte; it counts requests and bytes. Rates hold for this machine only, ratios travel further.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from prefect_mutagen.scanner import Policy, scan
from prefect_mutagen.scanner.listing.grouping import group_artifacts
from prefect_mutagen.scanner.storage.opening import open_store
from prefect_mutagen.scanner.storage.store import StoredObject
from tests.builders import ARRAY, STRING, gguf
from tests.memory import Peak, peak_apart
from tests.servers import HOST, free_port

LATENCY = 0.06
FIRST = 128 << 10


@dataclass
class Storage:
    """A synthetic S3 in another process."""

    port: int

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def options(self) -> dict[str, Any]:
        return {"key": "k", "secret": "s", "endpoint_url": self.url}

    def counts(self) -> dict[str, Any]:
        """Give what was asked since the last time."""
        with urllib.request.urlopen(f"{self.url}/_counts?reset", timeout=10) as reply:  # noqa: S310 - our own server
            counts: dict[str, Any] = json.load(reply)
        return counts


@contextmanager
def storage(*arguments: str) -> Iterator[Storage]:
    """Run a synthetic S3 with these arguments."""
    server = Storage(free_port())
    command = [sys.executable, "-m", "tests.synthetic_s3", "--port", str(server.port), *arguments]
    process = subprocess.Popen(command)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                server.counts()
                break
            except OSError:
                if time.monotonic() > deadline or process.poll() is not None:
                    raise
                time.sleep(0.05)
        yield server
    finally:
        process.terminate()
        process.wait()


def gguf_headers(folder: Path, megabytes: Sequence[float]) -> list[str]:
    """Write GGUF headers of about these sizes, each mostly a vocabulary."""
    paths = []
    for size in megabytes:
        # A token costs its length and eight bytes, its score four, its type four.
        words = [f"token{number:06}" for number in range(int(size * 2**20 / 27))]
        metadata = [
            ("general.architecture", STRING, "llama"),
            ("tokenizer.ggml.tokens", ARRAY, (STRING, words)),
            ("tokenizer.ggml.scores", ARRAY, (6, [0.0] * len(words))),
            ("tokenizer.ggml.token_type", ARRAY, (5, [1] * len(words))),
        ]
        path = folder / f"{size}.gguf"
        path.write_bytes(gguf(metadata).data)
        paths.append(str(path))
    return paths


def keys_of(server: Storage) -> list[str]:
    """List the models of a bucket."""
    store = open_store("s3://bucket/models/", server.options)
    return [item.url.removeprefix("s3://bucket/") for item in store.list_objects(_is_model)]


def _is_model(name: str, _size: int) -> bool:
    return name.endswith((".safetensors", ".gguf"))


def bare_s3fs(server: Storage, keys: Sequence[str], at_once: int) -> None:
    """Read the first 128 KiB of each, with nothing but s3fs."""
    import s3fs

    async def run() -> None:
        config = {"max_pool_connections": 512}
        system = s3fs.S3FileSystem(
            asynchronous=True, skip_instance_cache=True, config_kwargs=config, **server.options
        )
        session = await system.set_session()
        waiting = iter(keys)

        async def work() -> None:
            for key in waiting:
                reply = await system._call_s3(
                    "get_object", Bucket="bucket", Key=key, Range=f"bytes=0-{FIRST - 1}"
                )
                async with reply["Body"] as body:
                    await body.read()

        await asyncio.gather(*(work() for _ in range(at_once)))
        await session.close()

    asyncio.run(run())


def bare_obstore(server: Storage, keys: Sequence[str], at_once: int) -> None:
    """Read the first 128 KiB of each, with nothing but obstore."""
    import obstore
    from obstore.store import S3Store

    store = S3Store(
        "bucket",
        config={
            "access_key_id": "k",
            "secret_access_key": "s",
            "endpoint": server.url,
            "region": "us-east-1",
        },
        client_options={"allow_http": True},
    )

    async def run() -> None:
        waiting = iter(keys)

        async def work() -> None:
            for key in waiting:
                reply = await obstore.get_async(store, key, options={"range": (0, FIRST)})
                await reply.bytes_async()

        await asyncio.gather(*(work() for _ in range(at_once)))

    asyncio.run(run())


def full_scan(server: Storage, engine: str, at_once: int) -> int:
    """Scan the whole bucket; how many passed."""
    os.environ["PREFECT_MUTAGEN_ENGINE"] = engine
    results = scan(
        "s3://bucket/models/",
        policy=Policy(),
        storage_options=server.options,
        concurrency=at_once,
    )
    return sum(result.passed for result in results)


def timed(function: Callable[..., Any], *arguments: Any) -> tuple[float, float]:
    """Give the seconds that a call took by the clock, and of the processor."""
    begun, processor = time.perf_counter(), time.process_time()
    function(*arguments)
    return time.perf_counter() - begun, time.process_time() - processor


def say(what: str, value: str, goal: str) -> None:
    print(f"{what:64} {value:44} {goal}", flush=True)


def cost_per_artifact(models: int) -> None:
    """Print requests and bytes of each safetensors artifact."""
    with storage("--models", str(models)) as server:
        for engine in ("fsspec", "obstore"):
            server.counts()
            assert full_scan(server, engine, 64) == models
            counts = server.counts()
            gets = counts["requests"]["GET"] - -(-models // 1000)
            others = sum(v for k, v in counts["requests"].items() if k not in ("GET", "LIST"))
            value = (
                f"{gets / models:.3f} GETs, {others} others, {counts['bytes'] / models:.0f} bytes"
            )
            say(f"safetensors, {engine}: for each artifact", value, "1.0-1.05; at most 135000")


def cost_of_gguf(folder: Path, megabytes: Sequence[float], bandwidth: float) -> None:
    """Print requests of GGUF headers, and bytes sent against bytes of headers."""
    paths = gguf_headers(folder, megabytes)
    sizes = [os.path.getsize(path) for path in paths]
    arguments = ["--models", str(len(paths)), "--gguf", *paths, "--latency", str(LATENCY)]
    with storage(*arguments, "--bandwidth", str(bandwidth)) as server:
        for engine in ("fsspec", "obstore"):
            server.counts()
            seconds, _ = timed(full_scan, server, engine, 16)
            counts = server.counts()
            gets = (counts["requests"]["GET"] - 1) / len(paths)
            ratio = counts["bytes"] / sum(sizes)
            value = f"{ratio:.2f} bytes a byte, {gets:.2f} GETs, {seconds:.2f} s"
            say(f"GGUF of {megabytes} MB at {bandwidth:.0e} B/s, {engine}", value, "1.3; 1.5")


def _rates(port: int, engine: str, at_once: int, rounds: int) -> tuple[list[float], list[float]]:
    """Give seconds and CPU seconds of the full scan, and of the bare reads: each the best round.

    They take turns, so that what else the machine does slows both.
    """
    server = Storage(port)
    keys = keys_of(server)
    bare = bare_s3fs if engine == "fsspec" else bare_obstore
    bare(server, keys[:200], at_once)  # connections, imports
    rival, ours = [], []
    for _ in range(rounds):
        rival.append(timed(bare, server, keys, at_once))
        ours.append(timed(full_scan, server, engine, at_once))
    return list(map(min, zip(*ours, strict=True))), list(map(min, zip(*rival, strict=True)))


def rates(models: int, at_once: Sequence[int], rounds: int) -> None:
    """Print full scans against bare reads, each engine in a process of its own, as users do."""
    with storage("--models", str(models), "--latency", str(LATENCY)) as server:
        for number in at_once:
            for engine, goal in (("fsspec", "85 %"), ("obstore", "50 %")):
                with get_context("spawn").Pool(1) as pool:
                    measured = pool.apply(_rates, (server.port, engine, number, rounds))
                (ours, ours_cpu), (rival, rival_cpu) = measured
                value = (
                    f"{models / ours:.0f}/s of {models / rival:.0f}/s: {100 * rival / ours:.0f} % "
                    f"({1e3 * ours_cpu / models:.2f}, {1e3 * rival_cpu / models:.2f} ms CPU)"
                )
                say(f"{engine}, {number} under way, 60 ms, full scan of bare reads", value, goal)


def listing(models: int) -> None:
    """Print listings against the bare client's."""
    with storage("--models", str(models), "--latency", str(LATENCY)) as server:
        import obstore
        from obstore.store import S3Store

        store = S3Store(
            "bucket",
            config={"access_key_id": "k", "secret_access_key": "s", "endpoint": server.url},
            client_options={"allow_http": True},
        )
        rival, _ = timed(lambda: [len(page) for page in obstore.list(store, chunk_size=1000)])
        for engine in ("obstore", "fsspec"):
            os.environ["PREFECT_MUTAGEN_ENGINE"] = engine
            opened = open_store("s3://bucket/models/", server.options)
            found: list[int] = []
            ours, cpu = timed(
                lambda root=opened, found=found: found.append(
                    sum(1 for _ in root.list_objects(_is_model))
                )
            )
            assert found == [models]
            value = f"{ours:.1f} s ({cpu:.1f} s CPU), bare obstore {rival:.1f} s"
            say(f"listing {models} keys, {engine}", value, "")


def _scan_at(port: int, engine: str) -> int:
    return full_scan(Storage(port), engine, 64)


def memory(counts: Sequence[int]) -> None:
    """Print the peak memory of scans of different sizes, each in a process of its own."""
    for engine in ("fsspec", "obstore"):
        peaks = []
        for models in counts:
            with storage("--models", str(models)) as server:
                megabytes, passed = peak_apart(_scan_at, server.port, engine)
            assert passed == models
            peaks.append(megabytes)
        told = ", ".join(f"{n}: {peak:.0f} MB" for n, peak in zip(counts, peaks, strict=True))
        say(f"peak memory of a scan, {engine}", told, "the same within 60 MB")


def flat_objects(kind: str, count: int) -> Iterator[StoredObject]:
    """Give objects of one folder that is not there, in the order in which S3 would list them."""
    folder = "s3://bucket/flat/model"
    for number in range(count):
        pin = f"etag:{number:032x}"
        if kind == "models":
            yield StoredObject(f"{folder}-{number:07}.safetensors", 4_000_000_000, pin)
        elif kind == "pairs of shards":
            name = f"{number // 2:07}-{number % 2 + 1:05}-of-00002.safetensors"
            yield StoredObject(f"{folder}-{name}", 4_000_000_000, pin)
        else:
            name = f"{number // 2:07}.gguf{'.sha256' * (number % 2)}"
            yield StoredObject(f"{folder}-{name}", 4_000_000_000, pin)


def _group(kind: str, count: int) -> tuple[float, float, float]:
    """Group a flat folder; MB beyond what a listing alone takes, and CPU seconds of both."""
    listed, grouped = flat_objects(kind, count), group_artifacts(flat_objects(kind, count))
    _, bare = timed(lambda: sum(1 for _ in listed))
    peak = Peak()
    _, ours = timed(lambda: sum(1 for _ in grouped))
    return peak.megabytes(), ours, bare


def flat(counts: Sequence[int]) -> None:
    """Print what grouping takes when all objects lie in one folder."""
    for kind in ("models", "pairs of shards", "models with checksums"):
        for count in counts:
            _, (megabytes, ours, bare) = peak_apart(_group, kind, count)
            each = f"{1e6 * ours / count:.1f} us CPU each, made up alone {1e6 * bare / count:.1f}"
            say(
                f"one folder of {count} objects, {kind}",
                f"{megabytes:.0f} MB more at the peak; {each}",
                "the same within 60 MB",
            )


def main() -> None:
    """Run all, or a quick part."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    quick = given.quick
    with tempfile.TemporaryDirectory() as folder:
        parts: dict[str, Callable[[], None]] = {
            "cost": lambda: cost_per_artifact(300 if quick else 3000),
            "gguf": lambda: cost_of_gguf(
                Path(folder), [0.6, 2] if quick else [0.6, 1, 2, 5, 8, 16], 50e6
            ),
            "rates": lambda: rates(*((300, [64], 1) if quick else (4000, [64, 256], 3))),
            "listing": lambda: listing(3000 if quick else 100_000),
            "flat": lambda: flat([1000, 20_000] if quick else [1000, 100_000, 1_000_000]),
            "memory": lambda: memory([300, 3000] if quick else [1000, 100_000]),
        }
        for name, part in parts.items():
            if given.only in ("", name):
                part()


if __name__ == "__main__":
    main()
