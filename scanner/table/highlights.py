"""What of a scan is worth showing: counts of all of it, and the first artifacts of each kind.

One pass over the rows of the new state, in bounded memory. An artifact can be of several kinds: one
that passes by a waiver may be new.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final, Literal, get_args

import pyarrow as pa
import pyarrow.compute as pc

from prefect_mutagen.scanner.results import ScanResult
from prefect_mutagen.scanner.table.recording import Recording
from prefect_mutagen.scanner.table.row_filters import (
    differing,
    has_warnings,
    not_passed,
    passed,
    passed_by_waiver,
    removed,
    selected,
    was_judged,
)
from prefect_mutagen.scanner.table.rows import from_row
from prefect_mutagen.scanner.table.runs import KEY, texts

__all__ = ["DRIFT", "Group", "Highlights", "Kind", "Warned", "highlights_of"]

Kind = Literal[
    "newly-refused",
    "newly-passed",
    "changed",
    "added",
    "removed",
    "still-refused",
    "waived",
    "warned",
    "passed",
]
"""``newly-refused`` and ``newly-passed``: with another outcome than in the previous scan, or new
and refused; ``added``: new and passed; ``changed``: with the same outcome as before, and another
pin, other facts or other reasons; ``still-refused``: refused, and not newly; ``waived``: passed by
a waiver; ``warned``: passed with warnings; ``passed``: of none of these kinds."""

DRIFT: Final[tuple[Kind, ...]] = ("newly-refused", "newly-passed", "changed", "added", "removed")
"""The kinds that say what is different from the previous scan."""

_MOST: Final[Mapping[Kind, int]] = {"newly-refused": 500, "still-refused": 500, "passed": 500}
_MOST_OF_OTHERS: Final = 100
"""Artifacts that are kept of a kind; they differ less, or are less urgent."""
_EXAMPLES: Final = 3


@dataclass(slots=True)
class Group:
    """The artifacts of one kind."""

    count: int = 0
    results: list[ScanResult] = field(default_factory=list)
    """The first of them, by address; their SBOMs lack metadata and warnings."""


@dataclass(slots=True)
class Warned:
    """A warning of artifacts that passed."""

    count: int = 0
    """Artifacts that have it."""
    examples: list[str] = field(default_factory=list)
    """The addresses of the first of them."""


@dataclass(slots=True)
class Highlights:
    """What of a scan is worth showing."""

    is_compared: bool = False
    """Whether there is a previous scan; without one, nothing is drift."""
    groups: dict[Kind, Group] = field(
        default_factory=lambda: {kind: Group() for kind in get_args(Kind)}
    )
    warnings: dict[str, Warned] = field(default_factory=dict)
    """Warnings of what passed, by code."""

    def __getitem__(self, kind: Kind) -> Group:
        """Return the artifacts of a kind."""
        return self.groups[kind]

    @property
    def refused(self) -> Iterator[ScanResult]:
        """Return what is refused, as far as it is kept, the newly refused first."""
        return chain(self["newly-refused"].results, self["still-refused"].results)

    @property
    def has_drift(self) -> bool:
        """Whether anything is different from the previous scan."""
        return any(self[kind].count for kind in DRIFT)

    def add(self, rows: pa.Table) -> None:
        """Add rows of the new state."""
        here = selected(rows)
        places: dict[Kind, list[int]] = {}
        for kind, wanted in self._masks(rows, here).items():
            group, found = self.groups[kind], pc.indices_nonzero(wanted)
            room = _MOST.get(kind, _MOST_OF_OTHERS) - len(group.results)
            places[kind] = found.slice(0, max(0, room)).to_pylist()
            group.count += len(found)
        taken = sorted(set(chain.from_iterable(places.values())))
        chosen = rows.take(taken).to_pylist() if taken else []
        results = dict(zip(taken, map(from_row, chosen), strict=True))
        for kind, found in places.items():
            self.groups[kind].results.extend(results[place] for place in found)
        self._add_warnings(rows.filter(pc.and_(here, passed(rows))))

    def _masks(self, rows: pa.Table, here: Any) -> dict[Kind, Any]:
        refused, accepted = pc.and_(here, not_passed(rows)), pc.and_(here, passed(rows))
        waived, warned = passed_by_waiver(rows), has_warnings(rows)
        masks: dict[Kind, Any] = {
            "still-refused": refused,
            "waived": pc.and_(here, waived),
            "warned": pc.and_(accepted, warned),
        }
        rest = pc.and_not(accepted, pc.or_(waived, warned))
        if self.is_compared:
            added = pc.equal(rows["drift"], "added")
            newly_refused = pc.and_(refused, pc.or_(added, was_judged(rows, "passed")))
            newly_passed = pc.and_(accepted, was_judged(rows, "failed", "unknown"))
            newly = pc.or_(added, pc.or_(newly_refused, newly_passed))
            masks |= {
                "newly-refused": newly_refused,
                "newly-passed": newly_passed,
                "changed": pc.and_not(pc.and_(here, differing(rows)), newly),
                "added": pc.and_(accepted, added),
                "removed": removed(rows),
                "still-refused": pc.and_not(refused, newly_refused),
            }
            rest = pc.and_not(rest, differing(rows))
        return {**masks, "passed": rest}

    def _add_warnings(self, rows: pa.Table) -> None:
        findings = rows["findings"].combine_chunks()
        entries, places = pc.list_flatten(findings), pc.list_parent_indices(findings)
        is_warning = pc.equal(pc.struct_field(entries, "severity"), "warning")
        codes = pc.struct_field(entries, "code").filter(is_warning)
        places = places.filter(is_warning)
        for code in pc.unique(codes).to_pylist():
            those = pc.unique(places.filter(pc.equal(codes, code)))
            known = self.warnings.setdefault(code, Warned())
            known.count += len(those)
            first = those.slice(0, _EXAMPLES - len(known.examples))
            known.examples += texts(rows.take(first), KEY)


def highlights_of(recording: Recording) -> Highlights:
    """Return what of a scan is worth showing; after `Recording.close`.

    Args:
        recording: The scan.
    """
    found = Highlights(recording.state.is_known)
    for rows in recording.tables():
        found.add(rows)
    return found
