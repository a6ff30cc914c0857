"""Write protobuf messages field by field, and the models that are made of them."""

from collections.abc import Iterable


def varint(number: int) -> bytes:
    out = bytearray()
    while True:
        number, low = number >> 7, number & 0x7F
        out.append(low | 0x80 if number else low)
        if not number:
            return bytes(out)


def field(number: int, value: bytes | str | int) -> bytes:
    """Write one field: a number as a varint, everything else with its length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    raw = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(raw)) + raw


def node(op: str, domain: str = "", *attributes: bytes) -> bytes:
    """Write an ONNX node, as a field of a graph."""
    body = field(1, "x") + field(2, "y") + field(4, op)
    body += b"".join(field(5, attribute) for attribute in attributes)
    return field(1, body + (field(7, domain) if domain else b""))


def attribute(name: str, number: int, value: bytes | str | int) -> bytes:
    return field(1, name) + field(number, value) + field(20, 1)


def onnx_tensor(
    name: str = "w",
    dims: Iterable[int] = (2, 3),
    data: bytes = b"",
    location: str = "",
    dtype: int = 1,
) -> bytes:
    body = b"".join(field(1, dim) for dim in dims) + field(2, dtype) + field(8, name)
    if location:
        return body + field(13, external(location)) + field(14, 1)
    return body + field(9, data or bytes(24))


def external(location: str) -> bytes:
    return field(1, "location") + field(2, location)


def graph(*parts: bytes) -> bytes:
    return b"".join(parts) + field(2, "main") + field(11, field(1, "x")) + field(12, field(1, "y"))


def onnx(*parts: bytes, after: bytes = b"") -> bytes:
    """Write an ONNX model with a graph of these fields."""
    head = field(1, 8) + field(2, "pytorch") + field(3, "2.1")
    opset = field(8, field(1, "") + field(2, 17))
    return head + field(7, graph(*parts)) + opset + after


def initializer(**options: object) -> bytes:
    return field(5, onnx_tensor(**options))  # type: ignore[arg-type]


def function(name: str, domain: str, *nodes: bytes) -> bytes:
    """Write a function of a model; its nodes are written as those of graphs."""
    body = field(1, name) + b"".join(field(7, part[_length_end(part) :]) for part in nodes)
    return field(25, body + field(10, domain))


def _length_end(part: bytes) -> int:
    at = 1
    while part[at] & 0x80:
        at += 1
    return at + 1
