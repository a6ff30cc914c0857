"""The pickle walker against its rivals: ``python -m tests.benchmarks.pickles``.

The rivals, in the same run and on the same bytes: ``pickletools.genops``, which reads arguments and
follows nothing, and ``picklescan``, where it can be imported (PYTHONPATH may lead to a copy).
"""

import importlib
import io
import pickle
import pickletools
import resource
from collections.abc import Callable
from typing import Any

from prefect_mutagen.parsers.pickle import read_pickle
from tests.benchmarks.clock import Table, median
from tests.parsers.pickle_builders import drive, state_dict, torch_zip


def _streams() -> dict[str, bytes]:
    shapes = {f"model.layers.{n}.self_attn.q_proj.weight": (64, 2) for n in range(2000)}
    words = {f"token-{number:06d}": number for number in range(200_000)}
    return {
        "state dict of 2,000 tensors": state_dict(shapes),
        "vocabulary of 200,000 words": pickle.dumps(words, 4),
        "protocol 0": pickle.dumps(
            [{"a": number, "b": str(number)} for number in range(20_000)], 0
        ),
        "20 byte strings of 3 MB": pickle.dumps([bytes(3 << 20) for _ in range(20)], 4),
    }


def _walk(data: bytes) -> None:
    reader = read_pickle(len(data))
    header, _ = drive(data, reader)
    assert header.errors == (), header.errors


def _picklescan() -> Callable[[bytes], Any] | None:
    try:
        scanner = importlib.import_module("picklescan.scanner")
    except ImportError:
        return None
    return lambda data: scanner.scan_pickle_bytes(io.BytesIO(data), "file")


def measure_streams() -> None:
    """How fast opcodes are walked."""
    scan = _picklescan()
    for name, data in _streams().items():
        table = Table(f"{name}: {len(data) / 1e6:.1f} MB")
        reader = read_pickle(len(data))
        drive(data, reader)
        ours = median(lambda data=data: _walk(data), least=3)  # type: ignore[misc]
        genops = median(lambda data=data: list(pickletools.genops(data)), least=3)  # type: ignore[misc]
        theirs = median(lambda data=data: scan(data), least=3) if scan else None  # type: ignore[misc]
        table.add("walk", ours, "pickletools.genops", genops, "about the same")
        table.add("walk", ours, "picklescan", theirs, "about the same")
        table.say("speed", f"{len(data) / 1e6 / ours:.0f} MB/s", "")
        table.say("read of it", f"{reader.budget.bytes_read / 1e6:.2f} MB", "")
        table.print()


def measure_requests() -> None:
    """What a torch archive costs in a bucket."""
    table = Table("torch archive: what is read of it")
    for count in (10, 300, 2000):
        shapes = {f"model.layers.{n}.self_attn.q_proj.weight": (64, 32) for n in range(count)}
        data = torch_zip(state_dict(shapes), {str(n): bytes(8192) for n in range(count)})
        reader = read_pickle(len(data))
        drive(data, reader)
        cost = f"{reader.budget.requests} reads, {reader.budget.bytes_read / 1e3:.0f} kB"
        table.say(f"{count} tensors, {len(data) / 1e6:.1f} MB", cost, "3 reads, 1,000 kB")
    table.print()


def main() -> None:
    """Print all tables."""
    measure_streams()
    measure_requests()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\nlargest resident size of this run, rivals included: {peak:.0f} MB")


if __name__ == "__main__":
    main()
