"""Core ML, OpenVINO, archives of torch and NeMo, and what is named by its first bytes."""

import gzip
import io
import json
import struct
import tarfile
from collections.abc import Mapping

from tests.parsers.pickle_builders import zipped
from tests.parsers.weights_case import (
    CUSTOM,
    OUTSIDE,
    RUNS,
    UNEXAMINED,
    UNREADABLE,
    WeightsCase,
    bad,
)
from tests.parsers.weights_protobuf import field


def coreml(kind: int, body: bytes) -> bytes:
    return field(1, 7) + field(2, field(1, b"")) + field(kind, body)


def network(*layers: bytes) -> bytes:
    return b"".join(field(1, field(1, "l") + layer) for layer in layers)


def program(file_name: str, operation: str = "const") -> bytes:
    blob = field(1, "name") + field(2, field(5, field(1, file_name) + field(2, 64)))
    block = field(3, field(1, operation) + field(5, blob))
    function = field(2, field(1, "main") + field(2, field(3, field(1, "i") + field(2, block))))
    return field(1, 1) + function


def openvino(*layers: str, head: str = '<?xml version="1.0"?>\n') -> bytes:
    body = "".join(layers)
    return f'{head}<net name="m" version="11"><layers>{body}</layers></net>'.encode()


def layer(kind: str = "Relu", version: str = "opset1", data: str = "") -> str:
    return f'<layer id="0" name="/a/b" type="{kind}" version="{version}"><data {data}/></layer>'


def mar(manifest: object, **more: bytes) -> bytes:
    return zipped({"MAR-INF/MANIFEST.json": json.dumps(manifest).encode(), **more})


def tar(entries: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in entries.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def linked(target: str, name: str = "x", form: int = tarfile.USTAR_FORMAT) -> bytes:
    """Write a NeMo archive with a link."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        info = tarfile.TarInfo("model_config.yaml")
        info.size = len(TARGET)
        archive.addfile(info, io.BytesIO(TARGET.encode()))
        info = tarfile.TarInfo(name)
        info.type, info.linkname = tarfile.SYMTYPE, target
        archive.addfile(info)
    return buffer.getvalue()


def renamed(name: str, data: bytes) -> bytes:
    """Write an archive whose member has another name in a record before it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("a")
        info.size, info.pax_headers = len(data), {"path": name}
        archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def nemo(config: str, **more: bytes) -> bytes:
    return tar({"./model_config.yaml": config.encode(), "./model_weights.ckpt": b"PK", **more})


def packed(*keys: str, kind: int = 1) -> bytes:
    """Nested maps of one text that lead to an extension."""
    body = b"".join(b"\x81" + bytes((0xA0 | len(key),)) + key.encode() for key in keys)
    return body + b"\xc7\x08" + bytes((kind,)) + bytes(8)


CUSTOM_LAYER = field(500, field(10, "MyLayer"))
HANDLER = {"model": {"handler": "image_classifier", "serializedFile": "model.pt", "modelName": "m"}}
TARGET = "encoder:\n  _target_: nemo.collections.asr.modules.ConformerEncoder\n"
SCRIPT = {
    "m/data.pkl": b"\x80\x02}.",
    "m/constants.pkl": b"\x80\x02).",
    "m/code/__torch__.py": b"x",
}
PT2 = {"m/archive_format": b"pt2", "m/models/model.json": b"{}", "m/data/weights/w0": bytes(8)}
LLAMA = b"tjgg" + struct.pack("<8I", 3, 32000, 4096, 256, 32, 32, 128, 2)
BOMB = '<!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'

HONEST = [
    WeightsCase(
        *("network", "m.mlmodel", coreml(500, network(field(140, b""))), "coreml"),
        description="Core ML, specification version 7",
    ),
    WeightsCase(
        "program", "m.mlmodel", coreml(502, program("@model_path/weights/weight.bin")), "coreml"
    ),
    WeightsCase("trees", "m.mlmodel", coreml(302, b"\x0a\x00"), "coreml"),
    WeightsCase("under-another-name", "m.bin", coreml(500, network(field(140, b""))), "coreml"),
    WeightsCase(
        *("plain", "m.xml", openvino(layer(), layer("Const")), "openvino"),
        description="OpenVINO, IR version 11, m, 2 layers",
    ),
    WeightsCase("large", "m.xml", openvino(*[layer()] * 5000), "openvino"),
    WeightsCase("archive", "m.mar", mar(HANDLER), "mar", pickles=True),
    WeightsCase("script", "m.pt", zipped(SCRIPT), "torchscript", pickles=True),
    WeightsCase("exported", "m.pt2", zipped(PT2), "pt2", pickles=True),
    WeightsCase(
        "archive", "m.nemo", nemo(TARGET), "nemo", pickles=True, description="NeMo archive"
    ),
    WeightsCase("under-another-name", "m.tar", nemo(TARGET), "nemo", pickles=True),
    WeightsCase(
        *("llama", "llama.bin", LLAMA, "ggjt"),
        description="GGJT, a format before GGUF, version 3",
    ),
    WeightsCase("whisper", "ggml-base.bin", b"lmgg" + bytes(64), "ggml"),
    WeightsCase("adapter", "adapter.bin", b"algg" + bytes(64), "ggla"),
    WeightsCase("older", "x", b"fmgg" + bytes(64), "ggmf"),
    WeightsCase("parameters", "flax_model.msgpack", packed("params", "dense", "kernel"), "flax"),
    WeightsCase("under-another-name", "weights.bin", packed("params", "kernel"), "flax"),
    WeightsCase("engine", "m.bin", b"ftrt" + bytes(64), "tensorrt", complete=False),
    WeightsCase(
        *("by-its-name", "m.engine", b"\xfe\xfd\xfc\xfb" * 64, "tensorrt"),
        complete=False,
        description="TensorRT engine by its name, its bytes say nothing",
    ),
    WeightsCase("model", "model.cbm", b"CBM1" + bytes(64), "catboost", complete=False),
    WeightsCase("program", "m.pte", bytes(4) + b"ET12" + bytes(64), "executorch", complete=False),
    WeightsCase("model", "m.ort", bytes(4) + b"ORTM" + bytes(64), "ort", complete=False),
]


def _nemo(id: str, *codes: str, config: str) -> WeightsCase:  # noqa: A002
    return bad(id, "m.nemo", nemo(config), "nemo", *codes)


HOSTILE = [
    bad(
        "layer",
        "m.mlmodel",
        coreml(500, network(field(500, field(10, "MyLayer")))),
        "coreml",
        CUSTOM,
    ),
    bad(
        "branch",
        "m.mlmodel",
        coreml(500, network(field(605, field(2, network(CUSTOM_LAYER))))),
        "coreml",
        CUSTOM,
    ),
    bad(
        "loop",
        "m.mlmodel",
        coreml(403, network(field(615, field(4, network(CUSTOM_LAYER))))),
        "coreml",
        CUSTOM,
    ),
    bad("model", "m.mlmodel", coreml(555, field(1, "MyModel")), "coreml", CUSTOM),
    bad(
        "in-a-pipeline",
        "m.mlmodel",
        coreml(202, field(1, coreml(555, field(1, "X")))),
        "coreml",
        CUSTOM,
    ),
    bad(
        "linked",
        "m.mlmodel",
        coreml(556, field(1, field(1, field(1, "../other.mlmodelc")))),
        "coreml",
        OUTSIDE,
    ),
    bad(
        "blob", "m.mlmodel", coreml(502, program("@model_path/../../etc/passwd")), "coreml", OUTSIDE
    ),
    bad("blob-absolute", "m.mlmodel", coreml(502, program("/etc/passwd")), "coreml", OUTSIDE),
    bad(
        "operation",
        "m.mlmodel",
        coreml(502, program("@model_path/w", "custom_op")),
        "coreml",
        CUSTOM,
    ),
    bad("extension", "m.xml", openvino(layer("MyOp", "extension")), "openvino", CUSTOM),
    bad("no-set", "m.xml", openvino(layer("MyOp", "")), "openvino", CUSTOM),
    bad("path", "m.xml", openvino(layer(data='path="../../x.so"')), "openvino", OUTSIDE),
    bad("entities", "m.xml", openvino(layer(), head=BOMB), "openvino", UNREADABLE),
    bad(
        "entities-later",
        "m.xml",
        openvino(layer(), head=f"<!-- x -->{BOMB}"),
        "openvino",
        UNREADABLE,
    ),
    bad(
        "wide",
        "m.xml",
        openvino(layer("X", "mine"), head="").decode().encode("utf-16"),
        "openvino",
        CUSTOM,
    ),
    bad("cut", "m.xml", openvino(layer())[:-10], "openvino", UNREADABLE),
    bad("many-elements", "m.xml", openvino("<a/>" * 310_000), "openvino", UNEXAMINED),
    bad(
        "many-attributes",
        "m.xml",
        openvino("<layer " + " ".join(f'a{n}="1"' for n in range(999)) + "/>"),
        "openvino",
        UNEXAMINED,
    ),
    bad("deep", "m.xml", openvino("<a>" * 1000), "openvino", UNEXAMINED),
    bad("code", "m.mar", mar(HANDLER, **{"handler.py": b"import os"}), "mar", RUNS),
    bad("packages", "m.mar", mar({"model": {"requirementsFile": "requirements.txt"}}), "mar", RUNS),
    bad("handler-elsewhere", "m.mar", mar({"model": {"handler": "../../x.py"}}), "mar", OUTSIDE),
    bad("entry-elsewhere", "m.mar", mar(HANDLER, **{"../x": b""}), "mar", OUTSIDE),
    bad(
        "library",
        "m.pt2",
        zipped({**PT2, "m/data/aotinductor/model/x.so": b"\x7fELF"}),
        "pt2",
        RUNS,
    ),
    bad("many-entries", "m.mar", zipped({str(n): b"" for n in range(17_000)}), "mar", UNEXAMINED),
    bad("compressed", "m.nemo", gzip.compress(nemo(TARGET)), "nemo", UNEXAMINED),
    _nemo("target", RUNS, config="a:\n  _target_: os.system\n  command: id\n"),
    _nemo("target-on-the-next-line", RUNS, config="_target_:\n  subprocess.Popen\n"),
    _nemo("target-with-a-tag", RUNS, config="_target_: !!str os.system\n"),
    _nemo("target-in-a-flow", RUNS, config='{a: {"_target_": "builtins.exec"}}'),
    _nemo("target-as-a-complex-key", RUNS, config="? _target_\n: os.system\n"),
    _nemo("target-alike", RUNS, config="_target_: nemo.__import__.x\n"),
    _nemo("target-escaped", UNREADABLE, config='"\\x5ftarget_": os.system\n'),
    bad("member-elsewhere", "m.nemo", nemo(TARGET, **{"../../x": b"1"}), "nemo", OUTSIDE),
    bad("link", "m.nemo", linked("../../etc/passwd"), "nemo", OUTSIDE),
    bad("link-long", "m.nemo", linked("/" + "a" * 200, form=tarfile.GNU_FORMAT), "nemo", OUTSIDE),
    bad(
        "link-long-name",
        "m.nemo",
        linked("b", "../" + "a" * 200, tarfile.GNU_FORMAT),
        "nemo",
        OUTSIDE,
    ),
    bad(
        "link-in-a-record",
        "m.nemo",
        linked("/" + "ä" * 90, form=tarfile.PAX_FORMAT),
        "nemo",
        OUTSIDE,
    ),
    bad(
        "prefix",
        "m.nemo",
        nemo(TARGET, **{"../" + "a" * 60 + "/" + "b" * 60: b""}),
        "nemo",
        OUTSIDE,
    ),
    bad("renamed", "m.nemo", renamed("model_config.yaml", b"_target_: os.system\n"), "nemo", RUNS),
    bad("code", "m.nemo", nemo(TARGET, **{"a.py": b"1"}), "nemo", RUNS),
]
