"""Read an ONNX model: operators, external data, initializers, wherever protobuf allows them.

The ``onnx`` package parses whole files from memory and is large; the wire format suffices. What is
decided here: operators of a domain that neither the standard nor onnxruntime brings along need a
library from elsewhere, unless the model defines them as functions of its own. External data lies
beside the model (``onnx.checker``: relative, without ``..``); older loaders open what is stated.
``PythonOp`` of onnxruntime's training calls Python by name, ``PyOp`` of its extensions likewise.

References: ``onnx.proto``, ``checker.cc`` and ``external_data_helper.py`` of onnx, ``constants.h``
and ``tensorprotoutils.cc`` of onnxruntime.
"""

from typing import Final

from prefect_mutagen.parsers.byte_ranges import Reads
from prefect_mutagen.parsers.byte_sources import FilePart
from prefect_mutagen.parsers.errors import shown
from prefect_mutagen.parsers.protobuf import (
    SHORT,
    VALUE,
    FieldCount,
    Schema,
    tag_of,
    varints,
    walk_message,
)
from prefect_mutagen.parsers.tensor import TensorInfo
from prefect_mutagen.parsers.weights_paths import leaves_folder
from prefect_mutagen.parsers.weights_report import WeightsReport, named_in_text

__all__ = ["read_onnx"]

_STANDARD: Final = frozenset(
    (
        *("", "ai.onnx", "ai.onnx.ml", "ai.onnx.training"),
        *("ai.onnx.preview", "ai.onnx.preview.training"),
        # Brought along by onnxruntime itself (constants.h); com.microsoft.extensions is not.
        *("com.microsoft", "com.microsoft.experimental", "com.microsoft.nchwc"),
        *("com.microsoft.dml", "com.ms.internal.nhwc"),
    )
)
_CALLS_PYTHON: Final = frozenset(("pyop", "pythonop", "pythonopgrad", "pyfunc"))
_ENGINE: Final = "EPContext"
_ENGINE_FILE: Final = b"ep_cache_context"
_DTYPES: Final = {
    1: ("F32", 32),
    2: ("U8", 8),
    3: ("I8", 8),
    4: ("U16", 16),
    5: ("I16", 16),
    6: ("I32", 32),
    7: ("I64", 64),
    8: ("STRING", 0),
    9: ("BOOL", 8),
    10: ("F16", 16),
    11: ("F64", 64),
    12: ("U32", 32),
    13: ("U64", 64),
    14: ("C64", 64),
    15: ("C128", 128),
    16: ("BF16", 16),
    17: ("F8_E4M3", 8),
    18: ("F8_E4M3FNUZ", 8),
    19: ("F8_E5M2", 8),
    20: ("F8_E5M2FNUZ", 8),
    21: ("U4", 4),
    22: ("I4", 4),
    23: ("F4", 4),
    24: ("F8_E8M0", 8),
    25: ("U2", 2),
    26: ("I2", 2),
}
_DIMENSION_LIMIT: Final = 64

_MODEL: Final[Schema] = {
    "model": {
        tag_of(1, 0): VALUE,
        tag_of(2): SHORT,
        tag_of(3): SHORT,
        tag_of(8): "opset",
        tag_of(20): "training",
        tag_of(25): "function",
    },
    "opset": {tag_of(1): SHORT, tag_of(2, 0): VALUE},
    "training": {tag_of(1): "graph", tag_of(2): "graph"},
    "function": {
        tag_of(1): VALUE,
        tag_of(7): "node",
        tag_of(10): VALUE,
        tag_of(11): "attribute",
    },
    "graph": {
        tag_of(1): "node",
        tag_of(5): "initializer",
        tag_of(15): "sparse",
    },
    "node": {tag_of(4): VALUE, tag_of(5): "attribute", tag_of(7): VALUE},
    "attribute": {
        tag_of(1): SHORT,
        tag_of(4): SHORT,
        tag_of(5): "tensor",
        tag_of(6): "graph",
        tag_of(10): "tensor",
        tag_of(11): "graph",
        tag_of(22): "sparse",
        tag_of(23): "sparse",
    },
    "sparse": {tag_of(1): "tensor", tag_of(2): "tensor"},
    "tensor": {tag_of(13): "external"},
    "initializer": {
        tag_of(1, 0): VALUE,
        tag_of(1): SHORT,
        tag_of(2, 0): VALUE,
        tag_of(8): SHORT,
        tag_of(13): "external",
    },
    "external": {tag_of(1): SHORT, tag_of(2): VALUE},
}
_GRAPH: Final[Schema] = {**_MODEL, "model": {tag_of(7): "graph"}}


def read_onnx(source: FilePart, report: WeightsReport) -> Reads[bool]:
    """Read a model; the fields around its graph first, then the graph.

    Args:
        source: The whole file.
        report: Receives what it states, and what is wrong with it.

    Returns:
        Whether it is an ONNX model: it has a graph with nodes or initializers.

    Raises:
        HeaderError: It cannot be followed to its end.
    """
    visitor = _Model(source, report)
    count = FieldCount()
    try:
        yield from walk_message(source, _MODEL, "model", visitor, count)
        yield from walk_message(source, _GRAPH, "model", visitor, count)
    finally:
        visitor.describe()
    return report.found


class _Model:
    """Collects what the fields of a model say."""

    def __init__(self, source: FilePart, report: WeightsReport) -> None:
        self._source, self._report = source, report
        self._version, self._producer = 0, ["", ""]
        self._opset: list[str | int] = ["", 0]
        self._opsets: dict[str, int] = {}
        self._functions: set[tuple[str, str]] = set()
        self._function = ["", ""]
        self._operators: dict[tuple[str, str], int] = {}
        self._node: list[tuple[str, str, int]] = []  # operator, domain, offset of open nodes
        self._attributes: list[tuple[bytes, bytes, int]] = []  # name, text, its offset
        self._tensor = _Tensor()
        self._external: list[bytes] = [b"", b""]

    def enter(self, kind: str, at: int) -> bool:
        """Start a message; see `protobuf.Visitor`."""
        if kind == "node":
            self._node.append(("", "", at))
        elif kind == "initializer":
            self._tensor = _Tensor()
        elif kind == "attribute":
            self._attributes.append((b"", b"", at))
        elif kind == "external":
            self._external = [b"", b""]
        elif kind == "opset":
            self._opset = ["", 0]
        elif kind == "function":
            self._function = ["", ""]
        return True

    def value(self, kind: str, number: int, value: bytes | int, at: int) -> None:
        """Take a field; see `protobuf.Visitor`."""
        if kind == "initializer":
            self._tensor.take(number, value)
        elif isinstance(value, int):
            if kind == "model":
                self._version = value
            elif kind == "opset":
                self._opset[1] = value
        elif kind == "node":
            operator, domain, start = self._node[-1]
            text = value.decode("utf-8", "replace")
            self._node[-1] = (text, domain, start) if number == 4 else (operator, text, start)
        elif kind == "attribute":
            name, raw, place = self._attributes[-1]
            self._attributes[-1] = (value, raw, place) if number == 1 else (name, value, at)
        elif kind == "external":
            self._external[number - 1] = value
            self._judge_external(at)
        elif kind == "opset":
            self._opset[0] = value.decode("utf-8", "replace")
        elif kind == "function":
            self._function[number == 10] = value.decode("utf-8", "replace")
        else:
            self._producer[number == 3] = value.decode("utf-8", "replace")

    def leave(self, kind: str) -> None:
        """Finish a message; see `protobuf.Visitor`."""
        if kind == "node":
            operator, domain, at = self._node.pop()
            self._report.found |= bool(operator)
            self._operators.setdefault((domain, operator), at)
        elif kind == "attribute":
            name, raw, at = self._attributes.pop()
            path = raw.decode("utf-8", "replace")
            if name == _ENGINE_FILE and path.isprintable() and leaves_folder(path):
                self._outside(_ENGINE, path, at)
        elif kind == "initializer":
            self._report.found = True
            self._report.add_tensor(self._tensor.info())
        elif kind == "opset":
            self._opsets[str(self._opset[0])] = int(self._opset[1])
        elif kind == "function":
            self._functions.add((self._function[1], self._function[0]))

    def _judge_external(self, at: int) -> None:
        key, raw = self._external
        if key == b"location" and raw:
            path = raw.decode("utf-8", "replace")
            self._report.add_file(path)
            if leaves_folder(path):
                self._outside("external data", path, at)

    def _outside(self, field: str, path: str, at: int) -> None:
        self._report.note(
            "weights/outside-path",
            self._source,
            at,
            field,
            "a file beside the model",
            shown(path),
        )

    def describe(self) -> None:
        """Judge the operators, and describe the model; it is known now what functions it has."""
        for (domain, operator), at in self._operators.items():
            if (domain, operator) in self._functions:
                continue
            name = shown(f"{domain}::{operator}" if domain else operator)
            if operator.casefold() in _CALLS_PYTHON:
                self._note("weights/runs-code", at, "no operator that calls Python", name)
            elif domain not in _STANDARD or operator == _ENGINE:
                expected = "an operator of the standard or of onnxruntime"
                self._note("weights/custom-operator", at, expected, name)
        self._describe_model()

    def _note(self, code: str, at: int, expected: str, found: str) -> None:
        self._report.note(code, self._source, at, "operator", expected, found)

    def _describe_model(self) -> None:
        report = self._report
        report.recognise("onnx", "ONNX")
        if self._version:
            report.details.append(f"IR version {self._version}")
        opset = self._opsets.get("", self._opsets.get("ai.onnx", 0))
        if opset:
            report.details.append(f"opset {opset}")
        producer = named_in_text(" ".join(part for part in self._producer if part))
        if producer:
            report.details.append(f"producer {producer}")
            report.framework = producer.partition(" ")[0].lower()


class _Tensor:
    """An initializer, as its fields arrive."""

    __slots__ = ("_dims", "_dtype", "_name")

    def __init__(self) -> None:
        self._name, self._dtype, self._dims = "", 0, list[int]()

    def take(self, number: int, value: bytes | int) -> None:
        if number == 8 and isinstance(value, bytes):
            self._name = value.decode("utf-8", "replace")
        elif number == 2 and isinstance(value, int):
            self._dtype = value
        elif number == 1 and len(self._dims) < _DIMENSION_LIMIT:
            self._dims += varints(value, _DIMENSION_LIMIT)

    def info(self) -> TensorInfo:
        dtype, bits = _DTYPES.get(self._dtype, (f"UNKNOWN_{self._dtype}", 0))
        shape = tuple(self._dims)
        count = 1
        for dim in shape:
            count *= dim
        if count >= 1 << 63:
            count = 0
        return TensorInfo(self._name, shape, dtype, 0, (count * bits + 7) // 8, count)
