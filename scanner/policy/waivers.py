"""Apply a policy's severity overrides and waivers."""

from collections.abc import Iterable
from datetime import date
from fnmatch import fnmatchcase
from typing import Final

from prefect_mutagen.parsers import Severity
from prefect_mutagen.scanner.findings import Finding
from prefect_mutagen.scanner.policy.fields import SeverityChange, Waiver
from prefect_mutagen.scanner.policy.publishers import has_dot_segments, normalized
from prefect_mutagen.scanner.verdicts import Reason

__all__ = ["severity_of", "waive"]

# Only an entry for the exact code lowers these; a family does not.
_STRUCTURAL: Final = ("gguf/", "safetensors/", "set/", "storage/", "scan/")
_RANK: Final[dict[Severity, int]] = {"info": 0, "warning": 1, "error": 2}


def severity_of(finding: Finding, changes: Iterable[SeverityChange]) -> Severity:
    """Return the severity of a finding under a policy.

    Args:
        finding: The finding, with its default severity.
        changes: The policy's overrides. The exact code takes precedence over its family, and a
            later entry over an earlier one.
    """
    family = f"{finding.code.partition('/')[0]}/*"
    exact: Severity | None = None
    wide: Severity | None = None
    for change in changes:
        if change.code == finding.code:
            exact = change.severity
        elif change.code == family:
            wide = change.severity
    if exact is not None:
        return exact
    if wide is None:
        return finding.severity
    lowered = _RANK[wide] < _RANK[finding.severity]
    return finding.severity if lowered and finding.code.startswith(_STRUCTURAL) else wide


def waive(
    reasons: Iterable[Reason], waivers: tuple[Waiver, ...], url: str, today: date
) -> tuple[tuple[Reason, ...], tuple[Reason, ...]]:
    """Split reasons into those that stand and those that are waived.

    Args:
        reasons: Why an artifact does not pass.
        waivers: The policy's waivers.
        url: The artifact's address.
        today: The date in UTC; a waiver is valid through its last day.

    Returns:
        The standing and the waived reasons. An expired waiver that would have covered a reason adds
        a standing reason of its own.
    """
    # A pattern covers what an address says, and one that may mean another says nothing.
    plain = not has_dot_segments(url.partition("://")[2] or url)
    place = normalized(url)
    here = [waiver for waiver in waivers if plain and fnmatchcase(place, normalized(waiver.url))]
    standing: list[Reason] = []
    waived: list[Reason] = []
    for reason in reasons:
        matching = [waiver for waiver in here if waiver.code == reason.code]
        valid = [waiver for waiver in matching if today <= date.fromisoformat(waiver.expires)]
        if valid:
            waived.append(_waived(reason, max(valid, key=_last_day)))
            continue
        standing.append(reason)
        if matching:
            expired = _expired(max(matching, key=_last_day))
            if expired not in standing:
                standing.append(expired)
    return tuple(standing), tuple(waived)


def _last_day(waiver: Waiver) -> date:
    return date.fromisoformat(waiver.expires)


def _waived(reason: Reason, waiver: Waiver) -> Reason:
    value = f"until {waiver.expires}, {waiver.owner}"
    return Reason(reason.code, "waivers", value, f"waived ({waiver.reason}): {reason.message}")


def _expired(waiver: Waiver) -> Reason:
    message = f"the waiver of {waiver.code} expired on {waiver.expires}; ask {waiver.owner}"
    return Reason("policy/waiver-expired", "waivers", waiver.expires, message)
