# cython: language_level=3
"""One member of a safetensors header: what is remembered of it, and the way to read it."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t


cdef struct Row:
    uint64_t begin
    uint64_t end
    uint64_t count
    uint64_t hash
    const char* name  # into the header, or into a name that whoever holds the row keeps
    uint32_t name_length
    uint32_t shape_at
    uint32_t shape_length
    uint32_t offsets_at
    uint8_t dtype  # index into the names of the dtypes


cdef struct Cursor:
    const char* data
    Py_ssize_t at
    Py_ssize_t stop


# Read the member at the cursor and the sign that closes it, a comma or a brace. False where anything
# about it is unusual. ``dtype`` holds the last dtype that was seen, which is the first one tried.
cdef bint read_member(Cursor* cursor, Row* row, uint8_t* dtype, char* closing) noexcept nogil
