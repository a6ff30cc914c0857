"""``report``: everything that is known, as one streamed JSON object."""

from collections.abc import Iterable
from typing import TextIO

from prefect_mutagen.scanner.examine.scan_info import ScanInfo
from prefect_mutagen.scanner.outputs.options import OutputOptions
from prefect_mutagen.scanner.outputs.rendering import render_each
from prefect_mutagen.scanner.results import ScanResult, Summary
from prefect_mutagen.scanner.sbom.json_text import to_json

__all__ = ["write_report"]


def write_report(
    results: Iterable[ScanResult],
    scan: ScanInfo,
    summary: Summary,
    out: TextIO,
    options: OutputOptions,  # noqa: ARG001 - the Writer contract
) -> None:
    """Write the report, an artifact per line; see `scanner.outputs.Writer`."""
    out.write(f'{{"scan": {to_json(scan.to_report())},\n "artifacts": [')
    between = "\n  "
    for entry in render_each(results, summary, lambda result, _: to_json(result.to_report())):
        out.write(between + entry)
        between = ",\n  "
    out.write(f'],\n "summary": {to_json(summary.to_report())}}}\n')
