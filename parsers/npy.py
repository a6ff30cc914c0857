"""Read the header of a NumPy ``.npy`` file: a Python literal, read without evaluation.

Reference: ``numpy/lib/_format_impl.py``. Arrays of objects are a pickle behind the header.
"""

import ast
import struct
from typing import Any, Final, NamedTuple

from prefect_mutagen.parsers.byte_ranges import Reads
from prefect_mutagen.parsers.byte_sources import Source
from prefect_mutagen.parsers.errors import HeaderError, shown
from prefect_mutagen.parsers.pickle_tensors import numpy_dtype, shape_of
from prefect_mutagen.parsers.rules import make_error

__all__ = ["NPY_MAGIC", "NpyHeader", "read_npy"]

NPY_MAGIC: Final = b"\x93NUMPY"
_HEADER_LIMIT: Final = 1 << 16
_DEPTH_LIMIT: Final = 16
_FIELD_LIMIT: Final = 4096


class NpyHeader(NamedTuple):
    """What a header states."""

    dtype: str
    """Name of the element type, as in safetensors; ``OBJECT`` for anything that holds objects."""
    width: int
    """Bytes of one element."""
    shape: tuple[int, ...]
    size: int
    """Size of the header; the array's bytes, or its pickle, follow."""


def read_npy(source: Source) -> Reads[NpyHeader]:
    """Read a header.

    Raises:
        MalformedError: It cannot be read.
    """
    head = yield from source.read(0, 12, 1024)
    version = head[6:7]
    form, start = ("<H", 10) if version == b"\1" else ("<I", 12)
    if version not in (b"\1", b"\2", b"\3") or len(head) < start:
        raise _problem(source, "version 1, 2 or 3", f"bytes {head[6:8].hex()}")
    (length,) = struct.unpack_from(form, head, 8)
    if length > _HEADER_LIMIT:
        raise _problem(source, f"a header of at most {_HEADER_LIMIT} bytes", f"{length} bytes")
    data = yield from source.read(start, start + length)
    if len(data) < length:
        raise _problem(source, f"a header of {length} bytes", "the end of the file")
    header = _literal(data[:length].decode("latin-1" if version != b"\3" else "utf-8", "replace"))
    if not isinstance(header, dict) or set(header) != {"descr", "fortran_order", "shape"}:
        raise _problem(source, "a literal of descr, fortran_order and shape", "another text")
    described, shape = _describe(header["descr"]), shape_of(header["shape"])
    if described is None or shape is None:
        raise _problem(source, "a dtype and a shape", "others")
    return NpyHeader(*described, shape, start + length)


def _describe(descr: Any) -> tuple[str, int] | None:  # noqa: C901 - one loop instead of recursion
    """Return name and width of a dtype description, which may be a list of fields."""
    if isinstance(descr, str):
        return numpy_dtype(descr)
    todo, width, fields = [(descr, 1)], 0, 0
    objects = False
    while todo:
        part, times = todo.pop()
        fields += 1
        if fields > _FIELD_LIMIT:
            return None
        if isinstance(part, str):
            plain = numpy_dtype(part)
            if plain is None:
                return None
            width += plain[1] * times
            objects = objects or plain[0] == "OBJECT"
        elif isinstance(part, tuple) and len(part) == 2 and shape_of(part[1]) is not None:
            todo.append((part[0], times * _product(part[1])))  # a sub-array
        elif isinstance(part, list):
            for field in part:
                if not (isinstance(field, tuple) and 2 <= len(field) <= 3):
                    return None
                inner = shape_of(field[2]) if len(field) == 3 else ()
                if inner is None:
                    return None
                todo.append((field[1], times * _product(inner)))
        else:
            return None
    return ("OBJECT" if objects else f"V{width}"), width


def _product(shape: tuple[int, ...]) -> int:
    product = 1
    for dim in shape:
        product *= dim
    return product


def _literal(text: str) -> Any:
    """Return the value of a literal; None if it is none, or nested deeper than any header."""
    depth = 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        if depth > _DEPTH_LIMIT:
            return None
    if text.count("-") + text.count("+") + text.count("~") > _FIELD_LIMIT:
        return None
    try:
        return ast.literal_eval(text.strip(" \n"))
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None


def _problem(source: Source, expected: str, found: str) -> HeaderError:
    return make_error(
        "pickle/unreadable",
        offset=source.locate(0),
        field=f"NumPy header{' of ' + shown(source.label) if source.label else ''}",
        expected=expected,
        found=found,
    )
