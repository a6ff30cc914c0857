"""Coverage-guided fuzzing of the other weights: ``python -m tests.fuzz.fuzz_other_weights``.

Whatever the bytes and the name, the reader must not raise, and must ask for what there is and no
more than its limits allow. The first byte of an input chooses the name. More arguments go to
libFuzzer, for example ``-max_total_time=1800``; the corpus starts from the small files of the case
tables.
"""

import resource
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["prefect_mutagen.parsers"]):
    from prefect_mutagen.parsers.errors import HeaderError
    from prefect_mutagen.parsers.other_weights import read_other_weights

from tests.parsers import (
    weights_keras_cases,
    weights_named_cases,
    weights_onnx_cases,
    weights_tensorflow_cases,
)
from tests.parsers.weights_case import drive

MEMORY = 2 << 30
TABLES = (weights_keras_cases, weights_named_cases, weights_onnx_cases, weights_tensorflow_cases)
CASES = [case for table in TABLES for case in (*table.HONEST, *table.HOSTILE)]
NAMES = sorted({case.name for case in CASES})


def check(data: bytes) -> None:
    """Hold one input to all that is promised."""
    if not data:
        return
    name, data = NAMES[data[0] % len(NAMES)], data[1:]
    reader = read_other_weights(len(data), name)
    header = drive(data, reader)
    assert reader.budget.requests <= 32
    for error in header.errors:
        assert isinstance(error, HeaderError)
        assert 0 <= error.offset <= len(data), error
        assert str(error).isprintable(), error
    assert header.format or not header.complete


def seeds() -> list[bytes]:
    """Return the small files of the case tables, each after the byte of its name."""
    small = [case for case in CASES if len(case.data) < 9000]
    return [bytes((NAMES.index(case.name),)) + case.data for case in small]


def main() -> None:
    """Fuzz until somebody stops it, or an input breaks a promise."""
    with tempfile.TemporaryDirectory() as folder:
        for number, data in enumerate(seeds()):
            (Path(folder) / str(number)).write_bytes(data)
        limits = ["-max_len=9000", "-timeout=20", "-rss_limit_mb=0"]
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        atheris.Setup([sys.argv[0], *sys.argv[1:], *limits, folder], check)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
