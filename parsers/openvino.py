"""Read an OpenVINO model's description (``.xml``); its weights are in the ``.bin`` beside it.

Expat of the standard library reads it piece by piece. A document type is refused before anything is
expanded. Operators of a set that is no ``opset`` come from an extension library.

Reference: ``ir_deserializer.cpp`` of OpenVINO.
"""

import re
from typing import Final
from xml.parsers import expat

from prefect_mutagen.parsers.byte_ranges import Reads
from prefect_mutagen.parsers.byte_sources import FilePart
from prefect_mutagen.parsers.errors import shown
from prefect_mutagen.parsers.rules import make_error
from prefect_mutagen.parsers.weights_paths import leaves_folder
from prefect_mutagen.parsers.weights_report import WeightsReport, named_in_text

__all__ = ["opens_like_openvino", "read_openvino"]

_OPENING: Final = re.compile(
    r"\ufeff?\s*(?:(?:<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^\[>]*(?:\[.*?\])?\s*>)\s*)*<net[\s>]",
    re.DOTALL,
)
_OPENING_SIZE: Final = 4096
_STEP: Final = 2 << 20
_ELEMENT_LIMIT: Final = 300_000
_LAYER_LIMIT: Final = 50_000
_DEPTH_LIMIT: Final = 256
_ATTRIBUTE_LIMIT: Final = 256
_SETS: Final = re.compile(r"opset\d{1,3}")
_PATHS: Final = re.compile(
    r"(?:\w*_)?(?:path|file|filename|location|library|lib|plugin)", re.IGNORECASE
)


def opens_like_openvino(head: bytes) -> bool:
    """Whether a file begins as a description does, with whatever stands before the root."""
    start = head[:_OPENING_SIZE]
    wide = start.startswith((b"\xff\xfe", b"\xfe\xff"))
    return _OPENING.match(start.decode("utf-16" if wide else "utf-8", "replace")) is not None


def read_openvino(source: FilePart, report: WeightsReport) -> Reads[bool]:
    """Read a description; return whether it is one.

    Raises:
        HeaderError: It cannot be followed to its end.
    """
    report.recognise("openvino", "OpenVINO", "openvino")
    report.found = True
    elements = _Elements(source, report)
    parser = expat.ParserCreate()
    parser.StartElementHandler = elements.start
    parser.EndElementHandler = elements.end
    parser.StartDoctypeDeclHandler = elements.doctype
    elements.parser = parser
    at = 0
    try:
        while at < source.size:
            data = yield from source.read(at, min(at + 1, source.size), at + max(at, _STEP))
            at += len(data)
            source.forget(at)
            parser.Parse(data, at >= source.size)
    except expat.ExpatError as problem:
        offset = max(0, min(parser.ErrorByteIndex, source.size))
        raise make_error(
            "weights/unreadable",
            offset=offset,
            field="XML",
            expected="a whole document",
            found=expat.errors.messages.get(problem.code, "no XML"),
        ) from None
    if elements.layers:
        report.details.append(f"{elements.layers} layers")
    return True


class _Elements:
    """Takes the elements of a description."""

    def __init__(self, source: FilePart, report: WeightsReport) -> None:
        self._source, self._report = source, report
        self.parser: expat.XMLParserType = expat.ParserCreate()
        self.layers = self._count = self._depth = 0
        self._version = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Judge an element."""
        self._count += 1
        self._depth += 1
        beyond = self._count > _ELEMENT_LIMIT or self.layers > _LAYER_LIMIT
        if beyond or self._depth > _DEPTH_LIMIT or len(attributes) > _ATTRIBUTE_LIMIT:
            raise make_error(
                "weights/unexamined",
                offset=self._at(),
                field="XML",
                expected=f"at most {_LAYER_LIMIT} layers of {_ELEMENT_LIMIT} elements",
                found="more",
            )
        if self._depth == 1:
            version = attributes.get("version", "")
            self._version = int(version) if version.isdecimal() and len(version) < 4 else 0
            self._report.details.append(f"IR version {self._version}")
            if attributes.get("name"):
                self._report.details.append(named_in_text(attributes["name"]))
        elif name == "layer":
            self.layers += 1
            self._judge_layer(attributes)
        elif name == "data":
            self._judge_paths(attributes)

    def _judge_layer(self, attributes: dict[str, str]) -> None:
        kind, version = attributes.get("type", ""), attributes.get("version", "")
        if (version or self._version >= 10) and not _SETS.fullmatch(version):
            self._note(
                *("weights/custom-operator", "layer", "an operator of OpenVINO"),
                f"{version}::{kind}",
            )
        elif kind.casefold() in ("python", "custom"):
            self._note("weights/custom-operator", "layer", "an operator of OpenVINO", kind)
        self._judge_paths(attributes)

    def _judge_paths(self, attributes: dict[str, str]) -> None:
        for key, value in attributes.items():
            if _PATHS.fullmatch(key) and leaves_folder(value):
                self._note("weights/outside-path", key, "a file beside the model", value)

    def end(self, name: str) -> None:
        """Leave an element."""
        del name
        self._depth -= 1

    def doctype(self, name: str, *rest: object) -> None:
        """Refuse a document type: its entities could expand without bound."""
        del rest
        raise make_error(
            "weights/unreadable",
            offset=self._at(),
            field="XML",
            expected="no document type",
            found=shown(name),
        )

    def _at(self) -> int:
        return max(0, min(self.parser.CurrentByteIndex, self._source.size))

    def _note(self, code: str, field: str, expected: str, found: str) -> None:
        self._report.note(code, self._source, self._at(), field, expected, shown(found))
