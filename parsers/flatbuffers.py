"""Read FlatBuffers by ranges, and the models that are written in them: TensorFlow Lite and others.

The library ``flatbuffers`` reads from a buffer with the whole file in it. A table is found by two
offsets, so a few small reads lead to the operators of a model, which stand at its start. An
operator that TensorFlow Lite does not define is looked up by its name among those that the program
registered; ``Flex`` operators are TensorFlow's own, with all that they reach.

References: the FlatBuffers internals; ``schema.fbs`` and ``register.cc`` of TensorFlow Lite.
"""

import struct
from typing import Final

from prefect_mutagen.parsers.byte_ranges import Reads
from prefect_mutagen.parsers.byte_sources import FilePart
from prefect_mutagen.parsers.errors import HeaderError, shown
from prefect_mutagen.parsers.rules import make_error
from prefect_mutagen.parsers.tensorflow import FORBIDDEN_OPERATORS
from prefect_mutagen.parsers.weights_report import WeightsReport, named_in_text

__all__ = ["IDENTIFIERS", "read_flatbuffers"]

IDENTIFIERS: Final = {
    b"TFL3": "tflite",
    b"ORTM": "ort",
    b"ET12": "executorch",
    b"ET13": "executorch",
}
"""File identifier, at byte 4, of each format."""
_TITLES: Final = {
    "tflite": ("TensorFlow Lite", "tensorflow"),
    "ort": ("ONNX Runtime's own format", ""),
    "executorch": ("ExecuTorch program", "pytorch"),
}
_AHEAD: Final = 64 << 10
_OPERATOR_LIMIT: Final = 4096
_TEXT_LIMIT: Final = 4096
_CUSTOM: Final = 32
_BROUGHT_ALONG: Final = frozenset(
    ("TFLite_Detection_PostProcess", "Mfcc", "AudioSpectrogram", "NumericVerify")
)
"""Custom operators that TensorFlow Lite registers itself."""


def read_flatbuffers(source: FilePart, report: WeightsReport) -> Reads[bool]:
    """Read a model; return whether it is one.

    Raises:
        HeaderError: It cannot be followed to its operators.
    """
    head = yield from source.read(0, 8, _AHEAD)
    form = IDENTIFIERS.get(head[4:8])
    if form is None:
        return False
    report.recognise(form, *_TITLES[form])
    report.found = True
    if form != "tflite":
        report.complete = False
        return True
    buffer = _Buffer(source)
    root = struct.unpack_from("<I", head)[0]
    version = yield from buffer.scalar(root, 0, 4)
    report.details.append(f"schema version {version}")
    description = yield from buffer.text(root, 3)
    if description:
        report.details.append(named_in_text(description))
    codes = yield from buffer.vector(root, 1)
    for at in codes:
        builtin = yield from buffer.scalar(at, 3, 4)
        if builtin == 0:
            builtin = yield from buffer.scalar(at, 0, 1)
        custom = yield from buffer.text(at, 1)
        if builtin == _CUSTOM or custom:
            _judge(custom, at, report, source)
    report.details.append(f"{len(codes)} operators")
    return True


def _judge(custom: str, at: int, report: WeightsReport, source: FilePart) -> None:
    name = custom.removeprefix("Flex")
    if name != custom and FORBIDDEN_OPERATORS.fullmatch(name):
        expected = "no operator that reaches files, the network or Python"
        report.note("weights/runs-code", source, at, "operator", expected, shown(custom))
    elif custom not in _BROUGHT_ALONG:
        expected = "an operator of TensorFlow Lite"
        report.note("weights/custom-operator", source, at, "operator", expected, shown(custom))


class _Buffer:
    """Follows the offsets of a buffer; each is checked by reading what it leads to."""

    def __init__(self, source: FilePart) -> None:
        self._source = source

    def _unpack(self, layout: str, at: int) -> Reads[int]:
        size = struct.calcsize(layout)
        data = yield from self._source.read(at, at + size, at + _AHEAD)
        if len(data) < size:
            raise self._problem(at, "an offset within the file", f"byte {at}")
        number: int = struct.unpack_from(layout, data)[0]
        return number

    def _field(self, table: int, index: int) -> Reads[int]:
        """Return where a table's field stands; 0 if it has its default."""
        vtable = table - (yield from self._unpack("<i", table))
        size = yield from self._unpack("<H", vtable)
        if 4 + 2 * index + 2 > size:
            return 0
        offset = yield from self._unpack("<H", vtable + 4 + 2 * index)
        return table + offset if offset else 0

    def scalar(self, table: int, index: int, size: int) -> Reads[int]:
        """Return a signed number of a table; 0 if it is not there."""
        at = yield from self._field(table, index)
        return (yield from self._unpack({1: "<b", 4: "<i"}[size], at)) if at else 0

    def text(self, table: int, index: int) -> Reads[str]:
        """Return a text of a table, cut to a limit; "" if it is not there."""
        at = yield from self._field(table, index)
        if not at:
            return ""
        start = at + (yield from self._unpack("<I", at))
        length = yield from self._unpack("<I", start)
        size = min(length, _TEXT_LIMIT)
        data = yield from self._source.read(start + 4, start + 4 + size)
        return data[:size].decode("utf-8", "replace")

    def vector(self, table: int, index: int) -> Reads[list[int]]:
        """Return where the tables of a vector stand."""
        at = yield from self._field(table, index)
        if not at:
            return []
        start = at + (yield from self._unpack("<I", at))
        count = yield from self._unpack("<I", start)
        if count > _OPERATOR_LIMIT:
            raise make_error(
                "weights/unexamined",
                offset=min(start, self._source.size),
                field="operators",
                expected=f"at most {_OPERATOR_LIMIT}",
                found=str(count),
            )
        places: list[int] = []
        for number in range(count):
            item = start + 4 + 4 * number
            places.append(item + (yield from self._unpack("<I", item)))
        return places

    def _problem(self, at: int, expected: str, found: str) -> HeaderError:
        return make_error(
            "weights/unreadable",
            offset=max(0, min(at, self._source.size)),
            field="FlatBuffers table",
            expected=expected,
            found=found,
        )
