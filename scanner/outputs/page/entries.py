"""One model as the page shows it: every text of it is visible, and cut to a readable length."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final, Literal, Self

from prefect_mutagen.scanner.outputs.page.reasons import (
    Exemption,
    Why,
    exemptions_of,
    whys_of,
)
from prefect_mutagen.scanner.outputs.rendering import render
from prefect_mutagen.scanner.outputs.visible import visible
from prefect_mutagen.scanner.policy.digest import policy_digest
from prefect_mutagen.scanner.policy.owners import TAG_UNREAD_FACT, Owners, owner_by_tag
from prefect_mutagen.scanner.policy.publishers import publisher_of
from prefect_mutagen.scanner.policy.waiver_text import waiver_lines
from prefect_mutagen.scanner.results import Change, ScanResult
from prefect_mutagen.scanner.verdicts import Status

__all__ = [
    "CLAIMED",
    "Before",
    "Entry",
    "Judging",
    "Kind",
    "Use",
    "compared",
    "entry_of",
    "removed",
]

Before = Literal["", "absent", "passed", "failed", "unknown"]
"""The verdict at the start of the period; empty: there is nothing to compare with."""
Kind = Literal["", "newly-refused", "newly-unknown", "passed-again", "added", "changed", "removed"]
"""What happened to a model in the period; empty: nothing. ``newly-unknown``: it was refused, and
can be examined no more."""
CLAIMED: Final = " (claimed)"
"""Follows the name of a publisher that nothing proves."""
_LONGEST_ADDRESS: Final = 2000
_LONGEST_PATH: Final = 600
_LONGEST_VALUE: Final = 160
_CHANGES: Final = 20
_DIGEST: Final = re.compile(r"\b[0-9a-f]{32,}\b")
_DIGEST_SHOWN: Final = 12


@dataclass(frozen=True, slots=True)
class Use:
    """A start of an agent for a model."""

    agent: str
    state: str
    at: datetime | None
    flow_run: str
    pin: str
    """The bytes that it was handed."""
    is_current: bool
    """Whether these are the bytes that are there now."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One model."""

    url: str
    key: str
    """Its address as the table has it."""
    root: str
    path: str
    """Its address below the root."""
    status: Status | Literal["removed"]
    kind: Kind
    before: Before
    cause: str
    """Why its verdict is another one than before, in one sentence; empty if that is not known."""
    whys: tuple[Why, ...]
    exemptions: tuple[Exemption, ...]
    waiver: tuple[str, ...]
    """What to paste into a policy."""
    warnings: tuple[str, ...]
    """Codes of warnings."""
    changes: tuple[Change, ...]
    architecture: str
    license: str
    format: str
    quantization: str
    publisher: str
    owner: str
    parameters: int | None
    size: int
    modified: datetime | None
    pin: str
    sha256: str
    since: datetime | None = None
    """Since when it does not pass."""
    since_is_exact: bool = False
    passed_at: datetime | None = None
    """The last scan that it passed before that."""
    uses: tuple[Use, ...] = ()


@dataclass(frozen=True, slots=True)
class Judging:
    """What verdicts of one state depend on besides the models."""

    policy: Mapping[str, Any]
    """As plain values; empty if it is not known."""
    digest: str = ""
    """SHA-256 of the policy; empty if it is not known."""
    owners: Owners = field(default_factory=Owners)
    """Whose models are; no verdict depends on it."""

    @classmethod
    def by(cls, policy: Mapping[str, Any]) -> Self:
        """Return what a policy says, as plain values."""
        return cls(policy, policy_digest(policy), Owners.recorded(policy))


def entry_of(result: ScanResult, root: str, judging: Judging, now: datetime) -> Entry:
    """Return a model as it is now, with nothing to compare with.

    Args:
        result: The model; one that cannot be shown becomes an internal error.
        root: The root that it lies below.
        judging: What it was judged by.
        now: The time of the page.
    """

    def make(one: ScanResult) -> Entry:
        return _entry(one, result, root, judging, now)

    return render(result, make)[1]


def _entry(
    valid: ScanResult,
    original: ScanResult,
    root: str,
    judging: Judging,
    now: datetime,
) -> Entry:
    """Return an entry; only the waiver needs the address as the file system has it."""
    sbom, refused = valid.sbom, not valid.passed
    publisher = publisher_of(valid.url, valid.facts)
    claim = "" if publisher.is_proven or not publisher.name else CLAIMED
    warnings = {finding.code for finding in valid.findings if finding.severity == "warning"}
    waived = {reason.code for reason in valid.verdict.waived}
    is_itself = _codes(valid) == _codes(original)
    return Entry(
        url=visible(valid.url, _LONGEST_ADDRESS),
        key=valid.url,
        root=visible(root, _LONGEST_ADDRESS),
        path=visible(valid.url.removeprefix(f"{root.rstrip('/')}/"), _LONGEST_PATH),
        status=valid.verdict.status,
        kind="",
        before="",
        cause="",
        whys=whys_of(valid, judging.policy) if refused else (),
        exemptions=exemptions_of(valid, now.astimezone(UTC).date()),
        waiver=waiver_lines(original) if refused and is_itself else (),
        warnings=tuple(map(visible, sorted(warnings - waived))) if not refused else (),
        changes=(),
        architecture=visible(sbom.architecture or ""),
        license=visible(valid.license_spdx or sbom.license or ""),
        format=visible("" if sbom.format == "unknown" else sbom.format),
        quantization=visible(sbom.quantization or sbom.dtype or ""),
        publisher=f"{visible(publisher.name)}{claim}",
        owner=visible(_owner(valid, root, judging)),
        parameters=sbom.parameter_count,
        size=valid.size,
        modified=_moment(valid.modified),
        pin=visible(valid.pin),
        sha256=visible(sbom.sha256),
    )


def _owner(result: ScanResult, root: str, judging: Judging) -> str:
    """Return whose a model is; where its tag could not be read, that."""
    tag = str(judging.policy.get("owner_tag") or "")
    owner = judging.owners.of(result.url, root) or owner_by_tag(result.facts, tag)
    unread = tag and TAG_UNREAD_FACT in result.facts
    return owner or ("not known: its tags could not be read" if unread else "")


def compared(entry: Entry, before: Before, changes: Sequence[Change], cause: str) -> Entry:
    """Return an entry that says what is different from before.

    Args:
        entry: The model as it is now.
        before: Its verdict before.
        changes: What differs.
        cause: Why its verdict is another one, in one sentence.
    """
    return replace(
        entry,
        before=before,
        kind=_kind(entry.status, before, changed=bool(changes)),
        cause=cause if before not in ("", entry.status) else "",
        changes=tuple(map(_visible_change, changes[:_CHANGES])),
    )


def removed(entry: Entry) -> Entry:
    """Return the entry of a model that is there no more; it counts for nothing but the change.

    Args:
        entry: The model as it was.
    """
    before: Before = "absent" if entry.status == "removed" else entry.status
    nothing: dict[str, Any] = {"whys": (), "exemptions": (), "waiver": (), "warnings": ()}
    return replace(entry, status="removed", kind="removed", before=before, **nothing)


def _kind(status: str, before: Before, *, changed: bool) -> Kind:
    if not before:
        return ""
    if before == "absent":
        return "added" if status == "passed" else "newly-refused"
    if status == before:
        return "changed" if changed else ""
    if status == "passed":
        return "passed-again"
    return "newly-unknown" if before == "failed" else "newly-refused"


def _codes(result: ScanResult) -> list[str]:
    return [reason.code for reason in result.verdict.reasons]


def _visible_change(change: Change) -> Change:
    return Change(visible(change.field), _brief(change.before), _brief(change.after))


def _brief(value: str) -> str:
    """Return a value that was compared; of a digest, which compresses badly, the beginning."""
    cut = _DIGEST.sub(lambda found: f"{found[0][:_DIGEST_SHOWN]}…", value)
    return visible(cut, _LONGEST_VALUE)


def _moment(seconds: float | None) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds, UTC) if seconds is not None else None
    except (OverflowError, ValueError, OSError):
        return None  # files may have any timestamp
