"""Look for a second format behind a model: a bounded read of what follows its last tensor.

Sound models end with their last tensor and cost no request more. In a file that fits into the first
read, the end of the last tensor is looked at as well, mostly without a request of its own.
"""

from collections.abc import Generator
from dataclasses import replace
from typing import Any, Final

from prefect_mutagen.parsers import Format, GgufHeader, SafetensorsHeader, UnknownHeader
from prefect_mutagen.parsers.polyglot import TAIL_SIZE, find_second_format
from prefect_mutagen.parsers.rules import make_error
from prefect_mutagen.scanner.examine.read_plan import first_read
from prefect_mutagen.scanner.storage.requests import Read, Request, read
from prefect_mutagen.scanner.storage.store import StoredObject

__all__ = ["look_behind"]

_START: Final = 4 << 10
"""Bytes read of what follows the last tensor: a little padding and a magic number."""
_AT_ONCE: Final = 256 << 10
"""Longest end of a file that is read whole instead of its start and its end."""


_FromStart = GgufHeader | SafetensorsHeader | UnknownHeader
"""Headers of files that are read from their start; a pickle's reader looks at its end itself."""


def look_behind(
    item: StoredObject, header: _FromStart, last: tuple[int, bytes]
) -> Generator[Request, Any, _FromStart]:
    """Add a finding to a header if its file is something else as well.

    Args:
        item: The file, with its size.
        header: Its header.
        last: Offset and bytes of the last read.

    Returns:
        The header, with the finding if there is one.
    """
    if isinstance(header, UnknownHeader) or not header.complete:
        return header
    family: Format = "gguf" if isinstance(header, GgufHeader) else "safetensors"
    end = _end_of_data(header)
    # Bytes behind a safetensors file are an error already.
    if item.size > first_read(family) and (end >= item.size or family == "safetensors"):
        return header
    start = min(end, max(header.header_size, item.size - TAIL_SIZE))
    if item.size - start > _AT_ONCE:
        appended = yield from _read(item, end, end + _START, last)
        tail_start = item.size - TAIL_SIZE
        tail = yield from _read(item, tail_start, item.size, last)
    else:
        tail_start, tail = start, (yield from _read(item, start, item.size, last))
        appended = tail[max(0, end - start) :] if end < item.size else b""
        if len(tail) > TAIL_SIZE:
            tail_start, tail = item.size - TAIL_SIZE, tail[-TAIL_SIZE:]
    found = find_second_format((end, appended[:_START]), (tail_start, tail))
    if found is None:
        return header
    error = make_error(
        f"{family}/polyglot",
        offset=found.offset,
        field="end of file",
        expected="nothing but the model",
        found=found.description,
    )
    return replace(header, errors=(*header.errors, error))


def _end_of_data(header: _FromStart) -> int:
    end = header.header_size
    if isinstance(header, UnknownHeader):
        return end
    end += header.data_size
    return end + -end % header.alignment if isinstance(header, GgufHeader) else end


def _read(
    item: StoredObject, start: int, end: int, last: tuple[int, bytes]
) -> Generator[Request, Any, bytes]:
    """Return a range of the file, from the last read if that has all of it."""
    at, data = last
    if start >= end:
        return b""
    if at <= start and end <= at + len(data):
        return data[start - at : end - at]
    reply = yield from read(Read(item, start, end))
    return reply.data
