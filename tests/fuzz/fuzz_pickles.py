"""Coverage-guided fuzzing of the pickle reader: ``python -m tests.fuzz.fuzz_pickles``.

Whatever the bytes, the reader must not raise, must ask for what there is and no more than its
limits allow, and must name every global that CPython's unpicklers look up; those run in a child
process that imports nothing (`tests.parsers.pickle_oracle`). More arguments go to libFuzzer, for
example ``-max_total_time=1800``; the corpus starts from the small files of the case tables.
"""

import resource
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["prefect_mutagen.parsers"]):
    from prefect_mutagen.parsers.errors import HeaderError
    from prefect_mutagen.parsers.pickle import read_pickle
    from prefect_mutagen.parsers.pickle_globals import mapped

from tests.parsers import pickle_honest, pickle_hostile_archives, pickle_hostile_streams
from tests.parsers.pickle_builders import drive
from tests.parsers.pickle_oracle import oracle

MEMORY = 2 << 30


def check(data: bytes, asked: set[tuple[str, str]]) -> None:
    """Hold one input to all that is promised."""
    reader = read_pickle(len(data))
    header, _ = drive(data, reader)
    assert reader.budget.requests <= 32
    for error in header.errors:
        assert isinstance(error, HeaderError)
        assert 0 <= error.offset <= len(data), error
        assert str(error).isprintable(), error
    codes = {error.code for error in header.errors}
    if any(error.expected == "frames of whole opcodes" for error in header.errors):
        return
    if codes & {"pickle/undecided-global", "pickle/unexamined"}:
        return
    found = {(use.module, use.name) for use in header.globals}
    for pair in asked:
        assert pair in found or mapped(*pair, 2) in found or not header.complete, pair
    assert not asked or codes or header.format, "an unpickler takes it for a pickle"


def seeds() -> list[bytes]:
    """Return the small files of the case tables."""
    tables = (pickle_hostile_streams, pickle_hostile_archives, pickle_honest)
    return [case.data for table in tables for case in table.CASES if len(case.data) < 3000]


def main() -> None:
    """Fuzz until somebody stops it, or an input breaks a promise."""
    with tempfile.TemporaryDirectory() as folder, oracle() as ask:
        for number, data in enumerate(seeds()):
            (Path(folder) / str(number)).write_bytes(data)
        limits = ["-max_len=4096", "-timeout=20", "-rss_limit_mb=0"]
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        atheris.Setup(
            [sys.argv[0], *sys.argv[1:], *limits, folder], lambda data: check(data, ask(data))
        )
        atheris.Fuzz()


if __name__ == "__main__":
    main()
