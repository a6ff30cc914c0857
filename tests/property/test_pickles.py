"""Whatever the opcodes: what CPython's unpicklers look up, the walker has named."""

import pickle
import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_mutagen.parsers.pickle import PickleHeader
from prefect_mutagen.parsers.pickle_globals import mapped
from tests.parsers.pickle_builders import read, text, torch_zip
from tests.parsers.pickle_oracle import oracle

Ask = Callable[[bytes], set[tuple[str, str]]]

WORDS = st.sampled_from(
    ["os", "system", "posix", "builtins", "eval", "a.b", "__builtin__", "é", ""]
)
INDEX = st.integers(0, 6)


@pytest.fixture(scope="module")
def ask() -> Iterator[Ask]:
    with oracle() as child:
        yield child


@pytest.fixture(autouse=True)
def twin() -> None:
    """No compiled walk has a part in this: each test runs once."""


def _word_opcodes(word: str) -> st.SearchStrategy[bytes]:
    raw = word.encode()
    lines = [b"V" + raw + b"\n", b"S'" + raw + b"'\n"] if word.isascii() else []
    return st.sampled_from(
        [
            text(word),
            b"X" + struct.pack("<I", len(raw)) + raw,
            b"\x8d" + struct.pack("<Q", len(raw)) + raw,
            b"U" + bytes((len(raw),)) + raw,
            *lines,
        ]
    )


def _line_globals(pair: tuple[str, str]) -> st.SearchStrategy[bytes]:
    lines = f"{pair[0]}\n{pair[1]}\n".encode()
    return st.sampled_from([b"c" + lines, b"i" + lines])


OPCODES = st.one_of(
    WORDS.flatmap(_word_opcodes),
    WORDS.flatmap(_word_opcodes),
    st.just(b"\x93"),
    st.tuples(WORDS, WORDS).flatmap(_line_globals),
    st.sampled_from(
        [bytes((byte,)) for byte in b"N)]}(02R1tlda\x85\x86\x87\x88\x89\x8f\x90\x91\x94"]
    ),
    st.sampled_from([bytes((byte,)) for byte in b"sueboQ.\x81\x92\x97\x98"]),
    INDEX.map(lambda n: b"h" + bytes((n,))),
    INDEX.map(lambda n: b"q" + bytes((n,))),
    INDEX.map(lambda n: b"j" + struct.pack("<I", n)),
    INDEX.map(lambda n: b"r" + struct.pack("<I", n)),
    INDEX.map(lambda n: b"g%d\n" % n),
    INDEX.map(lambda n: b"p%d\n" % n),
    st.integers(0, 255).map(lambda n: b"K" + bytes((n,))),
    st.integers(0, 6).map(lambda n: b"\x80" + bytes((n,))),
    st.integers(0, 40).map(lambda n: b"\x95" + struct.pack("<Q", n)),
    st.integers(1, 255).map(lambda n: b"\x82" + bytes((n,))),
    st.binary(max_size=8).map(lambda raw: b"C" + bytes((len(raw),)) + raw),
    st.sampled_from(
        [b"I01\n", b"I7\n", b"L7L\n", b"F1.5\n", b"Px\n", b"J\0\0\0\0", b"\x8a\x01\x05"]
    ),
    st.binary(min_size=1, max_size=2),
)
STREAMS = st.lists(OPCODES, max_size=40).map(b"".join)


def is_open(header: PickleHeader) -> bool:
    """Whether it says that a name is not decided, or that unpicklers differ about a frame."""
    return any(
        error.code == "pickle/undecided-global" or error.expected == "frames of whole opcodes"
        for error in header.errors
    )


def _check(data: bytes, asked: set[tuple[str, str]]) -> None:
    header = read(data)
    found = {(use.module, use.name) for use in header.globals}
    if is_open(header):
        return
    # The compiled unpickler asks for names that are mapped already, the pure one maps them itself.
    for pair in asked:
        assert pair in found or mapped(*pair, 2) in found, (pair, header)


@settings(max_examples=1500)
@given(data=STREAMS)
def test_what_an_unpickler_looks_up_is_named(ask: Ask, data: bytes) -> None:
    _check(data, ask(data))


@settings(max_examples=300)
@given(data=STREAMS)
def test_what_an_unpickler_looks_up_in_an_archive_is_named(ask: Ask, data: bytes) -> None:
    asked = ask(data)
    header = read(torch_zip(data))
    found = {(use.module, use.name) for use in header.globals}
    assert is_open(header) or all(pair in found or mapped(*pair, 2) in found for pair in asked)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text(), inner)
        | st.frozensets(st.integers())
    ),
    max_leaves=30,
)


@given(value=VALUES, protocol=st.integers(0, 5))
def test_nothing_is_said_against_plain_values(value: Any, protocol: int) -> None:
    header = read(pickle.dumps(value, protocol))
    assert header.errors == ()
    assert header.complete


@given(data=STREAMS, cuts=st.lists(st.integers(1, 50), max_size=4))
def test_a_cut_stream_says_no_more_than_the_whole(data: bytes, cuts: list[int]) -> None:
    whole = {(use.module, use.name) for use in read(data).globals}
    for cut in cuts:
        part = {(use.module, use.name) for use in read(data[:-cut]).globals}
        # A line that the cut ends is a name of its own.
        assert len(part - whole) <= 1
