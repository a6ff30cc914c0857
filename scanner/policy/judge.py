"""Judge an artifact under a policy: plain comparisons, without libraries or I/O."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from prefect_mutagen.scanner.internal_errors import CODE, log_fault
from prefect_mutagen.scanner.policy.entries import spelled
from prefect_mutagen.scanner.policy.fields import Policy
from prefect_mutagen.scanner.policy.licenses import (
    judge_licenses,
    unseen_licenses,
)
from prefect_mutagen.scanner.policy.loaders import for_loaders
from prefect_mutagen.scanner.policy.overrides import each_policy
from prefect_mutagen.scanner.policy.publishers import (
    lies_below,
    publisher_of,
    really_lies_below,
    same_publisher,
)
from prefect_mutagen.scanner.policy.remote_code import judge_code
from prefect_mutagen.scanner.policy.unexamined_weights import judge_weights
from prefect_mutagen.scanner.policy.unseen import unseen_folder, unseen_signatures
from prefect_mutagen.scanner.policy.waivers import severity_of, waive
from prefect_mutagen.scanner.verdicts import Reason, Subject, Verdict

__all__ = ["is_time_bound", "is_too_old", "judge"]

# These findings mean that the artifact was not examined, rather than that something is wrong.
_UNSEEN: Final = ("storage/", "scan/")
_UNDECIDED: Final = frozenset(
    {
        *("pickle/unreadable", "pickle/undecided-global", "zip/no-directory"),
        *("weights/unreadable", "weights/named-only"),
    }
)
"""Codes of files that could not be followed to their end, or of which only the format is known."""
_PROVEN: Final = frozenset(
    {
        *("pickle/forbidden-global", "pickle/forbidden-build", "pickle/code-in-archive"),
        "pickle/encoded-payload",
        *("weights/runs-code", "weights/outside-path"),
    }
)
"""Codes that fail a pickle even if the rest of it could not be followed."""
_NOT_EXAMINED: Final = ("/unexamined", "-unexamined")
_LIMITS: Final = frozenset({"gguf/header-too-large", "safetensors/too-complex"})
"""Codes of headers beyond the limits of this tool; those of other limits end in ``unexamined``."""
# Tolerance for clock skew; an examination further in the future has no usable time.
_MAX_SKEW_HOURS: Final = 1.0
_SIGNERS_SHOWN: Final = 4
_PLACES_SHOWN: Final = 3
_NO_SHA256: Final = "no SHA-256 was computed here or proven by the storage; scan with --hash full"


def judge(subject: Subject, policy: Policy, now: datetime | None = None) -> Verdict:
    """Judge an artifact under a policy.

    Args:
        subject: The facts and findings about the artifact.
        policy: The policy.
        now: The time at which waivers and results expire; None: the current time.

    Returns:
        ``unknown`` when the artifact could not be examined, ``failed`` with all reasons, or
        ``passed``. An artifact whose header was not read stays unknown whatever severities and
        waivers say, because nothing is known about it. An internal error while judging is unknown
        as well.
    """
    try:
        return _judge(subject, policy, now)
    except Exception as problem:  # noqa: BLE001 - a bug costs this verdict alone
        message = log_fault(problem, "judging", subject.url)
        return Verdict("unknown", (Reason(CODE, "", "error", message),))


def _judge(subject: Subject, policy: Policy, now: datetime | None) -> Verdict:
    policy = policy.at(subject.url)
    unseen = tuple(unseen_licenses(subject, policy))  # whatever loaders take
    if policy.loaders:
        subject = for_loaders(subject, policy.loaders)
    reasons = tuple(_from_findings(subject, policy))
    if subject.format == "unknown" and any(
        finding.severity == "error" and finding.code.startswith(_UNSEEN)
        for finding in subject.findings
    ):
        return Verdict("unknown", reasons)
    reasons = (*reasons, *_from_fields(subject, policy, now, unseen))
    waived: tuple[Reason, ...] = ()
    if reasons and policy.waivers:
        today = (now or datetime.now(UTC)).astimezone(UTC).date()
        reasons, waived = waive(reasons, policy.waivers, subject.url, today)
    proven = any(reason.code in _PROVEN for reason in reasons)
    if not proven and any(_is_unseen(reason.code) for reason in reasons):
        return Verdict("unknown", reasons, waived)
    return Verdict("failed" if reasons else "passed", reasons, waived)


def _is_unseen(code: str) -> bool:
    return (
        code.startswith(_UNSEEN)
        or code.endswith(_NOT_EXAMINED)
        or code in _LIMITS
        or code in _UNDECIDED
    )


def _from_findings(subject: Subject, policy: Policy) -> Iterator[Reason]:
    for finding in subject.findings:
        if finding.code == "weights/named-only":
            continue  # `judge_weights` decides
        severity = finding.severity
        if policy.severities:
            severity = severity_of(finding, policy.severities)
        if severity == "error" or (severity == "warning" and policy.fail_on == "warning"):
            field = "fail_on" if severity == finding.severity else "severities"
            yield Reason(finding.code, field, severity, finding.message)


def _from_fields(
    subject: Subject, policy: Policy, now: datetime | None, unseen: tuple[Reason, ...]
) -> Iterator[Reason]:
    yield from _listed("format", subject.format, policy.allowed_formats, ())
    kind = subject.facts.get("type") or ("adapter" if subject.facts.get("adapter") else "model")
    yield from _listed("type", kind, policy.allowed_types, ())
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
    stated = tuple(judge_licenses(subject, policy))
    # What was not read may state a licence that is missed, and takes back none that is denied.
    refused = [reason for reason in stated if reason.code != "policy/license-missing"]
    yield from refused or unseen or stated
    yield from _limits(subject, policy)
    yield from _origin(subject, policy)
    unsigned = (*_signature(subject, policy), *_signer(subject, policy, now))
    yield from unseen_signatures(subject, unsigned)
    if policy.allowed_templates:
        yield from _templates(subject, policy)
    if policy.remote_code != "warn":
        yield from judge_code(subject.facts, policy)
    yield from unseen_folder(subject, policy)
    yield from judge_weights(subject, policy)
    if is_too_old(subject.examined_at, policy, now):
        yield _age(subject, policy, now)


def _listed(
    what: str, value: str | None, allowed: tuple[str, ...], denied: tuple[str, ...]
) -> Iterator[Reason]:
    if not allowed and not denied:
        return
    shown = value or "none"
    name = spelled(shown)
    if allowed and name not in set(map(spelled, allowed)):
        expected = ", ".join(allowed)
        message = f"{what} {shown!a} is not among the allowed ones ({expected})"
        yield Reason(f"policy/{what}", f"allowed_{what}s", shown, message)
    elif name in set(map(spelled, denied)):
        message = f"{what} {shown!a} is forbidden"
        yield Reason(f"policy/{what}", f"denied_{what}s", shown, message)


def _limits(subject: Subject, policy: Policy) -> Iterator[Reason]:
    count, most = subject.parameter_count, policy.max_parameters
    if most and (count is None or count > most):
        message = f"{count} parameters are more than the allowed {most}"
        if count is None:
            message = f"the number of parameters is not known; {most} are allowed"
        yield Reason("policy/parameters", "max_parameters", str(count or "none"), message)
    size, most = subject.size_bytes, policy.max_size_bytes
    if most and size > most:
        message = f"{size} bytes are more than the allowed {most}"
        yield Reason("policy/size", "max_size_bytes", str(size), message)
    if policy.require_sha256 and not subject.sha256:
        yield Reason("policy/sha256-missing", "require_sha256", "none", _NO_SHA256)


def _origin(subject: Subject, policy: Policy) -> Iterator[Reason]:
    if policy.allowed_sources:
        yield from _sources(subject, policy)
    if policy.allowed_publishers:
        yield from _publishers(subject, policy)


def _sources(subject: Subject, policy: Policy) -> Iterator[Reason]:
    allowed = ", ".join(policy.allowed_sources)
    read_from = [str(place) for place in subject.facts.get("read_from") or ()]
    if not lies_below(subject.url, policy.allowed_sources):
        message = f"the artifact lies below none of the allowed addresses ({allowed})"
        yield Reason("policy/source", "allowed_sources", subject.url, message)
    elif not really_lies_below(read_from, policy.allowed_sources):
        places = ", ".join(read_from[:_PLACES_SHOWN])
        message = f"its files were read from {places}, not all below the allowed ({allowed})"
        yield Reason("policy/source", "allowed_sources", places, message)


def _publishers(subject: Subject, policy: Policy) -> Iterator[Reason]:
    publisher = publisher_of(subject.url, subject.facts)
    name, allowed = publisher.name, ", ".join(policy.allowed_publishers)
    is_allowed = any(same_publisher(name, entry) for entry in policy.allowed_publishers)
    if is_allowed and publisher.is_proven:
        return
    message = f"publisher {name!a} ({publisher.source}) is not among the allowed ones ({allowed})"
    if not name:
        message = f"no publisher is stated; allowed are {allowed}"
    elif is_allowed:
        message = (
            f"publisher {name!a} is only claimed, by {publisher.source}; an address at the hub or "
            "in its cache proves one (elsewhere, use allowed_sources, or ask for signatures)"
        )
    yield Reason("policy/publisher", "allowed_publishers", name or "none", message)


def _signature(subject: Subject, policy: Policy) -> Iterator[Reason]:
    if policy.require_signature:
        signature = subject.facts.get("signature")
        if not isinstance(signature, dict) or not signature.get("covered"):
            value = "none" if signature is None else "does not name the artifact"
            message = "no readable signature or attestation beside the artifact names it"
            yield Reason("policy/signature-missing", "require_signature", value, message)


def _signer(subject: Subject, policy: Policy, now: datetime | None) -> Iterator[Reason]:
    """Check the signers that were recorded when the artifact was examined."""
    if not policy.allowed_signers:
        return
    stated = subject.facts.get("signature")
    recorded = stated.get("signers") or () if isinstance(stated, dict) else ()
    in_use = set(subject.loads)
    in_use = in_use.intersection(policy.loaders) or in_use
    allowed = {signer.name for signer in policy.allowed_signers}
    expired = ""
    partial: list[str] = []
    for entry in recorded:
        if entry["name"] in allowed and (more := in_use.intersection(entry.get("unsigned") or ())):
            partial = partial or sorted(more)
        elif entry["name"] in allowed:
            if not entry.get("expires") or _hours_since(entry["expires"], now) < 0:
                return
            expired = f"the certificate of {entry['name']!a} expired on {entry['expires']}"
    others = ", ".join(sorted(entry["name"] for entry in recorded))
    value = "expired" if expired else others or ("none" if stated is None else "unverified")
    message = expired or "none of the allowed signers has signed all of its files in one statement"
    if partial and not expired:
        message = f"none of the allowed signers has signed all that {partial[0]} takes"
    if stated is None:
        message += "; no signature lies beside the artifact"
    names = ", ".join(sorted(allowed)[:_SIGNERS_SHOWN])
    if len(allowed) > _SIGNERS_SHOWN:
        names += f" and {len(allowed) - _SIGNERS_SHOWN} more"
    yield Reason("policy/signer", "allowed_signers", value, f"{message} (allowed: {names})")


def _templates(subject: Subject, policy: Policy) -> Iterator[Reason]:
    """Check the templates that are rendered; all where a loader in use does not say which."""
    allowed = {digest.lower() for digest in policy.allowed_templates}
    templates = subject.facts.get("chat_templates") or ()
    in_use: set[str] = set(subject.loads)
    in_use = in_use.intersection(policy.loaders) or in_use
    known = {name for template in templates for name in template.get("rendered_by") or ()}
    is_known = bool(in_use) and in_use <= known
    for template in templates:
        rendered_by = template.get("rendered_by")
        if is_known and rendered_by is not None and in_use.isdisjoint(rendered_by):
            continue
        digest = template.get("sha256") or "none"
        if digest not in allowed:
            message = f"the chat template in {template.get('place', '')!a} is not an allowed one"
            yield Reason("policy/template", "allowed_templates", digest, message)


def is_too_old(examined_at: str, policy: Policy, now: datetime | None = None) -> bool:
    """Whether an examination is older than a policy allows.

    Args:
        examined_at: Time of the examination, in ISO 8601; an invalid time is too old for any limit.
        policy: The policy.
        now: The time to compare with; None: the current time.
    """
    most = policy.max_scan_age_hours
    return most > 0 and not -_MAX_SKEW_HOURS <= _hours_since(examined_at, now) <= most


def is_time_bound(policy: Policy) -> bool:
    """Whether a verdict under this policy can change through the passing of time alone."""
    return any(
        one.max_scan_age_hours > 0
        or bool(one.waivers)
        or any(signer.certificate for signer in one.allowed_signers)
        for one in each_policy(policy)
    )


def _age(subject: Subject, policy: Policy, now: datetime | None) -> Reason:
    most, age = policy.max_scan_age_hours, _hours_since(subject.examined_at, now)
    message = f"it was examined {age:.0f} hours ago; at most {most} are allowed"
    if not math.isfinite(age):
        message = f"the time of its examination is not known; at most {most} hours are allowed"
    elif age < 0:
        message = "the time of its examination is in the future"
    return Reason("policy/scan-age", "max_scan_age_hours", subject.examined_at or "none", message)


def _hours_since(examined_at: str, now: datetime | None) -> float:
    """Return the hours since a time: negative for a future one, infinity for an invalid one."""
    try:
        moment = datetime.fromisoformat(examined_at)
    except ValueError:
        return math.inf
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return ((now or datetime.now(UTC)) - moment).total_seconds() / 3600
