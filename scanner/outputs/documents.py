"""``json`` and ``jsonl``: the 20-field documents, one per file.

``json`` has l-bom's shape, on which scripts rely: one file, one object; several, a list in the
order of their lower-case paths. Its texts wait in files until the last one has come, so memory does
not grow with them. ``jsonl`` has a document per line as the scan goes, and holds none.

A document's text depends on nothing but its result, so `JsonRenderer` and `render_jsonl` may run in
another process than what puts the texts together.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import TextIOWrapper
from typing import Final, NamedTuple, TextIO

from prefect_mutagen.scanner.document import Sbom
from prefect_mutagen.scanner.outputs.json_text import to_json
from prefect_mutagen.scanner.outputs.options import OutputOptions
from prefect_mutagen.scanner.outputs.text_spool import Place, TextSpool, open_spool, read_places
from prefect_mutagen.scanner.results import ScanInfo, ScanResult, Summary, Tally

__all__ = [
    "JsonRenderer",
    "RenderedResult",
    "SpooledResult",
    "documents",
    "join_json",
    "join_jsonl",
    "render_jsonl",
    "write_json",
    "write_jsonl",
]


_LIST_INDENT: Final = b"\n  "


class RenderedResult(NamedTuple):
    """The documents of one artifact as texts, and what the summary counts."""

    tally: Tally
    texts: tuple[str, ...]


class SpooledResult(NamedTuple):
    """The documents of one artifact in files, and what the summary counts."""

    tally: Tally
    texts: tuple[tuple[str, Place], ...]
    """For each document its path, which is what they are sorted by, and where its text is."""


def documents(results: Iterable[ScanResult]) -> Iterator[Sbom]:
    """Give a document per file, as l-bom does: a set gives those of its shards."""
    for result in results:
        parts = [item.sbom for item in result.objects if item.sbom is not None]
        yield from parts or [result.sbom]


@dataclass(frozen=True, slots=True)
class JsonRenderer:
    """Writes documents for people into files, as `join_json` takes them: as parts of a list."""

    spool: TextSpool

    def __call__(self, result: ScanResult) -> SpooledResult:
        """Write an artifact's documents."""
        texts = tuple((sbom.model_path, self._keep(sbom)) for sbom in documents([result]))
        return SpooledResult(result.tally(), texts)

    def _keep(self, sbom: Sbom) -> Place:
        # Between the list's brackets stands the document as it stands in a longer list.
        return self.spool.keep(to_json([sbom.to_dict()], indent=2)[4:-2].encode())


def render_jsonl(result: ScanResult) -> RenderedResult:
    """Write an artifact's documents in a line each, as `join_jsonl` takes them."""
    texts = tuple(to_json(sbom.to_dict()) for sbom in documents([result]))
    return RenderedResult(result.tally(), texts)


def join_json(spooled: Iterable[SpooledResult], out: TextIO) -> None:
    """Write one object, a list, or ``[]``; the texts stay in files until the last one has come."""
    texts = [(path.lower(), place) for one in spooled for path, place in one.texts]
    texts.sort(key=lambda text: text[0])
    parts = read_places([place for _, place in texts])
    write = _bytes_writer(out)
    if len(texts) == 1:
        # A line break never stands inside a JSON string.
        write(next(parts).replace(_LIST_INDENT, b"\n") + b"\n")
        return
    between = b"[\n  "
    for part in parts:
        write(between)
        write(part)
        between = b",\n  "
    write(b"\n]\n" if texts else b"[]\n")


def _bytes_writer(out: TextIO) -> Callable[[bytes], object]:
    """Write UTF-8 as it is where the output would only encode it again."""
    if isinstance(out, TextIOWrapper) and out.encoding.lower() == "utf-8":
        out.flush()
        write: Callable[[bytes], object] = out.buffer.write
        return write
    return lambda part: out.write(part.decode())


def join_jsonl(rendered: Iterable[RenderedResult], out: TextIO) -> None:
    """Write a document per line, as they come."""
    out.writelines(text + "\n" for one in rendered for text in one.texts)


def write_json(
    results: Iterable[ScanResult],
    scan: ScanInfo,  # noqa: ARG001 - a contract
    summary: Summary,  # noqa: ARG001 - a contract
    out: TextIO,
    options: OutputOptions,  # noqa: ARG001 - a contract
) -> None:
    """Write one object, a list, or ``[]``; see `prefect_mutagen.scanner.outputs.Writer`."""
    with open_spool() as spool:
        join_json(map(JsonRenderer(spool), results), out)


def write_jsonl(
    results: Iterable[ScanResult],
    scan: ScanInfo,  # noqa: ARG001 - a contract
    summary: Summary,  # noqa: ARG001 - a contract
    out: TextIO,
    options: OutputOptions,  # noqa: ARG001 - a contract
) -> None:
    """Write a document per line; see `prefect_mutagen.scanner.outputs.Writer`."""
    join_jsonl(map(render_jsonl, results), out)
