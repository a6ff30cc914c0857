"""The counts of a scan as OpenTelemetry metrics, where the process has a provider for them.

Prefect depends on OpenTelemetry's API alone, with which nothing is sent anywhere. Who has set up
telemetry (``opentelemetry-instrument prefect worker start …``) gets the metrics of
`scanner.outputs.metrics` with it.
"""

from functools import cache
from typing import Any

from prefect_mutagen import __version__
from prefect_mutagen.scanner.outputs.metrics import METRICS, Metric, ScanCounts, points_of

__all__ = ["record_metrics"]


def record_metrics(counts: ScanCounts) -> None:
    """Record the counts of a scan; without a provider this does nothing.

    Args:
        counts: The scan.
    """
    for metric, value, labels in points_of(counts):
        gauge = _gauge(metric.name)
        if gauge is not None:
            gauge.set(value, labels)


@cache
def _gauge(name: str) -> Any:
    """Return the instrument of a metric; None where the API has no gauges (before 1.23)."""
    from opentelemetry import metrics

    metric: Metric = METRICS[name]
    create = getattr(metrics.get_meter("prefect_mutagen", __version__), "create_gauge", None)
    return None if create is None else create(name, unit=metric.unit, description=metric.help)
