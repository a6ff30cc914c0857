"""Pickles that stand as a text inside of another: base64 or hexadecimal digits.

Loading the outer pickle does not load the inner one; whoever decodes the text and loads it does.
"""

import binascii
import re
from collections.abc import Callable
from typing import Final

__all__ = ["ENCODED", "ENCODED_LIMIT", "decoded_pickle"]

ENCODED: Final = (b"gA", b"80", b"\\x")
"""How base64 and hexadecimal digits of a stream of protocol 2 or later begin."""
ENCODED_LIMIT: Final = 64 << 10
"""Longest text, in bytes, that is decoded."""
_OPENING: Final = re.compile(rb"\x80[\x02-\x05]")
_ESCAPES: Final = re.compile(rb"(?:\\x[0-9a-fA-F]{2})+")
_SPACE: Final = bytes.maketrans(b"-_", b"+/")
_LEAST: Final = 8


def decoded_pickle(text: bytes) -> bytes:
    """Return the pickle that a text encodes; empty if it encodes none.

    Args:
        text: The text, possibly cut off.
    """
    plain = b"".join(text.strip(b"'\"").split())
    decoders: tuple[Callable[[bytes], bytes], ...] = (_from_hex, _from_base64)
    for decode in decoders:
        try:
            data = decode(plain)
        except (binascii.Error, ValueError):
            continue
        if len(data) >= _LEAST and _OPENING.match(data):
            return data
    return b""


def _from_hex(text: bytes) -> bytes:
    if _ESCAPES.fullmatch(text):
        text = text.replace(b"\\x", b"")
    return binascii.unhexlify(text[: len(text) & ~1])


def _from_base64(text: bytes) -> bytes:
    whole = text.rstrip(b"=").translate(_SPACE)
    whole = whole[: len(whole) - (len(whole) % 4 == 1)]
    return binascii.a2b_base64(whole + b"=" * (-len(whole) % 4), strict_mode=True)
