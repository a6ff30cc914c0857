"""Read pickles, and weights in formats that are named and not judged, by ranges."""

from collections.abc import Collection, Generator, Iterable
from dataclasses import replace
from typing import Any, Final, Protocol, TypeVar

from prefect_mutagen.parsers.byte_ranges import ByteRange, NeedRanges
from prefect_mutagen.parsers.other_weights import OtherWeightsHeader, read_other_weights
from prefect_mutagen.parsers.pickle import PickleHeader, read_pickle
from prefect_mutagen.scanner.listing.roles import role_of
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.requests import Parts, Read, Request, read
from prefect_mutagen.scanner.storage.store import StoredObject

__all__ = ["format_of_loose", "is_judged", "read_loose"]

_H_co = TypeVar("_H_co", bound=PickleHeader | OtherWeightsHeader, covariant=True)
_PROVEN: Final = frozenset({"pickle/forbidden-global", "pickle/undecided-global"})
_Reply = tuple[int, bytes] | StorageError


class _Reader(Protocol[_H_co]):
    def feed(self, parts: Iterable[tuple[int, bytes]]) -> NeedRanges | _H_co: ...


def read_loose(
    item: StoredObject, allowed: Collection[str] = (), data: bytes = b""
) -> Generator[Request, Any, PickleHeader | OtherWeightsHeader]:
    """Read a file of pickles, or of weights in a format that is named only.

    Its name says what is looked for first; its content decides.

    Args:
        item: The file, with its size.
        allowed: Globals that are trusted besides those that are harmless, each ``module.name``.
        data: Its first bytes, if they have been read.

    Returns:
        What it states; its format is empty for a file that is neither.

    Raises:
        StorageError: A range could not be read.
    """
    if role_of(item.name) == "pickle":
        pickled = yield from _read(item, read_pickle(item.size, allowed), data)
        if pickled.format and pickled.format not in ("zip", "tar"):
            return pickled
        other = yield from _read(item, read_other_weights(item.size, item.name), data)
        return other if other.format else pickled
    other = yield from _read(item, read_other_weights(item.size, item.name), data)
    if other.format and not other.holds_pickles:
        return other
    pickled = yield from _read(item, read_pickle(item.size, allowed), data)
    if not other.format:
        is_one = pickled.complete or any(error.code in _PROVEN for error in pickled.errors)
        return pickled if pickled.format and is_one else other
    return _joined(other, pickled) if pickled.format else other


def _joined(other: OtherWeightsHeader, pickled: PickleHeader) -> OtherWeightsHeader:
    """Return the header of a container with what its pickles state."""
    return replace(
        other,
        tensors=other.tensors or pickled.tensors,
        errors=(*other.errors, *pickled.errors),
        complete=other.complete and pickled.complete,
        header_size=other.header_size + pickled.header_size,
    )


def _read(
    item: StoredObject, reader: _Reader[_H_co], data: bytes
) -> Generator[Request, Any, _H_co]:
    """Read what a reader asks for; ranges that are needed at once are read concurrently."""
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


def is_judged(header: PickleHeader | OtherWeightsHeader) -> bool:
    """Whether what a file would run is known from its content, and decides about it."""
    return isinstance(header, PickleHeader) and bool(header.format)


def format_of_loose(header: PickleHeader | OtherWeightsHeader) -> str:
    """Return the name of the format for people: torch's three layouts are ``pytorch``."""
    if header.format.startswith("torch-"):
        return "pytorch"
    return header.format or "unknown"
