"""Walk over the strings of a GGUF array: nearly all the work there is in a real header.

A tokenizer brings hundreds of thousands of length-prefixed strings. Nobody wants their text; the
reader only has to know where they end.
"""

import struct
from typing import Final

__all__ = ["walk_strings"]

_BATCH: Final = 1024
_PREFIXES: Final = {
    ("little", 8): struct.Struct("<Q"),
    ("big", 8): struct.Struct(">Q"),
    ("little", 4): struct.Struct("<I"),
    ("big", 4): struct.Struct(">I"),
}


def walk_strings(
    buffer: bytes | bytearray, at: int, count: int, order: str, width: int
) -> tuple[int, int]:
    """Step over strings as long as whole ones are here.

    Args:
        buffer: Bytes that hold the strings.
        at: Index of the first length prefix.
        count: How many strings to step over.
        order: Byte order of the prefixes, ``little`` or ``big``.
        width: Bytes of a prefix: 8, or 4 in version 1.

    Returns:
        The index behind the last whole string, and how many of the ``count`` are left.
    """
    length_at = _PREFIXES[order, width].unpack_from
    end = len(buffer)
    while count >= _BATCH:
        # Run ahead without looking; a batch that ran over the end is walked again, with care.
        ahead = at
        try:
            for _ in range(_BATCH):
                ahead += length_at(buffer, ahead)[0] + width
        except (struct.error, OverflowError):
            break
        if ahead > end:
            break
        at = ahead
        count -= _BATCH
    while count and at <= end - width:
        after = at + width + length_at(buffer, at)[0]
        if after > end:
            break
        at = after
        count -= 1
    return at, count
