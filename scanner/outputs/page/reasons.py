"""Why a model does not pass, in words, and what it passes by."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import yaml

from prefect_mutagen.scanner.findings import CODES, Finding
from prefect_mutagen.scanner.outputs.visible import visible
from prefect_mutagen.scanner.policy.overrides import stated_at
from prefect_mutagen.scanner.results import ScanResult
from prefect_mutagen.scanner.verdicts import Reason

__all__ = ["Exemption", "Why", "exemptions_of", "policy_line", "whys_of"]

_UNTIL: Final = re.compile(r"until (\d{4}-\d\d-\d\d), (.*)", re.DOTALL)
_BECAUSE: Final = re.compile(r"waived \((.*?)\): ", re.DOTALL)
_END_OF_SCALAR: Final = "...\n"
"""What PyYAML writes after a value that is no list."""
_LONGEST_LINE: Final = 400
_LONGEST_MESSAGE: Final = 600


@dataclass(frozen=True, slots=True)
class Why:
    """One reason why a model does not pass."""

    code: str
    message: str
    value: str
    """What the policy's field met, unless the message repeats it."""
    offset: int | None
    """The byte, if there is one that the message does not name."""
    line: str
    """The line of the policy that decides."""
    remedy: str


@dataclass(frozen=True, slots=True)
class Exemption:
    """A waiver that a model passes by."""

    code: str
    message: str
    """What it waives."""
    reason: str
    owner: str
    until: str
    """Last day, as YYYY-MM-DD; empty if none is stated."""
    days_left: int | None


def whys_of(result: ScanResult, policy: Mapping[str, Any]) -> tuple[Why, ...]:
    """Return why a model does not pass.

    Args:
        result: The model.
        policy: The policy that it was judged by, as plain values; empty if it is not known.
    """
    policy = stated_at(policy, result.url)
    return tuple(_why(reason, result.findings, policy) for reason in result.verdict.reasons)


def _why(reason: Reason, findings: Iterable[Finding], policy: Mapping[str, Any]) -> Why:
    found = next(
        (one for one in findings if (one.code, one.message) == (reason.code, reason.message)), None
    )
    from_finding = reason.policy_field in ("fail_on", "severities")
    return Why(
        code=visible(reason.code),
        message=visible(reason.message, _LONGEST_MESSAGE),
        value="" if from_finding else visible(reason.value),
        offset=None if found is None or str(found.offset) in reason.message else found.offset,
        line=policy_line(reason.policy_field, policy, reason.code),
        remedy=CODES[reason.code].remedy if reason.code in CODES else "",
    )


def policy_line(field: str, policy: Mapping[str, Any], code: str = "") -> str:
    """Return the line of a policy that decided, as it would stand in a policy file.

    Args:
        field: The field.
        policy: The policy as plain values.
        code: The reason's code, for a field with an entry for each code.

    Returns:
        The line, cut if it is long; the field's name alone where its value is not known.
    """
    value = policy.get(field)
    if field in ("severities", "waivers") and isinstance(value, list | tuple):
        family = f"{code.partition('/')[0]}/*"
        value = [entry for entry in value if entry.get("code") in (code, family)] or value
    if not field or value is None:
        return field
    plain = list(value) if isinstance(value, tuple) else value
    text = yaml.safe_dump(
        plain, default_flow_style=True, sort_keys=False, width=1 << 30, allow_unicode=True
    )
    return visible(f"{field}: {text.removesuffix(_END_OF_SCALAR).strip()}", _LONGEST_LINE)


def exemptions_of(result: ScanResult, today: date) -> tuple[Exemption, ...]:
    """Return the waivers that a model passes by, or would but for other reasons.

    Args:
        result: The model.
        today: The day, in UTC, from which the days that are left are counted.
    """
    return tuple(_exemption(reason, today) for reason in result.verdict.waived)


def _exemption(reason: Reason, today: date) -> Exemption:
    said, because = _UNTIL.fullmatch(reason.value), _BECAUSE.match(reason.message)
    until, owner = said.groups() if said else ("", "")
    try:
        left = (date.fromisoformat(until) - today).days
    except ValueError:
        left = None
    return Exemption(
        code=visible(reason.code),
        message=visible(reason.message[because.end() if because else 0 :], _LONGEST_MESSAGE),
        reason=visible(because[1]) if because else "",
        owner=visible(owner),
        until=until,
        days_left=left,
    )
