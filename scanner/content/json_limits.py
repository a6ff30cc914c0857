"""Bound what parsing JSON takes before it is parsed: its size says little about that.

``[{},{},…`` takes fifty times its size in memory. Each value takes some 160 bytes, its key
included, and each text its length; both are bounded by what the bytes show without parsing.

Large tokenizers are honest all the same: 65,000 added tokens, as models of speech have them, are
half a million values. Nothing of these is used, so they are left out of a document that is beyond
the limit with them.
"""

import re
from typing import Final

__all__ = ["MEMORY_LIMIT", "VALUE_LIMIT", "json_memory", "json_problem", "without_added_tokens"]

VALUE_LIMIT: Final = 1 << 18
"""Most values of a document: containers and their members."""
MEMORY_LIMIT: Final = 56 << 20
"""Most bytes that a document may take while it is parsed, its own included."""
_VALUE_SIZE: Final = 160
_CONTINUATION: Final = bytes(range(0x80, 0xC0))
_WIDE: Final = re.compile(rb"[\xf0-\xff]")
_WIDE_ESCAPE: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_MEDIUM: Final = re.compile(rb"[\xc4-\xef]")
_STRING: Final = rb'"(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+"'
_SPACE: Final = rb"[ \t\r\n]*+"
_SCALAR: Final = rb"(?:true|false|null|0|[1-9][0-9]{0,17}+|" + _STRING + rb")"
_MEMBER: Final = _SPACE + _STRING + _SPACE + b":" + _SPACE + _SCALAR + _SPACE
_TOKEN: Final = rb"\{%b(?:,%b)*+\}" % (_MEMBER, _MEMBER)
_ENTRY: Final = _SPACE + _STRING + _SPACE + b":" + _SPACE + _TOKEN + _SPACE
_ADDED_TOKENS: Final = re.compile(
    rb'("added_tokens_decoder"%b:%b\{)%b(?:,%b)*+(?=\})' % (_SPACE, _SPACE, _ENTRY, _ENTRY)
)


def json_memory(raw: bytes) -> int:
    """Return a bound of the bytes that a document takes while it is parsed."""
    characters, width, in_values = len(raw), 1, 1
    if not raw.isascii():
        characters = len(raw.translate(None, delete=_CONTINUATION))
        width = 4 if _WIDE.search(raw) else 2 if _MEDIUM.search(raw) else 1
    if b"\\u" in raw:
        in_values = 4 if _WIDE_ESCAPE.search(raw) else 2
    return len(raw) + characters * (width + max(width, in_values)) + _VALUE_SIZE * _values(raw)


def json_problem(raw: bytes, memory: int) -> str:
    """Return a clause if a document is beyond the limits; empty if it is not.

    Args:
        raw: Its bytes.
        memory: What `json_memory` returned for it.
    """
    values = _values(raw)
    if values > VALUE_LIMIT:
        return f"it has about {values:,} values, and this tool reads at most {VALUE_LIMIT:,}"
    if memory > MEMORY_LIMIT:
        megabytes = MEMORY_LIMIT >> 20
        return f"parsing it takes more than the {megabytes} MB that this tool spends on a file"
    return ""


def without_added_tokens(raw: bytes) -> bytes:
    """Return a tokenizer's configuration without its table of added tokens, if that is plain."""
    return _ADDED_TOKENS.sub(rb"\1", raw, count=1)


def _values(raw: bytes) -> int:
    """Return at least the number of values: separators in texts count too."""
    return raw.count(b",") + raw.count(b"[") + raw.count(b"{")
