"""The pickle walker against its rivals: ``python -m tests.benchmarks.pickles``.

The rivals, in the same run and on the same bytes: ``pickletools.genops``, which reads arguments and
follows nothing, and ``picklescan`` and ``modelscan``, where they can be imported (PYTHONPATH may
lead to copies). They read whole files, or pass over them; ours reads ranges, so that its figures
hold for a bucket.
"""

import importlib
import io
import logging
import pickle
import pickletools
import resource
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from prefect_mutagen.parsers.pickle import read_pickle
from prefect_mutagen.scanner import ScanResult, scan
from tests.benchmarks.clock import Table, median
from tests.parsers import pickle_hostile_archives, pickle_hostile_streams
from tests.parsers.pickle_builders import drive, state_dict, torch_legacy, torch_zip


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


def _rivals() -> dict[str, Callable[[Path], bool] | None]:
    """Return what says whether a file is hostile, for each rival that is here."""
    found: dict[str, Callable[[Path], bool] | None] = {"picklescan": None, "modelscan": None}
    try:
        scanner = importlib.import_module("picklescan.scanner")
        found["picklescan"] = lambda path: _says_so(scanner.scan_file_path(str(path)))
    except ImportError:
        pass
    try:
        modelscan = importlib.import_module("modelscan.modelscan").ModelScan()
        found["modelscan"] = lambda path: _tells(modelscan.scan(path))
    except ImportError:
        pass
    return found


def _tells(result: dict[str, Any]) -> bool:
    return bool(result["summary"]["total_issues"] or result.get("errors"))


def _says_so(result: Any) -> bool:
    return bool(result.issues_count or result.scan_err)


def _files(folder: Path) -> dict[str, Path]:
    """Write files as trainers do; the numbers of tensors are holes in them."""
    shapes = {f"model.layers.{n}.self_attn.q_proj.weight": (64, 32) for n in range(2000)}
    storages = {str(n): bytes(8192) for n in range(2000)}
    arrays = io.BytesIO()
    np.savez(arrays, *(np.zeros((256, 256)) for _ in range(20)))
    contents = {
        "torch ZIP, 2,000 tensors": ("zip.pt", torch_zip(state_dict(shapes), storages)),
        "torch before 1.6, 2,000 tensors": ("old.pt", torch_legacy(state_dict(shapes), storages)),
        "20 byte strings of 3 MB": ("raw.pkl", pickle.dumps([*map(bytes, [3 << 20] * 20)], 4)),
        "20 arrays of 0.5 MB": ("a.npz", arrays.getvalue()),
    }
    found = {}
    for title, (name, data) in contents.items():
        found[title] = folder / name
        found[title].write_bytes(data)
    return found


def _scan(path: Path) -> ScanResult:
    (result,) = scan(str(path))
    return result


def measure_files(folder: Path) -> None:
    """How long a whole file takes, and what is read of it."""
    rivals = _rivals()
    for title, path in _files(folder).items():
        size = path.stat().st_size
        table = Table(f"{title}: {size / 1e6:.1f} MB")
        result = _scan(path)
        assert result.passed, result.findings
        ours = median(partial(_scan, path), least=3)
        for name, examine in rivals.items():
            theirs = None if examine is None else median(partial(examine, path), least=3)
            table.add("scan of the file", ours, name, theirs, "")
        read = f"{result.requests} reads, {result.bytes_read / 1e6:.2f} MB"
        table.say("read of it", read, f"theirs: all {size / 1e6:.1f} MB")
        table.print()


def count_found(folder: Path) -> None:
    """Which of the hostile cases each one finds."""
    cases = [*pickle_hostile_streams.CASES, *pickle_hostile_archives.CASES]
    missed: dict[str, list[str]] = {"ours": []}
    missed |= {name: [] for name, examine in _rivals().items() if examine is not None}
    for number, case in enumerate(cases):
        path = folder / f"{number}{'.pt' if case.data.startswith(b'PK') else '.pkl'}"
        path.write_bytes(case.data)
        if _scan(path).passed:
            missed["ours"].append(case.id)
        for name, examine in _rivals().items():
            if examine is None:
                continue
            try:
                finds = examine(path)
            except Exception:  # noqa: BLE001 - a scanner that falls over has not said that it is safe
                finds = True
            if not finds:
                missed[name].append(case.id)
        path.unlink()
    print(f"\nof {len(cases)} hostile files, not found by")
    for name, names in missed.items():
        print(f"  {name}: {len(names)}{': ' if names else ''}{', '.join(names)}")


def main() -> None:
    """Print all tables."""
    logging.disable(logging.CRITICAL)
    measure_streams()
    measure_requests()
    with tempfile.TemporaryDirectory() as folder:
        measure_files(Path(folder))
        count_found(Path(folder))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\nlargest resident size of this run, rivals included: {peak:.0f} MB")


if __name__ == "__main__":
    main()
