"""The page on a scan, in Markdown: what is different, what is refused, and what to do next.

No value from a file means anything in it: every special character is escaped, and none starts a
line.
"""

import json
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Final

from prefect.utilities.urls import url_for

from prefect_mutagen.scanner.examine.scan_info import ScanInfo
from prefect_mutagen.scanner.findings import CODES
from prefect_mutagen.scanner.outputs.outcomes import (
    describe_changes,
    path_below,
    reasons_before,
    verdict_before,
)
from prefect_mutagen.scanner.outputs.rendering import render
from prefect_mutagen.scanner.outputs.visible import counted, short_size, visible
from prefect_mutagen.scanner.policy.digest import policy_digest
from prefect_mutagen.scanner.policy.policy import Policy
from prefect_mutagen.scanner.policy.waiver_text import waiver_lines
from prefect_mutagen.scanner.results import ScanResult, Summary
from prefect_mutagen.scanner.storage.names import storable
from prefect_mutagen.scanner.table.highlights import Group, Highlights, Kind
from prefect_mutagen.tasks.agent_launch import AgentRun
from prefect_mutagen.tasks.markdown import plain, waived_lines

__all__ = ["ScanView", "headline", "summary_markdown", "verdicts_in_words"]

_ENTRIES: Final = 50
"""Entries of a section; the table artifact and the Parquet table have more."""
_LISTED: Final = 20
"""Entries of a section about what needs no decision."""
_QUERIES: Final = (
    "SELECT url, status, reasons FROM artifacts WHERE status <> 'passed'",
    "SELECT url, drift, drift_details FROM artifacts WHERE drift <> 'unchanged'",
)
_WAIVE: Final = (
    "prefect-mutagen waive URL CODE --owner WHO --until DATE --reason TEXT --policy FILE"
)
_WORDS: Final = 3
"""Entries of a list in a policy that are shown."""
_AGENTS: Final[dict[str, str]] = {
    "refused": "could not start",
    "interrupted": "were interrupted",
    "failed": "failed",
    "waiting": "wait for the next scan",
    "started": "are running",
    "completed": "completed",
    "known": "ran before for the same bytes",
}
"""Headings by state, what needs a person first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanView:
    """What is shown of a scan."""

    scan: ScanInfo
    summary: Summary
    highlights: Highlights
    agents: Sequence[AgentRun] = ()
    table: str = ""
    """Address of the table; empty: there is none."""
    policy_block: str = ""
    """Block that the policy is from; empty: from none."""
    selected: str = ""
    """The selection in one line; empty: everything."""
    not_examined: str = ""
    """A sentence on what was not examined; empty: everything was."""
    not_found: str = ""
    """A sentence on keys without an object; empty: all have one."""


def headline(summary: Summary, highlights: Highlights) -> str:
    """Return the outcome of a scan in a few words: 4 of 9 refused, 2 of them new."""
    refused = summary.failed + summary.unknown
    text = verdicts_in_words(summary.artifacts, refused)
    new = highlights["newly-refused"].count
    return f"{text}, {new:,} of them new" if refused and new else text


def verdicts_in_words(artifacts: int, refused: int) -> str:
    """Return verdicts in a few words: all 9 passed.

    Args:
        artifacts: How many were judged.
        refused: How many of them did not pass.
    """
    if not artifacts:
        return "nothing to judge"
    if not refused:
        return "1 passed" if artifacts == 1 else f"all {artifacts:,} passed"
    return f"{refused:,} of {artifacts:,} refused"


def summary_markdown(view: ScanView) -> str:
    """Return the page on a scan.

    Args:
        view: What to show.
    """
    title = headline(view.summary, view.highlights)
    lines = [f"# {title[0].upper()}{title[1:]}", ""]
    for said in filter(None, (view.not_found, view.not_examined)):
        lines += [f"**{plain(said, 1000)}.**", ""]
    if refused := sum(run.state == "refused" for run in view.agents):
        lines += [f"**{counted(refused, 'agent')} could not start; see below.**", ""]
    lines += [plain(view.scan.source, 1000), "", *_counts(view)]
    lines += _drift(view)
    lines += _standing(view)
    lines += _agents(view)
    lines += _allowing(view)
    lines += _about(view)
    lines += _commands(view)
    return "\n".join(lines) + "\n"


def _counts(view: ScanView) -> list[str]:
    """Return the counts as a table of one row."""
    summary, found = view.summary, view.highlights
    counts = {"passed": summary.passed, "failed": summary.failed}
    if summary.unknown:
        counts["unknown"] = summary.unknown
    if found.is_compared:
        named: dict[str, Kind] = {
            "newly refused": "newly-refused",
            "newly passed": "newly-passed",
            "added": "added",
            "removed": "removed",
            "changed": "changed",
        }
        counts |= {name: found[kind].count for name, kind in named.items()}
    lines = [
        f"| {' | '.join(counts)} |",
        "|---" * len(counts) + "|",
        f"| {' | '.join(f'{count:,}' for count in counts.values())} |",
    ]
    if not found.is_compared:
        why = "It is the first of this root" if view.table else "It has no table"
        lines += ["", f"{why}, so there is nothing to compare this scan with."]
    elif not found.has_drift:
        lines += ["", "Nothing is different from the last scan."]
    return lines


def _drift(view: ScanView) -> Iterator[str]:
    """Yield what is different from the last scan, what concerns verdicts first."""
    found = view.highlights
    yield from _section(view, "Newly refused", found["newly-refused"], _refused)
    yield from _section(view, "Newly passed", found["newly-passed"], _accepted, _LISTED)
    yield from _section(view, "Added", found["added"], _named, _LISTED)
    yield from _section(view, "Removed", found["removed"], _gone, _LISTED)
    yield from _section(view, "Changed, with the same outcome", found["changed"], _changed, _LISTED)


def _standing(view: ScanView) -> Iterator[str]:
    """Yield what stands: refused, passed in spite of something."""
    found = view.highlights
    heading = "Still refused" if found.is_compared else "Refused"
    yield from _section(view, heading, found["still-refused"], _refused)
    yield from _section(view, "Passed by a waiver", found["waived"], _waived)
    if found.warnings:
        yield from ("", f"## Passed with warnings ({found['warned'].count:,})", "")
        yield from ("| warning | models | for example |", "|---|---|---|")
    for code, warned in sorted(found.warnings.items(), key=lambda entry: -entry[1].count):
        examples = ", ".join(_short(view, url) for url in warned.examples)
        yield f"| {plain(code)} | {warned.count:,} | {examples} |"


def _section(
    view: ScanView,
    heading: str,
    group: Group,
    entry: Callable[[ScanView, ScanResult], list[str]],
    most: int = _ENTRIES,
) -> Iterator[str]:
    """Yield the lines of a section; none without entries."""
    if not group.count:
        return
    yield from ("", f"## {heading} ({group.count:,})", "")
    for result in group.results[:most]:
        yield from render(result, lambda one: entry(view, one))[1]
    if group.count > most:
        yield f"* and {group.count - most:,} more"


def _short(view: ScanView, url: str) -> str:
    """Return an address below the root, escaped."""
    return plain(path_below(view.scan.source, url), 1000)


def _named(view: ScanView, result: ScanResult) -> list[str]:
    size = short_size(result.size)
    facts = (result.sbom.architecture, result.sbom.quantization or result.sbom.dtype)
    about = ", ".join([*(plain(fact, 60) for fact in facts if fact), size])
    return [f"* **{_short(view, result.url)}**: {about}"]


def _refused(view: ScanView, result: ScanResult) -> list[str]:
    lines = [f"* **{_short(view, result.url)}**: {result.verdict.status}{_before(view, result)}"]
    for reason in result.verdict.reasons:
        remedy = CODES[reason.code].remedy if reason.code in CODES else ""
        lines.append(f"    * {reason.code}: {plain(reason.message)}. *{remedy}*")
    return lines


def _before(view: ScanView, result: ScanResult) -> str:
    """Return in what an artifact with another outcome differs from the last scan."""
    if result.drift == "added":
        return ", new" if view.highlights.is_compared else ""
    before = verdict_before(result)
    if not before:
        return ""
    codes, changes = reasons_before(result), describe_changes(result)
    why = f" ({plain(codes)})" if codes and before != "passed" else ""
    same = "the bytes are the same; the policy or the scanner changed"
    return f", was {before}{why}; {f'changed: {plain(changes, 1000)}' if changes else same}"


def _accepted(view: ScanView, result: ScanResult) -> list[str]:
    return [f"* **{_short(view, result.url)}**: passed{_before(view, result)}"]


def _changed(view: ScanView, result: ScanResult) -> list[str]:
    what = describe_changes(result) or "its reasons"
    return [f"* **{_short(view, result.url)}**: {result.verdict.status}; {plain(what, 1000)}"]


def _gone(view: ScanView, result: ScanResult) -> list[str]:
    return [f"* **{_short(view, result.url)}**: was {result.verdict.status}"]


def _waived(view: ScanView, result: ScanResult) -> list[str]:
    return [f"* **{_short(view, result.url)}**", *waived_lines(result)]


def _agents(view: ScanView) -> Iterator[str]:
    """Yield the starts by state, what needs a person first."""
    for state, heading in _AGENTS.items():
        runs = [run for run in view.agents if run.state == state]
        if runs:
            yield from ("", f"## Agents that {heading} ({len(runs):,})", "")
            yield from (_agent(view, run) for run in runs[:_ENTRIES])
        if len(runs) > _ENTRIES:
            yield f"* and {len(runs) - _ENTRIES:,} more"


def _agent(view: ScanView, run: AgentRun) -> str:
    name = plain(run.agent)
    link = url_for("flow-run", obj_id=run.flow_run_id) if run.flow_run_id else None
    said = f": {plain(run.message)}" if run.message else ""
    run_id = f" (flow run {run.flow_run_id})" if run.flow_run_id and not link else ""
    return f"* {f'[{name}]({link})' if link else name} for {_short(view, run.url)}{run_id}{said}"


def _allowing(view: ScanView) -> Iterator[str]:
    """Yield the waivers to paste; each line is YAML, in which values from files are quoted."""
    refused = list(islice(view.highlights.refused, _LISTED))
    entries = [line for result in refused for line in waiver_lines(result)[1:]]
    if not entries:
        return
    yield from ("", "## To allow one for a while", "")
    yield from ("Paste its entries into the policy, and fill in what is empty:", "")
    yield from ("```yaml", "waivers:", *entries, "```")
    if view.summary.failed + view.summary.unknown > len(refused):
        yield from ("", f"These are those of the first {len(refused)}; for others:", "")
        yield f"    {_WAIVE}"


def _about(view: ScanView) -> Iterator[str]:
    """Yield how the verdicts came about."""
    scan, summary = view.scan, view.summary
    yield from ("", "## About this scan", "")
    started, finished = (_moment(text) for text in (scan.started_at, summary.finished_at))
    took = f", {(finished - started).total_seconds():,.0f} s" if finished and started else ""
    when = f"{started:%Y-%m-%d %H:%M} UTC{took}" if started else ""
    yield f"* scan {plain(scan.id)}{f', {when}' if when else ''}"
    yield f"* table: {plain(view.table, 1000) if view.table else 'none; nothing is kept'}"
    block = f"block {plain(view.policy_block)}, " if view.policy_block else ""
    yield f"* policy: {block}{_policy(scan.policy)}"
    if view.selected:
        yield f"* selected: {plain(view.selected, 1000)}"
    read = f"{short_size(summary.bytes_read)} in {counted(summary.requests, 'request')}"
    yield f"* read: {read}"
    if listed := summary.census.describe():
        yield f"* {plain(listed, 1000)}"


def _policy(policy: Policy) -> str:
    """Return the digest of a policy, and the fields that are not the defaults."""
    default, given = Policy().to_dict(), policy.to_dict()
    fields = [
        f"{name}: {_value(value)}" for name, value in given.items() if value != default.get(name)
    ]
    said = plain("; ".join(fields), 1000) if fields else "the default one"
    return f"sha256\\:{policy_digest(policy)[:16]}…, {said}"


def _value(value: Any) -> str:
    """Return a value of a policy; of long lists and of records only how many there are."""
    is_list = isinstance(value, list | tuple)
    if is_list and (len(value) > _WORDS or any(isinstance(entry, dict) for entry in value)):
        return f"{len(value)} given"
    return json.dumps(value, ensure_ascii=False)


def _moment(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _commands(view: ScanView) -> Iterator[str]:
    """Yield commands to copy; a code block ends only where its indentation ends."""
    first = next(view.highlights.refused, None)
    if first is None and not view.table:
        return
    yield from ("", "## More", "")
    if first is not None:
        yield f"    prefect-mutagen verify {_word(storable(first.url))}"
    for query in _QUERIES if view.table else ():
        yield f"    prefect-mutagen query --table {_word(view.table)} \\"
        yield f'        "{query}"'


def _word(text: str) -> str:
    return shlex.quote(visible(text, 1000))
