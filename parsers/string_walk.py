"""Skip the strings of a GGUF array: nearly all the work in a real header.

A tokenizer has hundreds of thousands of length-prefixed strings. Their text is not needed; the
reader only has to find where they end.
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
    """Skip strings until the buffer holds no further complete one.

    Args:
        buffer: Bytes that hold the strings.
        at: Index of the first length prefix.
        count: Number of strings to skip.
        order: Byte order of the prefixes, ``little`` or ``big``.
        width: Size of a prefix in bytes: 8, or 4 in version 1.

    Returns:
        The index after the last complete string, and how many of the ``count`` remain.
    """
    length_at = _PREFIXES[order, width].unpack_from
    end = len(buffer)
    while count >= _BATCH:
        # Skip a batch without bounds checks; a batch that overruns the buffer is redone below.
        batch_end = at
        try:
            for _ in range(_BATCH):
                batch_end += length_at(buffer, batch_end)[0] + width
        except (struct.error, OverflowError):
            break
        if batch_end > end:
            break
        at = batch_end
        count -= _BATCH
    while count and at <= end - width:
        next_at = at + width + length_at(buffer, at)[0]
        if next_at > end:
            break
        at = next_at
        count -= 1
    return at, count
