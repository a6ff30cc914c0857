"""Weights in formats that are named and not judged: what a policy makes of them."""

from collections.abc import Iterator

from prefect_mutagen.scanner.policy.fields import Policy
from prefect_mutagen.scanner.policy.waivers import severity_of
from prefect_mutagen.scanner.verdicts import Reason, Subject

__all__ = ["judge_weights"]

_FIELD = "unexamined_weights"


def judge_weights(subject: Subject, policy: Policy) -> Iterator[Reason]:
    """Yield the reasons against weights that were named only.

    Args:
        subject: The facts and findings about the artifact.
        policy: The policy. What it says of the finding's severity holds as of any other.
    """
    for finding in subject.findings:
        if finding.code != "weights/named-only" or policy.unexamined_weights == "allow":
            continue
        severity = severity_of(finding, policy.severities)
        is_alone = finding.url == subject.url or finding.url in subject.files
        if policy.unexamined_weights == "fail":
            yield Reason("policy/unexamined-weights", _FIELD, "fail", finding.message)
        elif policy.unexamined_weights == "alone" and is_alone and finding.field == "content":
            yield Reason(finding.code, _FIELD, "alone", finding.message)
        elif severity == "error" or (severity == "warning" and policy.fail_on == "warning"):
            yield Reason("policy/unexamined-weights", "fail_on", severity, finding.message)
