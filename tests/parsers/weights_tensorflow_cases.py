"""TensorFlow graphs, and models of TensorFlow Lite: honest and hostile."""

import json
import struct
from typing import Any

from tests.parsers.weights_case import (
    CUSTOM,
    OUTSIDE,
    RUNS,
    TRUNCATED,
    UNEXAMINED,
    UNREADABLE,
    WeightsCase,
    bad,
)
from tests.parsers.weights_protobuf import field


def tf_node(name: str, op: str, *texts: str) -> bytes:
    body = field(1, name) + field(2, op) + field(3, "input")
    for text in texts:
        tensor = field(1, 7) + field(2, b"") + field(8, text)
        body += field(5, field(1, "value") + field(2, field(8, tensor)))
    return body


def graph_def(*nodes: bytes, functions: dict[str, tuple[bytes, ...]] | None = None) -> bytes:
    body = b"".join(field(1, node) for node in nodes)
    for name, inner in (functions or {}).items():
        function = field(1, field(1, name)) + b"".join(field(3, node) for node in inner)
        body += field(2, field(1, function))
    return body + field(4, field(1, 1087))


def saved_model(graph: bytes, *more: bytes) -> bytes:
    information = field(4, "serve") + field(5, "2.15.0")
    return field(1, 1) + field(2, field(1, information) + field(2, graph) + b"".join(more))


def keras_object(config: Any) -> bytes:
    metadata = config if isinstance(config, bytes) else json.dumps(config).encode()
    return field(7, field(1, field(4, field(1, "_tf_keras_layer") + field(3, metadata))))


def tflite(*operators: tuple[int, str], description: str = "x") -> bytes:
    """Write a model front to back: the vtables before their tables, texts at the end."""
    out = bytearray(struct.pack("<I", 0) + b"TFL3")

    def table(count: int) -> tuple[int, int]:
        vtable = len(out)
        size = 4 + 4 * count
        out.extend(struct.pack("<HH", 4 + 2 * count, size))
        out.extend(struct.pack(f"<{count}H", *(4 + 4 * number for number in range(count))))
        out.extend(bytes(-len(out) % 4))
        at = len(out)
        out.extend(struct.pack("<i", at - vtable) + bytes(4 * count))
        return at, at + 4

    def link(place: int) -> None:
        struct.pack_into("<I", out, place, len(out) - place)

    def string(text: str) -> None:
        raw = text.encode()
        out.extend(struct.pack("<I", len(raw)) + raw + b"\0" + bytes(-(len(raw) + 1) % 4))

    root, fields = table(4)
    struct.pack_into("<I", out, 0, root)
    struct.pack_into("<I", out, fields, 3)
    link(fields + 4)
    vector = len(out)
    out.extend(struct.pack("<I", len(operators)) + bytes(4 * len(operators)))
    for number, (code, name) in enumerate(operators):
        place = vector + 4 + 4 * number
        at, inner = table(4)
        struct.pack_into("<I", out, place, at - place)
        struct.pack_into("<b", out, inner, min(code, 127))
        struct.pack_into("<i", out, inner + 12, code)
        if name:
            link(inner + 4)
            string(name)
        else:
            # A field of the default value is left out.
            vtable = at - struct.unpack_from("<i", out, at)[0]
            struct.pack_into("<H", out, vtable + 6, 0)
    link(fields + 8)
    out.extend(struct.pack("<I", 0))
    link(fields + 12)
    string(description)
    return bytes(out)


PLAIN = graph_def(tf_node("x", "Placeholder"), tf_node("y", "MatMul"))
SAVER = {
    "__inference__traced_save_42": (tf_node("SaveV2", "SaveV2"), tf_node("c", "Const", "part")),
    "__inference__traced_restore_7": (tf_node("r", "RestoreV2"),),
}
LAMBDA = {
    "class_name": "Lambda",
    "config": {"function": ["4wE=", None, None], "function_type": "lambda"},
}
DENSE = {"class_name": "Dense", "config": {"units": 4}}
LITE = tflite((9, ""), (0, ""))
MANY = graph_def(*(tf_node(f"layer/{number}", "MatMul") for number in range(3000)))

HONEST = [
    WeightsCase(
        *("saved-model", "saved_model.pb", saved_model(PLAIN), "tensorflow"),
        description="TensorFlow SavedModel, TensorFlow 2.15.0, tags serve, 2 nodes",
    ),
    WeightsCase(
        "saves-itself", "saved_model.pb", saved_model(graph_def(functions=SAVER)), "tensorflow"
    ),
    WeightsCase(
        *("saves-itself-as-of-old", "saved_model.pb"),
        saved_model(
            graph_def(tf_node("save/Const", "Const", "model"), tf_node("save/SaveV2", "SaveV2"))
        ),
        "tensorflow",
    ),
    WeightsCase(
        "assets",
        "saved_model.pb",
        saved_model(PLAIN, field(6, field(2, "vocab.txt"))),
        "tensorflow",
    ),
    WeightsCase(
        "keras-layers", "saved_model.pb", saved_model(PLAIN, keras_object(DENSE)), "tensorflow"
    ),
    WeightsCase(
        "frozen", "frozen_graph.pb", PLAIN, "tensorflow", description="TensorFlow graph, 2 nodes"
    ),
    WeightsCase("under-another-name", "weights.bin", PLAIN, "tensorflow"),
    WeightsCase("large", "frozen.pb", MANY, "tensorflow"),
    WeightsCase(
        "meta", "model.ckpt.meta", field(1, field(5, "1.15")) + field(2, PLAIN), "tensorflow"
    ),
    WeightsCase(
        "print", "saved_model.pb", saved_model(graph_def(tf_node("p", "PrintV2"))), "tensorflow"
    ),
    WeightsCase(
        *("keras-metadata", "keras_metadata.pb"),
        field(1, field(2, 1) + field(4, "_tf_keras_layer") + field(5, json.dumps(DENSE))),
        "tensorflow",
    ),
    WeightsCase(
        *("plain", "model.tflite", LITE, "tflite"),
        description="TensorFlow Lite, schema version 3, x, 2 operators",
    ),
    WeightsCase("under-another-name", "model.bin", LITE, "tflite"),
    WeightsCase(
        "brought-along", "m.tflite", tflite((32, "TFLite_Detection_PostProcess")), "tflite"
    ),
]
FORBIDDEN = (
    *("ReadFile", "WriteFile", "MatchingFiles", "PyFunc", "PyFuncStateless", "EagerPyFunc"),
    *("TFRecordDatasetV2", "TextLineDataset", "SaveDatasetV2", "LoadDataset", "SqlDataset"),
    *("CreateSummaryFileWriter", "DebugIdentityV2", "WholeFileReaderV2", "LoadAndRemapMatrix"),
    *("DataServiceDatasetV4", "SaveV2", "RestoreV2", "MergeV2Checkpoints", "Save"),
)


def _graph(id: str, *codes: str, nodes: tuple[bytes, ...] = (), **options: Any) -> WeightsCase:  # noqa: A002
    data = saved_model(graph_def(*nodes, **options))
    return bad(id, "saved_model.pb", data, "tensorflow", *codes)


WRITE = tf_node("w", "WriteFile")
HOSTILE = [
    *(_graph(f"operator-{op}", RUNS, nodes=(tf_node("serve", op),)) for op in FORBIDDEN),
    _graph("in-a-function", RUNS, functions={"f": (WRITE,)}),
    _graph("in-the-saver", RUNS, functions={"__inference__traced_save_1": (WRITE,)}),
    _graph(
        "print-to-a-file",
        OUTSIDE,
        nodes=(
            field(1, "p")
            + field(2, "PrintV2")
            + field(5, field(1, "output_stream") + field(2, field(2, "file:///etc/x"))),
        ),
    ),
    _graph(
        "saver-with-a-path",
        OUTSIDE,
        nodes=(tf_node("save/Const", "Const", "/root/.ssh/x"), tf_node("save/S", "SaveV2")),
    ),
    _graph(
        *("saver-with-a-path-first", OUTSIDE),
        nodes=(
            field(5, field(1, "v") + field(2, field(8, field(8, "/x"))))
            + field(1, "save/c")
            + field(2, "Const"),
        ),
    ),
    _graph("operator-last", RUNS, nodes=(field(5, b"") + field(2, "ReadFile") + field(1, "x"),)),
    _graph("engine", CUSTOM, nodes=(tf_node("e", "TRTEngineOp"),)),
    bad(
        "second-graph",
        "saved_model.pb",
        saved_model(PLAIN) + field(2, field(2, graph_def(WRITE))),
        "tensorflow",
        RUNS,
    ),
    bad(
        "asset-outside",
        "saved_model.pb",
        saved_model(PLAIN, field(6, field(2, "../../x"))),
        "tensorflow",
        OUTSIDE,
    ),
    bad(
        "keras-lambda",
        "saved_model.pb",
        saved_model(PLAIN, keras_object(LAMBDA)),
        "tensorflow",
        RUNS,
    ),
    bad(
        "keras-no-json",
        "saved_model.pb",
        saved_model(PLAIN, keras_object(b"{")),
        "tensorflow",
        UNREADABLE,
    ),
    bad(
        *("keras-metadata-lambda", "keras_metadata.pb"),
        field(1, field(2, 1) + field(4, "_tf_keras_layer") + field(5, json.dumps(LAMBDA))),
        *("tensorflow", RUNS),
    ),
    bad("frozen-writes", "frozen.pb", graph_def(WRITE), "tensorflow", RUNS),
    bad("frozen-elsewhere", "x.bin", graph_def(WRITE), "tensorflow", RUNS),
    bad(
        "meta-writes",
        "model.meta",
        field(1, field(5, "1.15")) + field(2, graph_def(WRITE)),
        "tensorflow",
        RUNS,
    ),
    bad("cut", "saved_model.pb", saved_model(MANY)[:-10], "tensorflow", TRUNCATED),
    bad(
        "many-nodes",
        "frozen.pb",
        graph_def(*(tf_node("x", "Add"),) * 120_000),
        "tensorflow",
        UNEXAMINED,
    ),
    bad("custom", "m.tflite", tflite((32, "MyOp")), "tflite", CUSTOM),
    bad("custom-by-name", "m.tflite", tflite((0, "MyOp")), "tflite", CUSTOM),
    bad("flex", "m.tflite", tflite((32, "FlexAdd")), "tflite", CUSTOM),
    bad("flex-writes", "m.tflite", tflite((32, "FlexWriteFile")), "tflite", RUNS),
    bad("cut", "m.tflite", LITE[:40], "tflite", UNREADABLE),
    bad("root-outside", "m.tflite", b"\xff\xff\xff\x7fTFL3" + LITE[8:], "tflite", UNREADABLE),
    bad("many-operators", "m.tflite", tflite(*((0, ""),) * 5000), "tflite", UNEXAMINED),
]
