"""What is to be said about an artifact: its findings, and what its policy objects to."""

from collections.abc import Iterator
from typing import NamedTuple

from prefect_mutagen.parsers import Severity
from prefect_mutagen.scanner.results import ScanResult

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


def remarks(result: ScanResult) -> Iterator[Remark]:
    """Name what findings and policy say about an artifact, each thing once.

    A policy's reason that only repeats a finding is left out.
    """
    for finding in result.findings:
        yield Remark(
            finding.code,
            finding.severity,
            finding.message,
            finding.url or result.url,
            finding.field,
            finding.offset,
        )
    for reason in result.verdict.reasons:
        if reason.policy_field != "fail_on":
            yield Remark(reason.code, "error", reason.message, result.url, reason.policy_field)


def statements(result: ScanResult) -> Iterator[str]:
    """Say each remark in one sentence, and after them the warnings that are none of them."""
    messages = set()
    for remark in remarks(result):
        messages.add(remark.message)
        about = "" if remark.url == result.url else f"{remark.url}: "
        yield f"{remark.severity} {remark.code}: {about}{remark.message}"
    for warning in result.sbom.warnings:
        if warning not in messages:
            yield warning
