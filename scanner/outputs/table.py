"""``table``: one line per artifact for a person, and the reasons of what did not pass."""

from collections.abc import Iterable
from typing import Final, TextIO

from prefect_mutagen.scanner.results import ScanInfo, ScanResult, Summary

__all__ = ["short_count", "short_size", "visible", "write_table"]

_STYLES: Final = {"passed": "green", "failed": "bold red", "unknown": "yellow"}
_ORDER: Final = ("error", "warning", "info")
_NAME_WIDTH: Final = 48


def visible(text: str, width: int = 200) -> str:
    """Make a value from a file fit for a terminal: no control characters, not too long."""
    short = text if len(text) <= width else f"{text[: width - 3]}..."
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in short)


def short_count(number: int | None) -> str:
    """Write a number of parameters the way people say it: 6.72K, 8.03B."""
    if number is None:
        return ""
    for limit, letter in ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "K")):
        if number >= limit:
            return f"{number / limit:.3g}{letter}"
    return str(number)


def short_size(size: int) -> str:
    """Write a number of bytes the way people say it: 9.3 KiB, 4.58 GiB."""
    value, units = float(size), ["B", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1024 and len(units) > 1:
        value /= 1024
        del units[0]
    return f"{value:.3g} {units[0]}" if value < 1000 else f"{value:.0f} {units[0]}"


def write_table(
    results: Iterable[ScanResult], scan: ScanInfo, summary: Summary, out: TextIO
) -> None:
    """Write the table; see `prefect_mutagen.scanner.outputs.Writer`."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(header_style="bold", box=None, pad_edge=False)
    for heading in ("verdict", "artifact", "architecture", "parameters", "quantization"):
        table.add_column(heading, justify="right" if heading == "parameters" else "left")
    for heading in ("licence", "size", "worst finding"):
        table.add_column(heading, justify="right" if heading == "size" else "left")
    refused: list[ScanResult] = []
    root = scan.source.rstrip("/") + "/"
    for result in results:
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
        row = (Text(visible(cell)) for cell in cells)
        table.add_row(Text(status, style=_STYLES[status]), *row)
        if not result.passed:
            refused.append(result)
    # A pipe has no width; a person who pipes wants whole lines.
    width = None if out.isatty() else 400
    console = Console(file=out, width=width, highlight=False, soft_wrap=not out.isatty())
    if not summary.artifacts:
        console.print("No model files found.")
        return
    console.print(table)
    for result in refused:
        console.print()
        console.print(Text(visible(result.url, 1000), style="bold"))
        for reason in result.verdict.reasons:
            console.print(Text(f"  {reason.code}: {visible(reason.message, 1000)}"))
    console.print()
    console.print(
        f"{summary.artifacts} artifacts: {summary.passed} passed, {summary.failed} failed, "
        f"{summary.unknown} unknown"
    )


def _name(url: str) -> str:
    return url if len(url) <= _NAME_WIDTH else f"...{url[-(_NAME_WIDTH - 3) :]}"


def _worst(result: ScanResult) -> str:
    """Name the worst thing about an artifact; a policy's reason counts like an error."""
    if result.verdict.reasons:
        return result.verdict.reasons[0].code
    ordered = sorted(result.findings, key=lambda finding: _ORDER.index(finding.severity))
    return ordered[0].code if ordered and ordered[0].severity != "info" else ""
