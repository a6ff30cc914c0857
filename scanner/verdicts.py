"""Verdicts, their reasons, and the subject that a policy judges, as plain records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal

from prefect_mutagen.scanner.findings import Finding

__all__ = ["Reason", "Status", "Subject", "Verdict"]

Status = Literal["passed", "failed", "unknown"]

_NO_FACTS: Final[Mapping[str, Any]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason why an artifact did not pass, or would not have passed without a waiver."""

    code: str
    """Code of a finding, or a ``policy/`` code."""
    policy_field: str
    """Policy field that decided."""
    value: str
    """Value that the field was compared with."""
    message: str
    """One sentence for display."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Outcome for one artifact under one policy."""

    status: Status
    reasons: tuple[Reason, ...] = ()
    """Why it did not pass; empty if it did."""
    waived: tuple[Reason, ...] = ()
    """Reasons that a waiver overrode; the value states its expiry and its owner."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Input of a policy decision, from a scan result or from a row of the table."""

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
    facts: Mapping[str, Any] = field(default_factory=lambda: _NO_FACTS)
    """Facts beyond the SBOM: lineage, publisher, templates, signatures."""
    examined_at: str = ""
    """Time at which its bytes were read, in ISO 8601."""
    loads: Mapping[str, Sequence[str]] = field(default_factory=lambda: _NO_FACTS)
    """Files that each loader takes with its weights, by path relative to the model's root."""
    files: tuple[str, ...] = ()
    """Addresses of its weights."""
