"""Read the attributes of an HDF5 file's root, and the Keras model that they configure.

``h5py`` opens files only, and maps them; what is needed is in a few places: the superblock, the
root group's object header, and the global heap that holds long attributes. Keras writes
``model_config`` and ``training_config`` there; a ``Lambda`` layer in them is marshalled code. Links
and datasets of other files stand in headers all over a file; they are looked for only in the root.

Reference: the HDF5 File Format Specification 3.0, sections II, III.F and IV.A.
"""

import struct
from typing import Final, NamedTuple

from prefect_mutagen.parsers.byte_ranges import Reads
from prefect_mutagen.parsers.byte_sources import FilePart
from prefect_mutagen.parsers.errors import HeaderError, shown
from prefect_mutagen.parsers.keras import CONFIG_LIMIT, judge_config, parse_json
from prefect_mutagen.parsers.rules import make_error
from prefect_mutagen.parsers.weights_header import WeightsReport, named_in_text

__all__ = ["HDF5_MAGIC", "find_superblock", "read_hdf5"]

HDF5_MAGIC: Final = b"\x89HDF\r\n\x1a\n"
_UNDEFINED: Final = 0xFFFFFFFFFFFFFFFF
_MESSAGE_LIMIT: Final = 4096
_BLOCK_LIMIT: Final = 64
_HEADER_LIMIT: Final = 1 << 20
_AHEAD: Final = 32 << 10
_ATTRIBUTE, _CONTINUATION, _LINK, _EXTERNAL, _DENSE = 0x0C, 0x10, 0x06, 0x07, 0x15
_STRING, _VARIABLE = 3, 9
_CONFIGS: Final = ("model_config", "training_config")


class _Attribute(NamedTuple):
    """An attribute, with its data as it stands in the header."""

    name: str
    kind: int
    data: bytes
    at: int


class _Reader:
    """Reads by addresses, which count from the superblock."""

    def __init__(self, source: FilePart, base: int) -> None:
        self._source, self._base = source, base

    def read(self, address: int, size: int, ahead: int = 0) -> Reads[bytes]:
        """Return bytes at an address; an error if the file does not have them."""
        start = self._base + address
        data = yield from self._source.read(start, start + size, start + max(size, ahead))
        if len(data) < size:
            raise self.problem(address, f"{size} bytes", "the end of the file")
        return data

    def at(self, address: int) -> int:
        """Return an offset in the file for an address, which may be out of it."""
        return max(0, min(self._base + address, self._source.size))

    def problem(self, address: int, expected: str, found: str) -> HeaderError:
        return make_error(
            "weights/unreadable",
            offset=self._source.locate(self.at(address)),
            field="HDF5 structure",
            expected=expected,
            found=found,
        )


def find_superblock(head: bytes) -> int:
    """Return where a superblock begins: at 0, 512, 1024 and so on; -1 if it is nowhere."""
    at = 0
    while at + len(HDF5_MAGIC) <= len(head):
        if head.startswith(HDF5_MAGIC, at):
            return at
        at = at * 2 or 512
    return -1


def read_hdf5(source: FilePart, report: WeightsReport) -> Reads[bool]:
    """Read a file; return whether it is HDF5.

    Raises:
        HeaderError: It cannot be followed to what matters.
    """
    head = yield from source.read(0, min(64 << 10, source.size))
    base = find_superblock(head)
    if base < 0:
        return False
    report.recognise("hdf5", "HDF5")
    report.found = True
    # Groups and datasets below the root are not followed: their links may leave the file.
    report.complete = False
    reader = _Reader(source, base)
    root = yield from _root_address(reader, report, source, base)
    attributes = yield from _attributes(reader, root, report, source)
    for attribute in attributes:
        if attribute.name in ("keras_version", "backend"):
            value = yield from _text(reader, attribute)
            title = "Keras" if attribute.name == "keras_version" else "backend"
            report.details.append(f"{title} {named_in_text(value.decode('utf-8', 'replace'))}")
        if attribute.name in ("keras_version", "backend", "layer_names", *_CONFIGS):
            report.framework = "keras"
    for attribute in attributes:
        if attribute.name in _CONFIGS:
            value = yield from _text(reader, attribute)
            config = parse_json(value, source, attribute.at, attribute.name)
            objects = judge_config(config, report, source, attribute.at)
            if attribute.name == "model_config":
                report.details.append(f"{objects} objects")
    return True


def _root_address(
    reader: _Reader, report: WeightsReport, source: FilePart, base: int
) -> Reads[int]:
    """Read the superblock; return the address of the root's object header."""
    block = yield from reader.read(0, min(96, source.size - base))
    version = block[8] if len(block) > 8 else -1
    widths = block[13:15] if version < 2 else block[9:11]
    first = {0: 24, 1: 28}.get(version, 12)
    if version not in (0, 1, 2, 3) or widths != b"\x08\x08" or len(block) < first + 32:
        raise reader.problem(8, "a superblock with addresses of 8 bytes", shown(block[8:16]))
    if version < 2:
        _, _, end, _ = struct.unpack_from("<4Q", block, first)
        if len(block) < first + 48:
            raise reader.problem(first, "a symbol table entry", "the end of the file")
        root: int = struct.unpack_from("<Q", block, first + 40)[0]
    else:
        _, _, end, root = struct.unpack_from("<4Q", block, first)
    if end != _UNDEFINED and end > source.size:  # counted from the start of the file
        report.note(
            *("weights/truncated", source, source.size, "end of file"),
            *(f"{end} bytes", f"{source.size} bytes"),
        )
    return root


def _attributes(
    reader: _Reader, address: int, report: WeightsReport, source: FilePart
) -> Reads[list[_Attribute]]:
    """Return the attributes of an object header of either version."""
    attributes: list[_Attribute] = []
    prefix = yield from reader.read(address, 16, _AHEAD)
    new = prefix.startswith(b"OHDR")
    if new:
        flags = prefix[5]
        first = 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
        width = 1 << (flags & 3)
        head = yield from reader.read(address, first + width, _AHEAD)
        size = int.from_bytes(head[first : first + width], "little")
        blocks = [(address + first + width, size)]
        fixed = 6 if flags & 0x04 else 4
    elif prefix[0] == 1:
        blocks, fixed = [(address + 16, struct.unpack_from("<I", prefix, 8)[0])], 8
    else:
        raise reader.problem(address, "an object header", shown(prefix[:8]))
    seen: set[int] = set()
    count = 0
    while blocks:
        start, size = blocks.pop(0)
        if size > _HEADER_LIMIT or start in seen or len(seen) > _BLOCK_LIMIT:
            raise reader.problem(start, "a block of at most 1 MB, read once", f"{size} bytes")
        seen.add(start)
        data = yield from reader.read(start, size, _AHEAD)
        at = 0
        while at + fixed <= size and count < _MESSAGE_LIMIT:
            count += 1
            kind, length = (
                (data[at], int.from_bytes(data[at + 1 : at + 3], "little"))
                if new
                else struct.unpack_from("<HH", data, at)
            )
            flags = data[at + (3 if new else 4)]
            body = data[at + fixed : min(at + fixed + length, size)]
            place = start + at + fixed
            at += fixed + length
            if kind == _CONTINUATION and len(body) >= 16:
                to, room = struct.unpack_from("<2Q", body)
                blocks.append((to + 4, max(0, room - 8)) if new else (to, room))
            elif kind == _ATTRIBUTE:
                if flags & 2:
                    raise reader.problem(place, "an attribute in its place", "a shared one")
                attributes.append(_attribute(reader, body, place))
            elif kind == _DENSE and len(body) >= 2:
                _judge_dense(reader, body, place, report, source)
            elif kind in (_LINK, _EXTERNAL):
                _judge_link(reader, kind, body, place, report, source)
    return attributes


def _judge_dense(
    reader: _Reader, body: bytes, place: int, report: WeightsReport, source: FilePart
) -> None:
    """Tell attributes that stand in a heap of their own, which is not read here."""
    at = 4 if body[1] & 1 else 2
    if body[at : at + 8].ljust(8, b"\xff") != b"\xff" * 8:
        report.note(
            *("weights/unexamined", source, reader.at(place), "attributes"),
            *("attributes in the object header", "attributes in a fractal heap"),
        )


def _judge_link(
    reader: _Reader, kind: int, body: bytes, place: int, report: WeightsReport, source: FilePart
) -> None:
    """Tell a link or a dataset of the root that lies in another file."""
    external = kind == _EXTERNAL or (len(body) > 2 and body[1] & 0x08 and body[2] == 64)
    if external:
        report.note(
            *("weights/outside-path", source, reader.at(place), "link"),
            *("links within the file", shown(body[3:64])),
        )


def _attribute(reader: _Reader, body: bytes, place: int) -> _Attribute:
    """Return an attribute from its message."""
    version = body[0] if body else 0
    if version not in (1, 2, 3) or len(body) < 9:
        raise reader.problem(place, "an attribute of version 1 to 3", shown(body[:8]))
    name_size, type_size, space_size = struct.unpack_from("<3H", body, 2)
    at = 9 if version == 3 else 8
    pad = 8 if version == 1 else 1

    def step(size: int) -> int:
        return -(-size // pad) * pad

    name = body[at : at + name_size].split(b"\0")[0].decode("utf-8", "replace")
    type_at = at + step(name_size)
    kind = body[type_at] & 0x0F if type_at < len(body) else -1
    data = body[type_at + step(type_size) + step(space_size) :]
    return _Attribute(name, kind, data, reader.at(place))


def _text(reader: _Reader, attribute: _Attribute) -> Reads[bytes]:
    """Return an attribute's text: in its message, or in the global heap."""
    if attribute.kind == _STRING:
        return attribute.data.rstrip(b"\0 ")
    if attribute.kind != _VARIABLE or len(attribute.data) < 16:
        raise reader.problem(attribute.at, f"a text in {shown(attribute.name)}", "another type")
    length, address, index = struct.unpack_from("<IQI", attribute.data)
    if length > CONFIG_LIMIT:
        raise make_error(
            "weights/unexamined",
            offset=attribute.at,
            field=attribute.name,
            expected=f"at most {CONFIG_LIMIT} bytes",
            found=f"{length} bytes",
        )
    heap = yield from reader.read(address, 16, _AHEAD)
    size = struct.unpack_from("<Q", heap, 8)[0]
    if not heap.startswith(b"GCOL") or size > 2 * CONFIG_LIMIT:
        raise reader.problem(address, "a global heap", shown(heap[:16]))
    at = 16
    while at + 16 <= size:
        head = yield from reader.read(address + at, 16, _AHEAD)
        number, _, room = struct.unpack_from("<HH4xQ", head)
        if number == index:
            return (yield from reader.read(address + at + 16, min(length, room)))[:length]
        if number == 0 or room > size:
            break
        at += 16 + -(-room // 8) * 8
    raise reader.problem(address, f"object {index} of a heap", "none")
