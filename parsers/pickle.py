"""Read a file of pickles without unpickling: what it would import and call, and what it holds.

One reader for all containers: raw streams, torch's ZIP archives and its two older formats, NumPy's
``.npy`` and ``.npz``, joblib's files, each plain or compressed. The content decides which it is; a
file may be several at once, and then it is read as each of them. No opcode is executed: a machine
follows strings through stack and memo (`prefect_mutagen.parsers.pickle_machine`), and every global
is held against a list of harmless ones (`prefect_mutagen.parsers.pickle_globals`).

`read_pickle` starts a `PickleReader`, which asks for ranges: the first and the last bytes at once,
then an archive's pickles, each by one read or joined with their neighbours. What cannot be followed
to its end is an error; so is what is beyond the limits, which are told as this tool's.
"""

import re
from collections.abc import Callable, Collection
from functools import partial
from typing import Final

from prefect_mutagen.parsers.byte_ranges import (
    Budget,
    ByteRange,
    Pieces,
    RangeReader,
    Reads,
    coalesce,
)
from prefect_mutagen.parsers.byte_sources import FilePart, Inflated, Memory, Source
from prefect_mutagen.parsers.detect import HEAD_SIZE, identify
from prefect_mutagen.parsers.errors import HeaderError, shown
from prefect_mutagen.parsers.npy import NPY_MAGIC, read_npy
from prefect_mutagen.parsers.pickle_archives import Archive, format_of_entries
from prefect_mutagen.parsers.pickle_encoded import decoded_pickle
from prefect_mutagen.parsers.pickle_header import PickleHeader
from prefect_mutagen.parsers.pickle_opcodes import NAMES
from prefect_mutagen.parsers.pickle_report import PickleReport
from prefect_mutagen.parsers.pickle_tensors import tensor_info
from prefect_mutagen.parsers.pickle_values import Tensor
from prefect_mutagen.parsers.pickle_walk import OPENINGS
from prefect_mutagen.parsers.rules import make_error
from prefect_mutagen.parsers.tar import BLOCK, is_tar_header, read_members
from prefect_mutagen.parsers.torch_streams import walk_storages, walk_streams, walk_tensors
from prefect_mutagen.parsers.zip import TAIL_SIZE, ZipDirectory, ZipEntry, place_of, read_directory

__all__ = ["PickleHeader", "PickleReader", "read_pickle"]

REQUEST_LIMIT: Final = 32
READ_LIMIT: Final = 64 << 20
INFLATE_LIMIT: Final = 128 << 20
_HEAD: Final = 64 << 10
_DEPTH_LIMIT: Final = 4
_PART_LIMIT: Final = 4096
_HELD: Final = 16 << 20
_COMPRESSED: Final = tuple(
    (re.compile(pattern, re.DOTALL), kind)
    for pattern, kind in (
        (rb"\x1f\x8b", "gzip"),
        (rb"\x78[\x01\x5e\x9c\xda]", "zlib"),
        (rb"BZh\d", "bzip2"),
        (rb"\xfd7zXZ\0|\x5d\0\0.\0", "xz"),
        (rb"\x04\x22\x4d\x18", "lz4"),
        (rb"\x28\xb5\x2f\xfd", "zstd"),
    )
)
_INCOMPLETE: Final = frozenset(("pickle/unreadable", "pickle/unexamined", "zip/no-directory"))
_FIRST_BYTES: Final = frozenset(bytes((byte,)) for byte in NAMES)
_JOBLIB: Final = "joblib.numpy_pickle"


PickleReader = RangeReader[PickleHeader]


def read_pickle(size: int, allowed: Collection[str] = ()) -> PickleReader:
    """Start reading one file of pickles.

    Args:
        size: Size of the whole file in bytes.
        allowed: Globals that are trusted besides the list, each as ``module.name``.

    Returns:
        A reader; feed it nothing to learn what it needs first.
    """
    budget, pieces = Budget(REQUEST_LIMIT, READ_LIMIT, INFLATE_LIMIT), Pieces()
    examination = _Examination(size, PickleReport(allowed), pieces, budget)
    return RangeReader(examination.run(), pieces, budget)


class _Examination:
    """Reads a file part by part, from a list of what is still to be looked at."""

    def __init__(self, size: int, report: PickleReport, pieces: Pieces, budget: Budget) -> None:
        self._size, self._report, self._budget = size, report, budget
        self._file = FilePart(pieces, budget, 0, size)
        self._todo: list[Callable[[], Reads[None]]] = []
        self._format = ""
        self._count = 0

    def run(self) -> Reads[PickleHeader]:
        """Read everything; errors become part of the result."""
        try:
            first = [ByteRange(0, min(_HEAD, self._size))]
            first.append(ByteRange(max(0, self._size - TAIL_SIZE), self._size))
            if self._size:
                yield from self._file.prefetch(coalesce(first))
            self._todo.append(partial(self._examine, self._file, 0, sure=True))
            while self._todo:
                self._count += 1
                if self._count > _PART_LIMIT:
                    raise _beyond(self._file, "parts of archives", _PART_LIMIT)
                try:
                    yield from self._todo.pop(0)()
                except HeaderError as error:
                    if error.code == "pickle/unexamined":
                        raise
                    self._report.errors.add(error)
            yield from self._decode_texts()
        except HeaderError as error:
            self._report.errors.add(error)
        return self._finish()

    def _decode_texts(self) -> Reads[None]:
        """Walk the pickles that stand as texts inside of others."""
        texts, self._report.texts = self._report.texts, []
        for text, source, offset in texts:
            at = source.locate(offset)
            data = decoded_pickle(text)
            if not data:
                continue
            trial = self._report.trial()
            yield from walk_streams(Memory(data, at, source.label), 0, trial, quiet=True)
            names = sorted(
                f"{one.module}.{one.name}" for one in trial.globals.values() if not one.allowed
            )
            if trial.forbidden:
                found = shown(names[0]) if names else "a name that shows only when it is loaded"
                field = f"text in {shown(source.label)}" if source.label else "text"
                expected = "no pickle in other digits that imports what is not harmless"
                self._report.note("pickle/encoded-payload", at, field, expected, found)

    def _finish(self) -> PickleHeader:
        report = self._report
        errors = report.errors.finish()
        form = self._format
        if form in ("pickle", "") and any(use.module == _JOBLIB for use in report.globals.values()):
            form = "joblib"
        return PickleHeader(
            format=form,
            protocol=report.protocol,
            tensors=tuple(report.tensors),
            globals=tuple(report.globals.values()),
            data_size=sum(tensor.size for tensor in report.tensors),
            errors=errors,
            complete=bool(form) and not any(error.code in _INCOMPLETE for error in errors),
            header_size=self._budget.bytes_read,
        )

    def _examine(self, source: Source, depth: int, *, sure: bool) -> Reads[None]:
        """Examine the file or a part of it; ``sure``: by its name or place it is a pickle."""
        if depth > _DEPTH_LIMIT:
            raise _beyond(source, "archives inside of each other", _DEPTH_LIMIT)
        head = yield from source.read(0, min(HEAD_SIZE, source.size))
        archive = head.startswith((b"PK\x03\x04", b"PK\x05\x06"))
        # In an array of an archive nobody looks for another archive.
        array = depth > 0 and head.startswith(NPY_MAGIC)
        if isinstance(source, FilePart | Memory) and not array:
            directory = yield from read_directory(source, self._report.errors)
            if directory is not None and (archive or directory.entries):
                yield from self._read_zip(source, depth, directory)
            elif archive:
                expected = "an end record with a directory"
                self._note("zip/no-directory", source, "archive", expected, "none")
        elif archive:
            raise _beyond(source, "bytes of an archive that is compressed as a whole", _HELD)
        if not archive:
            yield from self._examine_content(source, depth, head, sure=sure)

    def _examine_content(
        self, source: Source, depth: int, head: bytes, *, sure: bool
    ) -> Reads[None]:
        kind = next((kind for pattern, kind in _COMPRESSED if pattern.match(head)), None)
        if head.startswith(NPY_MAGIC):
            yield from self._read_npy(source)
        elif is_tar_header(head[:BLOCK]):
            yield from self._read_tar(source, depth)
            # The name of the first member may be opcodes to whoever reads no tar.
            yield from walk_streams(source, 0, self._report, quiet=True)
        elif kind is not None:
            inflated = Inflated(source, self._budget, kind)
            self._todo.insert(0, partial(self._examine, inflated, depth + 1, sure=sure))
        else:
            yield from self._read_streams(source, depth, head, sure=sure)

    def _read_streams(self, source: Source, depth: int, head: bytes, *, sure: bool) -> Reads[None]:
        content = identify(head, source.size)
        foreign = content.format is not None or content.kind not in ("bad-magic", "archive")
        likely = depth > 0 or not (foreign or self._format)
        opens = head[:2] in OPENINGS or (sure and likely and head[:1] in _FIRST_BYTES)
        form = yield from walk_streams(source, 0, self._report, quiet=not opens, eager=sure)
        if form:
            self._format = self._format or form
        elif depth == 0 and self._format:
            return  # bytes before an archive, which has been told already
        elif depth == 0:
            kind = "wrong-format" if content.format else content.kind
            expected = "a pickle, or an archive of pickles"
            self._note(f"pickle/{kind}", source, "content", expected, content.description)
        elif sure and head:
            self._note("pickle/unreadable", source, "content", "a pickle", content.description)

    def _read_npy(self, source: Source) -> Reads[None]:
        header = yield from read_npy(source)
        self._format = self._format or "npy"
        name = source.label.removesuffix(".npy")
        tensor = tensor_info(name, Tensor(header.dtype, header.width, header.shape))
        size = tensor.size
        self._report.tensors.append(tensor)
        count_before = len(self._report.tensors)
        if not tensor.parameters and 0 not in header.shape:
            self._note("pickle/unreadable", source, "shape", "less than 2^64 bytes", "more")
        elif header.dtype == "OBJECT":
            yield from walk_streams(source, header.size, self._report, quiet=False)
            del self._report.tensors[count_before:]  # the stream names it again
        elif header.size + size > source.size:
            expected, found = f"a file of {header.size + size} bytes", f"{source.size} bytes"
            self._note("pickle/truncated-data", source, shown(name or "array"), expected, found)
        elif isinstance(source, FilePart) and header.size + size < source.size:
            yield from walk_streams(source, header.size + size, self._report, quiet=True)

    def _read_tar(self, source: Source, depth: int) -> Reads[None]:
        if not isinstance(source, FilePart | Memory):
            raise _beyond(source, "bytes of an archive that is compressed as a whole", _HELD)
        members = yield from read_members(source)
        names = {member.name.removeprefix("./") for member in members}
        torch = {"pickle", "storages", "tensors"} <= names
        self._format = self._format or ("torch-tar" if torch else "tar")
        for member in members:
            name = member.name.removeprefix("./")
            part = source.part(member.offset, member.size, name)
            if member.offset + member.size > source.size:
                expected = f"a member of {member.size} bytes"
                self._note("pickle/unreadable", part, "tar", expected, "the end of the archive")
            elif torch and name == "storages":
                yield from walk_storages(part, self._report)
            elif torch and name == "tensors":
                yield from walk_tensors(part, self._report)
            elif member.size:
                sure = torch and name == "pickle"
                self._todo.append(partial(self._examine, part, depth + 1, sure=sure))

    def _read_zip(
        self, source: FilePart | Memory, depth: int, directory: ZipDirectory
    ) -> Reads[None]:
        form, code = format_of_entries(directory.entries)
        self._format = self._format or form
        if code is not None:
            at = place_of(code, source)
            self._report.note("pickle/code-in-archive", at, "entry", "no code", shown(code.name))
        archive = Archive(source, directory, self._report.errors, self._budget)
        yield from archive.prefetch_named()
        open_named = [
            partial(self._open, archive, entry, depth + 1, sure=True) for entry in archive.named
        ]
        self._todo[:0] = [*open_named, partial(self._open_others, archive, depth + 1)]

    def _open_others(self, archive: Archive, depth: int) -> Reads[None]:
        """Open the entries that are no storages of the pickles that have been walked."""
        others = archive.others(self._report.storages)
        yield from archive.prefetch_heads(others)
        self._todo[:0] = [
            partial(self._open, archive, entry, depth, sure=False) for entry in others
        ]

    def _open(self, archive: Archive, entry: ZipEntry, depth: int, *, sure: bool) -> Reads[None]:
        source = yield from archive.open(entry)
        yield from self._examine(source, depth, sure=sure)

    def _note(self, code: str, source: Source, field: str, expected: str, found: str) -> None:
        field = f"{field} in {shown(source.label)}" if source.label else field
        self._report.note(code, source.locate(0), field, expected, found)


def _beyond(source: Source, what: str, limit: int) -> HeaderError:
    return make_error(
        "pickle/unexamined",
        offset=source.locate(0),
        field=what,
        expected=f"at most {limit}",
        found="more",
    )
