"""Pages to look at in a browser."""

import io
from collections.abc import Iterable
from dataclasses import replace

from prefect_mutagen.scanner import Policy, ScanResult
from prefect_mutagen.scanner.outputs.html import write_html
from prefect_mutagen.scanner.outputs.options import OutputOptions
from prefect_mutagen.scanner.results import Change, Summary
from tests.report_tables import NOW, STRICTER, judged, scan_at

__all__ = ["many", "page_of"]


def page_of(results: Iterable[ScanResult], policy: Policy = STRICTER) -> str:
    """Write the page of a scan."""
    out, summary = io.StringIO(), Summary()

    def counted() -> Iterable[ScanResult]:
        for result in results:
            summary.add(result)
            yield result

    write_html(counted(), scan_at(NOW, policy), summary, out, OutputOptions())
    return out.getvalue()


def many(count: int) -> Iterable[ScanResult]:
    """Yield models, of which every seventh that is refused passed before."""
    for number, result in enumerate(judged(range(count), NOW, STRICTER)):
        passed = Change("status", "passed", result.verdict.status)
        is_new = number % 7 == 0 and not result.passed
        yield replace(
            result,
            drift="changed" if is_new else "unchanged",
            drift_details=(passed,) if is_new else (),
        )
