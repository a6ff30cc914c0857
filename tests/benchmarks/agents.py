"""Hundreds of agents from one harness process: ``python -m tests.benchmarks.agents [COUNT]``.

The rival, in a process of its own in the same run: one asyncio loop that starts the same programs
as plain subprocesses, and does nothing else: no supervision, no limits, no folders. Beside ours, a
heartbeat keeps time in an asyncio loop, and a thread parses a GGUF header of 16 MB over and over.
"""

import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from prefect_mutagen.parsers import NeedBytes, read_header
from prefect_mutagen.scanner.agents.supervise import Limits, run_supervised
from tests.benchmarks.clock import Table
from tests.builders import ARRAY, STRING, gguf
from tests.processes import supervisors_of

# Says when it started; at the time it is given, it says so and ends.
AGENT = (
    "import sys, time; print(time.monotonic(), flush=True);"
    "time.sleep(max(0.0, float(sys.argv[1]) - time.monotonic())); print(time.monotonic())"
)
BEAT = 0.005
Record = tuple[float, float, float]
"""When an agent started, when it ended, and when this process had its end on record."""


def _command(end: float) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", AGENT, str(end)]


def _ours(end: float) -> Record:
    lines: list[str] = []
    outcome = run_supervised(_command(end), b"{}", Limits(300), on_line=lines.append)
    recorded = time.monotonic()
    assert outcome.status == 0
    return float(lines[0]), float(lines[1]), recorded


async def _theirs(end: float) -> Record:
    process = await asyncio.create_subprocess_exec(
        *_command(end), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    output, _ = await process.communicate()
    recorded = time.monotonic()
    first, last = output.split()
    return float(first), float(last), recorded


def _kilobytes(process: int | str, field: str) -> int:
    for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1])
    raise LookupError(field)


def _supervisors() -> float:
    """Give the kilobytes of all supervisors, from a sample of them."""
    found = sorted(supervisors_of(os.getpid()))
    sample = random.sample(found, min(40, len(found)))
    return statistics.mean([_kilobytes(pid, "Pss") for pid in sample] or [0]) * len(found)


async def _beat(delays: list[float]) -> None:
    while True:
        due = time.monotonic() + BEAT
        await asyncio.sleep(BEAT)
        delays.append(time.monotonic() - due)


def _header() -> bytes:
    tokens = [f"{number:010x}" for number in range(900_000)]
    return gguf((("tokenizer.ggml.tokens", ARRAY, (STRING, tokens)),), ()).data


def _parse(data: bytes, stop: threading.Event, times: list[float]) -> None:
    while not stop.wait(0.05):
        start = time.monotonic()
        answer = read_header(len(data), "gguf").feed(data)
        assert not isinstance(answer, NeedBytes)
        times.append(time.monotonic() - start)


async def _measure(count: int, start: Callable[[float], Awaitable[Record]]) -> dict[str, Any]:
    delays: list[float] = []
    heart = asyncio.create_task(_beat(delays))
    await start(time.monotonic())  # what happens once is not counted
    before = _kilobytes("self", "Private_Dirty")
    began = time.monotonic()
    # They end one after the other, once they surely have all started.
    end = began + 2 + count * 0.06
    ends = [end + random.random() * count * 0.02 for _ in range(count)]
    runs = [asyncio.ensure_future(start(each)) for each in ends]
    await asyncio.sleep(end - 1.5 - time.monotonic())
    after = _kilobytes("self", "Private_Dirty")
    supervisors = await asyncio.to_thread(_supervisors)
    records = await asyncio.gather(*runs)
    heart.cancel()
    return {
        "rate": count / (max(record[0] for record in records) - began),
        "kilobytes": (after - before) / count,
        "supervisors": supervisors / count,
        "recorded": [record[2] - record[1] for record in records],
        "delays": delays,
    }


async def _measure_ours(count: int) -> dict[str, Any]:
    data = _header()
    stop, times = threading.Event(), list[float]()
    parser = threading.Thread(target=_parse, args=(data, stop, times))
    parser.start()
    loop = asyncio.get_running_loop()
    try:
        with ThreadPoolExecutor(count) as pool:
            found = await _measure(count, lambda end: loop.run_in_executor(pool, _ours, end))
    finally:
        stop.set()
        parser.join()
    return found | {"megabytes": len(data) / 1e6, "parsed": statistics.median(times)}


def _of(name: str, count: int) -> dict[str, Any]:
    words = [sys.executable, "-m", "tests.benchmarks.agents", str(count), name]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _at(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def main() -> None:
    """Measure both, and print."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    if len(sys.argv) > 2:
        work = _measure_ours(count) if sys.argv[2] == "ours" else _measure(count, _theirs)
        print(json.dumps(asyncio.run(work)))
        return
    theirs, ours = _of("theirs", count), _of("ours", count)
    table = Table(f"{count} agents at once from one process; rival: a bare asyncio loop")
    table.add("start of one", 1 / ours["rate"], "asyncio", 1 / theirs["rate"], "at most 3")
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        mine, other = _at(ours["recorded"], share), _at(theirs["recorded"], share)
        table.add(f"end to record, {name}", mine, "asyncio", other, "")
    for name, share, goal in (("p50", 0.5, ""), ("p99", 0.99, "at most 50 ms"), ("most", 1, "")):
        mine, other = _at(ours["delays"], share), _at(theirs["delays"], share)
        table.add(f"delay of the loop, {name}", mine, "asyncio", other, goal)
    for name, each in (("harness", ours), ("asyncio's", theirs)):
        goal = "at most 1024 kB" if each is ours else ""
        table.say(f"{name} memory per agent", f"{each['kilobytes']:.0f} kB", goal)
    table.say("supervisors' memory per agent", f"{ours['supervisors']:.0f} kB", "")
    parsed = f"{ours['megabytes']:.1f} MB in {ours['parsed'] * 1e3:.1f} ms"
    table.say("a header parsed beside it", parsed, "")
    table.print()


if __name__ == "__main__":
    main()
