"""``json`` and ``jsonl``: the 20-field documents, one per file.

``json`` has l-bom's shape, which scripts rely on: one object for one file, else a list sorted by
lower-case path. Documents are spooled to a file and sorted after the last one, so memory does not
grow with them. ``jsonl`` streams one document per line and spools nothing.

The text of a document depends only on its result, so `render_json` and `render_jsonl` may run in
other processes than the one that joins the texts.
"""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from tempfile import TemporaryFile
from typing import IO, Any, Final, NamedTuple, TextIO

from prefect_mutagen.scanner.examine.scan_info import ScanInfo
from prefect_mutagen.scanner.outputs import Writer
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
    """The rendered documents of one artifact, and its share of the summary."""

    tally: Tally
    texts: tuple[tuple[str, bytes], ...]
    """Path, which lists are sorted by, and UTF-8 text of each document."""


class _Span(NamedTuple):
    """The byte range of a document in the spool file."""

    key: str
    """The document's path in lower case, which is the sort key."""
    start: int
    end: int


def documents(results: Iterable[ScanResult]) -> Iterator[Sbom]:
    """Yield one document per file, as l-bom does; a set yields those of its shards."""
    for result in results:
        parts = [item.sbom for item in result.objects if item.sbom is not None]
        yield from parts or [result.sbom]


def render_json(result: ScanResult) -> RenderedResult:
    """Render an artifact's documents indented, as list items for `join_json`."""
    # Rendering a list of one and cutting its brackets gives the indentation of a list item.
    return _render(result, lambda fields: to_json([fields], indent=2)[4:-2])


def render_jsonl(result: ScanResult) -> RenderedResult:
    """Render an artifact's documents on one line each, for `join_jsonl`."""
    return _render(result, to_json)


def _render(result: ScanResult, encode: Callable[[dict[str, Any]], str]) -> RenderedResult:
    def texts(of: ScanResult) -> tuple[tuple[str, bytes], ...]:
        return tuple((sbom.model_path, encode(sbom.to_dict()).encode()) for sbom in documents([of]))

    shown, made = render(result, texts)
    return RenderedResult(shown.tally(), made)


def join_json(rendered: Iterable[RenderedResult], out: TextIO, *, new: bool = False) -> None:
    """Write one object, a list sorted by path, or ``[]``.

    Args:
        rendered: Results of `render_json`.
        out: The stream to write to.
        new: Whether `out` is an empty file owned by the caller and open for reading as well. Then
            it serves as the spool file; otherwise a temporary file does.

    Raises:
        OSError: The disk is full.
    """
    with ExitStack() as stack:
        spool: IO[bytes] = out.buffer if new else stack.enter_context(TemporaryFile())
        spans = list(_spool(rendered, spool))
        ordered = sorted(spans, key=lambda span: span.key)
        if not new:
            out.writelines(part.decode() for part in _list_parts(ordered, spool))
        elif len(spans) > 1 and ordered == spans:
            spool.write(_CLOSED)  # most listings are in order already
        else:
            reordered: IO[bytes] = stack.enter_context(TemporaryFile())
            reordered.writelines(_list_parts(ordered, spool))
            reordered.seek(0)
            spool.seek(0)
            spool.truncate()
            shutil.copyfileobj(reordered, spool)


def _spool(rendered: Iterable[RenderedResult], spool: IO[bytes]) -> Iterator[_Span]:
    """Write documents to the spool file as an unsorted list; yield the span of each."""
    between, end = _OPENED, 0
    for one in rendered:
        for path, text in one.texts:
            spool.write(between)
            spool.write(text)
            start = end + len(between)
            end = start + len(text)
            yield _Span(path.lower(), start, end)
            between = _BETWEEN


def _list_parts(spans: list[_Span], spool: IO[bytes]) -> Iterator[bytes]:
    """Yield the text of a list, or of a single object, in parts."""
    spool.flush()
    descriptor = spool.fileno()
    texts = (os.pread(descriptor, span.end - span.start, span.start) for span in spans)
    if len(spans) == 1:
        # Safe, because JSON strings contain no raw line breaks.
        yield next(texts).replace(_LIST_INDENT, b"\n") + b"\n"
        return
    between = _OPENED
    for text in texts:
        yield between
        yield text
        between = _BETWEEN
    yield _CLOSED if spans else b"[]\n"


def join_jsonl(rendered: Iterable[RenderedResult], out: TextIO) -> None:
    """Stream one document per line."""
    out.writelines(text.decode() + "\n" for one in rendered for _, text in one.texts)


def _writer(
    render_one: Callable[[ScanResult], RenderedResult],
    join: Callable[[Iterable[RenderedResult], TextIO], None],
) -> Writer:
    """Return a `Writer` that renders and joins the documents in this process."""

    def write(
        results: Iterable[ScanResult],
        scan: ScanInfo,  # noqa: ARG001 - the Writer contract
        summary: Summary,
        out: TextIO,
        options: OutputOptions,  # noqa: ARG001 - the Writer contract
    ) -> None:
        join(_rendered(results, summary, render_one), out)

    return write


def _rendered(
    results: Iterable[ScanResult],
    summary: Summary,
    render_one: Callable[[ScanResult], RenderedResult],
) -> Iterator[RenderedResult]:
    for result in results:
        rendered = render_one(result)
        summary.correct(result.verdict.status, rendered.tally.status)
        yield rendered


write_json: Final = _writer(render_json, join_json)
"""Write one object, a list, or ``[]``; see `scanner.outputs.Writer`."""
write_jsonl: Final = _writer(render_jsonl, join_jsonl)
"""Write one document per line; see `scanner.outputs.Writer`."""
