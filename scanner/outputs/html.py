"""``html``: one page for people, without a network; see `scanner.outputs.page`."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final, TextIO, get_args

from prefect_mutagen.scanner.examine.scan_info import ScanInfo
from prefect_mutagen.scanner.outputs.options import OutputOptions
from prefect_mutagen.scanner.outputs.page.collecting import Collection
from prefect_mutagen.scanner.outputs.page.contents import (
    Basis,
    Contents,
    Root,
    contents_of,
)
from prefect_mutagen.scanner.outputs.page.entries import (
    Before,
    Entry,
    Judging,
    compared,
    entry_of,
)
from prefect_mutagen.scanner.outputs.page.rendering import render_page
from prefect_mutagen.scanner.outputs.visible import visible
from prefect_mutagen.scanner.results import ScanResult, Summary
from prefect_mutagen.scanner.verdicts import Status

__all__ = ["write_html"]

_STATUSES: Final[dict[str, Status]] = {status: status for status in get_args(Status)}


def write_html(
    results: Iterable[ScanResult],
    scan: ScanInfo,
    summary: Summary,
    out: TextIO,
    options: OutputOptions,  # noqa: ARG001 - the Writer contract
) -> None:
    """Write the page of one scan; see `scanner.outputs.Writer`.

    With a table, models are compared with the scan before. Since when they are refused, what uses
    them and how it was in earlier scans is on the page of ``prefect-mutagen report`` alone.
    """
    policy: dict[str, Any] = scan.to_report()["policy"]
    judging = Judging.by(policy)
    now = datetime.now(UTC)
    collection, has_earlier = Collection(), False
    for result in results:
        has_earlier = has_earlier or result.drift is not None
        entry = _entry(result, scan.source, judging, now)
        if entry.status == "unknown":
            summary.correct(result.verdict.status, "unknown")  # it may be one that cannot be shown
        collection.add(entry)
    root = Root(
        source=visible(scan.source, 2000),
        scan_id=scan.id,
        started_at=datetime.fromisoformat(scan.started_at),
        finished_at=None,
        tool_version=scan.tool_version,
        policy=policy,
        judged_apart=False,
        left_out=summary.drift["left-out"],
        bytes_read=summary.bytes_read,
        requests=summary.requests,
        compared="the scan before" if has_earlier else "nothing: this scan has no table",
    )
    basis = Basis(now, has_earlier=has_earlier)
    page = contents_of(collection, [root], summary.census, basis)
    out.write(render_page(_with_all_counts(page, summary)))


def _with_all_counts(page: Contents, summary: Summary) -> Contents:
    """Return a page whose counts are those of all models, also of those that are not shown."""
    beyond = summary.artifacts - page.models
    if beyond <= 0:
        return page
    return replace(
        page,
        models=summary.artifacts,
        passed=summary.passed,
        failed=summary.failed,
        unknown=summary.unknown,
        left_off=page.left_off + beyond,
    )


def _entry(result: ScanResult, source: str, judging: Judging, now: datetime) -> Entry:
    entry = entry_of(result, source, judging, now)
    if result.drift is None:
        return entry
    before: Before = "absent" if result.drift == "added" else result.verdict.status
    for change in result.drift_details:
        if change.field == "status":
            before = _STATUSES.get(change.before, before)
    changed = result.drift == "changed"
    cause = "its files changed" if changed else "the policy or this tool changed"
    return compared(entry, before, result.drift_details, cause)
