"""Map addresses to rows of a state, in 8 bytes per row.

Addresses are stored as hashes, salted per process. Rows are sorted by address, and so are most
listings: lookups in that order only compare with the next row. For other orders a sorted index is
built on first use, with 12 more bytes per row.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["AddressIndex", "sort_hashes"]

_NOTHING: Final = -1
"""A value that `hash` never returns."""


class AddressIndex:
    """The row of each address, for rows sorted by address."""

    def __init__(self) -> None:
        """Start without rows."""
        self._hashes = array("q")
        self._last = -1
        self._next = 0
        self._count = 0
        self._sorted: array[int] | None = None
        self._order = array("I")

    def __len__(self) -> int:
        """Return the number of addresses."""
        return self._count

    def extend(self, urls: Iterable[str | None]) -> list[tuple[int, int]]:
        """Append rows.

        Args:
            urls: Their addresses; None for a row that cannot be looked up.

        Returns:
            Duplicates: each row with the same address as the row before, and that row. Only the
            first of them can be looked up.
        """
        duplicates: list[tuple[int, int]] = []
        hashes, last = self._hashes, self._last
        for place, url in enumerate(urls, len(hashes)):
            code = _NOTHING if url is None else hash(url)
            if code == _NOTHING:
                hashes.append(_NOTHING)
            elif last >= 0 and hashes[last] == code:
                duplicates.append((place, last))
                hashes.append(_NOTHING)
            else:
                hashes.append(code)
                last = place
                self._count += 1
        self._last = last
        return duplicates

    def find(self, url: str) -> int | None:
        """Return the row of an address, None if there is none; hashes can collide."""
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
            self._sorted, self._order = sort_hashes(self._hashes)
        at = bisect_left(self._sorted, code)
        found = at < len(self._sorted) and self._sorted[at] == code
        return self._order[at] if found else None


def sort_hashes(codes: "array[int]") -> "tuple[array[int], array[int]]":
    """Sort hashes.

    Args:
        codes: Hashes, of type ``q``.

    Returns:
        The sorted hashes, and the original position of each (type ``I``).
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
