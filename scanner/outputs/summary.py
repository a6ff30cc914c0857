"""``summary``: counts, drift and census, whatever the number of artifacts."""

from collections.abc import Iterable
from typing import Any, Final, TextIO

from prefect_mutagen.scanner.examine.scan_info import ScanInfo
from prefect_mutagen.scanner.outputs.options import OutputOptions
from prefect_mutagen.scanner.outputs.visible import short_size, visible
from prefect_mutagen.scanner.results import Drift, Summary

__all__ = ["write_summary"]

_DRIFT: Final[tuple[Drift, ...]] = ("added", "changed", "removed", "unchanged", "left-out")


def write_summary(
    results: Iterable[Any],
    scan: ScanInfo,
    summary: Summary,
    out: TextIO,
    options: OutputOptions,  # noqa: ARG001 - the Writer contract
) -> None:
    """Write the summary; see `scanner.outputs.Writer`."""
    for _ in results:
        pass  # the summary counts them
    out.write(f"{visible(scan.source, 1000)}\n")
    noun = "artifact" if summary.artifacts == 1 else "artifacts"
    _write_line(
        out,
        f"{summary.artifacts:,} {noun}",
        f"{summary.passed:,} passed, {summary.failed:,} failed, {summary.unknown:,} unknown",
    )
    drift = [f"{summary.drift[name]:,} {name}" for name in _DRIFT if summary.drift[name]]
    if drift:
        _write_line(out, "since the scan before", ", ".join(drift))
    _write_line(out, "read", f"{short_size(summary.bytes_read)} in {summary.requests:,} requests")
    rows = summary.census.rows
    if rows:
        out.write("\n")
    for row in rows:
        _write_line(out, f"{row.role}, {row.state}", f"{row.objects:>12,}  {short_size(row.bytes)}")


def _write_line(out: TextIO, what: str, value: str) -> None:
    out.write(f"  {what:<28} {value}\n")
