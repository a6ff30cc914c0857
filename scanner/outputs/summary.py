"""``summary``: counts, drift and census, whatever the number of artifacts."""

from collections.abc import Iterable
from typing import Any, Final, TextIO

from prefect_mutagen.scanner.examine.scan_info import ScanInfo
from prefect_mutagen.scanner.outputs.options import OutputOptions
from prefect_mutagen.scanner.outputs.screen import Screen
from prefect_mutagen.scanner.outputs.visible import short_size, visible
from prefect_mutagen.scanner.results import Drift, Summary
from prefect_mutagen.scanner.verdicts import Status

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
    screen = Screen(out)
    screen.write(visible(scan.source, len(scan.source)))
    noun = "artifact" if summary.artifacts == 1 else "artifacts"
    verdicts: list[Status] = ["passed", "failed", "unknown"]
    counts = {name: int(getattr(summary, name)) for name in verdicts}
    _write_line(
        screen,
        f"{summary.artifacts:,} {noun}",
        ", ".join(
            screen.styled(f"{counts[name]:,} {name}", name if counts[name] else "")
            for name in verdicts
        ),
    )
    drift = [f"{summary.drift[name]:,} {name}" for name in _DRIFT if summary.drift[name]]
    if drift:
        _write_line(screen, "since the scan before", ", ".join(drift))
    read = f"{short_size(summary.bytes_read)} in {summary.requests:,} requests"
    _write_line(screen, "read", read)
    rows = summary.census.rows
    if rows:
        screen.write("")
    for row in rows:
        screen.write(
            _beside(f"{row.role}, {row.state}", f"{row.objects:>12,}  {short_size(row.bytes)}")
        )


def _write_line(screen: Screen, what: str, value: str) -> None:
    screen.write_words(value, _beside(what, ""), _beside("", ""))


def _beside(what: str, value: str) -> str:
    return f"  {what:<28} {value}"
