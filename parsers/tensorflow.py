"""Read TensorFlow graphs: SavedModel, frozen graphs, meta graphs, Keras' metadata beside them.

A graph is a program: its operators read and write files, call back into Python and reach over the
network when the model is run, some when it is loaded. Operators that do so are listed by what
TensorFlow's own documentation (SECURITY.md) and the attacks of TensorAbuse name; the list of all
others has no end, as any library adds to it. Every SavedModel saves and restores its variables with
`_CHECKPOINT` operators: they pass in the saver's own functions, and where no path is a constant
there. ``keras_metadata.pb`` and the objects of a SavedModel hold configs of Keras layers.

References: ``saved_model.proto``, ``meta_graph.proto``, ``graph.proto``, ``function.proto``,
``saved_object_graph.proto``, ``keras/protobuf/saved_metadata.proto``.
"""

import re
from typing import Final

from prefect_mutagen.parsers.byte_ranges import Reads
from prefect_mutagen.parsers.byte_sources import FilePart
from prefect_mutagen.parsers.errors import HeaderError, shown
from prefect_mutagen.parsers.keras import judge_config, parse_json
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

__all__ = ["FORBIDDEN_OPERATORS", "kind_of_graph", "read_tensorflow", "read_text_graph"]

FORBIDDEN_OPERATORS: Final = re.compile(
    r"""
    (?:Eager)?Py(?:Func|Call)(?:Stateless)? | .*PyFunc.*
    | ReadFile | WriteFile | MatchingFiles | .*MatchingFilesDataset.*
    | (?:WholeFile|TextLine|FixedLengthRecord|TFRecord|LMDB|Identity|BigQuery)Reader(?:V2)?
    | .*(?:TFRecord|TextLine|FixedLengthRecord|Sql|LMDB|Csv|CSV|Kafka)Dataset(?:V\d)?
    | (?:Save|Load|DistributedSave|Snapshot|RegisterData|DataService).*Dataset.*
    | RegisterDataset(?:V\d)? | .*CheckpointDataset.* | LoadAndRemapMatrix | GenerateVocabRemapping
    | .*Summary(?:File|Db)Writer | ImportEvent
    | Write(?:Audio|Graph|Histogram|Image|Raw|Scalar)?.*Summary
    | Debug(?:Identity|NanCount|NumericSummary)(?:V\d)?
    | .*Rpc.* | _?(?:Host)?(?:Send|Recv) | GcsConfigure.* | FileSystemSetConfiguration
    | ShellExecute | .*LoadLibrary.* | RemoteFusedGraphExecute | DecodeProtoV2 | EncodeProto
    """,
    re.VERBOSE,
)
"""Operators that reach files, the network, Python or native libraries."""
_CHECKPOINT: Final = frozenset(
    (
        *("Save", "SaveV2", "SaveSlices", "MergeV2Checkpoints"),
        *("Restore", "RestoreV2", "RestoreSlice"),
    )
)
_ENGINES: Final = frozenset(("TRTEngineOp", "NeuronOp", "EdgeTpuOp"))
_SAVER: Final = re.compile(
    r"(?:.*/)?save(?:_\d+)?/.*|__inference__traced_(?:save|restore)\w*|Saver.*"
)

_NODE: Final = {
    tag_of(1): VALUE,
    tag_of(2): VALUE,
    tag_of(5): "attributes",
}
_SCHEMA: Final[Schema] = {
    "saved model": {tag_of(1, 0): VALUE, tag_of(2): "meta graph"},
    "meta graph": {
        tag_of(1): "information",
        tag_of(2): "graph",
        tag_of(6): "asset",
        tag_of(7): "objects",
    },
    "information": {tag_of(4): SHORT, tag_of(5): SHORT},
    "asset": {tag_of(2): VALUE},
    "graph": {tag_of(1): "node", tag_of(2): "library"},
    "library": {tag_of(1): "function"},
    "function": {tag_of(1): "signature", tag_of(3): "node"},
    "signature": {tag_of(1): VALUE},
    "node": _NODE,
    "attributes": {tag_of(2): "attribute"},
    "attribute": {tag_of(2): SHORT, tag_of(8): "tensor"},
    "tensor": {tag_of(8): SHORT},
    "objects": {tag_of(1): "object"},
    "object": {tag_of(4): "user object"},
    "user object": {tag_of(3): VALUE},
    "metadata": {tag_of(1): "layer"},
    "layer": {tag_of(5): VALUE},
}
_OPERATOR: Final = re.compile(rb"_?[A-Z][A-Za-z0-9_.>]*")
"""How TensorFlow spells the names of operators."""
_BY_NAME: Final = {"saved_model.pb": "saved model", "keras_metadata.pb": "metadata"}
_TITLES: Final = {
    "saved model": "TensorFlow SavedModel",
    "graph": "TensorFlow graph",
    "meta graph": "TensorFlow meta graph",
    "metadata": "Keras metadata of a SavedModel",
}


def kind_of_graph(head: bytes, size: int, name: str) -> str:
    """Return the kind of message that a file's first bytes allow; "" for none of TensorFlow's.

    Args:
        head: The first bytes.
        size: Size of the file.
        name: The file's name in lower case.
    """
    fields = first_fields(head, size)
    if not fields:
        return ""
    tags = {tag for tag, _, _ in fields}
    # What its name says it is, its loader parses whatever other fields there are.
    if name in _BY_NAME:
        return _BY_NAME[name]
    if name.endswith(".meta") and tag_of(2) in tags:
        return "meta graph"
    if _opens_with_node(head, fields[0]) or (name.endswith(".pb") and tag_of(1) in tags):
        return "graph"
    strict = tags <= {tag_of(1, 0), tag_of(2)} or name.endswith(".pb")
    return "saved model" if strict and tag_of(2) in tags else ""


def _opens_with_node(head: bytes, field: tuple[int, int, int]) -> bool:
    """Whether a field is a node: its first fields are a name and an operator."""
    tag, start, stop = field
    node = first_fields(head[start:stop], stop - start, 2)
    if tag != tag_of(1) or [tag for tag, _, _ in node] != [tag_of(1), tag_of(2)]:
        return False
    _, at, end = node[1]
    return _OPERATOR.fullmatch(head[start + at : start + end]) is not None


def read_text_graph(source: FilePart, report: WeightsReport) -> Reads[bool]:
    """Name a graph in protobuf's text format, which TensorFlow loads as well."""
    yield from ()
    report.recognise("tensorflow", "TensorFlow graph as a text", "tensorflow")
    expected, found = "a graph in the binary format", "the text format"
    report.note("weights/unexamined", source, 0, "graph", expected, found)
    return True


def read_tensorflow(source: FilePart, report: WeightsReport, kind: str) -> Reads[bool]:
    """Read a message of a kind that `kind_of_graph` returned; return whether it holds a graph.

    Raises:
        HeaderError: It cannot be followed to its end.
    """
    report.recognise("tensorflow", _TITLES[kind], "tensorflow")
    visitor = _Graph(source, report)
    try:
        yield from walk_message(source, _SCHEMA, kind, visitor, FieldCount())
    finally:
        visitor.describe()
    return report.found


class _Graph:
    """Collects what the fields of graphs say."""

    def __init__(self, source: FilePart, report: WeightsReport) -> None:
        self._source, self._report = source, report
        self._function = ""
        self._nodes = 0
        self._version = ""
        self._tags: dict[str, None] = {}
        self._name, self._operator, self._at = "", "", 0
        self._texts: list[tuple[str, int]] = []

    def enter(self, kind: str, at: int) -> bool:
        """Start a message; see `protobuf.Visitor`."""
        if kind == "node":
            self._name, self._operator, self._at = "", "", at
            self._texts = []
        elif kind == "attributes":
            # The operator and the name may stand behind the attributes.
            constant = self._operator == "Const" and self._in_saver() is not False
            return constant or self._operator in ("", "PrintV2")
        elif kind in ("graph", "function"):
            self._function = ""
        return True

    def value(self, kind: str, number: int, value: bytes | int, at: int) -> None:
        """Take a field; see `protobuf.Visitor`."""
        if isinstance(value, int):
            return
        text = value.decode("utf-8", "replace")
        if kind == "node":
            self._name, self._operator = (
                (text, self._operator) if number == 1 else (self._name, text)
            )
        elif kind == "signature":
            self._function = text
        elif kind in ("tensor", "attribute"):
            self._texts.append((text, at))
        elif kind == "asset":
            self._report.add_file(f"assets/{text}")
            if leaves_folder(text):
                self._note("weights/outside-path", at, "asset", "a file of assets/", text)
        elif kind == "information":
            if number == 5:
                self._version = text
            else:
                self._tags[text] = None
        else:
            self._judge_metadata(value, at)

    def leave(self, kind: str) -> None:
        """Finish a message; see `protobuf.Visitor`."""
        if kind == "node":
            if self._operator:
                self._report.found = True
                self._nodes += 1
                self._judge_node()
        elif kind == "function":
            self._function = ""
        elif kind in ("objects", "asset", "layer"):
            self._report.found = True

    def _in_saver(self) -> bool | None:
        """Whether the node belongs to what saves and restores variables; None: not known yet."""
        if self._function:
            return bool(_SAVER.fullmatch(self._function))
        return bool(_SAVER.fullmatch(self._name)) if self._name else None

    def _judge_node(self) -> None:
        operator = self._operator
        place = f"{self._function}/{self._name}" if self._function else self._name
        field = f"operator of {shown(place)}"
        if FORBIDDEN_OPERATORS.fullmatch(operator) or (
            operator in _CHECKPOINT and not self._in_saver()
        ):
            expected = "no operator that reaches files, the network or Python"
            self._note("weights/runs-code", self._at, field, expected, operator)
        elif operator in _ENGINES:
            expected = "an operator of TensorFlow that it can show"
            self._note("weights/custom-operator", self._at, field, expected, operator)
        if operator == "PrintV2" or (operator == "Const" and self._in_saver()):
            for text, at in self._texts:
                if leaves_folder(text):
                    expected = "a path that the loader chooses"
                    self._note(
                        "weights/outside-path", at, f"text of {shown(place)}", expected, text
                    )

    def _judge_metadata(self, raw: bytes, at: int) -> None:
        """Judge the config of a Keras layer; other objects have other metadata, or none."""
        if not raw.lstrip().startswith(b"{"):
            return
        try:
            config = parse_json(raw, self._source, at, "metadata")
        except HeaderError as error:
            self._report.errors.add(error)
            return
        judge_config(config, self._report, self._source, at)
        self._report.found = True

    def _note(self, code: str, at: int, field: str, expected: str, found: str) -> None:
        self._report.note(code, self._source, at, field, expected, shown(found))

    def describe(self) -> None:
        """Describe the graph."""
        details = self._report.details
        if self._version:
            details.append(f"TensorFlow {named_in_text(self._version)}")
        if self._tags:
            details.append(f"tags {named_in_text(' '.join(self._tags))}")
        if self._nodes:
            details.append(f"{self._nodes} nodes")
