"""Write HDF5 files of a few groups, byte by byte: version 0 as h5py does, and version 2."""

import struct
from collections.abc import Mapping

MAGIC = b"\x89HDF\r\n\x1a\n"
UNDEFINED = b"\xff" * 8


def _padded(data: bytes, to: int = 8) -> bytes:
    return data + bytes(-len(data) % to)


def _message(kind: int, body: bytes, flags: int = 0) -> bytes:
    body = _padded(body)
    return struct.pack("<HHB3x", kind, len(body), flags) + body


_SCALAR = struct.pack("<BBBx4x", 1, 0, 0)


def _text_attribute(name: str, value: bytes) -> bytes:
    """An attribute with a text of fixed length."""
    raw = name.encode() + b"\0"
    kind = struct.pack("<B3BI", 0x13, 0, 0, 0, len(value))
    head = struct.pack("<BxHHH", 1, len(raw), len(kind), len(_SCALAR))
    return _message(0x0C, head + _padded(raw) + _padded(kind) + _padded(_SCALAR) + value)


def _variable_attribute(name: str, length: int, heap: int, index: int) -> bytes:
    """An attribute with a text in the global heap."""
    raw = name.encode() + b"\0"
    base = struct.pack("<B3BI", 0x10, 0, 0, 0, 1) + struct.pack("<HH", 0, 8)
    kind = struct.pack("<B3BI", 0x19, 1, 0, 0, 16) + base
    head = struct.pack("<BxHHH", 1, len(raw), len(kind), len(_SCALAR))
    value = struct.pack("<IQI", length, heap, index)
    return _message(0x0C, head + _padded(raw) + _padded(kind) + _padded(_SCALAR) + value)


def hdf5(
    attributes: Mapping[str, str],
    *,
    variable: bool = True,
    split: bool = False,
    tail: int = 0,
    child: bytes = b"",
) -> bytes:
    """Write a file whose root has attributes.

    Args:
        attributes: Names and texts.
        variable: Whether texts of more than 64 bytes are in the global heap.
        split: Whether the messages are in a second block of the header.
        tail: Bytes of data after everything.
        child: Messages of an object in the root group.
    """
    heap, at = b"", 4096
    places: dict[str, tuple[int, int]] = {}
    for name, value in attributes.items():
        if variable and len(value) > 64:
            raw = _padded(value.encode())
            item = struct.pack("<HH4xQ", 1, 0, len(value)) + raw
            size = max(4096, 16 + len(item) + 16)
            places[name] = (at + len(heap), len(value))
            room = size - 16 - len(item)
            free = struct.pack("<HH4xQ", 0, 0, room)
            body = b"GCOL" + struct.pack("<B3xQ", 1, size) + item + free
            heap += body + bytes(size - len(body))
    messages = [_message(0x11, struct.pack("<2Q", 1024, 1568))]
    for name, value in attributes.items():
        if name in places:
            messages.append(_variable_attribute(name, places[name][1], places[name][0], 1))
        else:
            messages.append(_text_attribute(name, value.encode()))
    body = b"".join(messages)
    if split:
        body, second = _message(0x10, struct.pack("<2Q", 2048, len(body))), body
    else:
        second = b""
    header = struct.pack("<BxHII4x", 1, len(messages) + split, 1, len(body)) + body
    tree = b"TREE" + struct.pack("<BBH", 0, 0, bool(child)) + UNDEFINED * 2
    tree += struct.pack("<3Q", 0, 3000, 8)
    symbols = b"SNOD" + struct.pack("<BBH", 1, 0, 1) + struct.pack("<QQI4x16x", 8, 3200, 0)
    below = struct.pack("<BxHII4x", 1, 1, 1, len(child)) + child
    texts = bytes(8) + b"c\0" + bytes(6) + b"/etc/passwd\0".ljust(72, b"\0")
    names = b"HEAP" + struct.pack("<B3xQQQ", 0, 88, 1, 1600) + texts
    entry = struct.pack("<QQI4x2Q", 0, 96, 1, 1024, 1568)
    end = at + len(heap) + tail
    block = MAGIC + struct.pack("<8BHHI", 0, 0, 0, 0, 0, 8, 8, 0, 4, 16, 0)
    block += struct.pack("<Q", 0) + UNDEFINED + struct.pack("<Q", end) + UNDEFINED + entry
    out = bytearray(end)
    parts = {0: block, 96: header, 1024: tree, 1568: names, 2048: second}
    for start, part in {**parts, 3000: symbols, 3200: below}.items():
        assert start + len(part) <= at, (start, len(part))
        out[start : start + len(part)] = part
    out[at : at + len(heap)] = heap
    return bytes(out)


def external_data(name_at: int) -> bytes:
    """A message with a file that holds a dataset's data; its name is in the root's heap."""
    slots = struct.pack("<3Q", name_at, 0, 16)
    return _message(0x07, struct.pack("<B3xHHQ", 1, 1, 1, 1568) + slots)


VIRTUAL = _message(0x08, b"\4\3" + bytes(12))
"""A message of a dataset that is made of parts of other files."""


def hdf5_new(attributes: Mapping[str, str], *messages: bytes) -> bytes:
    """Write a file of version 2, with texts of fixed length and other messages in its root.

    Checksums are left out: nobody here compares them.
    """
    body = b""
    for name, value in attributes.items():
        raw, data = name.encode() + b"\0", value.encode()
        kind = struct.pack("<B3BI", 0x13, 0, 0, 0, len(data))
        space = struct.pack("<4B", 2, 0, 0, 0)
        head = struct.pack("<BBHHHB", 3, 0, len(raw), len(kind), len(space), 0)
        message = head + raw + kind + space + data
        body += struct.pack("<BHB", 0x0C, len(message), 0) + message
    body += b"".join(messages)
    header = b"OHDR" + struct.pack("<BBI", 2, 2, len(body)) + body + bytes(4)
    end = 48 + len(header)
    block = MAGIC + struct.pack("<4B", 2, 8, 8, 0) + struct.pack("<Q", 0) + UNDEFINED
    return block + struct.pack("<2QI", end, 48, 0) + header


def external_link(name: str, path: str) -> bytes:
    """A message with a link to another file."""
    raw, target = name.encode(), b"\0" + path.encode() + b"\0/x\0"
    body = (
        struct.pack("<BBBB", 1, 0x08, 64, len(raw)) + raw + struct.pack("<H", len(target)) + target
    )
    return struct.pack("<BHB", 0x06, len(body), 0) + body


DENSE_LINKS = struct.pack("<BHB", 0x02, 18, 0) + b"\0\0" + struct.pack("<2Q", 64, 64)
"""A message that leads to links in a fractal heap."""
