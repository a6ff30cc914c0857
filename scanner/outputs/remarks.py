"""Merge an artifact's findings and policy reasons, for formats that list both as one."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from prefect_mutagen.parsers import Severity
from prefect_mutagen.scanner.findings import Finding
from prefect_mutagen.scanner.results import ScanResult
from prefect_mutagen.scanner.verdicts import Reason

__all__ = ["Remark", "remarks", "statements"]


class Remark(NamedTuple):
    """A finding or a policy reason."""

    code: str
    severity: Severity
    message: str
    url: str
    """Address of the object concerned."""
    field: str = ""
    """The field of the format or of the policy."""
    offset: int | None = None
    """Offset of the first byte, if there is one."""
    waived: str = ""
    """Reason, expiry and owner of the waiver that covers it; empty without one."""


def remarks(result: ScanResult) -> Iterator[Remark]:
    """Yield an artifact's findings and policy reasons without duplicates.

    A reason that only repeats a finding is left out. The waiver of a finding is part of its remark.
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
            field, waiver = reason.policy_field, reason.value
            yield Remark(reason.code, "error", reason.message, result.url, field, waived=waiver)


def _waiver(finding: Finding, waived: Iterable[Reason]) -> str:
    """Return the waiver of a finding; empty without one."""
    for reason in waived:
        if reason.code == finding.code and reason.message.endswith(f": {finding.message}"):
            return f"{reason.message.removesuffix(f': {finding.message}')} {reason.value}"
    return ""


def statements(result: ScanResult) -> Iterator[str]:
    """Yield each remark as one sentence, then the SBOM's warnings that no remark repeats."""
    messages = set()
    for remark in remarks(result):
        messages.add(remark.message)
        about = "" if remark.url == result.url else f"{remark.url}: "
        waived = f" [{remark.waived}]" if remark.waived else ""
        yield f"{remark.severity} {remark.code}: {about}{remark.message}{waived}"
    for warning in result.sbom.warnings:
        if warning not in messages:
            yield warning
