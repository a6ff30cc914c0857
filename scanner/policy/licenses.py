"""Judge the licences that an artifact's files state, and what could not be read beside it."""

from collections.abc import Iterator, Mapping
from typing import Final

from prefect_mutagen.scanner.content.license_expressions import NOASSERTION
from prefect_mutagen.scanner.content.license_files import may_state_license
from prefect_mutagen.scanner.policy.fields import Policy
from prefect_mutagen.scanner.policy.lineage import base_licenses_of
from prefect_mutagen.scanner.verdicts import Reason, Subject

__all__ = ["judge_licenses", "unseen_licenses"]

_UNREAD: Final = "sbom/neighbour-unread"
_UNEXAMINED: Final = "sbom/unexamined"
_INVALID: Final = "sbom/front-matter-invalid"


def unseen_licenses(subject: Subject, policy: Policy) -> Iterator[Reason]:
    """Yield a reason for each file that may state a licence and was not read.

    Args:
        subject: The facts and findings about the artifact.
        policy: The policy; without a rule about licences there is nothing to know.
    """
    rules = ("denied_licenses", "allowed_licenses", "require_license")
    field = next((name for name in rules if getattr(policy, name)), "")
    if not field:
        return
    seen: set[str] = set()
    # What loaders do not open is left out of a judgement for some of them; licences are not.
    unread = {_UNREAD, _UNEXAMINED} if policy.loaders else {_UNREAD}
    stated = [str(one.get("source")) for one in _statements(subject)]
    for finding in subject.findings:
        path = finding.field
        is_unread = finding.code in unread and may_state_license(path)
        if finding.code == _INVALID:  # some of an invalid one is read all the same
            is_unread = not any(source.startswith(f"{path}:") for source in stated)
        if is_unread and path not in seen:
            seen.add(path)
            message = f"{finding.message}; it may state a licence, which {field} is about"
            yield Reason("policy/license-unexamined", field, path, message)


def _statements(subject: Subject) -> list[Mapping[str, object]]:
    return [one for one in subject.facts.get("licenses") or () if isinstance(one, Mapping)]


def judge_licenses(subject: Subject, policy: Policy) -> Iterator[Reason]:
    """Yield the reasons against what is stated about an artifact's licence and its base models'.

    Args:
        subject: The facts and findings about the artifact.
        policy: The policy.
    """
    expression = subject.license_spdx
    if expression is None or expression == NOASSERTION:
        field = "require_license" if policy.require_license else "allowed_licenses"
        if policy.require_license or policy.allowed_licenses:
            yield Reason("policy/license-missing", field, "none", "no licence is stated")
    elif policy.allowed_licenses or policy.denied_licenses:
        # The whole decides; each statement, so that the reason names the one that is refused.
        refused = [
            reason
            for spdx, stated, what in _stated_licenses(subject)
            for reason in _license("policy/license", spdx, what, policy, stated)
        ]
        yield from refused or _license("policy/license", expression, "licence", policy)
    if policy.licenses_of_base and (policy.allowed_licenses or policy.denied_licenses):
        for model, base in base_licenses_of(subject, policy.base_licenses):
            yield from _license(
                "policy/base-license", base, f"base model {model!a}: licence", policy
            )


def _stated_licenses(subject: Subject) -> Iterator[tuple[str, str, str]]:
    """Yield what each source states: as an expression, verbatim, and the noun for a message."""
    facts = [one for one in subject.facts.get("licenses") or () if isinstance(one, Mapping)]
    for one in facts:
        spdx, stated = str(one.get("spdx") or NOASSERTION), str(one.get("value") or "")
        if spdx != NOASSERTION and spdx in (subject.license_spdx or ""):
            alone = len({other.get("spdx") for other in facts}) < 2
            yield spdx, stated, "licence" if alone else f"{one.get('source')}: licence"


def _license(
    code: str, expression: str, what: str, policy: Policy, stated: str = ""
) -> Iterator[Reason]:
    from prefect_mutagen.scanner.content.license_matching import allows, denies

    if policy.allowed_licenses and not allows(policy.allowed_licenses, expression):
        allowed = ", ".join(policy.allowed_licenses)
        message = f"{what} {expression} is not among the allowed ones ({allowed})"
        yield Reason(code, "allowed_licenses", expression, message)
    elif policy.denied_licenses and denies(policy.denied_licenses, expression, stated):
        yield Reason(code, "denied_licenses", expression, f"{what} {expression} is forbidden")
