"""How much of a header to ask for at a time.

A safetensors header is announced in its first eight bytes, and nearly every real one fits into
128 KiB: one read. A GGUF header of 0.6 to 16 MB announces nothing, so it is taken as it comes:
where storage streams, one request goes on until the parser has enough; elsewhere large steps.
"""

from typing import Final

from prefect_mutagen.parsers import Format

__all__ = ["STREAM", "piece_size", "read_ahead"]

STREAM: Final = 32 << 20
"""Bytes that a streamed request asks for at most; it is left as soon as there is enough."""
_FIRST: Final = {"safetensors": 128 << 10, "gguf": 1 << 20}
_STEP: Final = 4 << 20
_PIECE: Final = 64 << 10
_LARGEST_PIECE: Final = 1 << 20


def read_ahead(promised: Format | None, start: int, upto: int) -> tuple[int, int]:
    """Say which bytes of a header to ask for.

    Args:
        promised: The format that the file's name or its first bytes promise.
        start: Offset of the first byte that is wanted.
        upto: Offset up to which the parser needs bytes.

    Returns:
        The offset behind the last byte that is worth having now, and the one up to which bytes
        must come before anything can go on; 0 where the whole range is wanted at once.
    """
    if (promised or "gguf") == "safetensors":
        return (upto if start else max(upto, _FIRST["safetensors"])), 0
    return max(upto, start + (_STEP if start else _FIRST["gguf"])), upto


def piece_size(position: int) -> int:
    """Say how much to take from a stream before the parser is asked again.

    An eighth of what was taken already: few turns for long headers, little too much for short ones.
    """
    return min(_LARGEST_PIECE, max(_PIECE, position // 8))
