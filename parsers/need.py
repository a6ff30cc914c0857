"""The answer of a reader that cannot go on yet."""

from typing import NamedTuple

__all__ = ["NeedBytes"]


class NeedBytes(NamedTuple):
    """The reader has to see the file up to here before it can go on."""

    upto: int
    """Offset in the file, never past its end. It is what is certain to be needed: a string array
    of n elements asks for its n length prefixes first. Reading ahead of it is fine."""
