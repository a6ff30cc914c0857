"""The result of a reader that needs more input."""

from typing import NamedTuple

__all__ = ["NeedBytes"]


class NeedBytes(NamedTuple):
    """The reader cannot continue before it has the file's bytes up to an offset."""

    upto: int
    """File offset, never past the end of the file. It is a lower bound: an array of n strings first
    requests only the bytes of n length prefixes. Callers may read ahead."""
