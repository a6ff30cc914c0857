"""``json`` and ``jsonl``: the 20-field documents, one per file.

``json`` has l-bom's shape, on which scripts rely: one file, one object; several, a list in the
order of their lower-case paths. ``jsonl`` has a document per line as the scan goes, and holds none.

A document's text depends on nothing but its result, so `render_json` and `render_jsonl` may run in
another process than what puts the texts together.
"""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple, TextIO

from prefect_mutagen.scanner.document import Sbom
from prefect_mutagen.scanner.outputs.json_text import to_json
from prefect_mutagen.scanner.outputs.options import OutputOptions
from prefect_mutagen.scanner.results import ScanInfo, ScanResult, Summary, Tally

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


_LIST_INDENT: Final = "\n  "


class RenderedResult(NamedTuple):
    """The documents of one artifact as texts, and what the summary counts."""

    tally: Tally
    texts: tuple[tuple[str, str], ...]
    """For each document its path and its text."""


def documents(results: Iterable[ScanResult]) -> Iterator[Sbom]:
    """Give a document per file, as l-bom does: a set gives those of its shards."""
    for result in results:
        parts = [item.sbom for item in result.objects if item.sbom is not None]
        yield from parts or [result.sbom]


def render_json(result: ScanResult) -> RenderedResult:
    """Write an artifact's documents for people, as `join_json` takes them: as parts of a list."""
    texts = tuple(
        # A line break never stands inside a JSON string.
        (sbom.model_path, to_json(sbom.to_dict(), indent=2).replace("\n", _LIST_INDENT))
        for sbom in documents([result])
    )
    return RenderedResult(result.tally(), texts)


def render_jsonl(result: ScanResult) -> RenderedResult:
    """Write an artifact's documents in a line each, as `join_jsonl` takes them."""
    texts = tuple((sbom.model_path, to_json(sbom.to_dict())) for sbom in documents([result]))
    return RenderedResult(result.tally(), texts)


def join_json(rendered: Iterable[RenderedResult], out: TextIO) -> None:
    """Write one object, a list, or ``[]``; the texts are held until the last one has come."""
    texts = [text for one in rendered for text in one.texts]
    texts.sort(key=lambda text: text[0].lower())
    if len(texts) == 1:
        out.write(texts[0][1].replace(_LIST_INDENT, "\n") + "\n")
        return
    between = "[\n  "
    for _, text in texts:
        out.write(between)
        out.write(text)
        between = ",\n  "
    out.write("\n]\n" if texts else "[]\n")


def join_jsonl(rendered: Iterable[RenderedResult], out: TextIO) -> None:
    """Write a document per line, as they come."""
    out.writelines(text + "\n" for one in rendered for _, text in one.texts)


def write_json(
    results: Iterable[ScanResult],
    scan: ScanInfo,  # noqa: ARG001 - a contract
    summary: Summary,  # noqa: ARG001 - a contract
    out: TextIO,
    options: OutputOptions,  # noqa: ARG001 - a contract
) -> None:
    """Write one object, a list, or ``[]``; see `prefect_mutagen.scanner.outputs.Writer`."""
    join_json(map(render_json, results), out)


def write_jsonl(
    results: Iterable[ScanResult],
    scan: ScanInfo,  # noqa: ARG001 - a contract
    summary: Summary,  # noqa: ARG001 - a contract
    out: TextIO,
    options: OutputOptions,  # noqa: ARG001 - a contract
) -> None:
    """Write a document per line; see `prefect_mutagen.scanner.outputs.Writer`."""
    join_jsonl(map(render_jsonl, results), out)
