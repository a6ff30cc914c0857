"""Walk a protobuf message by a table of the fields that matter, with all others passed over.

A library (google's ``protobuf``, and each that generates code) parses a whole message from memory,
with all weights in it; nothing but the wire format is needed here, and large fields are skipped by
ranged reads. A table maps, for each kind of message, a field's tag to the kind of message in it, or
to `VALUE` or `SHORT`. Nested messages are a list, not a recursion; time and depth are bounded.

Reference: protobuf's documentation of its encoding, and ``WireFormatLite`` of its C++ reader.
"""

from collections.abc import Mapping
from typing import Final, Protocol

from prefect_mutagen.parsers.byte_ranges import Reads
from prefect_mutagen.parsers.byte_sources import Source
from prefect_mutagen.parsers.rules import make_error

__all__ = [
    "SHORT",
    "VALUE",
    "FieldCount",
    "Schema",
    "Visitor",
    "first_fields",
    "read_varint",
    "tag_of",
    "varints",
    "walk_message",
]

VALUE: Final = "="
"""A field whose value is handed out; one that is too long ends the walk."""
SHORT: Final = "~"
"""A field whose value is handed out if it is short, and passed over otherwise."""
_VALUE_LIMIT: Final = 4 << 20
_SHORT_LIMIT: Final = 4096
_DEPTH_LIMIT: Final = 64
_IN_GROUP: Final = 4
"""Stands for the tags of a group's fields, and of groups: all readers pass them over."""
_HEADER: Final = 20
_WHOLE: Final = 4 << 20
_FIRST_WINDOW: Final = 256 << 10
_AFTER_SKIP: Final = 128 << 10
_LARGEST_WINDOW: Final = 4 << 20
_SKIP_LIMIT: Final = 32
"""Large fields that are passed over, each at the cost of a read."""
_SKIPS_TRIED: Final = 4
_MUCH: Final = 16 << 20
FIELD_LIMIT: Final = 200_000

Schema = Mapping[str, Mapping[int, str]]
"""Kind of message → tag of a field → kind of the message in it, `VALUE` or `SHORT`."""


def tag_of(number: int, wire: int = 2) -> int:
    """Return the tag of a field: its number and its wire type (2: bytes, 0: varint)."""
    return number << 3 | wire


class Visitor(Protocol):
    """Takes what a walk finds."""

    def enter(self, kind: str, at: int) -> bool:
        """Whether a message is walked; ``at`` is the offset of its first field."""
        ...

    def value(self, kind: str, number: int, value: bytes | int, at: int) -> None:
        """Take the value of a field of a message of some kind."""
        ...

    def leave(self, kind: str) -> None:
        """Take note of the end of a message."""
        ...


class FieldCount:
    """How many fields may be walked in one file."""

    __slots__ = ("left",)

    def __init__(self, limit: int = FIELD_LIMIT) -> None:
        """Start with a limit."""
        self.left = limit


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a varint and the offset after it.

    Raises:
        ValueError: It has more than ten bytes.
        IndexError: The data ends inside it.
    """
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
        shift += 7
        if shift > 63:
            raise ValueError(at)


def first_fields(head: bytes, size: int, limit: int = 64) -> list[tuple[int, int, int]]:
    """Return tag, start and stop of the first fields of a message of ``size`` bytes.

    Args:
        head: Its first bytes; fields that start beyond them are left out.
        size: Its size; a field may end beyond it, if the file is cut.
        limit: Largest number of fields.

    Returns:
        The fields; none if the bytes are no message.
    """
    fields: list[tuple[int, int, int]] = []
    at = groups = 0
    try:
        while at < min(len(head), size) and len(fields) < limit:
            tag, start = read_varint(head, at)
            wire = tag & 7
            if tag < 8 or tag > 0xFFFFFFFF or wire > 5 or (wire == 4 and not groups):
                return []
            groups += {3: 1, 4: -1}.get(wire, 0)
            at = start + {1: 8, 5: 4}.get(wire, 0)
            if wire == 0:
                _, at = read_varint(head, start)
            elif wire == 2:
                length, start = read_varint(head, start)
                at = start + length
            fields.append((tag if not groups else _IN_GROUP, start, at))
    except ValueError:
        return []
    except IndexError:
        pass  # the head ends inside a field's own length
    return fields


def varints(value: bytes | int, limit: int) -> list[int]:
    """Return the numbers of a repeated field, packed or not; at most ``limit`` of them."""
    if isinstance(value, int):
        return [value]
    numbers: list[int] = []
    at = 0
    try:
        while at < len(value) and len(numbers) < limit:
            number, at = read_varint(value, at)
            numbers.append(number)
    except (ValueError, IndexError):
        return []
    return numbers


def walk_message(  # noqa: C901, PLR0912, PLR0915 - one loop, as the wire format has it
    source: Source, schema: Schema, root: str, visitor: Visitor, count: FieldCount
) -> Reads[None]:
    """Walk a message that fills a source.

    Args:
        source: The message.
        schema: The fields that matter.
        root: Kind of the message.
        visitor: Takes what is found.
        count: Fields that are left to walk in this file.

    Raises:
        MalformedError: The bytes are no message of this kind.
        TruncatedError: A field of the outermost message ends after the source does.
        UnsupportedError: There is more than is looked at.
    """
    size = source.size
    kind, table, end = root, schema[root], size
    open_messages: list[tuple[str, Mapping[int, str], int]] = []
    data, base, at, ahead = b"", 0, 0, _FIRST_WINDOW
    left, groups = count.left, 0
    skips = first_skip = 0
    while True:
        while at == end:
            if groups:
                raise _malformed(source, at, kind, "a group without its end")
            visitor.leave(kind)
            if not open_messages:
                count.left = left
                return
            kind, table, end = open_messages.pop()
        local = at - base
        if local + _HEADER > len(data) and base + len(data) < size:
            touching = local <= len(data)
            ahead = min(ahead * 2, _LARGEST_WINDOW) if touching else _AFTER_SKIP
            if not touching:
                skips, first_skip = skips + 1, first_skip or base
                if _is_hopeless(skips, at - first_skip, size - at):
                    raise _beyond(source, at, f"at most {_SKIP_LIMIT} large fields", "more")
            window = size - at if size - at <= _WHOLE else ahead
            data = yield from source.read(at, min(at + _HEADER, size), at + window)
            base, local = at, 0
        left -= 1
        if left < 0:
            raise _beyond(source, at, f"at most {FIELD_LIMIT} fields", "more")
        try:
            tag = data[local]
            local += 1
            if tag >= 0x80:
                tag, local = read_varint(data, local - 1)
            wire = tag & 7
            if wire == 0:
                number, local = read_varint(data, local)
                stop = base + local
            elif wire == 2:
                length = data[local]
                local += 1
                if length >= 0x80:
                    length, local = read_varint(data, local - 1)
                stop = base + local + length
            elif wire == 1:
                stop = base + local + 8
            elif wire == 5:
                stop = base + local + 4
            elif wire == 3 or (wire == 4 and groups):
                groups += 1 if wire == 3 else -1
                stop = base + local
            else:
                raise _malformed(source, at, kind, f"a field of wire type {wire}")
        except ValueError:
            raise _malformed(source, at, kind, "a number of more than ten bytes") from None
        except IndexError:
            raise _cut(source, kind, at + 1) from None
        if tag < 8 or tag > 0xFFFFFFFF:
            raise _malformed(source, at, kind, "a field without a number")
        if stop > end:
            if stop > size and not open_messages:
                raise _cut(source, kind, stop)
            raise _malformed(source, at, kind, f"a field that ends at byte {source.locate(stop)}")
        target = None if groups else table.get(tag)
        start = base + local
        at = stop
        if target is None:
            continue
        if target in (VALUE, SHORT):
            if wire == 0:
                visitor.value(kind, tag >> 3, number, stop)
                continue
            if stop - start > _SHORT_LIMIT and target == SHORT:
                continue
            if stop - start > _VALUE_LIMIT:
                raise _beyond(source, start, f"at most {_VALUE_LIMIT} bytes", str(stop - start))
            value = data[local : stop - base]
            if len(value) < stop - start:
                value = (yield from source.read(start, stop))[: stop - start]
                if len(value) < stop - start:
                    raise _cut(source, kind, stop)
            visitor.value(kind, tag >> 3, value, start)
        elif visitor.enter(target, start):
            if len(open_messages) >= _DEPTH_LIMIT:
                raise _beyond(source, start, f"at most {_DEPTH_LIMIT} levels", "more")
            open_messages.append((kind, table, end))
            kind, table, end, at = target, schema[target], stop, start


def _is_hopeless(skips: int, passed: int, rest: int) -> bool:
    """Whether the rest would need far more reads than there are, by what they led past so far."""
    if skips < _SKIPS_TRIED or rest < _MUCH:
        return False
    return rest * skips > 2 * passed * (_SKIP_LIMIT - skips)


def _malformed(source: Source, at: int, kind: str, found: str) -> Exception:
    return make_error(
        "weights/unreadable",
        offset=source.locate(at),
        field=kind,
        expected="a field of a protobuf message",
        found=found,
    )


def _cut(source: Source, kind: str, stop: int) -> Exception:
    size = source.size
    return make_error(
        "weights/truncated",
        offset=source.locate(size),
        field=kind,
        expected=f"at least {source.locate(stop)} bytes",
        found=f"the end after {source.locate(size)}",
    )


def _beyond(source: Source, at: int, expected: str, found: str) -> Exception:
    return make_error(
        "weights/unexamined",
        offset=source.locate(at),
        field="message",
        expected=expected,
        found=found,
    )
