"""``table``: one line per artifact for people, followed by reasons and waivers."""

from collections.abc import Iterable, Iterator
from typing import Final, TextIO

from prefect_mutagen.scanner.examine.scan_info import ScanInfo
from prefect_mutagen.scanner.findings import CODES
from prefect_mutagen.scanner.outputs.options import OutputOptions
from prefect_mutagen.scanner.outputs.rendering import render_each
from prefect_mutagen.scanner.outputs.visible import counted, short_count, short_size, visible
from prefect_mutagen.scanner.results import ScanResult, Summary

__all__ = ["write_table"]

_STYLES: Final = {"passed": "green", "failed": "bold red", "unknown": "yellow"}
_ORDER: Final = ("error", "warning", "info")
_NAME_WIDTH: Final = 48

_Lines = list[tuple[str, str]]
"""The explanation of an artifact's verdict: each line with its style."""


def write_table(
    results: Iterable[ScanResult],
    scan: ScanInfo,
    summary: Summary,
    out: TextIO,
    options: OutputOptions,  # noqa: ARG001 - the Writer contract
) -> None:
    """Write the table; see `scanner.outputs.Writer`."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(header_style="bold", box=None, pad_edge=False)
    for heading in ("verdict", "artifact", "architecture", "parameters", "quantization"):
        table.add_column(heading, justify="right" if heading == "parameters" else "left")
    for heading in ("licence", "size", "worst finding"):
        table.add_column(heading, justify="right" if heading == "size" else "left")
    refused, waived = list[_Lines](), list[_Lines]()
    root = scan.source.rstrip("/") + "/"
    parts = render_each(results, summary, lambda result, _: _part(result, root))
    for status, style, cells, lines in parts:
        table.add_row(Text(status, style=style), *map(Text, cells))
        if lines:
            (waived if status == "passed" else refused).append(lines)
    # A pipe has no width; do not wrap lines there.
    width = None if out.isatty() else 400
    console = Console(file=out, width=width, highlight=False, soft_wrap=not out.isatty())
    census = summary.census.describe()
    if not summary.artifacts:
        console.print("No model files found.")
        if census:
            console.print(census)
        return
    console.print(table)
    for lines in (*refused, *waived):
        console.print()
        for line, style in lines:
            console.print(Text(line, style=style))
    console.print()
    by_waiver = f" ({len(waived)} by a waiver)" if waived else ""
    if census:
        console.print(census)
    console.print(
        f"{counted(summary.artifacts, 'artifact')}: {summary.passed} passed{by_waiver}, "
        f"{summary.failed} failed, {summary.unknown} unknown"
    )


def _part(result: ScanResult, root: str) -> tuple[str, str, list[str], _Lines]:
    """Return an artifact's verdict with its style, its other cells and its explanation."""
    sbom, status = result.sbom, result.verdict.status
    cells = [
        _name(result.url.removeprefix(root)),
        sbom.architecture or "",
        short_count(sbom.parameter_count),
        sbom.quantization or sbom.dtype or "",
        result.license_spdx or "",
        short_size(result.size),
        _worst(result),
    ]
    explained = not result.passed or result.verdict.waived
    style = "yellow" if result.verdict.waived else _STYLES[status]
    return status, style, [*map(visible, cells)], [*_explanation(result)] if explained else []


def _explanation(result: ScanResult) -> Iterator[tuple[str, str]]:
    """Yield the lines, with their styles, that explain a refusal or a pass by waiver."""
    how = ": passed by a waiver" if result.passed else ""
    yield f"{visible(result.url, 1000)}{how}", "bold"
    for reason in result.verdict.reasons:
        yield f"  {reason.code}: {visible(reason.message, 1000)}", ""
        if reason.code in CODES:
            yield f"    {CODES[reason.code].remedy}", "dim"
    for reason in result.verdict.waived:
        yield f"  {reason.code}: {visible(reason.message, 1000)}", ""
        yield f"    {visible(reason.value)}", "dim"


def _name(url: str) -> str:
    return url if len(url) <= _NAME_WIDTH else f"...{url[-(_NAME_WIDTH - 3) :]}"


def _worst(result: ScanResult) -> str:
    """Return the code of the worst finding; a policy reason ranks as an error."""
    if result.verdict.reasons:
        return result.verdict.reasons[0].code
    if result.verdict.waived:
        return f"{result.verdict.waived[0].code} (waived)"
    ordered = sorted(result.findings, key=lambda finding: _ORDER.index(finding.severity))
    return ordered[0].code if ordered and ordered[0].severity != "info" else ""
