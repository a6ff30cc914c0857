"""What an organisation accepts, and the judgement of an artifact under it.

A policy is plain data, so judging needs no library. Where one enters (a file, a flow's parameter, a
block), pydantic validates it and refuses fields that do not exist.
"""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Final, Literal

from prefect_mutagen.scanner.findings import Finding
from prefect_mutagen.scanner.licenses import NOASSERTION, allows, denies

__all__ = ["Policy", "Reason", "Subject", "Verdict", "judge", "load_policy"]

Status = Literal["passed", "failed", "unknown"]

# Findings that say the artifact was not seen, rather than that something is wrong with it.
_UNSEEN: Final = ("storage/", "scan/")


@dataclass(frozen=True)
class Policy:
    """What may be handed to an agent. Structural errors and unknowns always fail."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {
        "extra": "forbid",
        "use_attribute_docstrings": True,
    }

    allowed_licenses: tuple[str, ...] = ()
    """Licences that may be used, as SPDX identifiers or as models state them; empty: any. With
    entries, an artifact that states no licence fails."""
    denied_licenses: tuple[str, ...] = ()
    """Licences that may not be used."""
    require_license: bool = False
    """Fail what states no licence."""
    allowed_formats: tuple[Literal["gguf", "safetensors"], ...] = ()
    """Formats that may be used; empty: both."""
    allowed_architectures: tuple[str, ...] = ()
    """Architectures that may be used, such as llama; empty: any."""
    denied_architectures: tuple[str, ...] = ()
    """Architectures that may not be used."""
    allowed_quantizations: tuple[str, ...] = ()
    """Quantizations that may be used, such as Q4_K_M; empty: any, and none."""
    denied_quantizations: tuple[str, ...] = ()
    """Quantizations that may not be used."""
    max_parameters: int = 0
    """Most parameters a model may have; 0: any number."""
    max_size_bytes: int = 0
    """Most bytes an artifact may have; 0: any number."""
    require_sha256: bool = False
    """Fail what has no known SHA-256."""
    fail_on: Literal["error", "warning"] = "error"
    """Least severe finding that fails an artifact."""

    def to_dict(self) -> dict[str, Any]:
        """Give all fields as plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason why an artifact did not pass."""

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


def judge(subject: Subject, policy: Policy) -> Verdict:
    """Judge an artifact.

    Args:
        subject: What is known about it.
        policy: What is accepted.

    Returns:
        ``unknown`` when it could not be examined, ``failed`` with all reasons, or ``passed``.
    """
    seen = tuple(_from_findings(subject, policy))
    if any(reason.code.startswith(_UNSEEN) for reason in seen):
        return Verdict("unknown", seen)
    reasons = (*seen, *_from_fields(subject, policy))
    return Verdict("failed" if reasons else "passed", reasons)


def _from_findings(subject: Subject, policy: Policy) -> Iterator[Reason]:
    for finding in subject.findings:
        if finding.severity == "error":
            yield Reason(finding.code, "fail_on", "error", finding.message)
        elif finding.severity == "warning" and policy.fail_on == "warning":
            yield Reason(finding.code, "fail_on", "warning", finding.message)


def _from_fields(subject: Subject, policy: Policy) -> Iterator[Reason]:
    yield from _listed("format", subject.format, policy.allowed_formats, ())
    yield from _listed(
        "architecture",
        subject.architecture,
        policy.allowed_architectures,
        policy.denied_architectures,
    )
    yield from _listed(
        "quantization",
        subject.quantization,
        policy.allowed_quantizations,
        policy.denied_quantizations,
    )
    yield from _license(subject.license_spdx, policy)
    if policy.max_parameters and (subject.parameter_count or 0) > policy.max_parameters:
        yield _over("policy/parameters", "max_parameters", subject.parameter_count, policy)
    if policy.max_size_bytes and subject.size_bytes > policy.max_size_bytes:
        yield _over("policy/size", "max_size_bytes", subject.size_bytes, policy)
    if policy.require_sha256 and not subject.sha256:
        yield Reason("policy/sha256-missing", "require_sha256", "none", "no SHA-256 is known")


def _listed(
    what: str, value: str | None, allowed: tuple[str, ...], denied: tuple[str, ...]
) -> Iterator[Reason]:
    shown = value or "none"
    lower = shown.lower()
    if allowed and lower not in {entry.lower() for entry in allowed}:
        expected = ", ".join(allowed)
        message = f"{what} {shown!a} is not among the allowed ones ({expected})"
        yield Reason(f"policy/{what}", f"allowed_{what}s", shown, message)
    elif lower in {entry.lower() for entry in denied}:
        message = f"{what} {shown!a} is forbidden"
        yield Reason(f"policy/{what}", f"denied_{what}s", shown, message)


def _license(expression: str | None, policy: Policy) -> Iterator[Reason]:
    if expression is None or expression == NOASSERTION:
        field = "require_license" if policy.require_license else "allowed_licenses"
        if policy.require_license or policy.allowed_licenses:
            yield Reason("policy/license-missing", field, "none", "no licence is stated")
    elif policy.allowed_licenses and not allows(policy.allowed_licenses, expression):
        allowed = ", ".join(policy.allowed_licenses)
        message = f"licence {expression} is not among the allowed ones ({allowed})"
        yield Reason("policy/license", "allowed_licenses", expression, message)
    elif denies(policy.denied_licenses, expression):
        message = f"licence {expression} is forbidden"
        yield Reason("policy/license", "denied_licenses", expression, message)


def _over(code: str, field: str, value: int | None, policy: Policy) -> Reason:
    limit = getattr(policy, field)
    return Reason(code, field, str(value), f"{value} is more than the allowed {limit}")


def load_policy(text: str) -> Policy:
    """Read a policy from YAML or JSON.

    Args:
        text: The file's text.

    Raises:
        ValueError: It is no policy; the message names the field and what it should be.
    """
    import yaml
    from pydantic import TypeAdapter, ValidationError

    try:
        given = yaml.safe_load(text)
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise ValueError(f"the policy is not YAML{where}") from None
    if given is None:
        given = {}
    if not isinstance(given, Mapping):
        raise ValueError("the policy is not a list of fields and values")  # noqa: TRY004
    try:
        return TypeAdapter(Policy).validate_python(given)
    except ValidationError as problem:
        raise ValueError("; ".join(_explain(error) for error in problem.errors())) from None


def _explain(error: Mapping[str, Any]) -> str:
    name = ".".join(str(part) for part in error["loc"])
    if error["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        close = difflib.get_close_matches(name, [field.name for field in fields(Policy)], 1)
        nearest = f"; did you mean {close[0]}?" if close else ""
        return f"the policy has no field {name!a}{nearest}"
    return f"policy field {name}: {error['msg']}"
