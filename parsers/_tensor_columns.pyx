# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""`TensorColumns` of ``tensor_columns.py``, compiled; the same tests cover both.

Each tensor is one `Row`, and one slot of a hash table over the names.
"""

import os

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport qsort
from libc.string cimport memcmp, memcpy, memset

from prefect_mutagen.parsers._tensor_member cimport Cursor, Row, read_member

from prefect_mutagen.parsers.tensor import TensorInfo
from prefect_mutagen.parsers.tensor_columns import COUNT_LIMIT as _COUNT_LIMIT, DTYPE_BITS

cdef enum:
    IRREGULAR = 255  # in place of a dtype: the tensor is in `_irregular`

cdef tuple DTYPE_NAMES = tuple(DTYPE_BITS)
cdef Py_ssize_t COUNT_LIMIT = _COUNT_LIMIT
# A random seed protects the hash table from names crafted to collide.
cdef uint64_t SEED = int.from_bytes(os.urandom(8), "little")


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


cdef class TensorColumns:
    """The tensors read so far; see ``tensor_columns.TensorColumns``."""

    cdef bytes _raw
    cdef Py_ssize_t _stop
    cdef Row* _rows
    cdef Py_ssize_t _length
    cdef Py_ssize_t _capacity
    cdef uint32_t* _slots  # hash table of row numbers, counted from 1; 0 is empty
    cdef uint64_t _mask
    cdef bint _ordered  # whether each tensor begins where the previous one ends
    cdef uint64_t _parameters_low
    cdef uint64_t _parameters_high
    cdef readonly uint64_t data_end
    cdef dict _irregular
    cdef list _owned_names  # names that the rows point into

    def __cinit__(self, bytes raw not None, Py_ssize_t stop):
        if stop > PyBytes_GET_SIZE(raw):
            raise ValueError("stop is beyond the end of the bytes")
        self._raw = raw
        self._stop = stop
        self._ordered = True
        self._irregular = {}
        self._owned_names = []
        # A member has some 110 bytes; too small a guess only costs one or two reallocations.
        self._capacity = min(max(stop // 110, 8), COUNT_LIMIT)
        self._rows = <Row*>PyMem_Malloc(self._capacity * sizeof(Row))
        if self._rows == NULL:
            raise MemoryError
        self._resize_slots(self._capacity)

    def __dealloc__(self):
        PyMem_Free(self._rows)
        PyMem_Free(self._slots)

    cdef int _resize_slots(self, Py_ssize_t rows) except -1:
        """Resize the hash table for this many rows and insert the existing ones."""
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
        cdef Py_ssize_t capacity = self._capacity + self._capacity // 2 + 8
        cdef Row* rows = <Row*>PyMem_Realloc(self._rows, capacity * sizeof(Row))
        if rows == NULL:
            raise MemoryError
        self._rows = rows
        self._capacity = capacity
        self._resize_slots(capacity)
        return 0

    cdef bint _contains(
        self, const char* name, Py_ssize_t length, uint64_t hash_value
    ) noexcept nogil:
        cdef uint64_t slot = hash_value & self._mask
        cdef Row* row
        while self._slots[slot] != 0:
            row = &self._rows[self._slots[slot] - 1]
            if (
                row.hash == hash_value
                and row.name_length == <uint32_t>length
                and memcmp(row.name, name, length) == 0
            ):
                return True
            slot = (slot + 1) & self._mask
        return False

    cdef void _insert(self, Row* row) noexcept nogil:
        """Add a row; there must be capacity for it."""
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

    def walk(self, Py_ssize_t at):
        """Read members for as long as they are valid tensors in the common form."""
        cdef Cursor cursor
        cdef Row row
        cdef uint8_t dtype = 0
        cdef char closing = 0
        if at < 0:
            raise ValueError("index out of range")
        cursor.data = PyBytes_AS_STRING(self._raw)
        cursor.stop = self._stop
        while self._length < COUNT_LIMIT:
            if self._length == self._capacity:
                self._grow()
            cursor.at = at
            if not read_member(&cursor, &row, &dtype, &closing):
                return at, False
            row.hash = _hash(row.name, row.name_length)
            if self._contains(row.name, row.name_length, row.hash):
                return at, False
            self._insert(&row)
            self._count(row.count)
            at = cursor.at
            if closing == b"}":
                return at, True
        return at, False

    def contains(self, bytes name not None):
        """Whether a tensor of this name, in UTF-8, was read."""
        cdef const char* text = PyBytes_AS_STRING(name)
        cdef Py_ssize_t length = PyBytes_GET_SIZE(name)
        return self._contains(text, length, _hash(text, length))

    def append(self, info, Py_ssize_t offsets_at):
        """Add a tensor from the strict reader; ``offsets_at`` is the index of its data_offsets."""
        cdef bytes name = info.name.encode()
        cdef Row row
        if self._length == self._capacity:
            self._grow()
        self._owned_names.append(name)
        memset(&row, 0, sizeof(Row))
        row.name = PyBytes_AS_STRING(name)
        row.name_length = <uint32_t>PyBytes_GET_SIZE(name)
        row.hash = _hash(row.name, row.name_length)
        row.begin = info.offset
        row.end = info.offset + info.size
        row.dtype = IRREGULAR
        row.offsets_at = <uint32_t>offsets_at
        self._irregular[self._length] = info
        self._insert(&row)
        self._count(info.parameters)

    def __len__(self):
        """Return the number of tensors."""
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
        """Return an index at, or shortly before, a tensor's data_offsets."""
        return self._row(index).offsets_at

    def first_misplaced(self):
        """Find the first tensor, in data order, that does not start where the previous one ends."""
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
        """Return the record of one tensor."""
        cdef Row* row = self._row(index)
        if row.dtype == IRREGULAR:
            return self._irregular[index]
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
        """Return all names in file order."""
        cdef Py_ssize_t n
        return [
            PyUnicode_DecodeUTF8(self._rows[n].name, self._rows[n].name_length, NULL)
            for n in range(self._length)
        ]

    def dtypes(self):
        """Return all dtypes in file order."""
        cdef Py_ssize_t n
        return [
            self._irregular[n].dtype
            if self._rows[n].dtype == IRREGULAR
            else DTYPE_NAMES[self._rows[n].dtype]
            for n in range(self._length)
        ]

    def counts(self):
        """Return the number of elements of each tensor in file order."""
        cdef Py_ssize_t n
        return [
            self._irregular[n].parameters
            if self._rows[n].dtype == IRREGULAR
            else self._rows[n].count
            for n in range(self._length)
        ]
