"""Read an HDF5 file: the Keras model that its root configures, links and data in other files.

``h5py`` opens files only, and maps them; what is needed is in a few places: the superblock, the
root group's object header, and the global heap that holds long attributes. Keras writes
``model_config`` and ``training_config`` there; a ``Lambda`` layer in them is marshalled code. Links
to other files, and datasets whose data are in other files, are in headers all over a file. They are
looked for in files of up to `WHOLE_LIMIT` bytes; of a larger file, in its root, and it says so.

Reference: the HDF5 File Format Specification 3.0, sections II and IV.A.
"""

import struct
from typing import Final

from prefect_mutagen.parsers.byte_ranges import ByteRange, Reads, coalesce
from prefect_mutagen.parsers.byte_sources import FilePart
from prefect_mutagen.parsers.errors import shown
from prefect_mutagen.parsers.hdf5_objects import (
    Addresses,
    Message,
    read_heap_object,
    read_local_text,
    read_object,
    read_symbols,
)
from prefect_mutagen.parsers.keras import CONFIG_LIMIT, judge_config, parse_json
from prefect_mutagen.parsers.rules import make_error
from prefect_mutagen.parsers.weights_paths import leaves_folder
from prefect_mutagen.parsers.weights_report import WeightsReport, named_in_text

__all__ = ["HDF5_MAGIC", "find_superblock", "read_hdf5"]

HDF5_MAGIC: Final = b"\x89HDF\r\n\x1a\n"
WHOLE_LIMIT: Final = 8 << 20
"""Largest file in which every object is looked at."""
_UNDEFINED: Final = b"\xff" * 8
_OBJECT_LIMIT: Final = 20_000
_LINK_INFO, _LINK, _EXTERNAL, _LAYOUT = 0x02, 0x06, 0x07, 0x08
_ATTRIBUTE, _SYMBOLS, _ATTRIBUTE_INFO = 0x0C, 0x11, 0x15
_STRING, _VARIABLE = 3, 9
_CONFIGS: Final = ("model_config", "training_config")
_FACTS: Final = {"keras_version": "Keras", "backend": "backend"}


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
        base = yield from _find_later(source)
    if base < 0:
        return False
    report.recognise("hdf5", "HDF5")
    report.found = True
    file = _File(source, base, report)
    root = yield from file.root()
    yield from file.read_model(root)
    yield from file.follow(root)
    return True


def _find_later(source: FilePart) -> Reads[int]:
    """Return where a superblock begins beyond the first bytes; -1 if it is nowhere."""
    size = len(HDF5_MAGIC)
    at = 64 << 10
    places: list[int] = []
    while at + size <= source.size:
        places.append(at)
        at *= 2
    if missing := coalesce(source.missing(at, at + size) for at in places):
        yield from source.prefetch(missing)
    for at in places:
        if (yield from source.read(at, at + size)) == HDF5_MAGIC:
            return at
    return -1


class _File:
    """Reads one file, object by object."""

    def __init__(self, source: FilePart, base: int, report: WeightsReport) -> None:
        self._source, self._base, self._report = source, base, report
        self._file = Addresses(source, base)

    def root(self) -> Reads[int]:
        """Read the superblock; return the address of the root's object header."""
        file, size = self._file, self._source.size
        block = yield from file.read(0, min(96, size - self._base))
        version = block[8] if len(block) > 8 else -1
        widths = block[13:15] if version < 2 else block[9:11]
        first = {0: 24, 1: 28}.get(version, 12)
        room = first + (48 if version < 2 else 32)
        if version not in (0, 1, 2, 3) or widths != b"\x08\x08" or len(block) < room:
            expected = "a superblock with addresses of 8 bytes"
            raise file.problem(8, expected, shown(block[8:16]))
        _, _, end, root = struct.unpack_from("<4Q", block, first)
        if version < 2:
            root = struct.unpack_from("<Q", block, first + 40)[0]
        if end != 0xFFFFFFFFFFFFFFFF and end > size:  # counted from the start of the file
            self._report.note(
                *("weights/truncated", self._source, size, "end of file"),
                *(f"{end} bytes", f"{size} bytes"),
            )
        address: int = root
        return address

    def read_model(self, root: int) -> Reads[None]:
        """Judge what Keras writes to the root's attributes."""
        report, source = self._report, self._source
        for message in (yield from read_object(self._file, root)):
            if message.kind == _ATTRIBUTE_INFO:
                self._judge_dense(message, "attributes", 2)
            if message.kind != _ATTRIBUTE:
                continue
            name, kind, data = self._attribute(message)
            if name in _FACTS or name in _CONFIGS or name == "layer_names":
                report.framework = "keras"
            if name in _FACTS:
                value = yield from self._text(message, name, kind, data)
                fact = named_in_text(value.decode("utf-8", "replace"))
                report.details.append(f"{_FACTS[name]} {fact}")
            elif name in _CONFIGS:
                at = self._file.offset(message.address)
                value = yield from self._text(message, name, kind, data)
                config, model = parse_json(value, source, at, name), name == "model_config"
                objects = judge_config(config, report, source, at, model=model)
                if model:
                    report.details.append(f"{objects} objects")

    def _attribute(self, message: Message) -> tuple[str, int, bytes]:
        """Return an attribute's name, the class of its type, and its data."""
        body = message.body
        version = body[0] if body else 0
        if version not in (1, 2, 3) or len(body) < 9 or message.flags & 2:
            expected = "an attribute of version 1 to 3, in its place"
            raise self._file.problem(message.address, expected, shown(body[:8]))
        name_size, type_size, space_size = struct.unpack_from("<3H", body, 2)
        pad = 8 if version == 1 else 1
        name_size, type_size, space_size = (
            -(-size // pad) * pad for size in (name_size, type_size, space_size)
        )
        at = 9 if version == 3 else 8
        name = body[at : at + name_size].split(b"\0")[0].decode("utf-8", "replace")
        at += name_size
        kind = body[at] & 0x0F if at < len(body) else -1
        return name, kind, body[at + type_size + space_size :]

    def _text(self, message: Message, name: str, kind: int, data: bytes) -> Reads[bytes]:
        """Return an attribute's text: in its message, or in the global heap."""
        if kind == _STRING:
            return data.rstrip(b"\0 ")
        if kind != _VARIABLE or len(data) < 16:
            raise self._file.problem(message.address, f"a text in {name}", "another type")
        length, address, index = struct.unpack_from("<IQI", data)
        if length > CONFIG_LIMIT:
            raise make_error(
                "weights/unexamined",
                offset=self._file.offset(message.address),
                field=name,
                expected=f"at most {CONFIG_LIMIT} bytes",
                found=f"{length} bytes",
            )
        most = 2 * CONFIG_LIMIT
        return (yield from read_heap_object(self._file, address, index, length, most))

    def follow(self, root: int) -> Reads[None]:
        """Look at the root, and in a small file at all objects below it."""
        size = self._source.size
        whole = size <= WHOLE_LIMIT
        if whole:
            missing = self._source.missing(0, size)
            if missing.start < missing.stop:
                yield from self._source.prefetch((ByteRange(*missing),))
        todo, seen = [root], {root}
        while todo:
            address = todo.pop()
            below = yield from self._judge_object(address)
            for child in below:
                if child not in seen:
                    seen.add(child)
                    todo.append(child)
            if len(seen) > _OBJECT_LIMIT or (todo and not whole):
                limit = f"at most {WHOLE_LIMIT} bytes, or {_OBJECT_LIMIT} objects"
                self._note("weights/unexamined", root, "objects below the root", limit, "more")
                return

    def _judge_object(self, address: int) -> Reads[list[int]]:
        """Judge an object's links and data; return the addresses of those below it."""
        below: list[int] = []
        for message in (yield from read_object(self._file, address)):
            kind, body = message.kind, message.body
            if kind == _SYMBOLS and len(body) >= 16:
                below += yield from read_symbols(self._file, struct.unpack_from("<Q", body)[0])
            elif kind == _LINK:
                below += self._judge_link(message)
            elif kind == _LINK_INFO:
                self._judge_dense(message, "links", 8)
            elif kind == _EXTERNAL and len(body) >= 16:
                yield from self._judge_external(message)
            elif kind == _LAYOUT and body[:1] >= b"\4" and body[1:2] == b"\3":
                expected, found = "data in this file", "a virtual dataset"
                self._note("weights/unexamined", message.address, "dataset", expected, found)
        return below

    def _judge_link(self, message: Message) -> list[int]:
        """Judge a link; return the address of the object, if it is in this file."""
        body = message.body
        if len(body) < 3 or body[0] != 1:
            raise self._file.problem(message.address, "a link of version 1", shown(body[:8]))
        flags, at, kind = body[1], 2, 0
        if flags & 0x08:
            kind, at = body[at], at + 1
        at += (8 if flags & 0x04 else 0) + (1 if flags & 0x10 else 0)
        width = 1 << (flags & 3)
        length = int.from_bytes(body[at : at + width], "little")
        value = body[at + width + length :]
        if kind == 0 and len(value) >= 8:
            return [struct.unpack_from("<Q", value)[0]]
        if kind >= 64:
            self._judge_file(message.address, "link", value[3:].split(b"\0")[0])
        return []

    def _judge_external(self, message: Message) -> Reads[None]:
        """Judge the files that hold a dataset's data."""
        used, heap = struct.unpack_from("<HQ", message.body, 6)
        for slot in range(min(used, 256)):
            at = 16 + 24 * slot
            if at + 24 > len(message.body):
                raise self._file.problem(message.address, f"{used} files", "fewer")
            offset = struct.unpack_from("<Q", message.body, at)[0]
            name = yield from read_local_text(self._file, heap, offset)
            self._judge_file(message.address, "dataset", name)

    def _judge_file(self, address: int, field: str, name: bytes) -> None:
        path = name.decode("utf-8", "replace")
        self._report.add_file(path)
        self._report.complete = False
        if leaves_folder(path) or not path:
            expected = "data in this file, or beside it"
            self._note("weights/outside-path", address, field, expected, shown(path))

    def _judge_dense(self, message: Message, what: str, width: int) -> None:
        """Tell links or attributes that are in a heap of their own, which is not read here.

        A number of ``width`` bytes may stand before the heap's address.
        """
        at = 2 + (width if message.body[1:2] and message.body[1] & 1 else 0)
        if message.body[at : at + 8].ljust(8, b"\xff") != _UNDEFINED:
            found = "a fractal heap"
            self._note("weights/unexamined", message.address, what, "an object header", found)

    def _note(self, code: str, address: int, field: str, expected: str, found: str) -> None:
        at = self._file.offset(address)
        self._report.note(code, self._source, at, field, expected, found)
