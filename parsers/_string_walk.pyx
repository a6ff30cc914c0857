# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""`walk_strings` of ``string_walk.py``, compiled; the same tests cover both.

Every length is checked against the end of the buffer before it is used.
"""

import sys

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy

cdef bint LITTLE_HOST = sys.byteorder == "little"


cdef inline uint64_t _swapped(uint64_t value, int width) noexcept nogil:
    cdef uint64_t result = 0
    cdef int n
    for n in range(width):
        result = (result << 8) | (value & 0xFF)
        value >>= 8
    return result


cdef inline uint64_t _number(const unsigned char* data, int width, bint swap) noexcept nogil:
    cdef uint64_t wide = 0
    cdef uint32_t narrow = 0
    if width == 8:
        memcpy(&wide, data, 8)
    else:
        memcpy(&narrow, data, 4)
        wide = narrow
    return _swapped(wide, width) if swap else wide


def walk_strings(
    const unsigned char[::1] buffer not None, Py_ssize_t at, Py_ssize_t count, str order, int width
):
    """Skip strings until the buffer holds no complete one; see ``string_walk.walk_strings``."""
    cdef Py_ssize_t end = buffer.shape[0]
    cdef bint swap = (order == "little") != LITTLE_HOST
    cdef const unsigned char* data
    cdef uint64_t length
    if at < 0 or (width != 8 and width != 4):
        raise ValueError("index or width out of range")
    if count <= 0 or at > end - width:
        return at, count
    data = &buffer[0]
    with nogil:
        if width == 8 and not swap:
            while count > 0 and at <= end - 8:
                memcpy(&length, data + at, 8)
                if length > <uint64_t>(end - at - 8):
                    break
                at += 8 + <Py_ssize_t>length
                count -= 1
        else:
            while count > 0 and at <= end - width:
                length = _number(data + at, width, swap)
                if length > <uint64_t>(end - at - width):
                    break
                at += width + <Py_ssize_t>length
                count -= 1
    return at, count
