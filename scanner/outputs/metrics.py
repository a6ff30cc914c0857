"""The counts of a scan as metrics: their names and units, and a text file for Prometheus.

The names are those of OpenTelemetry; Prometheus has them with underscores and the unit. All are
gauges: what the last scan of a root has found.

Source: Prometheus' documentation, "Exposition formats" and "Metric and label naming".
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, NamedTuple

from prefect_mutagen import __version__
from prefect_mutagen.scanner.results import Summary
from prefect_mutagen.scanner.storage.names import readable

__all__ = ["METRICS", "Metric", "Point", "ScanCounts", "points_of", "prometheus_text"]

_DRIFT: Final = ("added", "changed", "removed", "unchanged", "left-out")
_LABEL: Final = 500
"""Characters of the value of a label; addresses of roots are shorter."""


class Metric(NamedTuple):
    """What is measured."""

    name: str
    """Name in OpenTelemetry."""
    unit: str
    """Unit in OpenTelemetry (UCUM)."""
    suffix: str
    """What Prometheus adds to the name."""
    help: str


METRICS: Final[Mapping[str, Metric]] = {
    metric.name: metric
    for metric in (
        Metric("mutagen.models", "{model}", "", "Models of the root by verdict."),
        Metric(
            "mutagen.models.newly_refused",
            "{model}",
            "",
            "Models that are refused and were not in the scan before, or were not there.",
        ),
        Metric(
            "mutagen.models.drift",
            "{model}",
            "",
            "Models by what is different from the scan before.",
        ),
        Metric("mutagen.objects", "{object}", "", "Listed objects by role and state."),
        Metric("mutagen.keys.not_found", "{key}", "", "Keys that name no object."),
        Metric(
            "mutagen.scan.read", "By", "_bytes", "Bytes read of models and of files beside them."
        ),
        Metric("mutagen.scan.requests", "{request}", "", "Requests sent to read them."),
        Metric("mutagen.scan.duration", "s", "_seconds", "How long the scan took."),
        Metric(
            "mutagen.scan.finished",
            "s",
            "_timestamp_seconds",
            "When the scan ended, in seconds since 1970.",
        ),
        Metric(
            "mutagen.scan.complete", "1", "", "1 if the root was reached and scanned, 0 if not."
        ),
    )
}
"""All metrics by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanCounts:
    """What of a scan is measured."""

    source: str
    """The root without secrets."""
    started_at: str
    """Time in ISO 8601."""
    summary: Summary
    drift: Mapping[str, int] = field(default_factory=dict)
    """Number of models by drift; empty without a table."""
    newly_refused: int | None = None
    """None: there is no scan before."""
    not_found: int = 0
    """Keys without an object."""
    is_complete: bool = True
    version: str = __version__


class Point(NamedTuple):
    """One value."""

    metric: Metric
    value: float
    labels: Mapping[str, str]


def points_of(counts: ScanCounts) -> Iterator[Point]:
    """Yield the values of a scan, those of a metric after each other.

    Args:
        counts: The scan.
    """
    source = {"source": readable(counts.source)[:_LABEL]}
    summary = counts.summary

    def point(name: str, value: float, **labels: str) -> Point:
        return Point(METRICS[name], value, source | labels)

    for verdict in ("passed", "failed", "unknown"):
        yield point("mutagen.models", getattr(summary, verdict), verdict=verdict)
    if counts.newly_refused is not None:
        yield point("mutagen.models.newly_refused", counts.newly_refused)
    if counts.drift:
        for drift in _DRIFT:
            yield point("mutagen.models.drift", counts.drift.get(drift, 0), drift=drift)
    for row in summary.census.rows:
        yield point("mutagen.objects", row.objects, role=row.role, state=row.state)
    yield point("mutagen.keys.not_found", counts.not_found)
    yield point("mutagen.scan.read", summary.bytes_read)
    yield point("mutagen.scan.requests", summary.requests)
    started = datetime.fromisoformat(counts.started_at)
    finished = datetime.fromisoformat(summary.finished_at or datetime.now(UTC).isoformat())
    yield point("mutagen.scan.duration", (finished - started).total_seconds())
    yield point("mutagen.scan.finished", finished.timestamp())
    yield point("mutagen.scan.complete", int(counts.is_complete), version=counts.version)


def prometheus_text(points: Iterable[Point]) -> Iterator[str]:
    """Yield the lines of Prometheus' text format, for the textfile collector of node_exporter.

    Args:
        points: Values, those of a metric after each other.
    """
    last: Metric | None = None
    for metric, value, labels in points:
        name = metric.name.replace(".", "_") + metric.suffix
        if metric != last:
            yield f"# HELP {name} {_escaped(metric.help, quotes=False)}\n# TYPE {name} gauge\n"
            last = metric
        shown = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        yield f"{name}{{{shown}}} {value!r}\n"


def _escaped(text: str, *, quotes: bool = True) -> str:
    """Escape a text as the format asks: backslashes, ends of lines, quotes in labels."""
    marks = {"\\": r"\\", "\n": r"\n"} | ({'"': r"\""} if quotes else {})
    # A carriage return, or a separator that Python takes for an end of line, stays in its label.
    return re.sub(r'[\\\n"]', lambda found: marks.get(found[0], found[0]), text)
