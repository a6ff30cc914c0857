# cython: language_level=3
"""One member of a safetensors header: its row in the columns, and the function that reads it."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t


cdef struct Row:
    uint64_t begin
    uint64_t end
    uint64_t count
    uint64_t hash
    const char* name  # into the header, or into a name owned by the holder of the row
    uint32_t name_length
    uint32_t shape_at
    uint32_t shape_length
    uint32_t offsets_at
    uint8_t dtype  # index into DTYPE_NAMES


cdef struct Cursor:
    const char* data
    Py_ssize_t at
    Py_ssize_t stop


# Read the member at the cursor and the comma or brace that follows it. False if its form is not the
# common one, or it is invalid. ``dtype`` holds the previous tensor's dtype, which is tried first.
cdef bint read_member(Cursor* cursor, Row* row, uint8_t* dtype, char* closing) noexcept nogil
