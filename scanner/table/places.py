"""Which row of a state an address has, in 8 bytes a row instead of the address itself.

Addresses are kept as their hashes, whose key is this process's own. Rows are sorted by address, and
listings mostly are too: whoever asks in that order gets the answer from the next row. A table for
others is made when it is needed, of 12 bytes more a row.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["Places", "in_order"]

_NOTHING: Final = -1
"""What `hash` never gives."""


class Places:
    """Which row an address has, of rows that are sorted by address."""

    def __init__(self) -> None:
        """Begin without rows."""
        self._hashes = array("q")
        self._last = -1
        self._next = 0
        self._count = 0
        self._sorted: array[int] | None = None
        self._order = array("I")

    def __len__(self) -> int:
        """Count the addresses."""
        return self._count

    def extend(self, urls: Iterable[str | None]) -> list[tuple[int, int]]:
        """Take the next rows.

        Args:
            urls: Their addresses; None for a row that no address has.

        Returns:
            Each row whose address was that of the row before, with that row: it is not found, the
            first one is.
        """
        twins: list[tuple[int, int]] = []
        hashes, last = self._hashes, self._last
        for place, url in enumerate(urls, len(hashes)):
            code = _NOTHING if url is None else hash(url)
            if code == _NOTHING:
                hashes.append(_NOTHING)
            elif last >= 0 and hashes[last] == code:
                twins.append((place, last))
                hashes.append(_NOTHING)
            else:
                hashes.append(code)
                last = place
                self._count += 1
        self._last = last
        return twins

    def find(self, url: str) -> int | None:
        """Give the row of an address, or by a rare chance that of another one; None without."""
        code, place = hash(url), self._next
        if place >= len(self._hashes) or self._hashes[place] != code:
            found = self._search(code)
            if found is None:
                return None
            place = found
        self._next = place + 1
        return place

    def _search(self, code: int) -> int | None:
        if self._sorted is None:
            self._sorted, self._order = in_order(self._hashes)
        at = bisect_left(self._sorted, code)
        found = at < len(self._sorted) and self._sorted[at] == code
        return self._order[at] if found else None


def in_order(codes: "array[int]") -> "tuple[array[int], array[int]]":
    """Sort hashes.

    Args:
        codes: Hashes, of type ``q``.

    Returns:
        The hashes sorted, and for each the place it had (type ``I``).
    """
    buffer = pa.py_buffer(codes.tobytes())
    unsorted = pa.Array.from_buffers(pa.int64(), len(codes), [None, buffer])
    order = pc.cast(pc.array_sort_indices(unsorted), pa.uint32())
    return array("q", _bytes(unsorted.take(order))), array("I", _bytes(order))


def _bytes(numbers: "pa.Array[Any]") -> bytes:
    buffer = numbers.buffers()[1]
    assert buffer is not None  # noqa: S101 - numbers always have one
    start = numbers.offset * numbers.type.bit_width // 8
    return buffer.to_pybytes()[start : start + len(numbers) * numbers.type.bit_width // 8]
