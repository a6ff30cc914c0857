"""Show a scan in Prefect's UI: a table of verdicts, and a page in Markdown (`tasks.scan_page`).

Both contain values from files. The table shows them as text; in Markdown they are escaped.
"""

from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import Final

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from prefect_mutagen.scanner.outputs.outcomes import (
    describe_changes,
    path_below,
    shortened,
    verdict_before,
)
from prefect_mutagen.scanner.outputs.rendering import render
from prefect_mutagen.scanner.outputs.visible import visible
from prefect_mutagen.scanner.results import ScanResult
from prefect_mutagen.scanner.table.highlights import DRIFT, Kind
from prefect_mutagen.tasks.markdown import artifact_key, plain
from prefect_mutagen.tasks.scan_page import ScanView, headline, summary_markdown

__all__ = ["show_scan"]

_ROWS: Final = 500
_DRIFT_ROWS: Final = 50
"""Rows for each kind of drift other than what is newly refused, so that the rest is seen, too."""
_MODEL: Final = 36
"""Characters of a path; with more, a window of 1,280 pixels would not show the reason."""
_ORDER: Final[tuple[Kind, ...]] = (*DRIFT, "still-refused", "waived", "warned", "passed")


def show_scan(view: ScanView) -> None:
    """Attach the table and the page to the current flow run.

    Args:
        view: What to show.
    """
    source = view.scan.source
    rows = [
        render(result, partial(_row, kind=kind, source=source))[1] for kind, result in _chosen(view)
    ]
    title, root = headline(view.summary, view.highlights), plain(source, 1000)
    first = "what differs from the last scan" if view.highlights.is_compared else "what is refused"
    description = f"{title}. Verdicts on {root}, {first} first."
    if view.selected:
        description += f" Selected: {plain(view.selected, 1000)}."
    left_out = view.summary.artifacts + view.highlights["removed"].count - len(rows)
    if left_out > 0:
        where = "in the Parquet table" if view.table else "not shown"
        description += f" {left_out} more are {where}."
    create_table_artifact(
        table=rows or [{"verdict": "nothing to judge"}],
        key=artifact_key("verdicts", source),
        description=description,
    )
    create_markdown_artifact(
        markdown=summary_markdown(view),
        key=artifact_key("summary", source),
        description=f"{title}. What the scan of {root} found.",
    )


def _chosen(view: ScanView) -> Iterator[tuple[Kind, ScanResult]]:
    """Return the artifacts to show, each once, with the first kind that it is of."""
    return islice(_each(view), _ROWS)


def _each(view: ScanView) -> Iterator[tuple[Kind, ScanResult]]:
    shown: set[str] = set()
    for kind in _ORDER:
        most = _DRIFT_ROWS if kind in DRIFT and kind != "newly-refused" else _ROWS
        for result in view.highlights[kind].results[:most]:
            if result.url not in shown:
                shown.add(result.url)
                yield kind, result


def _row(result: ScanResult, kind: Kind, source: str) -> dict[str, str]:
    """Return a row; the UI does not wrap, so what matters stands first, and short."""
    path = path_below(source, result.url)
    model, details = shortened(path, _MODEL), list(_details(result))
    return {
        "verdict": _verdict(result, kind),
        "model": model,
        "reason": ", ".join(_codes(result)),
        "details": visible("; ".join(details if model == path else [*details, path]), 600),
    }


def _verdict(result: ScanResult, kind: Kind) -> str:
    """Return the verdict, and in what it differs from the last scan."""
    if kind == "removed":
        return f"removed, was {result.verdict.status}"
    if before := verdict_before(result):
        return f"{result.verdict.status}, was {before}"
    if kind not in DRIFT:
        return result.verdict.status
    return f"{result.verdict.status}, {'changed' if kind == 'changed' else 'new'}"


def _codes(result: ScanResult) -> Iterator[str]:
    """Yield the codes that decided, and those that an artifact passed in spite of."""
    yield from sorted({reason.code for reason in result.verdict.reasons})
    for code in sorted({reason.code for reason in result.verdict.waived}):
        yield f"{code} (waived)"
    if result.passed:
        warnings = {one.code for one in result.findings if one.severity == "warning"}
        yield from (f"{code} (warning)" for code in sorted(warnings))


def _details(result: ScanResult) -> Iterator[str]:
    """Yield what the codes are about, and what changed."""
    yield from (reason.message for reason in result.verdict.reasons)
    yield from (f"{reason.message} ({reason.value})" for reason in result.verdict.waived)
    if result.passed:
        yield from (one.message for one in result.findings if one.severity == "warning")
    if changes := describe_changes(result):
        yield f"changed: {changes}"
