"""Write tiny model files, good and bad, and know where each of their fields lies.

Nothing here uses the project's own code: the readers are tested against an independent writer.
Every field has a label; a case replaces the bytes of some labels and asks for the offset of others.
"""

import json
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
_CODES = {U8: "B", I8: "b", U16: "H", I16: "h", U32: "I", I32: "i", F32: "f", BOOL: "B"} | {
    U64: "Q",
    I64: "q",
    F64: "d",
}
_BLOCKS = {
    0: (1, 4),
    1: (1, 2),
    2: (32, 18),
    8: (32, 34),
    12: (256, 144),
    24: (1, 1),
    30: (1, 2),
} | {
    6: (32, 22),
    39: (32, 17),
    40: (64, 36),
}


def number(code: str, value: float, order: str = "<") -> bytes:
    """Pack one number."""
    packed: bytes = struct.pack(order + code, value)
    return packed


def u32(value: int) -> bytes:
    return number("I", value)


def u64(value: int) -> bytes:
    return number("Q", value)


@dataclass
class Gguf:
    """A GGUF file as labelled pieces; see `gguf`."""

    pieces: dict[str, bytes] = field(default_factory=dict)

    def at(self, label: str) -> int:
        """Offset of a piece; ``end`` is the end of the file."""
        position = 0
        for name, data in self.pieces.items():
            if name == label:
                return position
            position += len(data)
        assert label == "end", label
        return position

    @property
    def data(self) -> bytes:
        return b"".join(self.pieces.values())


def gguf(
    metadata: Sequence[tuple[str, int, Any]] = (("general.architecture", STRING, "llama"),),
    tensors: Sequence[tuple[str, Sequence[int], int]] = (("a.weight", (32, 2), 0),),
    *,
    version: int = 3,
    order: str = "<",
    alignment: int = 32,
    patch: Mapping[str, bytes] | None = None,
) -> Gguf:
    """Write a GGUF file.

    Args:
        metadata: Keys, type numbers and values; an array's value is (element type, elements).
        tensors: Names, dimensions and ggml type numbers; the data is zeros.
        version: 1 makes counts and lengths 32 bits wide.
        order: Byte order as in the struct module.
        alignment: What the data is laid out with; say it in the metadata yourself.
        patch: New bytes for labels: ``magic version n_tensors n_kv``, ``kN.key kN.type kN.value``
            (arrays: ``kN.element kN.count kN.items``), ``tN.name tN.n_dims tN.dimM tN.type
            tN.offset``, ``padding data``.
    """
    word = "I" if version == 1 else "Q"

    def pack(code: str, value: float) -> bytes:
        return number(code, value, order)

    def text(value: str | bytes) -> bytes:
        raw = value.encode() if isinstance(value, str) else value
        return pack(word, len(raw)) + raw

    def scalar(kind: int, value: Any) -> bytes:
        return text(value) if kind == STRING else pack(_CODES[kind], value)

    pieces = {
        "magic": b"GGUF",
        "version": pack("I", version),
        "n_tensors": pack(word, len(tensors)),
        "n_kv": pack(word, len(metadata)),
    }
    for n, (key, kind, value) in enumerate(metadata):
        pieces[f"k{n}.key"] = text(key)
        pieces[f"k{n}.type"] = pack("I", kind)
        if kind == ARRAY:
            element, items = value
            pieces[f"k{n}.element"] = pack("I", element)
            pieces[f"k{n}.count"] = pack(word, len(items))
            pieces[f"k{n}.items"] = (
                items  # bytes are packed already
                if isinstance(items, bytes)
                else b"".join(scalar(element, item) for item in items)
            )
        else:
            pieces[f"k{n}.value"] = scalar(kind, value)
    position = 0
    for n, (name, dims, kind) in enumerate(tensors):
        block, size = _BLOCKS[kind]
        count = 1
        pieces[f"t{n}.name"] = text(name)
        pieces[f"t{n}.n_dims"] = pack("I", len(dims))
        for m, dim in enumerate(dims):
            pieces[f"t{n}.dim{m}"] = pack(word, dim)
            count *= dim
        pieces[f"t{n}.type"] = pack("I", kind)
        pieces[f"t{n}.offset"] = pack("Q", position)
        position += -(-(count // block * size) // alignment) * alignment
    header = sum(map(len, pieces.values()))
    pieces["padding"] = bytes(-header % alignment if tensors else 0)
    pieces["data"] = bytes(position)
    for label, data in (patch or {}).items():
        assert label in pieces, label
        pieces[label] = data
    return Gguf(pieces)


def safetensors(content: Any, data: bytes | int = b"", *, length: int | None = None) -> bytes:
    """Write a safetensors file.

    Args:
        content: Bytes or text as they are, anything else as compact JSON.
        data: The data section, or how many zeros it has.
        length: The header length to declare, when it is to lie.
    """
    if not isinstance(content, bytes | str):
        content = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
    header = content.encode() if isinstance(content, str) else bytes(content)
    body = bytes(data) if isinstance(data, int) else data
    prefix = u64(len(header) if length is None else length)
    return prefix + header + body


def tensor(dtype: str, shape: Sequence[int], begin: int, end: int) -> dict[str, Any]:
    """One entry of a safetensors header."""
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


_BITS = {"F4": 4, "F16": 16, "BF16": 16, "F32": 32, "I16": 16, "I32": 32, "U32": 32, "I64": 64}


def weights(
    rows: Sequence[tuple[str, str, Sequence[int]]], metadata: Mapping[str, str] | None = None
) -> bytes:
    """A safetensors file of tensors, given as name, dtype and shape, whose data is zeros."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"} if metadata is None else metadata}
    end = 0
    for name, dtype, shape in rows:
        begin, end = end, end + math.prod(shape) * _BITS.get(dtype, 8) // 8
        header[name] = tensor(dtype, shape, begin, end)
    return safetensors(header, end)
