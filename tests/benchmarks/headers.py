"""Header readers against their rivals: ``python -m tests.benchmarks.headers``.

The rivals: ``json.loads`` of the same header, ``safetensors.safe_open`` of the same file, the walk
function alone over the same strings, and l-bom's reader, where PYTHONPATH leads to a checkout.
MUTAGEN_REAL_MODELS names a folder with ``ggml-vocab-llama-bpe.gguf``; without it, a made-up
header of the same size is read.
"""

import importlib
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import safetensors

from prefect_mutagen.parsers import (
    Format,
    NeedBytes,
    read_header,
    string_walk,
    tensor_columns,
    walks,
)
from prefect_mutagen.scanner import scan
from tests.benchmarks.clock import Table, median
from tests.builders import ARRAY, I32, STRING, gguf
from tests.faults.test_hostile_headers import LARGE, SMALL, large_header

MODEL = "ggml-vocab-llama-bpe.gguf"


def _tokenizer() -> bytes:
    folder = os.environ.get("MUTAGEN_REAL_MODELS", "")
    if folder and (Path(folder) / MODEL).exists():
        return (Path(folder) / MODEL).read_bytes()
    tokens = [f"{number:x}" for number in range(128_256)]
    merges = [f"{number:x} {number % 999:x}" for number in range(280_147)]
    return gguf(
        (
            ("general.architecture", STRING, "llama"),
            ("tokenizer.ggml.tokens", ARRAY, (STRING, tokens)),
            ("tokenizer.ggml.token_type", ARRAY, (I32, [1] * len(tokens))),
            ("tokenizer.ggml.merges", ARRAY, (STRING, merges)),
        ),
        (),
    ).data


def _read(data: bytes, expected: Format, size: int = 0) -> None:
    answer = read_header(size or len(data), expected).feed(data)
    assert not isinstance(answer, NeedBytes)


def _pure(function: Callable[[], Any]) -> Callable[[], Any]:
    """Run with the pure twins of the walks."""

    def run() -> None:
        kept = walks.walk_strings, walks.TensorColumns
        walks.walk_strings = string_walk.walk_strings
        walks.TensorColumns = tensor_columns.TensorColumns
        try:
            function()
        finally:
            walks.walk_strings, walks.TensorColumns = kept

    return run


def _l_bom() -> Callable[[Path], Any] | None:
    try:
        module = importlib.import_module("llm_sbom.parsers.gguf")
    except ImportError:
        return None
    reader: Callable[[Path], Any] = module.parse_gguf
    return reader


def measure_gguf(folder: Path) -> None:
    """A real tokenizer: 400,000 strings."""
    data = _tokenizer()
    path = folder / "model.gguf"
    path.write_bytes(data)
    table = Table(f"GGUF header of {len(data) / 1e6:.1f} MB")
    ours = median(lambda: _read(data, "gguf"))
    pure = median(_pure(lambda: _read(data, "gguf")))
    reader = _l_bom()
    theirs = median(lambda: reader(path), least=3) if reader else None
    spans: list[tuple[int, int]] = []
    real = walks.walk_strings

    def spy(buffer: Any, at: int, count: int, order: str, width: int) -> tuple[int, int]:
        spans.append((at, count))
        return real(buffer, at, count, order, width)

    walks.walk_strings = spy
    _read(data, "gguf")
    walks.walk_strings = real
    alone = median(lambda: [real(data, at, count, "little", 8) for at, count in spans])
    table.add("compiled reader", ours, "l-bom", theirs, "400 times faster")
    table.add("compiled reader", ours, "the walk alone", alone, "at most 3")
    table.add("pure reader", pure, "l-bom", theirs, "8 times faster")
    table.print()


def measure_safetensors(folder: Path) -> None:
    """Full validation against plain parsing."""
    table = Table("safetensors header, fully validated")
    for count in (300, 2000, 50_000):
        header, size = large_header(count)
        path = folder / f"{count}.safetensors"
        path.write_bytes(header)
        os.truncate(path, size)
        text = header[8:]

        def ours(header: bytes = header, size: int = size) -> None:
            _read(header, "safetensors", size)

        def opened(path: Path = path) -> None:
            with safetensors.safe_open(path, "np"):
                pass

        def parsed(text: bytes = text) -> None:
            json.loads(text)

        compiled, pure = median(ours), median(_pure(ours))
        plain, rust = median(parsed), median(opened)
        table.add(f"{count} tensors, compiled", compiled, "json.loads", plain, "faster")
        table.add(f"{count} tensors, compiled", compiled, "safe_open", rust, "2 times faster")
        table.add(f"{count} tensors, pure", pure, "json.loads", plain, "at most 3")
    table.print()


def measure_scan(folder: Path) -> None:
    """What one local file costs beyond reading and parsing it."""
    table = Table("scan() of one local file of 300 tensors")
    header, size = large_header(300)
    path = folder / "alone" / "model.safetensors"
    path.parent.mkdir()
    path.write_bytes(header)
    os.truncate(path, size)

    def bare() -> None:
        with path.open("rb") as file:
            _read(file.read(len(header)), "safetensors", size)

    whole, alone = median(lambda: list(scan(str(path), hash="none"))), median(bare)
    table.say("beyond reading and parsing", f"{(whole - alone) * 1e3:.2f} ms", "less than 0.5 ms")
    table.print()


def measure_hostile() -> None:
    """Headers made to break whoever reads them."""
    table = Table("hostile headers")
    for name, (expected, build, _) in SMALL.items():
        data = build()
        start = time.perf_counter()
        _read(data, "gguf" if expected == "gguf" else "safetensors")
        table.say(name, f"{time.perf_counter() - start:.2f} s", "less than 0.5 s")
    for name, (build_large, _) in LARGE.items():
        data, size = build_large()
        start = time.perf_counter()
        _read(data, "safetensors", size)
        table.say(f"90 MB: {name}", f"{time.perf_counter() - start:.2f} s", "less than 2 s")
    table.print()


def main() -> None:
    """Print all tables."""
    print(f"header walks: {'compiled' if walks.COMPILED else 'pure Python'}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        measure_gguf(folder)
        measure_safetensors(folder)
        measure_scan(folder)
    measure_hostile()


if __name__ == "__main__":
    main()
