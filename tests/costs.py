"""Measure what it costs to examine a folder: processor time and memory, each in a new process.

The processes are forked from one that has only imported what they need, so that a hundred of them
start within seconds. What the first scan of a process loads and caches is not measured.
"""

import resource
import time
from functools import cache
from multiprocessing import get_context
from multiprocessing.context import ForkServerContext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from prefect_mutagen.scanner import scan
from tests.builders import weights
from tests.memory import Peak

__all__ = ["WEIGHTS", "Cost", "cost_of"]

WEIGHTS = weights([("a", "F32", (2, 2))])
_PLAIN = {
    "m.safetensors": WEIGHTS,
    "config.json": b'{"license": "mit", "auto_map": {"A": "x.Y"}, "quantization_config": {}}',
    "tokenizer_config.json": b'{"chat_template": "{% for a in b %}{{ a | upper }}{% endfor %}"}',
    "README.md": b"---\nlicense: mit\nbase_model: a/b\ntags: [a]\n---\n",
    "LICENSE": b"MIT License",
    "SHA256SUMS": b"0" * 64 + b"  other.bin",
    "x.py": b"from . import y",
}
"""A model whose files have the scanner load all that it loads late."""


class Cost(NamedTuple):
    """What the examination of a folder took, and its results."""

    seconds: float
    """Processor time, that of child processes included."""
    megabytes: float
    """Memory at the peak, beyond what the process had before."""
    statuses: tuple[str, ...]
    messages: tuple[str, ...]
    """Code and message of each finding."""


def cost_of(folder: str) -> Cost:
    """Examine a folder, or an address, in a new process."""
    with _processes().Pool(1) as pool:
        return pool.apply(_measure, (folder,))


@cache
def _processes() -> ForkServerContext:
    context = get_context("forkserver")
    context.set_forkserver_preload(["tests.costs"])
    return context


def _measure(folder: str) -> Cost:
    with TemporaryDirectory() as plain:
        for name, data in _PLAIN.items():
            (Path(plain) / name).write_bytes(data)
        list(scan(plain))
    peak, start = Peak(), _processor_time()
    results = list(scan(folder))
    seconds, megabytes = _processor_time() - start, peak.megabytes()
    return Cost(
        seconds,
        megabytes,
        tuple(result.verdict.status for result in results),
        tuple(f"{one.code}: {one.message}" for result in results for one in result.findings),
    )


def _processor_time() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime
