"""Walk over the strings of a GGUF array: nearly all the work there is in a real header.

A tokenizer brings hundreds of thousands of length-prefixed strings. Nobody wants their text; the
reader only has to know where they end.
"""

from struct import Struct

__all__ = ["walk_strings"]

_PREFIXES = {
    ("little", 8): Struct("<Q"),
    ("big", 8): Struct(">Q"),
    ("little", 4): Struct("<I"),
    ("big", 4): Struct(">I"),
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
    prefix = _PREFIXES[order, width]
    length_at = prefix.unpack_from
    last_prefix = len(buffer) - width
    end = len(buffer)
    while count and at <= last_prefix:
        (length,) = length_at(buffer, at)
        after = at + width + length
        if after > end:
            break
        at = after
        count -= 1
    return at, count
