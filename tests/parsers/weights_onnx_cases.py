"""ONNX models: honest and hostile."""

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
from tests.parsers.weights_protobuf import (
    attribute,
    external,
    field,
    function,
    graph,
    initializer,
    node,
    onnx,
    onnx_tensor,
)

PLAIN = onnx(node("MatMul"), node("Add"), initializer())


def _nested(depth: int) -> bytes:
    inner = graph(node("Add"))
    for _ in range(depth):
        inner = graph(node("If", "", field(1, "then_branch") + field(6, inner)))
    return onnx(field(1, field(4, "If") + field(5, field(1, "b") + field(6, inner))))


def _located(location: str) -> bytes:
    return onnx(node("Add"), initializer(location=location))


HONEST = [
    WeightsCase(
        *("plain", "model.onnx", PLAIN, "onnx"),
        description="ONNX, IR version 8, opset 17, producer pytorch 2.1",
    ),
    WeightsCase("under-another-name", "weights.bin", PLAIN, "onnx"),
    WeightsCase("under-the-old-name", "model.pb", PLAIN, "onnx"),
    WeightsCase("microsoft", "m.onnx", onnx(node("FusedMatMul", "com.microsoft")), "onnx"),
    WeightsCase("ml", "m.onnx", onnx(node("TreeEnsembleRegressor", "ai.onnx.ml")), "onnx"),
    WeightsCase("beside", "m.onnx", _located("weights/model.onnx_data"), "onnx"),
    WeightsCase("dots-in-a-name", "m.onnx", _located("model..v2.data"), "onnx"),
    WeightsCase("subgraph", "m.onnx", _nested(3), "onnx"),
    WeightsCase(
        *("local-function", "m.onnx"),
        onnx(node("Gelu", "pkg.torch"), after=function("Gelu", "pkg.torch", node("Erf"))),
        "onnx",
    ),
]
PATHS = {
    "up": "../model.bin",
    "deep-up": "a/b/../../../x",
    "up-and-back": "a/../x",
    "absolute": "/etc/passwd",
    "drive": "C:\\x",
    "share": "\\\\server\\share",
    "backslashes": "a\\..\\..\\x",
    "scheme": "file:///etc/passwd",
    "home": "~/x",
    "memory": "*/_ORT_MEM_ADDR_/*",
    "zero": "a\0b",
}
ATTRIBUTE_TENSOR = attribute("value", 5, onnx_tensor(location="../x"))
HOSTILE = [
    *(
        bad(f"external-{key}", "m.onnx", _located(path), "onnx", OUTSIDE)
        for key, path in PATHS.items()
    ),
    bad(
        "external-of-an-attribute",
        "m.onnx",
        onnx(node("Constant", "", ATTRIBUTE_TENSOR)),
        "onnx",
        OUTSIDE,
    ),
    bad(
        *("external-value-first", "m.onnx"),
        onnx(field(5, field(8, "w") + field(13, field(2, "/x") + field(1, "location")))),
        *("onnx", OUTSIDE),
    ),
    bad(
        *("external-stated-twice", "m.onnx"),
        onnx(field(5, field(8, "w") + field(13, external("/x")) + field(13, external("x")))),
        *("onnx", OUTSIDE),
    ),
    bad(
        *("external-of-a-sparse-tensor", "m.onnx"),
        onnx(node("Add"), field(15, field(1, onnx_tensor(location="/x")))),
        *("onnx", OUTSIDE),
    ),
    bad(
        *("external-in-training", "m.onnx"),
        onnx(node("Add"), after=field(20, field(1, graph(initializer(location="/x"))))),
        *("onnx", OUTSIDE),
    ),
    bad("custom", "m.onnx", onnx(node("Add", "my.ops")), "onnx", CUSTOM),
    bad(
        "custom-domain-first",
        "m.onnx",
        onnx(field(1, field(7, "my.ops") + field(4, "X"))),
        "onnx",
        CUSTOM,
    ),
    bad("unknown-field", "m.onnx", field(999, b"x") + onnx(node("Add", "my.ops")), "onnx", CUSTOM),
    bad(
        "group",
        "m.onnx",
        b"\xfb\x01\x0a\x01x\xfc\x01" + onnx(node("Add", "my.ops")),
        "onnx",
        CUSTOM,
    ),
    bad(
        "group-in-a-graph",
        "m.onnx",
        onnx(b"\x0b\x0a\x00\x0c", node("Add", "my.ops")),
        "onnx",
        CUSTOM,
    ),
    bad("group-without-end", "m.onnx", onnx(b"\x0b", node("Add")), "onnx", UNREADABLE),
    bad("wide-tag", "m.onnx", onnx(b"\x8a\x80\x00" + node("Add", "my.ops")[1:]), "onnx", CUSTOM),
    bad("custom-case", "m.onnx", onnx(node("Add", "AI.ONNX")), "onnx", CUSTOM),
    bad("custom-extensions", "m.onnx", onnx(node("X", "com.microsoft.extensions")), "onnx", CUSTOM),
    bad(
        "custom-two-graphs",
        "m.onnx",
        onnx(node("Add"), after=field(7, node("Y", "q"))),
        "onnx",
        CUSTOM,
    ),
    bad(
        *("custom-in-a-function", "m.onnx"),
        onnx(node("F", "f"), after=function("F", "f", node("X", "my.ops"))),
        *("onnx", CUSTOM),
    ),
    bad(
        "other-function-of-the-domain",
        "m.onnx",
        onnx(node("G", "f"), after=function("F", "f")),
        "onnx",
        CUSTOM,
    ),
    bad("python", "m.onnx", onnx(node("PyOp", "ai.onnx.contrib")), "onnx", RUNS),
    bad("python-in-training", "m.onnx", onnx(node("PythonOp", "com.microsoft")), "onnx", RUNS),
    bad(
        *("python-in-a-subgraph", "m.onnx"),
        onnx(node("If", "", attribute("then_branch", 6, graph(node("PyOp", "ai.onnx.contrib"))))),
        *("onnx", RUNS),
    ),
    bad("engine", "m.onnx", onnx(node("EPContext", "com.microsoft")), "onnx", CUSTOM),
    bad(
        *("engine-elsewhere", "m.onnx"),
        onnx(node("EPContext", "com.microsoft", attribute("ep_cache_context", 4, "../e.bin"))),
        *("onnx", OUTSIDE),
    ),
    bad(
        *("engine-elsewhere-value-first", "m.onnx"),
        onnx(node("EPContext", "com.microsoft", field(4, "/e") + field(1, "ep_cache_context"))),
        *("onnx", OUTSIDE),
    ),
    bad("cut", "m.onnx", PLAIN[:-20], "onnx", TRUNCATED),
    bad("graph-overruns", "m.onnx", onnx(field(1, b"\x22\x7fAdd")), "onnx", UNREADABLE),
    bad("too-deep", "m.onnx", _nested(200), "onnx", UNEXAMINED),
    bad("too-many-fields", "m.onnx", onnx(b"\x10\x00" * 400_000), "onnx", UNEXAMINED),
    bad("endless-number", "m.onnx", onnx(b"\x10" + b"\x80" * 20), "onnx", UNREADABLE),
    bad(
        *("too-many-large-tensors", "m.onnx"),
        onnx(node("Add"), *(initializer(data=bytes(600_000)) for _ in range(40))),
        *("onnx", UNEXAMINED),
    ),
]
