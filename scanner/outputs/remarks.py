"""What is to be said about an artifact: its findings, and what its policy objects to."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from prefect_mutagen.parsers import Severity
from prefect_mutagen.scanner.findings import Finding
from prefect_mutagen.scanner.results import ScanResult
from prefect_mutagen.scanner.verdicts import Reason

__all__ = ["Remark", "remarks", "statements"]


class Remark(NamedTuple):
    """One remark about an artifact."""

    code: str
    severity: Severity
    message: str
    url: str
    """The object it is about."""
    field: str = ""
    """What is at fault, in the words of the format or of the policy."""
    offset: int | None = None
    """First byte of it, where there is one."""
    waived: str = ""
    """Why, until when and by whom a waiver of the policy accepts it; empty where none does."""


def remarks(result: ScanResult) -> Iterator[Remark]:
    """Name what findings and policy say about an artifact, each thing once.

    A policy's reason that only repeats a finding is left out, and so is a waiver of one: it stands
    with the finding.
    """
    for finding in result.findings:
        yield Remark(
            finding.code,
            finding.severity,
            finding.message,
            finding.url or result.url,
            finding.field,
            finding.offset,
            _waiver(finding, result.verdict.waived),
        )
    for reason in result.verdict.reasons:
        if reason.policy_field != "fail_on":
            yield Remark(reason.code, "error", reason.message, result.url, reason.policy_field)
    found = {finding.code for finding in result.findings}
    for reason in result.verdict.waived:
        if reason.code not in found:
            place = result.url, reason.policy_field, None
            yield Remark(reason.code, "error", reason.message, *place, reason.value)


def _waiver(finding: Finding, waived: Iterable[Reason]) -> str:
    """Say what waives a finding; empty when nothing does."""
    for reason in waived:
        if reason.code == finding.code and reason.message.endswith(f": {finding.message}"):
            return f"{reason.message.removesuffix(f': {finding.message}')} {reason.value}"
    return ""


def statements(result: ScanResult) -> Iterator[str]:
    """Say each remark in one sentence, and after them the warnings that are none of them."""
    messages = set()
    for remark in remarks(result):
        messages.add(remark.message)
        about = "" if remark.url == result.url else f"{remark.url}: "
        waived = f" [{remark.waived}]" if remark.waived else ""
        yield f"{remark.severity} {remark.code}: {about}{remark.message}{waived}"
    for warning in result.sbom.warnings:
        if warning not in messages:
            yield warning
