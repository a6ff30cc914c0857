"""Read a Core ML model (``.mlmodel``): custom layers and models, linked models, blob files.

Custom layers and models are classes of the program that loads the file; linked models are looked up
by a path; an ML program reads its weights from files of its package, ``@model_path/…``.

References: ``Model.proto``, ``NeuralNetwork.proto``, ``MIL.proto``, ``LinkedModel.proto`` of
coremltools.
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
    first_fields,
    tag_of,
    walk_message,
)
from prefect_mutagen.parsers.weights_paths import leaves_folder
from prefect_mutagen.parsers.weights_report import WeightsReport, named_in_text

__all__ = ["is_coreml", "read_coreml"]

_KINDS: Final = {
    200: "pipeline classifier",
    201: "pipeline regressor",
    202: "pipeline",
    300: "GLM regressor",
    301: "SVM regressor",
    302: "tree regressor",
    303: "network regressor",
    304: "Bayesian regressor",
    400: "GLM classifier",
    401: "SVM classifier",
    402: "tree classifier",
    403: "network classifier",
    404: "nearest neighbours",
    500: "neural network",
    501: "item recommender",
    502: "ML program",
    555: "custom model",
    556: "linked model",
    600: "one-hot encoder",
    601: "imputer",
    602: "feature vectorizer",
    603: "dictionary vectorizer",
    604: "scaler",
    606: "categorical mapping",
    607: "normalizer",
    609: "array feature extractor",
    610: "non-maximum suppression",
    900: "identity",
    2000: "text classifier",
    2001: "word tagger",
    2002: "vision feature print",
    2003: "sound analysis",
    2004: "gazetteer",
    2005: "word embedding",
    2006: "audio feature print",
    3000: "model",
}
_NETWORKS: Final = {tag_of(number): "network" for number in (303, 403, 500)}
_SCHEMA: Final[Schema] = {
    "model": {
        tag_of(1, 0): VALUE,
        tag_of(2): "description",
        **{tag_of(number): "other" for number in _KINDS},
        **_NETWORKS,
        tag_of(200): "pipeline classifier",
        tag_of(201): "pipeline classifier",
        tag_of(202): "pipeline",
        tag_of(502): "program",
        tag_of(555): "custom model",
        tag_of(556): "linked model",
    },
    "description": {tag_of(100): "metadata"},
    "metadata": {tag_of(1): SHORT, tag_of(3): SHORT, tag_of(4): SHORT},
    "other": {},
    "pipeline classifier": {tag_of(1): "pipeline"},
    "pipeline": {tag_of(1): "model"},
    "network": {tag_of(1): "layer"},
    "layer": {
        tag_of(500): "custom layer",
        tag_of(605): "branch",
        tag_of(615): "loop",
    },
    "branch": {tag_of(1): "network", tag_of(2): "network"},
    "loop": {tag_of(3): "network", tag_of(4): "network"},
    "custom layer": {tag_of(10): VALUE},
    "custom model": {tag_of(1): VALUE},
    "linked model": {tag_of(1): "linked file"},
    "linked file": {tag_of(1): "path", tag_of(2): "path"},
    "path": {tag_of(1): VALUE},
    "program": {tag_of(2): "function entry", tag_of(4): "value entry"},
    "function entry": {tag_of(2): "function"},
    "function": {tag_of(3): "block entry", tag_of(4): "value entry"},
    "block entry": {tag_of(2): "block"},
    "block": {tag_of(3): "operation", tag_of(4): "value entry"},
    "operation": {
        tag_of(1): VALUE,
        tag_of(2): "argument entry",
        tag_of(4): "block",
        tag_of(5): "value entry",
    },
    "argument entry": {tag_of(2): "argument"},
    "argument": {tag_of(1): "binding"},
    "binding": {tag_of(2): "value"},
    "value entry": {tag_of(2): "value"},
    "value": {tag_of(3): "immediate", tag_of(5): "blob"},
    "immediate": {tag_of(2): "values", tag_of(3): "values", tag_of(4): "pairs"},
    "values": {tag_of(1): "value"},
    "pairs": {tag_of(1): "pair"},
    "pair": {tag_of(1): "value", tag_of(2): "value"},
    "blob": {tag_of(1): VALUE},
}
_MODEL_TAGS: Final = frozenset(
    (tag_of(1, 0), tag_of(2), tag_of(10, 0), *(tag_of(number) for number in _KINDS))
)
_PACKAGE: Final = "@model_path/"


def is_coreml(head: bytes, size: int) -> bool:
    """Whether the first fields are those of a model, the kind of the model among them."""
    tags = {tag for tag, _, _ in first_fields(head, size)}
    return tag_of(1, 0) in tags and tags <= _MODEL_TAGS and any(tag >= 1600 for tag in tags)


def read_coreml(source: FilePart, report: WeightsReport) -> Reads[bool]:
    """Read a model; return whether it is one.

    Raises:
        HeaderError: It cannot be followed to its end.
    """
    report.recognise("coreml", "Core ML", "coreml")
    visitor = _Model(source, report)
    yield from walk_message(source, _SCHEMA, "model", visitor, FieldCount())
    return report.found


class _Model:
    """Collects what the fields of a model say."""

    def __init__(self, source: FilePart, report: WeightsReport) -> None:
        self._source, self._report = source, report

    def enter(self, kind: str, at: int) -> bool:
        """Start a message; see `protobuf.Visitor`."""
        del at
        self._report.found |= kind not in ("description", "metadata")
        return True

    def value(self, kind: str, number: int, value: bytes | int, at: int) -> None:
        """Take a field; see `protobuf.Visitor`."""
        if isinstance(value, int):
            if len(self._report.details) == 1:
                self._report.details.append(f"specification version {value}")
            return
        text = value.decode("utf-8", "replace")
        if kind in ("custom layer", "custom model"):
            self._note("weights/custom-operator", at, kind, "a layer of Core ML", text)
        elif kind == "operation":
            if text.startswith("custom"):
                self._note("weights/custom-operator", at, kind, "an operation of Core ML", text)
        elif kind in ("blob", "path"):
            paths = [text.removeprefix(_PACKAGE)] if kind == "blob" else text.split(":")
            self._report.add_file(paths[0])
            if any(map(leaves_folder, paths)):
                self._note("weights/outside-path", at, kind, "a file of the package", text)
        elif kind == "metadata" and number == 3 and text:
            self._report.details.append(f"author {named_in_text(text)}")

    def leave(self, kind: str) -> None:
        """Finish a message; see `protobuf.Visitor`."""

    def _note(self, code: str, at: int, field: str, expected: str, found: str) -> None:
        self._report.note(code, self._source, at, field, expected, shown(found))
