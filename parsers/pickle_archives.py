"""The parts of an archive that could be pickles, each as a source of its own.

An entry is left unread only if a pickle of the archive names it as a storage of this very size, as
torch does for raw data. Everything else is told by its content, whatever its name is.
"""

import re
import zlib
from collections.abc import Mapping
from typing import Final

from prefect_mutagen.parsers.byte_ranges import Budget, Reads, coalesce
from prefect_mutagen.parsers.byte_sources import FilePart, Inflated, Memory, Source
from prefect_mutagen.parsers.error_list import ErrorList
from prefect_mutagen.parsers.errors import HeaderError, shown
from prefect_mutagen.parsers.pickle_values import Storage
from prefect_mutagen.parsers.rules import make_error
from prefect_mutagen.parsers.zip import (
    METHODS,
    ZipDirectory,
    ZipEntry,
    compare_header,
    entry_range,
    place_of,
)

__all__ = ["Archive", "format_of_entries"]

_PICKLES: Final = (
    ".pkl",
    ".pickle",
    ".npy",
    ".pt",
    ".pth",
    ".bin",
    ".ckpt",
    ".joblib",
    ".debug_pkl",
)
_ARRAY: Final = ".npy"
_IN_DATA: Final = re.compile(r"(?:^|/)data/[^/]+$")
_WHOLE: Final = 8 << 20
_HEAD: Final = 1024
_HELD: Final = 16 << 20


def format_of_entries(entries: tuple[ZipEntry, ...]) -> tuple[str, ZipEntry | None]:
    """Return the format of an archive by its entries, and the first one that is code."""
    keys = [entry.key for entry in entries]
    names = {key.rpartition("/")[2] for key in keys}
    code = next((entry for entry in entries if _is_code(entry.key)), None)
    if "constants.pkl" in names and code is not None:
        return "torchscript", code
    if "data.pkl" in names:
        return "torch-zip", code
    return ("npz" if any(key.endswith(".npy") for key in keys) else "zip"), code


def _is_code(key: str) -> bool:
    return key.endswith((".py", ".pyc", ".so")) or "/code/" in f"/{key}"


class Archive:
    """Hands out the entries of a ZIP archive, those that are surely pickles first."""

    def __init__(
        self,
        source: FilePart | Memory,
        directory: ZipDirectory,
        errors: ErrorList,
        budget: Budget,
    ) -> None:
        """Take the entries of a directory."""
        self._source, self._errors, self._budget = source, errors, budget
        self._stop = source.size
        entries = sorted(directory.entries, key=lambda entry: entry.offset)
        entries = [entry for entry in entries if not entry.folder]
        self.named = [entry for entry in entries if entry.key.endswith(_PICKLES)]
        """Entries whose names say that they are pickles or arrays."""
        self._others = [entry for entry in entries if not entry.key.endswith(_PICKLES)]

    def others(self, storages: Mapping[str, Storage]) -> list[ZipEntry]:
        """Return the entries that are neither of `named` nor storages of their pickles."""
        tops = {
            entry.key.removesuffix("data.pkl")
            for entry in self.named
            if entry.key.rpartition("/")[2] == "data.pkl"
        }
        raw: dict[str, int] = {}
        for top in tops:
            for key, storage in storages.items():
                if storage.width:
                    raw[f"{top}data/{key}".casefold()] = storage.count * storage.width
        return [
            entry
            for entry in self._others
            if entry.method or raw.get(entry.key) != entry.size or entry.size != entry.compressed
        ]

    def prefetch_named(self) -> Reads[None]:
        """Request the pickles, and the small entries that are no storages, at once."""
        small = [
            entry
            for entry in self._others
            if entry.compressed <= _HEAD and not _IN_DATA.search(entry.key)
        ]
        yield from self._prefetch([*self.named, *small])

    def prefetch_heads(self, entries: list[ZipEntry]) -> Reads[None]:
        """Request the first bytes of entries at once."""
        yield from self._prefetch(entries, _HEAD)

    def _prefetch(self, entries: list[ZipEntry], most: int = _WHOLE) -> Reads[None]:
        # Of an array the header suffices, and an array of objects is read on from there.
        wanted = [
            entry_range(entry, _HEAD if entry.key.endswith(_ARRAY) else most, self._stop)
            for entry in entries
        ]
        missing = [self._source.missing(part.start, part.stop) for part in wanted]
        ranges = coalesce(missing)
        if ranges:
            yield from self._source.prefetch(ranges)

    def open(self, entry: ZipEntry) -> Reads[Source]:
        """Return the bytes of an entry.

        Raises:
            HeaderError: They cannot be read.
        """
        source = self._source
        if entry.offset < 0:
            raise self._problem(entry, "bytes within the archive", "an offset before its start")
        first = entry_range(entry, 0, self._stop)
        header = yield from source.read(first.start, first.stop)
        start = compare_header(header, entry, source, self._errors)
        if start is None or start + entry.compressed > source.size:
            raise self._problem(entry, "bytes within the archive", "none where the directory says")
        label = f"{source.label}/{entry.name}" if source.label else entry.name
        part = source.part(start, entry.compressed, label)
        kind = METHODS.get(entry.method)
        if kind is None:
            raise self._problem(entry, "no compression, or deflate", f"method {entry.method}")
        if not kind:
            if entry.size != entry.compressed:
                self._note(
                    entry, "zip/header-mismatch", f"{entry.compressed} bytes", str(entry.size)
                )
            missing = source.missing(start, start + entry.compressed)
            if missing.start >= missing.stop:  # all of it is here
                self._judge_crc(entry, zlib.crc32((yield from part.read(0, part.size))))
            return part
        inflated = Inflated(part, self._budget, kind, entry.size)
        if entry.size > _HELD or entry.key.endswith(_ARRAY):
            return inflated
        data = yield from inflated.read(0, entry.size + 1)
        if len(data) != entry.size:
            found = f"{len(data)} bytes" if len(data) < entry.size else "more"
            self._note(entry, "zip/header-mismatch", f"{entry.size} bytes", found)
        self._judge_crc(entry, zlib.crc32(data))
        return Memory(data, part.locate(0), label)

    def _judge_crc(self, entry: ZipEntry, found: int) -> None:
        if found != entry.crc:
            self._note(entry, "zip/wrong-crc", f"CRC-32 {entry.crc:08x}", f"{found:08x}")

    def _note(self, entry: ZipEntry, code: str, expected: str, found: str) -> None:
        at = place_of(entry, self._source)
        field = shown(entry.name)
        self._errors.add(make_error(code, offset=at, field=field, expected=expected, found=found))

    def _problem(self, entry: ZipEntry, expected: str, found: str) -> HeaderError:
        return make_error(
            "pickle/unreadable",
            offset=place_of(entry, self._source),
            field=f"entry {shown(entry.name)}",
            expected=expected,
            found=found,
        )
