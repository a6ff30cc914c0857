"""Read the directory of a ZIP archive as every reader would, by ranges from the end of the file.

Readers disagree about broken archives, and what one of them opens is what counts. So each end
record that could be meant is taken, and each place where its directory could lie: where the record
says (miniz, in torch), and right before the record (Python's ``zipfile``). Entries of all of them
are examined; that there is more than one is an error. An entry's own header is compared with the
directory, field by field. Bytes are decompressed by what the directory says, whatever flags say.

References: PKWARE's APPNOTE 6.3, ``zipfile._RealGetContents`` of CPython, ``miniz.c`` as in torch.
"""

import struct
from collections.abc import Iterator
from itertools import islice
from typing import Final, NamedTuple

from prefect_mutagen.parsers.byte_ranges import ByteRange, Reads
from prefect_mutagen.parsers.byte_sources import FilePart, Memory
from prefect_mutagen.parsers.error_list import ErrorList
from prefect_mutagen.parsers.errors import shown
from prefect_mutagen.parsers.rules import make_error

__all__ = [
    "END_SIZE",
    "HEADER_SIZE",
    "METHODS",
    "TAIL_SIZE",
    "ZipDirectory",
    "ZipEntry",
    "compare_header",
    "entry_range",
    "find_end_records",
    "place_of",
    "read_directory",
]

TAIL_SIZE: Final = 256 << 10
"""Last bytes that are read first: with the directory of about 2,000 entries."""
END_SIZE: Final = 22
HEADER_SIZE: Final = 30
METHODS: Final = {0: "", 8: "deflate", 12: "bzip2"}
"""Compression of each method that is read here."""

_END: Final = struct.Struct("<4s4H2LH")
_END64: Final = struct.Struct("<4sQ2H2L4Q")
_LOCATOR: Final = struct.Struct("<4sLQL")
_CENTRAL: Final = struct.Struct("<4s6H3L5H2L")
_LOCAL: Final = struct.Struct("<4s5H3L2H")
_LONGEST_COMMENT: Final = 0xFFFF
_MAX32: Final = 0xFFFFFFFF
_ENTRY_LIMIT: Final = 1 << 17
_RECORD_LIMIT: Final = 4
_ENCRYPTED: Final = 0x2041
"""Bits 0, 6 and 13: encryption, strong encryption, masked headers."""
_DESCRIPTOR: Final = 0x8
_LARGEST_DESCRIPTOR: Final = 24


class _Record(NamedTuple):
    """One reading of the end of the file."""

    at: int
    """Offset of the end record."""
    start: int
    """Offset of the directory."""
    size: int
    shift: int
    """What has to be added to the offsets of entries."""


class ZipEntry(NamedTuple):
    """An entry as the directory states it."""

    name: str
    raw_name: bytes
    offset: int
    """Offset of the entry's own header."""
    flags: int
    method: int
    crc: int
    compressed: int
    size: int
    at: int
    """Offset of the entry in the directory."""

    @property
    def key(self) -> str:
        """Return the name as a reader compares it that knows neither case nor kinds of slashes."""
        return self.name.replace("\\", "/").removeprefix("./").lstrip("/").casefold()

    @property
    def folder(self) -> bool:
        """Whether it stands for a folder, and has no bytes."""
        return self.name.endswith("/") and self.size == 0


class ZipDirectory(NamedTuple):
    """The entries of all directories that a reader could take."""

    entries: tuple[ZipEntry, ...]
    start: int
    """Offset of the first directory; entries lie before it."""


def find_end_records(tail: bytes, tail_at: int, size: int) -> list[_Record]:
    """Return every reading of the end of an archive, the last record first.

    Args:
        tail: The last bytes of the file.
        tail_at: Their offset.
        size: Size of the file.
    """
    records: list[_Record] = []
    at = len(tail)
    while (at := tail.rfind(b"PK\x05\x06", 0, at)) >= 0 and len(records) < 2 * _RECORD_LIMIT:
        if at + END_SIZE > len(tail) or tail_at + at + END_SIZE + _LONGEST_COMMENT < size:
            continue
        _, _, _, _, _count, length, start, _comment = _END.unpack_from(tail, at)
        end = tail_at + at
        readings = [(end, start, length)]
        wide = _wide(tail, tail_at, at)
        if wide is not None:
            readings = [wide] if _MAX32 in (length, start) else [wide, (end, start, length)]
        for stop, first, count in readings:
            records.extend(_places(stop, first, count, end))
    return list(dict.fromkeys(records))


def _wide(tail: bytes, tail_at: int, at: int) -> tuple[int, int, int] | None:
    """Return where ZIP64's end record stands, and the directory's offset and size by it."""
    locator = at - _LOCATOR.size
    if locator < 0 or not tail.startswith(b"PK\x06\x07", locator):
        return None
    stated = _LOCATOR.unpack_from(tail, locator)[2] - tail_at
    for place in (locator - _END64.size, stated):
        if 0 <= place <= locator - _END64.size and tail.startswith(b"PK\x06\x06", place):
            *_, length, start = _END64.unpack_from(tail, place)
            return tail_at + place, start, length
    return None


def _places(stop: int, start: int, length: int, at: int) -> Iterator[_Record]:
    """Yield where the directory could lie: where it says, and right before its end record."""
    before = stop - length
    if before >= 0:
        yield _Record(at, before, length, before - start)
    if start != before and start + length <= stop:
        yield _Record(at, start, length, 0)


def read_directory(
    source: FilePart | Memory, errors: ErrorList, limit: int = _ENTRY_LIMIT
) -> Reads[ZipDirectory | None]:
    """Read the entries of an archive.

    Args:
        source: The archive.
        errors: Receives what is wrong with it.
        limit: Largest number of entries that are looked at.

    Returns:
        The entries; None if no end record leads to a directory.
    """
    tail_at = max(0, source.size - TAIL_SIZE)
    tail = yield from source.read(tail_at, source.size)
    entries: dict[ZipEntry, ZipEntry] = {}  # by what they state, wherever it is stated
    starts: dict[int, bytes] = {}
    for record in find_end_records(tail, tail_at, source.size):
        stop = record.start + record.size
        if tail_at <= record.start:
            data = tail[record.start - tail_at : stop - tail_at]
        else:
            head = yield from source.read(record.start, record.start + 4)
            if head != b"PK\x01\x02" and record.size:
                continue
            data = yield from source.read(record.start, stop)
        found = list(islice(_entries(data, record), limit + 1))
        if not found and (record.size or starts):
            continue
        starts.setdefault(record.start, data)
        if record.shift and found:
            start = f"entries from byte {record.shift}"
            _note(errors, "zip/prefix", source.locate(0), "archive", "entries from byte 0", start)
        for entry, _ in found:
            entries.setdefault(entry._replace(at=0), entry)
        if max(len(found), len(entries)) > limit:
            raise make_error(
                "pickle/unexamined",
                offset=source.locate(record.start),
                field="directory",
                expected=f"at most {limit} entries",
                found="more",
            )
        _judge_length(found, record, source, errors)
    if not starts:
        return None
    if len(set(starts.values())) > 1:
        at, found_at = source.locate(max(starts)), ", ".join(map(str, sorted(starts)))
        _note(errors, "zip/two-directories", at, "directory", "one", f"some at bytes {found_at}")
    directory = ZipDirectory(tuple(entries.values()), min(starts))
    _judge(directory, source, errors)
    return directory


def _entries(data: bytes, record: _Record) -> Iterator[tuple[ZipEntry, int]]:
    """Yield the entries of a directory, each with the offset in it at which the next begins."""
    at = 0
    while at + _CENTRAL.size <= len(data) and data.startswith(b"PK\x01\x02", at):
        fields = _CENTRAL.unpack_from(data, at)
        flags, method = fields[3:5]
        crc, compressed, size, name_size, extra_size, comment_size = fields[7:13]
        offset = fields[-1]
        first = at + _CENTRAL.size
        raw = data[first : first + name_size]
        extra = data[first + name_size : first + name_size + extra_size]
        size, compressed, offset = _widened(extra, size, compressed, offset)
        name = raw.decode("utf-8" if flags & 0x800 else "cp437", "replace")
        entry = ZipEntry(
            *(name.partition("\0")[0], raw, offset + record.shift, flags, method, crc),
            *(compressed, size, record.start + at),
        )
        at = first + name_size + extra_size + comment_size
        yield entry, at


def _widened(extra: bytes, *numbers: int) -> tuple[int, ...]:
    """Replace the numbers that do not fit by those of ZIP64's extra field."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        if kind == 1:
            field = extra[at + 4 : at + 4 + length]
            wide = iter(struct.iter_unpack("<Q", field[: len(field) // 8 * 8]))
            return tuple(
                next(wide, (number,))[0] if number == _MAX32 else number for number in numbers
            )
        at += 4 + length
    return numbers


def _judge_length(
    entries: list[tuple[ZipEntry, int]],
    record: _Record,
    source: FilePart | Memory,
    errors: ErrorList,
) -> None:
    """Report a directory whose entries end before it does."""
    end = entries[-1][1] if entries else 0
    if end != record.size:
        at = source.locate(min(record.start + end, source.size))
        expected = f"{record.size} bytes of entries"
        _note(errors, "zip/bad-entry", at, "directory", expected, f"{end} bytes")


def _judge(directory: ZipDirectory, source: FilePart | Memory, errors: ErrorList) -> None:
    """Report duplicates, encryption, and entries that share or leave out bytes."""
    names: set[str] = set()
    position = 0
    for entry in sorted(directory.entries, key=lambda entry: entry.offset):
        at, field = source.locate(entry.at), shown(entry.name)
        if entry.key in names:
            _note(errors, "zip/duplicate-name", at, field, "each name once", "the name again")
        names.add(entry.key)
        if entry.flags & _ENCRYPTED:
            _note(errors, "zip/encrypted", at, field, "no encryption", f"flags 0x{entry.flags:04x}")
        end = entry.offset + HEADER_SIZE + len(entry.raw_name) + entry.compressed
        if entry.offset < 0 or end > source.size:
            _note(
                errors,
                "zip/bad-entry",
                at,
                field,
                "an entry within the file",
                f"an entry from byte {entry.offset} to {end}",
            )
            continue
        if entry.offset < position:
            _note(
                errors,
                "zip/overlap",
                at,
                field,
                f"an entry from byte {position}",
                f"an entry from byte {entry.offset}",
            )
        elif entry.offset - position > _LONGEST_COMMENT + _LARGEST_DESCRIPTOR:
            _note(
                errors,
                "zip/hidden-data",
                source.locate(position),
                field,
                "entries only",
                f"{entry.offset - position} bytes before the entry",
            )
        position = max(position, end)


def compare_header(
    header: bytes, entry: ZipEntry, source: FilePart | Memory, errors: ErrorList
) -> int | None:
    """Compare an entry's own header with the directory.

    Args:
        header: The bytes from the entry's offset, with its name.
        entry: What the directory states.
        source: The archive, for offsets.
        errors: Receives the fields that differ.

    Returns:
        The offset of the entry's bytes; None if there is no header.
    """
    at, field = place_of(entry, source), shown(entry.name)
    if len(header) < HEADER_SIZE or not header.startswith(b"PK\x03\x04"):
        _note(errors, "zip/bad-entry", at, field, "the header of an entry", shown(header[:4]))
        return None
    _, _, flags, method, _, _, crc, compressed, size, name_size, extra_size = _LOCAL.unpack_from(
        header
    )
    name = header[HEADER_SIZE : HEADER_SIZE + name_size]
    extra = header[HEADER_SIZE + name_size : HEADER_SIZE + name_size + extra_size]
    size, compressed = _widened(extra, size, compressed)
    later = flags & _DESCRIPTOR or entry.flags & _DESCRIPTOR
    stated: list[tuple[str, object, object]] = [
        ("name", shown(entry.raw_name), shown(name)),
        ("method", entry.method, method),
        ("encryption", entry.flags & _ENCRYPTED, flags & _ENCRYPTED),
    ]
    numbers = (
        ("CRC-32", entry.crc, crc),
        ("compressed size", entry.compressed, compressed),
        ("size", entry.size, size),
    )
    # With a data descriptor these stand behind the bytes, and are zero here.
    stated += [number for number in numbers if not later or number[2]]
    for what, expected, found in stated:
        if expected != found:
            _note(
                errors, "zip/header-mismatch", at, f"{what} of {field}", str(expected), str(found)
            )
    start: int = entry.offset + HEADER_SIZE + name_size + extra_size
    return start


def place_of(entry: ZipEntry, source: FilePart | Memory) -> int:
    """Return where an entry stands in the file; in the directory, if it cannot be there."""
    inside = 0 <= entry.offset <= source.size
    return source.locate(entry.offset if inside else entry.at)


def entry_range(entry: ZipEntry, most: int, stop: int) -> ByteRange:
    """Return where an entry lies, with its header, up to ``most`` of its bytes."""
    end = entry.offset + HEADER_SIZE + len(entry.raw_name) + 512 + min(entry.compressed, most)
    return ByteRange(max(0, entry.offset), max(0, min(end, stop)))


def _note(errors: ErrorList, code: str, offset: int, field: str, expected: str, found: str) -> None:
    errors.add(make_error(code, offset=offset, field=field, expected=expected, found=found))
