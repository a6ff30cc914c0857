"""The check before a load, and a judgement: ``python -m tests.benchmarks.verify``.

The rival is what happens right after the check: ``safetensors.safe_open`` of the same file.
"""

import os
import tempfile
import time
from pathlib import Path
from typing import Final

import safetensors

from prefect_mutagen.scanner import Policy, open_verified, scan, verify
from prefect_mutagen.scanner.policy.policy import Waiver, judge
from tests.benchmarks.clock import Table, median
from tests.dates import SOON
from tests.faults.test_hostile_headers import large_header

JUDGEMENTS: Final = 100_000
STRICT: Final = Policy(
    allowed_licenses=("mit", "apache-2.0"),
    denied_licenses=("cc-by-nc-*",),
    allowed_formats=("safetensors",),
    denied_architectures=("mamba",),
    denied_quantizations=("Q2_K",),
    max_parameters=10**12,
    max_size_bytes=10**12,
    allowed_sources=("/",),
    waivers=(Waiver("policy/license-missing", "/*", "made up", "bench@example.org", SOON),),
)


def _model(folder: Path, tensors: int) -> str:
    header, size = large_header(tensors)
    path = folder / f"{tensors}" / "model.safetensors"
    path.parent.mkdir()
    path.write_bytes(header)
    os.truncate(path, size)
    os.utime(path, (0, 0))
    return str(path)


def measure_verify(folder: Path) -> None:
    """One local file, once everything is imported."""
    table = Table("the check before a load, in-process, local file")
    for tensors in (300, 2000):
        path = _model(folder, tensors)
        pin = verify(path).pin

        def rival(path: str = path) -> None:
            with safetensors.safe_open(path, "np"):
                pass

        def opened(path: str = path, pin: str = pin) -> None:
            with open_verified(path, pin):
                pass

        theirs = median(rival)
        plain = median(lambda path=path, pin=pin: verify(path, pin))  # type: ignore[misc]
        goal = "less than 5 ms" if tensors == 300 else ""
        table.add(f"verify, {tensors} tensors", plain, "safe_open", theirs, goal)
        table.add(f"open_verified, {tensors} tensors", median(opened), "safe_open", theirs, goal)
    table.print()


def measure_judge(folder: Path) -> None:
    """Judgements per second, under the default policy and under a long one."""
    table = Table("judging")
    (result,) = scan(_model(folder, 10))
    subject = result.subject()
    for name, policy, goal in (
        ("default policy", Policy(), "100000 a second"),
        ("nine fields and a waiver", STRICT, ""),
    ):
        assert judge(subject, policy).status == "passed"
        start = time.perf_counter()
        for _ in range(JUDGEMENTS):
            judge(subject, policy)
        rate = JUDGEMENTS / (time.perf_counter() - start)
        table.say(name, f"{rate:.0f} a second", goal)
    table.print()


def main() -> None:
    """Print all tables."""
    with tempfile.TemporaryDirectory() as name:
        measure_verify(Path(name))
        measure_judge(Path(name))


if __name__ == "__main__":
    main()
