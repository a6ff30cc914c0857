"""All that is on the page, in the order of its sections."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice, zip_longest
from typing import Any, Final, NamedTuple

import yaml

from prefect_mutagen.scanner.census import Census, CensusRow
from prefect_mutagen.scanner.outputs.page.collecting import Collection
from prefect_mutagen.scanner.outputs.page.counting import (
    Facet,
    Grouped,
    Passing,
    by_owner,
    by_reason,
    exemptions_in,
    warnings_in,
)
from prefect_mutagen.scanner.outputs.page.entries import Entry
from prefect_mutagen.scanner.policy.digest import policy_digest
from prefect_mutagen.scanner.policy.policy import Policy

__all__ = ["Basis", "Contents", "Root", "ScanCounts", "contents_of"]

_CARDS: Final = 20
"""Models that are shown at length, if these are all."""
_EXAMPLES: Final = 8
"""Models that are shown at length of more than these, one of each reason in turn; all are in the
lists, with the same facts."""
_POLICY_LINES: Final = 400


class ScanCounts(NamedTuple):
    """What one scan of a root found."""

    started_at: datetime
    passed: int
    unknown: int
    failed: int


@dataclass(frozen=True, slots=True)
class Root:
    """A root, its newest scan, and those before."""

    source: str
    scan_id: str
    started_at: datetime | None
    finished_at: datetime | None
    tool_version: str
    policy: Mapping[str, Any]
    """As plain values."""
    judged_apart: bool
    """Whether some models were judged by another policy, because this scan did not select them."""
    left_out: int
    """Models that are known and that the newest scan did not select."""
    bytes_read: int
    requests: int
    compared: str
    """What the newest state is compared with, in words."""
    trend: tuple[ScanCounts, ...] = ()
    """The last scans, the oldest first."""

    @property
    def policy_digest(self) -> str:
        """Return the SHA-256 of the policy."""
        return policy_digest(self.policy)

    @property
    def policy_lines(self) -> tuple[str, ...]:
        """Return the fields that differ from the default policy, as lines of YAML."""
        return _lines(self.policy)


@dataclass(frozen=True, slots=True)
class Basis:
    """When the page was made, and from what."""

    made_at: datetime
    since: datetime | None = None
    """Start of the period; None: the page is on one scan."""
    table: str = ""
    """Address of the table; empty: there is none, or it was not read for the page."""
    has_earlier: bool = False
    """Whether the models are compared with an earlier state."""
    knows_uses: bool = False
    """Whether a record of agents was read."""


@dataclass(frozen=True, slots=True)
class Contents:
    """The page."""

    basis: Basis
    roots: tuple[Root, ...]
    models: int
    passed: int
    failed: int
    unknown: int
    newly_refused: int
    cards: tuple[Entry, ...]
    """What is refused and was not before; where nothing earlier is known, what is refused. Of many,
    some of each reason."""
    has_owners: bool
    """Whether anything states whose models are."""
    owners: tuple[tuple[str, int], ...]
    """Models that do not pass by owner."""
    groups: tuple[Grouped, ...]
    kinds: Mapping[str, int]
    exceptions: int
    waivers: tuple[Passing, ...]
    unused_waivers: tuple[str, ...]
    """Waivers of the policies that no model passes by."""
    warnings: tuple[Passing, ...]
    facets: tuple[Facet, ...]
    census: tuple[CensusRow, ...]
    census_line: str
    overlooked: int
    """Listed objects that are or may be weights, and that nobody looked into."""
    rows: tuple[Entry, ...]
    left_off: int
    """Models that are counted and not listed."""

    @property
    def refused(self) -> int:
        """Return the number of models that do not pass."""
        return self.failed + self.unknown

    @property
    def stale(self) -> tuple[Root, ...]:
        """Return the roots that were not scanned in the period."""
        since = self.basis.since
        scanned = [(root, root.started_at) for root in self.roots]
        return tuple(root for root, at in scanned if since and at and at <= since)

    @property
    def changed(self) -> int:
        """Return the number of models that changed in another way than to be newly refused."""
        return sum(count for kind, count in self.kinds.items() if kind != "newly-refused")


def contents_of(
    collection: Collection, roots: Iterable[Root], census: Census, basis: Basis
) -> Contents:
    """Bring together what the page shows.

    Args:
        collection: The models.
        roots: The roots and their scans.
        census: All listed objects.
        basis: When it is made, and from what.
    """
    found = tuple(roots)
    rows, refused, newly = collection.rows(), collection.refused, collection.newly_refused
    exceptional = collection.exceptional
    waivers = exemptions_in(exceptional)
    listed = collection.models + collection.kinds["removed"]
    return Contents(
        basis=basis,
        roots=found,
        models=collection.models,
        passed=collection.statuses["passed"],
        failed=collection.statuses["failed"],
        unknown=collection.statuses["unknown"],
        newly_refused=collection.kinds["newly-refused"],
        cards=tuple(_cards(newly if basis.has_earlier else refused)),
        has_owners=any(entry.owner for entry in rows),
        owners=by_owner(refused),
        groups=by_reason(refused),
        kinds=Counter(collection.kinds),
        exceptions=collection.exceptions,
        waivers=waivers,
        unused_waivers=tuple(_unused((root.policy for root in found), waivers)),
        warnings=warnings_in(exceptional),
        facets=collection.facets,
        census=census.rows,
        census_line=census.describe(),
        overlooked=census.overlooked,
        rows=tuple(rows),
        left_off=listed - len(rows),
    )


def _cards(entries: list[Entry]) -> list[Entry]:
    """Choose the models to show at length: of each reason first those that something uses."""
    if len(entries) <= _CARDS:
        return entries
    by_code: dict[str, list[Entry]] = {}
    for entry in sorted(entries, key=_urgency):
        by_code.setdefault(entry.whys[0].code if entry.whys else "", []).append(entry)
    turns = (entry for turn in zip_longest(*by_code.values()) for entry in turn)
    return list(islice((entry for entry in turns if entry is not None), _EXAMPLES))


def _urgency(entry: Entry) -> tuple[bool, bool]:
    return not entry.uses, entry.before != "passed"


def _unused(policies: Iterable[Mapping[str, Any]], waivers: Iterable[Passing]) -> list[str]:
    """Return the waivers that no model passes by."""
    used = {(one.code, one.exemption.until) for one in waivers if one.exemption is not None}
    stated = [
        one
        for policy in policies
        for one in (policy, *(override["policy"] for override in policy.get("overrides") or ()))
    ]
    entries = [entry for policy in stated for entry in policy.get("waivers") or ()]
    return [
        f"{entry['code']} for {entry['url']}, until {entry['expires']}, {entry['owner']}"
        for number, entry in enumerate(entries)
        if (entry["code"], entry["expires"]) not in used and entry not in entries[:number]
    ]


def _lines(policy: Mapping[str, Any]) -> tuple[str, ...]:
    default, given = _plain(Policy().to_dict()), _plain(policy)
    fields = {name: value for name, value in given.items() if value != default.get(name)}
    if not fields:
        return ()
    text = yaml.safe_dump(fields, sort_keys=False, width=1 << 30, allow_unicode=True)
    lines = text.splitlines()
    return tuple(lines[:_POLICY_LINES]) + (("…",) if len(lines) > _POLICY_LINES else ())


def _plain(policy: Mapping[str, Any]) -> dict[str, Any]:
    """Return a policy with lists in the place of tuples."""
    plain: dict[str, Any] = json.loads(json.dumps(policy))
    return plain
