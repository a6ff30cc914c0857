# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The two walks that are nearly all the work there is in a header, compiled.

* `walk_strings` steps over the strings of a GGUF array.
* `TensorColumns` reads the members of a safetensors header that are written in the usual form.

Both do exactly what their twins in ``string_walk.py`` and ``tensor_columns.py`` do, and are held by
the same tests. They trust nothing: every index is compared with the end of the buffer before it is
used, every product before it is formed, and where anything is unusual they stop and leave the rest
to Python. What a walk remembers per tensor is one `Row`, and a slot to find its name again.
"""

import os
import sys

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport UINT64_MAX, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport qsort
from libc.string cimport memcmp, memcpy, memset

from prefect_mutagen.parsers.tensor import TensorInfo
from prefect_mutagen.parsers.tensor_columns import (
    COUNT_LIMIT as _COUNT_LIMIT,
    DTYPE_BITS,
    ENDED as _ENDED,
    SHAPE_LIMIT as _SHAPE_LIMIT,
    UNUSUAL as _UNUSUAL,
)

cdef bint LITTLE_HOST = sys.byteorder == "little"


cdef inline uint64_t _swapped(uint64_t value, int width) noexcept nogil:
    cdef uint64_t result = 0
    cdef int n
    for n in range(width):
        result = (result << 8) | (value & 0xFF)
        value >>= 8
    return result


def walk_strings(
    const unsigned char[::1] buffer not None, Py_ssize_t at, Py_ssize_t count, str order, int width
):
    """Step over strings as long as whole ones are here; see ``string_walk.walk_strings``."""
    cdef Py_ssize_t end = buffer.shape[0]
    cdef bint swap = (order == "little") != LITTLE_HOST
    cdef const unsigned char* data
    cdef uint64_t length
    if at < 0 or (width != 8 and width != 4):
        raise ValueError("no place, or no width, to start from")
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


cdef inline uint64_t _number(const unsigned char* data, int width, bint swap) noexcept nogil:
    cdef uint64_t wide = 0
    cdef uint32_t narrow = 0
    if width == 8:
        memcpy(&wide, data, 8)
    else:
        memcpy(&narrow, data, 4)
        wide = narrow
    return _swapped(wide, width) if swap else wide


# --- safetensors -----------------------------------------------------------------------------

cdef enum:
    MOST_DTYPES = 32
    LONGEST_DTYPE = 16
    ODD = 255
    DIGIT_ZERO = 48

cdef int ENDED = _ENDED
cdef int UNUSUAL = _UNUSUAL
cdef Py_ssize_t COUNT_LIMIT = _COUNT_LIMIT
cdef Py_ssize_t SHAPE_LIMIT = _SHAPE_LIMIT
# Names are found again by a hash; a seed that nobody knows keeps anybody from piling them up.
cdef uint64_t SEED = int.from_bytes(os.urandom(8), "little")

cdef tuple DTYPE_NAMES = tuple(DTYPE_BITS)
cdef char DTYPE_TEXT[MOST_DTYPES][LONGEST_DTYPE]
cdef Py_ssize_t DTYPE_LENGTH[MOST_DTYPES]
cdef uint64_t DTYPE_WIDTH[MOST_DTYPES]
cdef int DTYPE_COUNT = len(DTYPE_NAMES)


cdef _prepare_dtypes():
    cdef int n
    cdef bytes text
    if DTYPE_COUNT > MOST_DTYPES:
        raise RuntimeError("more dtypes than the walk has room for")
    for n, name in enumerate(DTYPE_NAMES):
        text = name.encode()
        if len(text) > LONGEST_DTYPE:
            raise RuntimeError("a dtype with a longer name than the walk has room for")
        memcpy(DTYPE_TEXT[n], PyBytes_AS_STRING(text), len(text))
        DTYPE_LENGTH[n] = len(text)
        DTYPE_WIDTH[n] = DTYPE_BITS[name]


_prepare_dtypes()


cdef struct Row:
    uint64_t begin
    uint64_t end
    uint64_t count
    uint64_t hash
    const char* name  # into the header, or into a name kept in `_kept`
    uint32_t name_length
    uint32_t shape_at
    uint32_t shape_length
    uint32_t offsets_at
    uint8_t dtype


cdef struct Place:
    uint64_t begin
    uint64_t end
    Py_ssize_t index


cdef int _compare_places(const void* one, const void* other) noexcept nogil:
    cdef const Place* a = <const Place*>one
    cdef const Place* b = <const Place*>other
    if a.begin != b.begin:
        return -1 if a.begin < b.begin else 1
    if a.end != b.end:
        return -1 if a.end < b.end else 1
    return -1 if a.index < b.index else 1


cdef inline uint64_t _hash(const char* text, Py_ssize_t length) noexcept nogil:
    cdef uint64_t value = SEED ^ <uint64_t>length
    cdef uint64_t piece
    while length >= 8:
        memcpy(&piece, text, 8)
        value = (value ^ piece) * <uint64_t>0x9E3779B97F4A7C15
        value ^= value >> 32
        text += 8
        length -= 8
    piece = 0
    memcpy(&piece, text, length)
    value = (value ^ piece) * <uint64_t>0x9E3779B97F4A7C15
    return value ^ (value >> 29)


cdef inline bint _is_blank(char letter) noexcept nogil:
    return letter == b" " or letter == b"\n" or letter == b"\t" or letter == b"\r"


cdef struct Cursor:
    const char* data
    Py_ssize_t at
    Py_ssize_t stop


cdef inline bint _sign(Cursor* cursor, char sign) noexcept nogil:
    """Move over white space and this sign."""
    while cursor.at < cursor.stop and _is_blank(cursor.data[cursor.at]):
        cursor.at += 1
    if cursor.at >= cursor.stop or cursor.data[cursor.at] != sign:
        return False
    cursor.at += 1
    return True


cdef inline bint _word(Cursor* cursor, const char* word, Py_ssize_t length) noexcept nogil:
    """Move over white space, this word in quotes, and a colon; stay where it is another word."""
    cdef Py_ssize_t start = cursor.at
    if _sign(cursor, b'"') and cursor.stop - cursor.at > length:
        if (
            memcmp(cursor.data + cursor.at, word, length) == 0
            and cursor.data[cursor.at + length] == b'"'
        ):
            cursor.at += length + 1
            return _sign(cursor, b":")
    cursor.at = start
    return False


cdef inline bint _integer(Cursor* cursor, uint64_t* value) noexcept nogil:
    """Move over white space and a number of at most 19 digits, which always fits."""
    cdef Py_ssize_t start
    cdef uint64_t number = 0
    cdef char digit
    while cursor.at < cursor.stop and _is_blank(cursor.data[cursor.at]):
        cursor.at += 1
    start = cursor.at
    while cursor.at < cursor.stop and cursor.at - start < 20:
        digit = cursor.data[cursor.at]
        if digit < b"0" or digit > b"9":
            break
        number = number * 10 + <uint64_t>(digit - DIGIT_ZERO)
        cursor.at += 1
    if cursor.at == start or cursor.at - start > 19:
        return False
    if cursor.data[start] == b"0" and cursor.at - start > 1:
        return False
    value[0] = number
    return True


cdef inline bint _dtype(Cursor* cursor, uint8_t* dtype) noexcept nogil:
    """Move over a dtype in quotes; most of the time it is the same as before."""
    cdef Py_ssize_t start, length
    cdef int n = dtype[0]
    if not _sign(cursor, b'"'):
        return False
    start = cursor.at
    while cursor.at < cursor.stop and cursor.data[cursor.at] != b'"':
        cursor.at += 1
    length = cursor.at - start
    if cursor.at >= cursor.stop:
        return False
    cursor.at += 1
    if length == DTYPE_LENGTH[n] and memcmp(cursor.data + start, DTYPE_TEXT[n], length) == 0:
        return True
    for n in range(DTYPE_COUNT):
        if length == DTYPE_LENGTH[n] and memcmp(cursor.data + start, DTYPE_TEXT[n], length) == 0:
            dtype[0] = <uint8_t>n
            return True
    return False


cdef inline bint _shape(Cursor* cursor, uint64_t* count) noexcept nogil:
    """Move over numbers and the closing bracket, and multiply without overflow."""
    cdef uint64_t total = 1
    cdef uint64_t dim = 0
    if _sign(cursor, b"]"):
        count[0] = total
        return True
    while True:
        if not _integer(cursor, &dim):
            return False
        if dim != 0 and total > UINT64_MAX / dim:
            return False
        total *= dim
        if _sign(cursor, b"]"):
            count[0] = total
            return True
        if not _sign(cursor, b","):
            return False


cdef class TensorColumns:
    """The tensors that were read so far; see ``tensor_columns.TensorColumns``."""

    cdef bytes _raw
    cdef Py_ssize_t _stop
    cdef Row* _rows
    cdef Py_ssize_t _length
    cdef Py_ssize_t _room
    cdef uint32_t* _slots  # number of a row and 1, where its name's hash leads
    cdef uint64_t _mask
    cdef bint _ordered  # each tensor begins where the one before ends
    cdef uint64_t _parameters_low
    cdef uint64_t _parameters_high
    cdef readonly uint64_t data_end
    cdef dict _odd
    cdef list _kept

    def __cinit__(self, bytes raw not None, Py_ssize_t stop):
        if stop > PyBytes_GET_SIZE(raw):
            raise ValueError("the header ends behind its bytes")
        self._raw = raw
        self._stop = stop
        self._ordered = True
        self._odd = {}
        self._kept = []
        # A member has some 110 bytes; a guess that is too small only grows once or twice.
        self._room = min(max(stop // 110, 8), COUNT_LIMIT)
        self._rows = <Row*>PyMem_Malloc(self._room * sizeof(Row))
        if self._rows == NULL:
            raise MemoryError
        self._make_slots(self._room)

    def __dealloc__(self):
        PyMem_Free(self._rows)
        PyMem_Free(self._slots)

    cdef int _make_slots(self, Py_ssize_t rows) except -1:
        """Make room to find this many rows by name, and enter those that are there."""
        cdef uint64_t size = 16
        cdef uint32_t* slots
        cdef uint64_t slot
        cdef Py_ssize_t n
        while size < 2 * <uint64_t>rows:
            size *= 2
        slots = <uint32_t*>PyMem_Malloc(size * sizeof(uint32_t))
        if slots == NULL:
            raise MemoryError
        memset(slots, 0, size * sizeof(uint32_t))
        PyMem_Free(self._slots)
        self._slots = slots
        self._mask = size - 1
        for n in range(self._length):
            slot = self._rows[n].hash & self._mask
            while slots[slot] != 0:
                slot = (slot + 1) & self._mask
            slots[slot] = <uint32_t>(n + 1)
        return 0

    cdef int _grow(self) except -1:
        cdef Py_ssize_t room = self._room + self._room // 2 + 8
        cdef Row* rows = <Row*>PyMem_Realloc(self._rows, room * sizeof(Row))
        if rows == NULL:
            raise MemoryError
        self._rows = rows
        self._room = room
        self._make_slots(room)
        return 0

    cdef bint _finds(self, const char* name, Py_ssize_t length, uint64_t hashed) noexcept nogil:
        cdef uint64_t slot = hashed & self._mask
        cdef Row* row
        while self._slots[slot] != 0:
            row = &self._rows[self._slots[slot] - 1]
            if (
                row.hash == hashed
                and row.name_length == <uint32_t>length
                and memcmp(row.name, name, length) == 0
            ):
                return True
            slot = (slot + 1) & self._mask
        return False

    cdef void _enter(self, Row* row) noexcept nogil:
        """Add a row for which there is room."""
        cdef uint64_t slot = row.hash & self._mask
        cdef uint64_t expected = self._rows[self._length - 1].end if self._length else 0
        self._rows[self._length] = row[0]
        self._length += 1
        while self._slots[slot] != 0:
            slot = (slot + 1) & self._mask
        self._slots[slot] = <uint32_t>self._length
        if row.begin != expected:
            self._ordered = False
        if row.end > self.data_end:
            self.data_end = row.end

    cdef void _count(self, uint64_t parameters) noexcept nogil:
        self._parameters_low += parameters
        if self._parameters_low < parameters:
            self._parameters_high += 1

    cdef bint _read_fields(self, Cursor* cursor, Row* row, uint8_t* dtype) noexcept nogil:
        """Read the three fields, in any order, and the closing brace."""
        cdef int seen = 0
        while True:
            if seen & 1 == 0 and _word(cursor, "dtype", 5):
                if not _dtype(cursor, dtype):
                    return False
                row.dtype = dtype[0]
                seen |= 1
            elif seen & 2 == 0 and _word(cursor, "shape", 5):
                if not _sign(cursor, b"["):
                    return False
                row.shape_at = <uint32_t>cursor.at
                if not _shape(cursor, &row.count) or cursor.at - row.shape_at - 1 > SHAPE_LIMIT:
                    return False
                row.shape_length = <uint32_t>(cursor.at - row.shape_at - 1)
                seen |= 2
            elif seen & 4 == 0 and _word(cursor, "data_offsets", 12):
                row.offsets_at = <uint32_t>cursor.at
                if (
                    not _sign(cursor, b"[")
                    or not _integer(cursor, &row.begin)
                    or not _sign(cursor, b",")
                    or not _integer(cursor, &row.end)
                    or not _sign(cursor, b"]")
                ):
                    return False
                seen |= 4
            else:
                return False
            if seen == 7:
                return _sign(cursor, b"}")
            if not _sign(cursor, b","):
                return False

    cdef bint _read(self, Cursor* cursor, Row* row, uint8_t* dtype, char* closing) noexcept nogil:
        """Read one member; False when anything about it is unusual."""
        cdef const char* data = cursor.data
        cdef Py_ssize_t start
        cdef uint64_t bits
        if not _sign(cursor, b'"'):
            return False
        start = cursor.at
        while cursor.at < cursor.stop and data[cursor.at] != b'"':
            if data[cursor.at] == b"\\" or <unsigned char>data[cursor.at] < 0x20:
                return False
            cursor.at += 1
        if cursor.at >= cursor.stop:
            return False
        row.name = data + start
        row.name_length = <uint32_t>(cursor.at - start)
        cursor.at += 1
        if not _sign(cursor, b":") or not _sign(cursor, b"{"):
            return False
        if not self._read_fields(cursor, row, dtype):
            return False
        if _sign(cursor, b","):
            closing[0] = b","
        elif _sign(cursor, b"}"):
            closing[0] = b"}"
        else:
            return False
        if row.count > UINT64_MAX / DTYPE_WIDTH[row.dtype]:
            return False
        bits = row.count * DTYPE_WIDTH[row.dtype]
        if bits % 8 != 0 or row.end < row.begin or row.end - row.begin != bits / 8:
            return False
        return row.name_length != 12 or memcmp(row.name, "__metadata__", 12) != 0

    def walk(self, Py_ssize_t at):
        """Read members as long as they are sound tensors in the usual form."""
        cdef Cursor cursor
        cdef Row row
        cdef uint8_t dtype = 0
        cdef char closing = 0
        if at < 0:
            raise ValueError("no place to start from")
        cursor.data = PyBytes_AS_STRING(self._raw)
        cursor.stop = self._stop
        while self._length < COUNT_LIMIT:
            if self._length == self._room:
                self._grow()
            cursor.at = at
            if not self._read(&cursor, &row, &dtype, &closing):
                return at, UNUSUAL
            row.hash = _hash(row.name, row.name_length)
            if self._finds(row.name, row.name_length, row.hash):
                return at, UNUSUAL
            self._enter(&row)
            self._count(row.count)
            at = cursor.at
            if closing == b"}":
                return at, ENDED
        return at, UNUSUAL

    def knows(self, bytes name not None):
        """Say whether a tensor of this name, in UTF-8, was read."""
        cdef const char* text = PyBytes_AS_STRING(name)
        cdef Py_ssize_t length = PyBytes_GET_SIZE(name)
        return self._finds(text, length, _hash(text, length))

    def append(self, info, Py_ssize_t offsets_at):
        """Add a tensor that was read elsewhere; ``offsets_at`` is where its data_offsets stand."""
        cdef bytes name = info.name.encode()
        cdef Row row
        if self._length == self._room:
            self._grow()
        self._kept.append(name)
        memset(&row, 0, sizeof(Row))
        row.name = PyBytes_AS_STRING(name)
        row.name_length = <uint32_t>PyBytes_GET_SIZE(name)
        row.hash = _hash(row.name, row.name_length)
        row.begin = info.offset
        row.end = info.offset + info.size
        row.dtype = ODD
        row.offsets_at = <uint32_t>offsets_at
        self._odd[self._length] = info
        self._enter(&row)
        self._count(info.parameters)

    def __len__(self):
        """Count the tensors."""
        return self._length

    @property
    def parameters(self):
        """Number of elements of all tensors."""
        return (<object>self._parameters_high << 64) + self._parameters_low

    cdef Row* _row(self, Py_ssize_t index) except NULL:
        if index < 0 or index >= self._length:
            raise IndexError(index)
        return &self._rows[index]

    def offsets_at(self, Py_ssize_t index):
        """Give an index at, or shortly before, a tensor's data_offsets."""
        return self._row(index).offsets_at

    def first_misplaced(self):
        """Find the first tensor, in the order of the data, that does not start where it should."""
        cdef Place* places
        cdef Py_ssize_t n
        cdef uint64_t position = 0
        if self._ordered:
            return None
        places = <Place*>PyMem_Malloc(self._length * sizeof(Place))
        if places == NULL:
            raise MemoryError
        try:
            for n in range(self._length):
                places[n].begin = self._rows[n].begin
                places[n].end = self._rows[n].end
                places[n].index = n
            qsort(places, self._length, sizeof(Place), _compare_places)
            for n in range(self._length):
                if places[n].begin != position:
                    return places[n].index, position
                position = places[n].end
        finally:
            PyMem_Free(places)
        return None

    def info(self, Py_ssize_t index):
        """Make the record of one tensor."""
        cdef Row* row = self._row(index)
        if row.dtype == ODD:
            return self._odd[index]
        shape = self._raw[row.shape_at : row.shape_at + row.shape_length]
        return TensorInfo(
            PyUnicode_DecodeUTF8(row.name, row.name_length, NULL),
            tuple([int(dim) for dim in shape.split(b",")]) if shape.strip() else (),
            DTYPE_NAMES[row.dtype],
            row.begin,
            row.end - row.begin,
            row.count,
        )

    def names(self):
        """Give all names, in the order of the file."""
        cdef Py_ssize_t n
        return [
            PyUnicode_DecodeUTF8(self._rows[n].name, self._rows[n].name_length, NULL)
            for n in range(self._length)
        ]

    def dtypes(self):
        """Give all dtypes, in the order of the file."""
        cdef Py_ssize_t n
        return [
            self._odd[n].dtype if self._rows[n].dtype == ODD else DTYPE_NAMES[self._rows[n].dtype]
            for n in range(self._length)
        ]
