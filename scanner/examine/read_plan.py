"""How much of a header to read per request.

A safetensors file states the length of its header in its first eight bytes, and nearly every real
one fits into 128 KiB: one read. GGUF headers of 0.6 to 16 MB do not state their length: where
storage streams, one request goes on until the parser has enough; elsewhere reads are large.
"""

from typing import Final

from prefect_mutagen.parsers import Format

__all__ = ["STREAM", "first_read", "piece_size", "read_ahead"]

STREAM: Final = 32 << 20
"""Largest range of a streamed request; it is closed as soon as the parser has enough."""
_FIRST: Final[dict[Format, int]] = {"safetensors": 128 << 10, "gguf": 1 << 20}
_STEP: Final = 4 << 20
_PIECE: Final = 64 << 10
_LARGEST_PIECE: Final = 1 << 20


def read_ahead(promised: Format | None, start: int, upto: int) -> tuple[int, int]:
    """Return how far to read for a header.

    Args:
        promised: The format indicated by the file's name or first bytes.
        start: Offset of the first byte to read.
        upto: Offset up to which the parser needs bytes.

    Returns:
        The end of the range worth reading now, and the offset up to which bytes are needed before
        parsing can continue; 0 if the whole range is needed at once.
    """
    if (promised or "gguf") == "safetensors":
        return (upto if start else max(upto, _FIRST["safetensors"])), 0
    return max(upto, start + (_STEP if start else _FIRST["gguf"])), upto


def first_read(form: Format) -> int:
    """Return the size of the first read of a header."""
    return _FIRST[form]


def piece_size(position: int) -> int:
    """Return how much to read from a stream before the parser is called again.

    An eighth of what was read already: few calls for long headers, little excess for short ones.
    """
    return min(_LARGEST_PIECE, max(_PIECE, position // 8))
