"""``json`` and ``jsonl``: the 20-field documents, one per file.

``json`` has l-bom's shape, on which scripts rely: one file, one object; several, a list in the
order of their lower-case paths. ``jsonl`` has a document per line as the scan goes, and holds none.
"""

from collections.abc import Iterable, Iterator
from typing import TextIO

from prefect_mutagen.scanner.document import Sbom
from prefect_mutagen.scanner.outputs.json_text import to_json
from prefect_mutagen.scanner.outputs.options import OutputOptions
from prefect_mutagen.scanner.results import ScanInfo, ScanResult, Summary

__all__ = ["documents", "write_json", "write_jsonl"]


def documents(results: Iterable[ScanResult]) -> Iterator[Sbom]:
    """Give a document per file, as l-bom does: a set gives those of its shards."""
    for result in results:
        parts = [item.sbom for item in result.objects if item.sbom is not None]
        yield from parts or [result.sbom]


def write_json(
    results: Iterable[ScanResult],
    scan: ScanInfo,  # noqa: ARG001 - a contract
    summary: Summary,  # noqa: ARG001 - a contract
    out: TextIO,
    options: OutputOptions,  # noqa: ARG001 - a contract
) -> None:
    """Write one object, a list, or ``[]``; see `prefect_mutagen.scanner.outputs.Writer`."""
    ordered = sorted(documents(results), key=lambda sbom: sbom.model_path.lower())
    if len(ordered) == 1:
        out.write(to_json(ordered[0].to_dict(), indent=2) + "\n")
        return
    # One text after the other; a line break never stands inside a JSON string.
    between = "[\n  "
    for sbom in ordered:
        out.write(between + to_json(sbom.to_dict(), indent=2).replace("\n", "\n  "))
        between = ",\n  "
    out.write("\n]\n" if ordered else "[]\n")


def write_jsonl(
    results: Iterable[ScanResult],
    scan: ScanInfo,  # noqa: ARG001 - a contract
    summary: Summary,  # noqa: ARG001 - a contract
    out: TextIO,
    options: OutputOptions,  # noqa: ARG001 - a contract
) -> None:
    """Write a document per line; see `prefect_mutagen.scanner.outputs.Writer`."""
    out.writelines(to_json(sbom.to_dict()) + "\n" for sbom in documents(results))
