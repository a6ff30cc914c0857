"""Read HDF5's object headers by their addresses, and the groups that lead from one to the next.

Every address is checked by reading what it leads to, and none is followed twice.

Reference: the HDF5 File Format Specification 3.0, sections III.A, III.B, III.D, III.E and IV.A.
"""

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from prefect_mutagen.parsers.byte_ranges import Reads
from prefect_mutagen.parsers.byte_sources import FilePart
from prefect_mutagen.parsers.errors import HeaderError, shown
from prefect_mutagen.parsers.rules import make_error

__all__ = [
    "Addresses",
    "Message",
    "read_heap_object",
    "read_local_text",
    "read_object",
    "read_symbols",
]

_AHEAD: Final = 32 << 10
_BLOCK_LIMIT: Final = 1 << 20
_BLOCKS: Final = 64
_MESSAGE_LIMIT: Final = 4096
_NODE_LIMIT: Final = 4096
_CONTINUATION: Final = 0x10
_ENTRY: Final = 40


class Message(NamedTuple):
    """A message of an object header."""

    kind: int
    flags: int
    body: bytes
    address: int


class Addresses:
    """Reads a file by addresses, which count from its superblock."""

    def __init__(self, source: FilePart, base: int) -> None:
        """Take a file whose superblock is at an offset."""
        self.source, self._base = source, base

    def read(self, address: int, size: int) -> Reads[bytes]:
        """Return bytes at an address.

        Raises:
            MalformedError: The file does not have them.
        """
        start = self._base + address
        data = yield from self.source.read(start, start + size, start + max(size, _AHEAD))
        if len(data) < size:
            raise self.problem(address, f"{size} bytes", "the end of the file")
        return data

    def offset(self, address: int) -> int:
        """Return the offset in the file for an address, which may lie outside of it."""
        return max(0, min(self._base + address, self.source.size))

    def problem(self, address: int, expected: str, found: str) -> HeaderError:
        """Return the error for a structure that is not as it has to be."""
        return make_error(
            "weights/unreadable",
            offset=self.source.locate(self.offset(address)),
            field="HDF5 structure",
            expected=expected,
            found=found,
        )


def read_object(file: Addresses, address: int) -> Reads[list[Message]]:
    """Return the messages of an object header of either version.

    Raises:
        MalformedError: There is no object header, or its blocks lead in a circle.
    """
    prefix = yield from file.read(address, 16)
    new = prefix.startswith(b"OHDR")
    if new:
        flags = prefix[5]
        first = 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
        width = 1 << (flags & 3)
        head = yield from file.read(address, first + width)
        size = int.from_bytes(head[first : first + width], "little")
        blocks, fixed = [(address + first + width, size)], 6 if flags & 0x04 else 4
    elif prefix[0] == 1:
        blocks, fixed = [(address + 16, struct.unpack_from("<I", prefix, 8)[0])], 8
    else:
        raise file.problem(address, "an object header", shown(prefix[:8]))
    seen: set[int] = set()
    messages: list[Message] = []
    while blocks:
        start, size = blocks.pop(0)
        if size > _BLOCK_LIMIT or start in seen or len(seen) > _BLOCKS:
            raise file.problem(start, "a block of at most 1 MB, read once", f"{size} bytes")
        seen.add(start)
        data = yield from file.read(start, size)
        for message in _messages(data[:size], start, fixed, new=new):
            if message.kind == _CONTINUATION and len(message.body) >= 16:
                to, room = struct.unpack_from("<2Q", message.body)
                blocks.append((to + 4, max(0, room - 8)) if new else (to, room))
            messages.append(message)
            if len(messages) > _MESSAGE_LIMIT:
                raise file.problem(start, f"at most {_MESSAGE_LIMIT} messages", "more")
    return messages


def _messages(data: bytes, start: int, fixed: int, *, new: bool) -> Iterator[Message]:
    """Yield the messages of a block; ``fixed`` is the size of what stands before each."""
    at = 0
    while at + fixed <= len(data):
        if new:
            kind, length, flags = struct.unpack_from("<BHB", data, at)
        else:
            kind, length, flags = struct.unpack_from("<HHB", data, at)
        yield Message(kind, flags, data[at + fixed : at + fixed + length], start + at + fixed)
        at += fixed + length


def read_symbols(file: Addresses, tree: int) -> Reads[list[int]]:
    """Return the addresses of the objects of a group that is a B-tree of symbols.

    Raises:
        MalformedError: The tree cannot be followed.
    """
    objects: list[int] = []
    todo, seen = [tree], set[int]()
    while todo:
        address = todo.pop()
        if address in seen or len(seen) > _NODE_LIMIT:
            raise file.problem(address, "nodes of a tree", "a node again, or too many")
        seen.add(address)
        head = yield from file.read(address, 8)
        count = struct.unpack_from("<H", head, 6)[0]
        if head.startswith(b"TREE") and head[4] == 0:
            data = yield from file.read(address, 24 + 16 * count + 8)
            todo += [struct.unpack_from("<Q", data, 32 + 16 * n)[0] for n in range(count)]
        elif head.startswith(b"SNOD"):
            data = yield from file.read(address, 8 + _ENTRY * count)
            for number in range(count):
                _, header, kind = struct.unpack_from("<QQI", data, 8 + _ENTRY * number)
                if kind != 2:  # a soft link, which stays in the file
                    objects.append(header)
        else:
            raise file.problem(address, "a node of a group", shown(head))
    return objects


def read_local_text(file: Addresses, heap: int, offset: int, limit: int = 4096) -> Reads[bytes]:
    """Return a text of a local heap, up to its zero.

    Raises:
        MalformedError: There is no local heap.
    """
    head = yield from file.read(heap, 32)
    if not head.startswith(b"HEAP"):
        raise file.problem(heap, "a local heap", shown(head[:8]))
    size, _, address = struct.unpack_from("<3Q", head, 8)
    if offset >= size:
        raise file.problem(heap, f"an offset below {size}", str(offset))
    data = yield from file.read(address + offset, min(size - offset, limit))
    return data[: min(size - offset, limit)].split(b"\0")[0]


def read_heap_object(
    file: Addresses, heap: int, index: int, length: int, most: int
) -> Reads[bytes]:
    """Return an object of the global heap; ``most`` is the largest heap that is looked at.

    Raises:
        MalformedError: There is no such object.
    """
    head = yield from file.read(heap, 16)
    size = struct.unpack_from("<Q", head, 8)[0]
    if not head.startswith(b"GCOL") or size > most:
        raise file.problem(heap, "a global heap", shown(head[:16]))
    at = 16
    while at + 16 <= size:
        item = yield from file.read(heap + at, 16)
        number, _, room = struct.unpack_from("<HH4xQ", item)
        if number == index:
            length = min(length, room)
            return (yield from file.read(heap + at + 16, length))[:length]
        if number == 0 or room > size:
            break
        at += 16 + -(-room // 8) * 8
    raise file.problem(heap, f"object {index} of a heap", "none")
