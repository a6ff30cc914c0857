"""Files of several pickle streams: torch's formats of 2016 (in a tar) and of 2017, and any others.

References: ``_legacy_load`` and ``legacy_load`` in ``torch/serialization.py``.
"""

from typing import Any, Final

from prefect_mutagen.parsers.byte_ranges import Reads
from prefect_mutagen.parsers.byte_sources import UNKNOWN_SIZE, Source
from prefect_mutagen.parsers.pickle_opcodes import NAMES
from prefect_mutagen.parsers.pickle_report import PickleReport
from prefect_mutagen.parsers.pickle_tensors import collect_tensors, storage_of
from prefect_mutagen.parsers.pickle_walk import OPENINGS, Walk

__all__ = ["walk_storages", "walk_streams", "walk_tensors"]

_MAGIC: Final = 0x1950A86A20F9469CFC6C
_LEGACY_STREAMS: Final = 5
_STREAM_LIMIT: Final = 4096
_COUNT_LIMIT: Final = 1 << 16


def walk_streams(  # noqa: C901 - the order of the streams reads best in one place
    source: Source, start: int, report: PickleReport, *, quiet: bool, eager: bool = False
) -> Reads[str]:
    """Walk every stream from an offset to the end of the source.

    Args:
        source: The bytes.
        start: Where the first stream begins.
        report: Receives what is found.
        quiet: Whether the bytes may be no pickle at all. They are taken for one if they make a
            call, or come to their STOP.
        eager: Whether an import suffices as well.

    Returns:
        ``torch-legacy``, ``pickle``, or "" for bytes that are none.
    """
    walk = Walk(source, report)
    at, legacy = start, False
    for number in range(_STREAM_LIMIT):
        head = yield from source.read(at, at + 2)
        if not head:
            return _name(number, legacy=legacy)
        sure = legacy or head in OPENINGS or not (number or quiet)
        if not sure and head[0] not in NAMES:
            break
        into = report if sure else report.trial()
        end = yield from (walk if sure else Walk(source, into)).stream(
            at, source.size, quiet=not sure
        )
        if not sure:
            if not (end.whole or into.calls or (eager and into.globals)):
                break
            report.merge(into)
            if not end.whole:
                report.unreadable(source, end.at, "an opcode that unpicklers take", "another byte")
        if not end.whole:
            return _name(number + 1, legacy=legacy)
        report.tensors.extend(collect_tensors(end.result))
        at = end.at
        legacy = legacy or (number == 0 and end.result == _MAGIC)
        if legacy and number + 1 == _LEGACY_STREAMS:
            at = yield from _pass_storages(source, at, report)
            legacy = False
            if at >= source.size:
                return "torch-legacy"
            yield from _note_rest(source, at, report)
            return "torch-legacy"
    else:
        report.unreadable(source, at, f"at most {_STREAM_LIMIT} streams", "more")
        return "pickle"
    if number:
        yield from _note_rest(source, at, report)
    return _name(number, legacy=legacy)


def _name(streams: int, *, legacy: bool) -> str:
    if not streams:
        return ""
    return "torch-legacy" if legacy else "pickle"


def _pass_storages(source: Source, at: int, report: PickleReport) -> Reads[int]:
    """Return where the storages behind a legacy file's streams end; each has its length first."""
    yield from ()
    size = sum(8 + storage.count * storage.width for storage in report.storages.values())
    if any(not storage.width for storage in report.storages.values()):
        return source.size
    if at + size > source.size:
        report.note(
            "pickle/truncated-data",
            source.locate(source.size),
            "storages",
            f"a file of at least {at + size} bytes",
            f"the file ends at byte {source.size}",
        )
        return source.size
    return at + size


def _note_rest(source: Source, at: int, report: PickleReport) -> Reads[None]:
    head = yield from source.read(at, at + 2)
    if head in OPENINGS:
        yield from Walk(source, report).stream(at, source.size)
        return
    size = f"{source.size - at}" if source.size != UNKNOWN_SIZE else "some"
    where = source.locate(at)
    report.note("pickle/trailing-data", where, "end of file", "the end", f"{size} more bytes")


def walk_storages(source: Source, report: PickleReport) -> Reads[None]:
    """Walk the ``storages`` of torch's tar format: a pickle and raw data for each storage."""
    walk = Walk(source, report)
    count, at = yield from _count(walk, source, report)
    for _ in range(count):
        end = yield from walk.stream(at, source.size)
        if not end.whole:
            return
        head = yield from source.read(end.at, end.at + 8)
        length = int.from_bytes(head, "little")
        key, location, kind = _three(end.result)
        storage = storage_of(("storage", kind, str(key), location, length))
        at = end.at + 8 + (length * storage.width if storage else 0)
        if storage is None or not storage.width or len(head) < 8 or at > source.size:
            report.unreadable(source, end.at, "a storage of a known type", "another, or its end")
            return
    end = yield from walk.stream(at, source.size)
    if end.whole and end.at < source.size:
        yield from _note_rest(source, end.at, report)


def walk_tensors(source: Source, report: PickleReport) -> Reads[None]:
    """Walk the ``tensors`` of torch's tar format: a pickle and the shape of each tensor."""
    walk = Walk(source, report)
    count, at = yield from _count(walk, source, report)
    for _ in range(count):
        end = yield from walk.stream(at, source.size)
        if not end.whole:
            return
        head = yield from source.read(end.at, end.at + 8)
        at = end.at + 16 + 16 * int.from_bytes(head[:4], "little")
        if len(head) < 8 or at > source.size:
            report.unreadable(source, end.at, "the shape of a tensor", "the end of the bytes")
            return
    if at < source.size:
        yield from _note_rest(source, at, report)


def _count(walk: Walk, source: Source, report: PickleReport) -> Reads[tuple[int, int]]:
    """Walk the first stream of such a file, which holds a number."""
    end = yield from walk.stream(0, source.size)
    if end.whole and type(end.result) is int and 0 <= end.result <= _COUNT_LIMIT:
        return end.result, end.at
    if end.whole:
        report.unreadable(source, 0, f"a number up to {_COUNT_LIMIT}", "another object")
    return 0, source.size


def _three(value: Any) -> tuple[Any, Any, Any]:
    return value if isinstance(value, tuple) and len(value) == 3 else (None, None, None)
