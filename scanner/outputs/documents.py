"""``json`` and ``jsonl``: the 20-field documents, one per file.

``json`` has l-bom's shape, on which scripts rely: one file, one object; several, a list in the
order of their lower-case paths. Its documents go into a file as they come and are put in order
behind the last one, so memory does not grow with them. ``jsonl`` has a document per line as the
scan goes, and holds none.

A document's text depends on nothing but its result, so `render_json` and `render_jsonl` may run in
another process than what puts the texts together.
"""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from tempfile import TemporaryFile
from typing import IO, Any, Final, NamedTuple, TextIO

from prefect_mutagen.scanner.examine.scan_info import ScanInfo
from prefect_mutagen.scanner.outputs.options import OutputOptions
from prefect_mutagen.scanner.outputs.rendering import render
from prefect_mutagen.scanner.results import Sbom, ScanResult, Summary, Tally
from prefect_mutagen.scanner.sbom.json_text import to_json

__all__ = [
    "RenderedResult",
    "documents",
    "join_json",
    "join_jsonl",
    "render_json",
    "render_jsonl",
    "write_json",
    "write_jsonl",
]


_OPENED: Final = b"[\n  "
_BETWEEN: Final = b",\n  "
_CLOSED: Final = b"\n]\n"
_LIST_INDENT: Final = b"\n  "


class RenderedResult(NamedTuple):
    """The documents of one artifact as texts, and what the summary counts."""

    tally: Tally
    texts: tuple[tuple[str, bytes], ...]
    """For each document its path, which is what lists are sorted by, and its text in UTF-8."""


class _Place(NamedTuple):
    """Where a document lies in the file that holds them as they came."""

    key: str
    """Its path in lower case."""
    start: int
    """In bytes."""
    end: int


def documents(results: Iterable[ScanResult]) -> Iterator[Sbom]:
    """Give a document per file, as l-bom does: a set gives those of its shards."""
    for result in results:
        parts = [item.sbom for item in result.objects if item.sbom is not None]
        yield from parts or [result.sbom]


def render_json(result: ScanResult) -> RenderedResult:
    """Write an artifact's documents for people, as `join_json` takes them: as parts of a list."""
    # Between the list's brackets stands the document as it stands in a longer list.
    return _render(result, lambda fields: to_json([fields], indent=2)[4:-2])


def render_jsonl(result: ScanResult) -> RenderedResult:
    """Write an artifact's documents in a line each, as `join_jsonl` takes them."""
    return _render(result, to_json)


def _render(result: ScanResult, write: Callable[[dict[str, Any]], str]) -> RenderedResult:
    def texts(of: ScanResult) -> tuple[tuple[str, bytes], ...]:
        return tuple((sbom.model_path, write(sbom.to_dict()).encode()) for sbom in documents([of]))

    shown, made = render(result, texts)
    return RenderedResult(shown.tally(), made)


def join_json(rendered: Iterable[RenderedResult], out: TextIO, *, new: bool = False) -> None:
    """Write one object, a list, or ``[]``.

    Args:
        rendered: What `render_json` gave. Most listings are in order already.
        out: Takes the text.
        new: Whether that is an empty file of the caller's own, open for reading too: then it holds
            the documents meanwhile. Otherwise they lie in a temporary file.

    Raises:
        OSError: There is no room for them.
    """
    with ExitStack() as stack:
        spool: IO[bytes] = out.buffer if new else stack.enter_context(TemporaryFile())
        places = list(_collect(rendered, spool))
        ordered = sorted(places, key=lambda place: place.key)
        if not new:
            out.writelines(part.decode() for part in _list(ordered, spool))
        elif len(places) > 1 and ordered == places:
            spool.write(_CLOSED)
        else:
            other: IO[bytes] = stack.enter_context(TemporaryFile())
            other.writelines(_list(ordered, spool))
            other.seek(0)
            spool.seek(0)
            spool.truncate()
            shutil.copyfileobj(other, spool)


def _collect(rendered: Iterable[RenderedResult], spool: IO[bytes]) -> Iterator[_Place]:
    """Write a list of documents as they come."""
    between, end = _OPENED, 0
    for one in rendered:
        for path, text in one.texts:
            spool.write(between)
            spool.write(text)
            start = end + len(between)
            end = start + len(text)
            yield _Place(path.lower(), start, end)
            between = _BETWEEN


def _list(places: list[_Place], spool: IO[bytes]) -> Iterator[bytes]:
    """Give the text of a list, or of one object, in parts."""
    spool.flush()
    handle = spool.fileno()
    texts = (os.pread(handle, place.end - place.start, place.start) for place in places)
    if len(places) == 1:
        # A line break never stands inside a JSON string.
        yield next(texts).replace(_LIST_INDENT, b"\n") + b"\n"
        return
    between = _OPENED
    for text in texts:
        yield between
        yield text
        between = _BETWEEN
    yield _CLOSED if places else b"[]\n"


def join_jsonl(rendered: Iterable[RenderedResult], out: TextIO) -> None:
    """Write a document per line, as they come."""
    out.writelines(text.decode() + "\n" for one in rendered for _, text in one.texts)


def write_json(
    results: Iterable[ScanResult],
    scan: ScanInfo,  # noqa: ARG001 - a contract
    summary: Summary,
    out: TextIO,
    options: OutputOptions,  # noqa: ARG001 - a contract
) -> None:
    """Write one object, a list, or ``[]``; see `scanner.outputs.Writer`."""
    join_json(_counted(results, summary, render_json), out)


def write_jsonl(
    results: Iterable[ScanResult],
    scan: ScanInfo,  # noqa: ARG001 - a contract
    summary: Summary,
    out: TextIO,
    options: OutputOptions,  # noqa: ARG001 - a contract
) -> None:
    """Write a document per line; see `scanner.outputs.Writer`."""
    join_jsonl(_counted(results, summary, render_jsonl), out)


def _counted(
    results: Iterable[ScanResult],
    summary: Summary,
    make: Callable[[ScanResult], RenderedResult],
) -> Iterator[RenderedResult]:
    for result in results:
        rendered = make(result)
        summary.correct(result.verdict.status, rendered.tally.status)
        yield rendered
