"""Examine one file of pickles by ranged reads."""

from collections.abc import Generator
from typing import Any

from prefect_mutagen.parsers.byte_ranges import ByteRange, NeedRanges
from prefect_mutagen.parsers.pickle import PickleHeader, read_pickle
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.requests import Parts, Read, Request, read
from prefect_mutagen.scanner.storage.store import StoredObject

__all__ = ["format_of_pickle", "read_pickles"]

_Reply = tuple[int, bytes] | StorageError


def read_pickles(item: StoredObject, data: bytes = b"") -> Generator[Request, Any, PickleHeader]:
    """Read one file of pickles; ranges that are needed at once are read concurrently.

    Args:
        item: The file, with its size.
        data: Its first bytes, if they have been read.

    Returns:
        What it states; its format is empty for a file that is no pickle.

    Raises:
        StorageError: A range could not be read.
    """
    reader = read_pickle(item.size)
    answer = reader.feed([(0, data)] if data else ())
    while isinstance(answer, NeedRanges):
        ranges = tuple(_read_range(item, part) for part in answer.ranges)
        replies: list[_Reply]
        replies = [(yield from ranges[0])] if len(ranges) == 1 else (yield Parts(ranges))
        received: list[tuple[int, bytes]] = []
        for reply in replies:
            if isinstance(reply, StorageError):
                raise reply
            received.append(reply)
        answer = reader.feed(received)
    return answer


def _read_range(item: StoredObject, part: ByteRange) -> Generator[Request, Any, _Reply]:
    """Read one range; an error is returned, so that it does not end its neighbours' reads."""
    try:
        reply = yield from read(Read(item, part.start, part.stop))
    except StorageError as problem:
        return problem
    return part.start, reply.data


def format_of_pickle(header: PickleHeader) -> str:
    """Return the name of the format for people: torch's three layouts are ``pytorch``."""
    return "pytorch" if header.format.startswith("torch-") else header.format or "unknown"
