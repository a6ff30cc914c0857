"""Recognise a second format in a model file: what is appended, or hidden in its last bytes.

A ZIP archive is opened from its end, so a file may be a sound model and an archive. Programs,
scripts, pickles and other archives are run or unpacked by whoever cuts the model off. Loaders of
models do not notice any of them.

Reference: Python's ``zipfile._EndRecData``, which searches the last 64 KiB and 22 bytes. ``torch``
and ``unzip`` do the same.
"""

import struct
from typing import Final, NamedTuple

from prefect_mutagen.parsers.detect import HEAD_SIZE, identify

__all__ = ["TAIL_SIZE", "SecondFormat", "find_second_format"]

TAIL_SIZE: Final = (64 << 10) + 22
"""Last bytes of a file in which a ZIP archive is looked for: its longest comment and its record."""

_END_RECORD: Final = b"PK\x05\x06"
_END_FIELDS: Final = struct.Struct("<4H2LH")
_DIRECTORY_ENTRY: Final = b"PK\x01\x02"
_ZIP64_LOCATOR: Final = b"PK\x06\x07"
_ZIP64_LOCATOR_SIZE: Final = 20
_IN_ZIP64: Final = 0xFFFFFFFF
_LARGEST_DIRECTORY: Final = 64 << 20
"""Random bytes look like an end record once in 65,000 files; few of those state less than this."""
_KINDS: Final = ("archive", "executable", "web-page")
_PADDING: Final = b"\0 \t\r\n"


class SecondFormat(NamedTuple):
    """Another format that a model file has as well."""

    offset: int
    """Where it was recognised, in bytes from the start of the file."""
    description: str
    """Noun phrase for messages, such as ``a zip archive``."""


def find_second_format(appended: tuple[int, bytes], tail: tuple[int, bytes]) -> SecondFormat | None:
    """Find another format behind a model, or in its last bytes.

    Args:
        appended: Offset and first bytes of what follows the last tensor; no bytes if nothing does.
        tail: Offset and bytes of the end of the file, at most `TAIL_SIZE` of them.

    Returns:
        The format; None for zero bytes, for text, and for anything else that is not recognised.
    """
    start, data = appended
    inside = data.lstrip(_PADDING)
    start += len(data) - len(inside)
    if inside:
        content = identify(inside[:HEAD_SIZE], len(inside))
        if content.format is not None or content.kind in _KINDS:
            return SecondFormat(start, content.description)
        if inside.startswith(b"#!"):
            return SecondFormat(start, "a script")
    at = _find_end_record(tail[1])
    if at is None:
        return None
    return SecondFormat(tail[0] + at, "the directory of a zip archive, so that it opens as one")


def _find_end_record(tail: bytes) -> int | None:
    """Return where the end record of a ZIP archive starts; None without one."""
    at = len(tail)
    while (at := tail.rfind(_END_RECORD, 0, at)) >= 0:
        if at + 4 + _END_FIELDS.size <= len(tail) and _is_end_record(tail, at):
            return at
    return None


def _is_end_record(tail: bytes, at: int) -> bool:
    size: int
    offset: int
    *_, size, offset, _comment = _END_FIELDS.unpack_from(tail, at + 4)
    if _IN_ZIP64 in (size, offset):
        locator = at - _ZIP64_LOCATOR_SIZE
        return locator < 0 or tail.startswith(_ZIP64_LOCATOR, locator)
    if size > at:
        return size <= _LARGEST_DIRECTORY
    return size == 0 or tail.startswith(_DIRECTORY_ENTRY, at - size)
