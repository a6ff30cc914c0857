"""Recognise weights by their first bytes alone: GGML before GGUF, Flax, TensorRT and others.

GGML's old files and Flax' MessagePack hold numbers and texts; nothing in them can be called, so
they are complete when they are recognised. The others are named, and not read any further.

References: ``llama.cpp`` before August 2023, ``flax/serialization.py``, each project's own reader.
"""

import struct
from typing import Final, NamedTuple

from prefect_mutagen.parsers.byte_ranges import Reads
from prefect_mutagen.parsers.byte_sources import FilePart
from prefect_mutagen.parsers.weights_report import WeightsReport

__all__ = ["is_named", "read_named"]

_GGML: Final = {b"lmgg": "ggml", b"fmgg": "ggmf", b"tjgg": "ggjt", b"algg": "ggla"}


class _Magic(NamedTuple):
    """How files of a format begin."""

    start: bytes
    form: str
    title: str
    framework: str = ""


_MAGICS: Final = (
    _Magic(b"ftrt", "tensorrt", "TensorRT engine", "tensorrt"),
    _Magic(b"ptrt", "tensorrt", "TensorRT engine", "tensorrt"),
    _Magic(b"\x12\x01\0\0\0\0\0\0", "mxnet", "MXNet parameters", "mxnet"),
    _Magic(b"CBM1", "catboost", "CatBoost model", "catboost"),
    _Magic(b"RKNN", "rknn", "RKNN model", "rknn"),
    _Magic(b"binf", "xgboost", "XGBoost model, the format before JSON", "xgboost"),
    _Magic(b"{L\0\0\0\0\0\0\0\x07learner", "xgboost", "XGBoost model, UBJSON", "xgboost"),
)
_ENGINES: Final = (".engine", ".plan", ".trt")
_DEPTH_LIMIT: Final = 32


def is_named(head: bytes, name: str) -> bool:
    """Whether the first bytes, or for an engine the name, say what a file is."""
    return bool(
        head[:4] in _GGML
        or any(head.startswith(magic.start) for magic in _MAGICS)
        or _is_flax(head, name)
        or name.endswith(_ENGINES)
    )


def read_named(source: FilePart, report: WeightsReport) -> Reads[bool]:
    """Describe a file of which `is_named` holds; return whether it is one."""
    head = yield from source.read(0, min(4096, source.size))
    magic = next((magic for magic in _MAGICS if head.startswith(magic.start)), None)
    if head[:4] in _GGML:
        form = _GGML[head[:4]]
        version = struct.unpack_from("<I", head, 4)[0] if len(head) >= 8 else 0
        title = {"ggla": "GGLA, a LoRA adapter"}.get(form, form.upper())
        report.recognise(form, f"{title}, a format before GGUF", "ggml")
        if form != "ggml":
            report.details.append(f"version {version}")
    elif magic is not None:
        report.recognise(*magic[1:])
        report.complete = False
    elif _is_flax(head, report.name):
        report.recognise("flax", "Flax parameters in MessagePack", "flax")
    else:
        report.recognise(
            "tensorrt", "TensorRT engine by its name, its bytes say nothing", "tensorrt"
        )
        report.complete = False
    report.found = True
    return True


def _is_flax(head: bytes, name: str) -> bool:
    """Whether a map of texts leads to an array, which Flax writes as extension type 1."""
    at = 0
    for _ in range(_DEPTH_LIMIT):
        kind = head[at] if at < len(head) else 0
        if 0x81 <= kind <= 0x8F:
            at += 1
        elif kind in (0xDE, 0xDF):
            at += 3 if kind == 0xDE else 5
        else:
            break
        kind = head[at] if at < len(head) else 0
        if 0xA0 <= kind <= 0xBF:
            size, at = kind & 0x1F, at + 1
        elif kind == 0xD9 and at + 1 < len(head):
            size, at = head[at + 1], at + 2
        else:
            return False
        try:
            key = head[at : at + size].decode()
        except UnicodeDecodeError:
            return False
        if len(key) != len(key.strip()) or not key.isprintable():
            return False
        at += size
    else:
        return False
    extension = {0xC7: 2, 0xC8: 3, 0xC9: 5}.get(head[at] if at < len(head) else 0, 0)
    if at == 0:
        return False
    if extension:
        return head[at + extension : at + extension + 1] == b"\1"
    return name.endswith((".msgpack", ".flax"))
