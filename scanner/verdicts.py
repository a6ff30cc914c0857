"""What is judged, and what comes of it: plain records."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal

from prefect_mutagen.scanner.findings import Finding

__all__ = ["Reason", "Status", "Subject", "Verdict"]

Status = Literal["passed", "failed", "unknown"]

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason why an artifact did not pass, or would not have passed."""

    code: str
    """A finding's code, or a code of the policy's own."""
    policy_field: str
    """Field of the policy that decided."""
    value: str
    """The value it met."""
    message: str
    """One sentence for a person."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement of one artifact under one policy."""

    status: Status
    reasons: tuple[Reason, ...] = ()
    """Why it did not pass; empty when it did."""
    waived: tuple[Reason, ...] = ()
    """What a waiver accepted all the same: the value says until when and who answers for it."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a policy looks at; a scan gives it, and so does a row of the table."""

    findings: tuple[Finding, ...]
    size_bytes: int
    format: str
    architecture: str | None
    parameter_count: int | None
    quantization: str | None
    license_spdx: str | None
    sha256: str
    url: str = ""
    base_model: str | None = None
    facts: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)
    """What is stated beyond the SBOM: lineage, publisher, templates, signatures."""
    examined_at: str = ""
    """When its bytes were read, in ISO 8601."""
