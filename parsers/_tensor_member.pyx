# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Read one member of a safetensors header on the fast path, which knows the common form only.

Every index is checked against the end of the header before it is used, and every product against
overflow before it is computed. For any other form, and for invalid tensors, the result is False.
"""

from cpython.bytes cimport PyBytes_AS_STRING
from libc.stdint cimport UINT64_MAX, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

from prefect_mutagen.parsers.tensor_columns import DTYPE_BITS, SHAPE_LIMIT as _SHAPE_LIMIT

cdef enum:
    MOST_DTYPES = 32
    LONGEST_DTYPE = 16
    DIGIT_ZERO = 48
    SEEN_DTYPE = 1
    SEEN_SHAPE = 2
    SEEN_OFFSETS = 4
    SEEN_ALL = 7

cdef Py_ssize_t SHAPE_LIMIT = _SHAPE_LIMIT
cdef tuple DTYPE_NAMES = tuple(DTYPE_BITS)
cdef char DTYPE_TEXT[MOST_DTYPES][LONGEST_DTYPE]
cdef Py_ssize_t DTYPE_LENGTH[MOST_DTYPES]
cdef uint64_t DTYPE_WIDTH[MOST_DTYPES]
cdef int DTYPE_COUNT = len(DTYPE_NAMES)


cdef _prepare_dtypes():
    cdef int n
    cdef bytes text
    if DTYPE_COUNT > MOST_DTYPES:
        raise RuntimeError("more dtypes than MOST_DTYPES")
    for n, name in enumerate(DTYPE_NAMES):
        text = name.encode()
        if len(text) > LONGEST_DTYPE:
            raise RuntimeError("a dtype name longer than LONGEST_DTYPE")
        memcpy(DTYPE_TEXT[n], PyBytes_AS_STRING(text), len(text))
        DTYPE_LENGTH[n] = len(text)
        DTYPE_WIDTH[n] = DTYPE_BITS[name]


_prepare_dtypes()


cdef inline bint _is_blank(char letter) noexcept nogil:
    return letter == b" " or letter == b"\n" or letter == b"\t" or letter == b"\r"


cdef inline bint _skip_char(Cursor* cursor, char expected) noexcept nogil:
    """Consume whitespace and this character."""
    while cursor.at < cursor.stop and _is_blank(cursor.data[cursor.at]):
        cursor.at += 1
    if cursor.at >= cursor.stop or cursor.data[cursor.at] != expected:
        return False
    cursor.at += 1
    return True


cdef inline bint _skip_key(Cursor* cursor, const char* key, Py_ssize_t length) noexcept nogil:
    """Consume whitespace, this quoted key and a colon; keep the cursor if it is another key."""
    cdef Py_ssize_t start = cursor.at
    if _skip_char(cursor, b'"') and cursor.stop - cursor.at > length:
        if (
            memcmp(cursor.data + cursor.at, key, length) == 0
            and cursor.data[cursor.at + length] == b'"'
        ):
            cursor.at += length + 1
            return _skip_char(cursor, b":")
    cursor.at = start
    return False


cdef inline bint _read_integer(Cursor* cursor, uint64_t* value) noexcept nogil:
    """Consume whitespace and an integer of at most 19 digits, which always fits in 64 bits."""
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


cdef inline bint _read_dtype(Cursor* cursor, uint8_t* dtype) noexcept nogil:
    """Consume a quoted dtype; try the previous tensor's first."""
    cdef Py_ssize_t start, length
    cdef int n = dtype[0]
    if not _skip_char(cursor, b'"'):
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


cdef inline bint _read_shape(Cursor* cursor, uint64_t* count) noexcept nogil:
    """Consume the dimensions and the closing bracket; multiply them, False on overflow."""
    cdef uint64_t total = 1
    cdef uint64_t dim = 0
    if _skip_char(cursor, b"]"):
        count[0] = total
        return True
    while True:
        if not _read_integer(cursor, &dim):
            return False
        if dim != 0 and total > UINT64_MAX / dim:
            return False
        total *= dim
        if _skip_char(cursor, b"]"):
            count[0] = total
            return True
        if not _skip_char(cursor, b","):
            return False


cdef bint _read_fields(Cursor* cursor, Row* row, uint8_t* dtype) noexcept nogil:
    """Consume the three fields, in any order, and the closing brace."""
    cdef int seen = 0
    while True:
        if seen & SEEN_DTYPE == 0 and _skip_key(cursor, "dtype", 5):
            if not _read_dtype(cursor, dtype):
                return False
            row.dtype = dtype[0]
            seen |= SEEN_DTYPE
        elif seen & SEEN_SHAPE == 0 and _skip_key(cursor, "shape", 5):
            if not _skip_char(cursor, b"["):
                return False
            row.shape_at = <uint32_t>cursor.at
            if not _read_shape(cursor, &row.count) or cursor.at - row.shape_at - 1 > SHAPE_LIMIT:
                return False
            row.shape_length = <uint32_t>(cursor.at - row.shape_at - 1)
            seen |= SEEN_SHAPE
        elif seen & SEEN_OFFSETS == 0 and _skip_key(cursor, "data_offsets", 12):
            row.offsets_at = <uint32_t>cursor.at
            if (
                not _skip_char(cursor, b"[")
                or not _read_integer(cursor, &row.begin)
                or not _skip_char(cursor, b",")
                or not _read_integer(cursor, &row.end)
                or not _skip_char(cursor, b"]")
            ):
                return False
            seen |= SEEN_OFFSETS
        else:
            return False
        if seen == SEEN_ALL:
            return _skip_char(cursor, b"}")
        if not _skip_char(cursor, b","):
            return False


cdef bint read_member(Cursor* cursor, Row* row, uint8_t* dtype, char* closing) noexcept nogil:
    """Read one member; see ``_tensor_member.pxd``."""
    cdef const char* data = cursor.data
    cdef Py_ssize_t start
    cdef uint64_t bits
    if not _skip_char(cursor, b'"'):
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
    if not _skip_char(cursor, b":") or not _skip_char(cursor, b"{"):
        return False
    if not _read_fields(cursor, row, dtype):
        return False
    if _skip_char(cursor, b","):
        closing[0] = b","
    elif _skip_char(cursor, b"}"):
        closing[0] = b"}"
    else:
        return False
    if row.count > UINT64_MAX / DTYPE_WIDTH[row.dtype]:
        return False
    bits = row.count * DTYPE_WIDTH[row.dtype]
    if bits % 8 != 0 or row.end < row.begin or row.end - row.begin != bits / 8:
        return False
    return row.name_length != 12 or memcmp(row.name, "__metadata__", 12) != 0
