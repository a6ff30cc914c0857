"""Coverage-guided fuzzing of the header readers: ``python -m tests.fuzz.fuzz_headers gguf``.

Whatever the bytes, the readers must not raise, must not ask for what cannot be, must give the same
for any cut of the stream, and the compiled walks the same as their pure twins. For safetensors the
Rust reader is asked about every input as well. More arguments go to libFuzzer, for example
``-max_total_time=1800``; the corpus starts from small files, and from a folder if one is named.
"""

import resource
import sys
import tempfile
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(include=["prefect_mutagen.parsers"]):
    from prefect_mutagen.parsers import (
        Format,
        Header,
        HeaderError,
        NeedBytes,
        read_header,
        string_walk,
        tensor_columns,
        walks,
    )

import safetensors

from tests.parsers import gguf_cases, safetensors_cases

# The address space of the whole fuzzer: an input that makes a reader take more is a MemoryError, so
# a finding. libFuzzer's own limit looks at the peak of the process, and on Linux a child inherits
# that from a large parent.
MEMORY = 2 << 30

COMPILED = walks.walk_strings, walks.TensorColumns
PURE = string_walk.walk_strings, tensor_columns.TensorColumns


def _read(data: bytes, form: Format, step: int, chosen: tuple[Any, Any]) -> Header:
    walks.walk_strings, walks.TensorColumns = chosen
    reader = read_header(len(data), form)
    answer = reader.feed(b"")
    while isinstance(answer, NeedBytes):
        assert reader.position < answer.upto <= len(data), "asks for what cannot be"
        answer = reader.feed(data[reader.position : reader.position + step])
    return answer


def check(data: bytes, form: Format) -> None:
    """Hold one input to all that is promised."""
    whole = _read(data, form, len(data) + 1, PURE)
    for error in whole.errors:
        assert isinstance(error, HeaderError)
        assert 0 <= error.offset <= len(data), error
        assert str(error).isascii() or str(error).isprintable(), error
    step = 1 + len(data) % 97
    # As texts, because a NaN does not equal itself.
    assert repr(_read(data, form, step, PURE)) == repr(whole), "another cut, another header"
    if walks.COMPILED:
        assert repr(_read(data, form, step, COMPILED)) == repr(whole), "the twins disagree"
    if form == "safetensors":
        _ask_the_rust_reader(data, whole)


def _ask_the_rust_reader(data: bytes, header: Header) -> None:
    codes = {error.code for error in header.errors if error.severity == "error"}
    try:
        safetensors.deserialize(data)
    except safetensors.SafetensorError:
        assert codes, "the Rust reader refuses this"
    else:
        # It keeps the last of two equal keys; and limits of ours are no rules of the format.
        allowed = {"safetensors/duplicate-key", "safetensors/too-complex"}
        assert not codes or codes & allowed, f"the Rust reader takes this: {codes}"


def seeds(form: Format) -> list[bytes]:
    """Give the small files of the case tables."""
    cases = gguf_cases.CASES if form == "gguf" else safetensors_cases.CASES
    return [case.data for case in cases if len(case.data) < 4000]


def main() -> None:
    """Fuzz until somebody stops it, or an input breaks a promise."""
    form: Format = "gguf" if sys.argv[1] == "gguf" else "safetensors"
    with tempfile.TemporaryDirectory() as folder:
        for number, data in enumerate(seeds(form)):
            (Path(folder) / str(number)).write_bytes(data)
        limits = ["-max_len=4096", "-timeout=20", "-rss_limit_mb=0"]
        arguments = [sys.argv[0], *sys.argv[2:], *limits, folder]
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        atheris.Setup(arguments, lambda data: check(data, form))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
