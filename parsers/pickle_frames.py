"""The streams that a walk is in: each with its machine, and where it has to have ended."""

from typing import Any, NamedTuple

from prefect_mutagen.parsers.byte_sources import Memory, Source
from prefect_mutagen.parsers.pickle_arguments import Broken
from prefect_mutagen.parsers.pickle_machine import Machine

__all__ = ["Cut", "Frame", "Peek", "StreamEnd"]


class StreamEnd(NamedTuple):
    """How a stream came to its end."""

    at: int
    """Offset behind its last opcode, or of the opcode that cannot be followed."""
    whole: bool
    """Whether it came to STOP."""
    result: Any
    """Stand-in for the object that it makes; None without STOP."""
    cut: bool = False
    """Whether it was cut off by the end of the bytes."""


class Cut(Broken):
    """The bytes end before the stream does."""


class Frame:
    """A stream that is being walked, and what follows it."""

    __slots__ = ("inline", "machine", "stop")

    def __init__(self, machine: Machine, stop: int, *, inline: bool = False) -> None:
        """Start at the walk's position; ``stop`` is where the stream has to have ended."""
        self.machine, self.stop = machine, stop
        self.inline = inline
        """Whether the outer stream goes on behind its STOP, not behind a byte string."""


class Peek(Memory):
    """Bytes that were read ahead of the walk."""

    __slots__ = ("_outer", "_outer_at")

    def __init__(self, data: bytes, outer: Source, at: int) -> None:
        """Hold bytes that stand at an offset of another source."""
        super().__init__(data, 0, outer.label)
        self._outer, self._outer_at = outer, at

    def locate(self, offset: int) -> int:
        """Return the file offset of a byte; see `Source`."""
        return self._outer.locate(self._outer_at + offset)
