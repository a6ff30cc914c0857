"""Rules about what lies beside an artifact, where it could not be looked at: not known to hold."""

from collections.abc import Iterator
from typing import Final

from prefect_mutagen.scanner.listing.roles import role_of
from prefect_mutagen.scanner.policy.fields import Policy
from prefect_mutagen.scanner.verdicts import Reason, Subject

__all__ = ["unseen_folder", "unseen_signatures"]

_ABOUT_FILES_BESIDE: Final = (
    *("denied_licenses", "allowed_licenses", "require_license"),
    *("allowed_templates", "require_signature", "allowed_signers"),
)
"""Rules that files beside the weights decide, too."""


def unseen_folder(subject: Subject, policy: Policy) -> Iterator[Reason]:
    """Yield a reason where rules are about files and storage refused to show any."""
    fields = [name for name in _ABOUT_FILES_BESIDE if getattr(policy, name)]
    fields += ["remote_code"] if policy.remote_code != "warn" else []
    for finding in subject.findings if fields else ():
        if finding.code == "sbom/folder-unseen":
            message = f"{finding.message}; {fields[0]} is about them"
            yield Reason("policy/folder-unexamined", fields[0], "folder", message)


def unseen_signatures(subject: Subject, unsigned: tuple[Reason, ...]) -> Iterator[Reason]:
    """Yield the reasons against an artifact that is not signed as a policy asks.

    Args:
        subject: The facts and findings about the artifact.
        unsigned: What is missing. A signature that could not be read may be what is missed.
    """
    unread = [
        finding
        for finding in subject.findings
        if finding.code == "sbom/neighbour-unread"
        and role_of(finding.field.rpartition("/")[2]) == "signature"
    ]
    if not unsigned or not unread:
        yield from unsigned
        return
    for finding in unread:
        field = unsigned[0].policy_field
        yield Reason("policy/signature-unexamined", field, finding.field, finding.message)
