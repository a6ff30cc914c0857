"""What a case of a file of other weights is, and how it is read."""

from dataclasses import dataclass

from prefect_mutagen.parsers.byte_ranges import NeedRanges
from prefect_mutagen.parsers.other_weights import (
    OtherWeightsHeader,
    OtherWeightsReader,
    read_other_weights,
)

RUNS = "weights/runs-code"
OUTSIDE = "weights/outside-path"
CUSTOM = "weights/custom-operator"
UNREADABLE = "weights/unreadable"
UNEXAMINED = "weights/unexamined"
TRUNCATED = "weights/truncated"


@dataclass(frozen=True)
class WeightsCase:
    """One file and what has to be said about it."""

    id: str
    name: str
    data: bytes
    form: str
    codes: frozenset[str] = frozenset()
    description: str = ""
    complete: bool = True
    pickles: bool = False


def bad(id: str, name: str, data: bytes, form: str, *codes: str) -> WeightsCase:  # noqa: A002 - as pytest calls it
    """Return a case of which something has to be said."""
    return WeightsCase(id, name, data, form, frozenset(codes))


def read(data: bytes, name: str) -> OtherWeightsHeader:
    """Read a file that is at hand."""
    return drive(data, read_other_weights(len(data), name))


def drive(data: bytes, reader: OtherWeightsReader) -> OtherWeightsHeader:
    """Serve a reader, and check that it asks for what there is."""
    answer = reader.feed(())
    while isinstance(answer, NeedRanges):
        last = -1
        for part in answer.ranges:
            assert last < part.start < part.stop <= len(data)
            last = part.stop
        answer = reader.feed([(part.start, data[part.start : part.stop]) for part in answer.ranges])
    return answer
