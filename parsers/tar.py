"""Read the members of a tar archive by their headers, with the bytes between them passed over.

Reference: ``tarfile`` of CPython, with which ``torch.load`` opens its format of 2016.
"""

import re
from typing import Final, NamedTuple

from prefect_mutagen.parsers.byte_ranges import Reads
from prefect_mutagen.parsers.byte_sources import Source
from prefect_mutagen.parsers.rules import make_error

__all__ = ["BLOCK", "TarMember", "is_tar_header", "read_members"]

BLOCK: Final = 512
_MEMBER_LIMIT: Final = 4096
_AHEAD: Final = 64 << 10
_RECORDS: Final = (b"x", b"g", b"X")
"""Extended headers; those that change where a member ends are refused."""
_RESIZED: Final = re.compile(rb" size=|GNU\.sparse")
_PATH: Final = re.compile(rb"(?:link)?path=([^\n]*)\n")
_LONG_NAMES: Final = (b"L", b"K")
_WITHOUT_BYTES: Final = (b"1", b"2", b"3", b"4", b"5", b"6")
"""Links (the first two), devices, folders, pipes."""


class TarMember(NamedTuple):
    """A file in the archive."""

    name: str
    offset: int
    """Offset of its bytes."""
    size: int
    paths: tuple[str, ...] = ()
    """Other paths that its headers state: a longer name, the target of a link."""


def is_tar_header(block: bytes) -> bool:
    """Whether a block has the checksum of a header, which all versions of tar write."""
    if len(block) < BLOCK or not block[0]:
        return False
    stated = _number(block[148:156])
    return stated == sum(block[:148]) + 8 * 32 + sum(block[156:BLOCK])


def _number(field: bytes) -> int | None:
    if field[:1] in (b"\x80", b"\xff"):
        return int.from_bytes(field[1:], "big") if field[:1] == b"\x80" else None
    text = field.split(b"\0")[0].strip()
    try:
        return int(text or b"0", 8)
    except ValueError:
        return None


def _text(field: bytes) -> str:
    return field.split(b"\0")[0].decode("utf-8", "replace")


def _stated_paths(source: Source, at: int, block: bytes, size: int) -> Reads[list[str]]:
    """Return the paths of a header besides its short name: with its prefix, and its target.

    Of a record for the next header, those that it states for it.
    """
    kind = block[156:157]
    if kind not in (*_RECORDS, *_LONG_NAMES):
        name, prefix, target = _text(block[:100]), _text(block[345:500]), _text(block[157:257])
        whole = f"{prefix}/{name}" if prefix and block.startswith(b"ustar", 257) else ""
        return [path for path in (whole, target) if path]
    record = yield from source.read(at + BLOCK, at + BLOCK + min(size, _AHEAD))
    if kind in _LONG_NAMES:
        return [_text(record[:size])]
    return [_text(match[1]) for match in _PATH.finditer(record[:size])]


def read_members(source: Source, *, links: bool = False) -> Reads[list[TarMember]]:
    """Return the members of an archive.

    Args:
        source: The archive.
        links: Whether links are members as well; they have no bytes.

    Raises:
        MalformedError: A header cannot be read; what follows it is not known.
        UnsupportedError: There are more members than are looked at.
    """
    without = _WITHOUT_BYTES[2:] if links else _WITHOUT_BYTES
    members: list[TarMember] = []
    paths: list[str] = []  # that the records before a header state for it
    at = 0
    while True:
        block = yield from source.read(at, at + BLOCK, at + _AHEAD)
        block = block[:BLOCK]
        if len(block) < BLOCK or not block.strip(b"\0"):
            return members
        size = _number(block[124:136])
        if not is_tar_header(block) or size is None or size < 0:
            raise make_error(
                "pickle/unreadable",
                offset=source.locate(at),
                field="tar header",
                expected="a header with its checksum",
                found="other bytes",
            )
        kind = block[156:157]
        if kind in _RECORDS:
            records = yield from source.read(at + BLOCK, at + BLOCK + min(size, _AHEAD))
        if kind == b"S" or (kind in _RECORDS and _RESIZED.search(records)):
            raise make_error(
                "pickle/unreadable",
                offset=source.locate(at),
                field="tar header",
                expected="sizes in the headers of members",
                found="a sparse member, or sizes in other records",
            )
        paths += yield from _stated_paths(source, at, block, size)
        if kind in _WITHOUT_BYTES:
            size = 0
        if kind not in without:
            members.append(TarMember(_text(block[:100]), at + BLOCK, size, tuple(paths)))
        if kind not in (*_RECORDS, *_LONG_NAMES):
            paths = []
        if len(members) > _MEMBER_LIMIT:
            raise make_error(
                "pickle/unexamined",
                offset=source.locate(at),
                field="tar archive",
                expected=f"at most {_MEMBER_LIMIT} members",
                found="more",
            )
        at += BLOCK + -(-size // BLOCK) * BLOCK
