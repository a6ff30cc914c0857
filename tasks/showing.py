"""Show a scan in Prefect's UI: a table, and a summary in Markdown.

Both contain values from files. The table shows them as text; in Markdown every special character is
escaped, and no value starts a line.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Final

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from prefect_mutagen.scanner.examine.scan_info import ScanInfo
from prefect_mutagen.scanner.findings import CODES
from prefect_mutagen.scanner.outputs.rendering import render
from prefect_mutagen.scanner.outputs.visible import short_count, short_size, visible
from prefect_mutagen.scanner.results import ScanResult, Summary
from prefect_mutagen.tasks.agent_launch import AgentRun

__all__ = ["SHOWN_ROWS", "artifact_key", "plain", "show_scan", "summary_markdown", "waiver_lines"]

SHOWN_ROWS: Final = 500
_SUMMARY_ROWS: Final = 50
_SPECIAL: Final = re.compile(r"[\\`*_\[\]|~!#<>&:@]")
# Prefect's newer UI also links addresses in the rendered text, where escapes are gone.
_LINKED: Final = re.compile(r"(?i)(?<=http)(?=s?://)|(?<=www)(?=\.)|(?<=@)")
_JOINER: Final = "\u2060"
"""WORD JOINER: invisible, not a line break, and ends an address."""
_ENTITIES: Final = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}


def plain(text: str, width: int = 300) -> str:
    """Escape a value for Markdown."""
    return _SPECIAL.sub(
        lambda match: _ENTITIES.get(match[0], f"\\{match[0]}"),
        _LINKED.sub(_JOINER, visible(text, width)),
    )


def artifact_key(name: str, source: str) -> str:
    """Return the key of a Prefect artifact, distinct for every root."""
    slug = re.sub(r"[^a-z0-9]+", "-", source.lower()).strip("-")[-40:].strip("-")
    digest = hashlib.sha256(source.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return "-".join(part for part in (name, slug, digest) if part)


def show_scan(
    scan: ScanInfo,
    summary: Summary,
    results: Sequence[ScanResult],
    agents: Sequence[AgentRun],
    selected: str = "",
    not_examined: str = "",
) -> None:
    """Attach the table and the summary to the current flow run.

    Args:
        scan: The scan.
        summary: Its counts.
        results: The results to show.
        agents: The outcomes of agent starts.
        selected: The selection in one line; empty: everything.
        not_examined: A sentence on what could not be examined; empty: everything was.
    """
    ordered = sorted(results, key=_rank)
    rows = [
        render(result, lambda one: _row(one, scan.source))[1] for result in ordered[:SHOWN_ROWS]
    ]
    left_out = max(summary.artifacts, len(ordered)) - len(rows)
    description = f"Verdicts on {scan.source}, the failed ones first."
    if selected:
        description += f" Selected: {plain(selected, 1000)}."
    if left_out > 0:
        description += f" {left_out} more are in the Parquet table."
    create_table_artifact(
        table=rows or [{"verdict": "nothing to judge"}],
        key=artifact_key("verdicts", scan.source),
        description=description,
    )
    create_markdown_artifact(
        markdown=summary_markdown(scan, summary, ordered, agents, selected, not_examined),
        key=artifact_key("summary", scan.source),
        description=f"What the scan of {scan.source} found.",
    )


def _rank(result: ScanResult) -> int:
    """Return the sort key: not passed first, then passed by waiver, then the rest."""
    if not result.passed:
        return 0
    return 1 if result.verdict.waived else 2


def _row(result: ScanResult, source: str) -> dict[str, str]:
    sbom, verdict = result.sbom, result.verdict
    codes = sorted({reason.code for reason in verdict.reasons})
    codes += [f"{code} (waived)" for code in sorted({reason.code for reason in verdict.waived})]
    said = [reason.message for reason in verdict.reasons]
    said += [f"{reason.message} ({reason.value})" for reason in verdict.waived]
    return {
        "verdict": verdict.status,
        "artifact": visible(result.url.removeprefix(source.rstrip("/") + "/"), 300),
        "reason": ", ".join(codes),
        "architecture": visible(sbom.architecture or ""),
        "parameters": short_count(sbom.parameter_count),
        "quantization": visible(sbom.quantization or sbom.dtype or ""),
        "licence": result.license_spdx or "",
        "size": short_size(result.size),
        "drift": visible(_drift(result)),
        "in full": visible("; ".join(said), 500),
    }


def _drift(result: ScanResult) -> str:
    """Return the drift of an artifact with the changed fields."""
    fields = ", ".join(change.field for change in result.drift_details)
    return f"{result.drift or ''}: {fields}" if fields else result.drift or ""


def summary_markdown(
    scan: ScanInfo,
    summary: Summary,
    results: Iterable[ScanResult],
    agents: Sequence[AgentRun],
    selected: str = "",
    not_examined: str = "",
) -> str:
    """Return the summary in Markdown: counts, failures and remedies, waivers, agents."""
    read = short_size(summary.bytes_read)
    listed = summary.census.describe()
    counts = [summary.passed, summary.failed, summary.unknown, read, summary.requests]
    lines = [
        f"# {summary.passed} of {summary.artifacts} passed",
        "",
        f"Root: {plain(scan.source, 1000)}",
        *(["", f"Selected: {plain(selected, 1000)}"] if selected else []),
        *(["", f"**{plain(not_examined, 1000)}.**"] if not_examined else []),
        "",
        "| passed | failed | unknown | bytes read | requests |",
        "|---|---|---|---|---|",
        " | ".join(["", *map(str, counts), ""]).strip(),
        *(["", f"{plain(listed, 1000)}."] if listed else []),
    ]
    shown = list(results)
    refused = [render(result, _refused)[1] for result in shown if not result.passed]
    waived = [
        render(result, _waived)[1] for result in shown if result.passed and result.verdict.waived
    ]
    lines += _section("Not passed", refused, summary.failed + summary.unknown)
    lines += _section("Passed by a waiver", waived)
    kept_back = [_agent(run) for run in agents if run.state == "refused"]
    lines += _section("Agents that could not start", kept_back)
    interrupted = [_agent(run) for run in agents if run.state == "interrupted"]
    lines += _section("Agents that were interrupted", interrupted)
    rest = [run for run in agents if run.state not in ("refused", "interrupted")]
    lines += _section("Agents", [_agent(run) for run in rest])
    return "\n".join(lines) + "\n"


def _section(heading: str, entries: Sequence[list[str]], count: int = 0) -> Iterator[str]:
    """Yield the lines of a section, truncated if long; none without entries."""
    if not entries:
        return
    yield from ("", f"## {heading}", "")
    yield from chain.from_iterable(entries[:_SUMMARY_ROWS])
    more = max(len(entries), count) - _SUMMARY_ROWS
    if more > 0:
        yield f"* and {more} more"


def _refused(result: ScanResult) -> list[str]:
    lines = [f"* **{plain(result.url, 1000)}**: {result.verdict.status}"]
    for reason in result.verdict.reasons:
        remedy = CODES[reason.code].remedy if reason.code in CODES else ""
        lines.append(f"    * {reason.code}: {plain(reason.message)} *{remedy}*")
    return lines


def _waived(result: ScanResult) -> list[str]:
    return [f"* **{plain(result.url, 1000)}**", *waiver_lines(result)]


def waiver_lines(result: ScanResult) -> list[str]:
    """Return the waived reasons of an artifact as nested list items."""
    return [
        f"    * {reason.code}: {plain(reason.message)}; {plain(reason.value)}"
        for reason in result.verdict.waived
    ]


def _agent(run: AgentRun) -> list[str]:
    said = f": {plain(run.message)}" if run.message else ""
    return [f"* {plain(run.agent)} for {plain(run.url, 1000)}: {run.state}{said}"]
