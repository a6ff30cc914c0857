"""Whatever the bytes: other weights are read within the limits, and alike however they arrive."""

import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prefect_mutagen.parsers import other_weights, protobuf
from prefect_mutagen.parsers.byte_ranges import NeedRanges
from prefect_mutagen.parsers.other_weights import OtherWeightsHeader, read_other_weights
from tests.parsers.test_other_weights import HONEST, HOSTILE
from tests.parsers.weights_case import WeightsCase, read
from tests.parsers.weights_protobuf import varint

SMALL = [case for case in (*HONEST, *HOSTILE) if len(case.data) < 50_000]
CASES = st.sampled_from(SMALL)
NAMES = st.sampled_from(sorted({case.name for case in SMALL}))
EDITS = st.lists(
    st.tuples(st.floats(0, 1), st.binary(max_size=8), st.integers(0, 8)), min_size=1, max_size=5
)


@pytest.fixture(autouse=True)
def twin() -> None:
    """No compiled walk has a part in this: each test runs once."""


def _edited(data: bytes, edits: list[tuple[float, bytes, int]]) -> bytes:
    """Put bytes in the place of others, here and there."""
    for place, new, removed in edits:
        at = int(place * len(data))
        data = data[:at] + new + data[at + removed :]
    return data


def _told(header: OtherWeightsHeader) -> tuple[object, ...]:
    return (header.format, header.description, header.errors, header.tensors, header.complete)


@settings(max_examples=300, deadline=None)
@given(case=CASES, edits=EDITS)
def test_damage_is_told_and_never_raised(
    case: WeightsCase, edits: list[tuple[float, bytes, int]]
) -> None:
    data = _edited(case.data, edits)
    header = read(data, case.name)
    assert header.header_size <= 16 << 20
    for error in header.errors:
        assert 0 <= error.offset <= len(data), error
        assert str(error).isprintable()
    if any(error.code.endswith(("/unreadable", "/unexamined")) for error in header.errors):
        assert not header.complete
    assert bool(header.format) or not header.errors or not header.complete


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(case=CASES, edits=EDITS, window=st.integers(1, 64))
def test_reads_of_any_size_find_the_same(
    case: WeightsCase, edits: list[tuple[float, bytes, int]], window: int
) -> None:
    data = _edited(case.data, edits)[:4000]
    whole = read(data, case.name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(other_weights, "REQUEST_LIMIT", 1 << 30)
        patch.setattr(other_weights, "READ_LIMIT", 1 << 30)
        for name in ("_WHOLE", "_FIRST_WINDOW", "_AFTER_SKIP", "_LARGEST_WINDOW"):
            patch.setattr(protobuf, name, window)
        assert _told(read(data, case.name)) == _told(whole)


@settings(max_examples=150, deadline=None)
@given(case=CASES, cut=st.lists(st.integers(1, 5000), max_size=6))
def test_parts_in_any_pieces_are_taken(case: WeightsCase, cut: list[int]) -> None:
    reader = read_other_weights(len(case.data), case.name)
    answer = reader.feed(())
    while isinstance(answer, NeedRanges):
        parts: list[tuple[int, bytes]] = []
        for start, stop in answer.ranges:
            places = sorted({start, stop, *(start + size for size in cut if start + size < stop)})
            parts += [(first, case.data[first:last]) for first, last in pairwise(places)]
        answer = reader.feed(reversed(parts))
    assert _told(answer) == _told(read(case.data, case.name))


@settings(max_examples=200, deadline=None)
@given(
    fields=st.lists(
        st.tuples(st.integers(1, 30), st.sampled_from((0, 1, 2, 5, 3)), st.binary(max_size=40)),
        max_size=40,
    ),
    name=NAMES,
)
def test_messages_of_any_fields_are_read(fields: list[tuple[int, int, bytes]], name: str) -> None:
    data = b""
    for number, wire, value in fields:
        data += varint(number << 3 | wire)
        data += varint(len(value)) + value if wire == 2 else value[:8].ljust(8, b"\1")
    read(data, name)


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=3000), name=NAMES)
def test_any_bytes_are_read(data: bytes, name: str) -> None:
    read(data, name)


@pytest.mark.parametrize("case", HOSTILE, ids=lambda case: f"{case.form}-{case.id}")
def test_memory_is_bounded(case: WeightsCase) -> None:
    tracemalloc.start()
    read(case.data, case.name)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 << 20
