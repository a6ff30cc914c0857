"""Drive a header reader over bytes, whole or in pieces."""

from collections.abc import Iterable

from prefect_mutagen.parsers import Format, Header, NeedBytes, read_header


def read(data: bytes, expected: Format | None = None, pieces: Iterable[int] = ()) -> Header:
    """Read a header; ``pieces`` are the sizes of the first feeds, the rest comes at once."""
    reader = read_header(len(data), expected)
    answer = reader.feed(b"")
    sizes = iter(pieces)
    while isinstance(answer, NeedBytes):
        assert reader.position < answer.upto <= len(data)
        size = next(sizes, len(data))
        answer = reader.feed(data[reader.position : reader.position + size])
    return answer
