"""The command over many local files, against l-bom: ``python -m tests.benchmarks.local_scan``.

l-bom is run where it is installed: name its command in ``L_BOM``, for example
``L_BOM=/path/to/L-BOM``. The header of a real tokenizer is taken from ``MUTAGEN_REAL_MODELS``.
Arguments: how many safetensors and how many GGUF files; l-bom needs a third of a second for each of
the latter.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.clock import Table
from tests.builders import safetensors

OURS = [
    sys.executable,
    "-m",
    "prefect_mutagen.scanner.commands.cli",
    "scan",
    "--no-hash",
    "--output",
]
TENSORS = 300
COVERED, COVERED_ELEMENTS = 2000, 8_000_000
SEQUENTIAL, PIECE = 1 << 30, 8 << 20


def _run(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def _rival(root: Path, out: Path) -> float | None:
    """Seconds that l-bom takes; None where it is not named."""
    command = os.environ.get("L_BOM", "")
    if not command:
        return None
    return _run([command, "scan", str(root), "--no-hash", "--format", "json", "--output", str(out)])


def fill(root: Path, name: str, data: bytes, count: int) -> Path:
    """Put so many names of one file into folders of 100 each; the first holds a tenth or less."""
    first = root / "000" / name
    first.parent.mkdir(parents=True)
    first.write_bytes(data)
    for number in range(1, count):
        folder = root / f"{number // 100:03}"
        folder.mkdir(exist_ok=True)
        os.link(first, folder / f"{number:05}-{name}")
    return root


def model(elements: int = 16) -> tuple[bytes, int]:
    """Give a header of tensors of so many elements each, and the bytes of the whole file."""
    size = 2 * elements
    content = {
        f"model.layers.{n // 9}.self_attn.weight{n % 9}": {
            "dtype": "BF16",
            "shape": [elements],
            "data_offsets": [size * n, size * n + size],
        }
        for n in range(TENSORS)
    }
    header = safetensors(content, 0)
    return header, len(header) + size * TENSORS


def _forget(path: Path) -> None:
    """Make the next read of a file come from the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(handle)


def _disk(folder: Path) -> float:
    """Give the bytes per second of one file that is read from the disk from end to end."""
    path = folder / "sequential"
    with path.open("wb") as file:
        for _ in range(SEQUENTIAL // PIECE):
            file.write(os.urandom(PIECE))
    _forget(path)
    start = time.perf_counter()
    with path.open("rb", buffering=0) as file:
        while file.read(PIECE):
            pass
    taken = time.perf_counter() - start
    path.unlink()
    return SEQUENTIAL / taken


def _cover(folder: Path, out: Path, table: Table) -> None:
    """Print how many bytes of models a second covers, against reading them.

    The files are sparse: their tensors take no room on the disk, and nobody reads them.
    """
    header, size = model(COVERED_ELEMENTS)
    folder.mkdir()
    for number in range(COVERED):
        path = folder / f"{number:05}.safetensors"
        path.write_bytes(header)
        os.truncate(path, size)
        _forget(path)
    covered = COVERED * size / _run([*OURS, str(out), str(folder)])
    read = _disk(folder)
    table.say(
        f"{COVERED} safetensors of {size / 1e9:.1f} GB each, none in memory",
        f"{covered / 1e9:,.0f} GB/s of models; the disk reads {read / 1e9:.1f} GB/s",
        "",
    )


def main() -> None:
    """Time both on the same files."""
    many, few = (int(word) for word in [*sys.argv[1:], "10000", "1000"][:2])
    table = Table("the command over local files, all cores")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        out = place / "out.json"
        header, size = model()
        content = header + bytes(size - len(header))
        kinds = [(fill(place / "st", "m.safetensors", content, many), many, f"{TENSORS} tensors")]
        real = os.environ.get("MUTAGEN_REAL_MODELS", "")
        if real:
            data = (Path(real) / "ggml-vocab-llama-bpe.gguf").read_bytes()
            kinds.append((fill(place / "gguf", "m.gguf", data, few), few, "GGUF of 7.8 MB"))
        for root, count, what in kinds:
            ours = min(_run([*OURS, str(out), str(root)]) for _ in range(3))
            goal = "10 times" if "tensors" in what else "200 times"
            table.add(f"{count} files, {what}", ours, "l-bom", _rival(root, out), goal)
        for processes in range(1, (os.cpu_count() or 1) + 1):
            took = _run([*OURS, str(out), "--processes", str(processes), str(kinds[0][0])])
            table.say(f"{processes} processes", f"{many / took:,.0f} files/s", "grows with cores")
        _cover(place / "large", out, table)
    table.print()


if __name__ == "__main__":
    main()
