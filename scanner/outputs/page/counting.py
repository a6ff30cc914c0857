"""Count models: by what they are, by why they are refused, by what they pass by in spite of it."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final, NamedTuple

from prefect_mutagen.scanner.outputs.page.entries import CLAIMED, Entry
from prefect_mutagen.scanner.outputs.page.reasons import Exemption

__all__ = [
    "Bar",
    "Facet",
    "Facets",
    "Grouped",
    "Passing",
    "by_owner",
    "by_reason",
    "exemptions_in",
    "size_class",
    "warnings_in",
]

_SHOWN: Final = 8
"""Bars of a facet; the rest is one bar."""
_GIB: Final = 1 << 30
_SIZES: Final = ((_GIB // 10, "below 0.1 GiB"), (_GIB, "0.1 to 1 GiB"), (10 * _GIB, "1 to 10 GiB"))
_LARGEST: Final = "10 GiB and more"
_FACETS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "architecture": "Architecture",
        "license": "Licence",
        "format": "Format",
        "size_class": "Size",
        "publisher": "Publisher",
        "owner": "Owner",
    }
)


class Bar(NamedTuple):
    """Models with one value of a facet."""

    label: str
    value: str
    """What models with it have; empty: they state nothing."""
    passed: int
    unknown: int
    failed: int
    is_rest: bool = False
    """Whether it stands for all values without a bar of their own."""

    @property
    def models(self) -> int:
        """Return how many they are."""
        return self.passed + self.unknown + self.failed


class Facet(NamedTuple):
    """Models by one of their properties."""

    name: str
    title: str
    bars: tuple[Bar, ...]
    values: tuple[str, ...]
    """All values, the most frequent first."""


def size_class(size: int) -> str:
    """Return the class of a size in bytes."""
    return next((label for limit, label in _SIZES if size < limit), _LARGEST)


class Facets:
    """Counts of all models by their properties, however many there are."""

    def __init__(self) -> None:
        """Start with nothing."""
        self._counts: dict[str, dict[str, Counter[str]]] = {
            name: defaultdict(Counter) for name in _FACETS
        }

    def add(self, entry: Entry) -> None:
        """Count a model."""
        for name, counts in self._counts.items():
            value = size_class(entry.size) if name == "size_class" else getattr(entry, name)
            counts[value][entry.status] += 1

    def all(self) -> tuple[Facet, ...]:
        """Return all facets; those of which nothing is stated are left out."""
        return tuple(
            self._facet(name, title, self._counts[name])
            for name, title in _FACETS.items()
            if self._counts[name].keys() - {""}
        )

    def _facet(self, name: str, title: str, counts: Mapping[str, Counter[str]]) -> Facet:
        if name == "size_class":
            classes = [*(label for _, label in _SIZES), _LARGEST]
            ordered = [label for label in classes if label in counts]
        else:
            ordered = sorted(counts, key=lambda value: (-counts[value].total(), value))
        shown, rest = ordered[:_SHOWN], ordered[_SHOWN:]
        if len(rest) == 1:
            shown, rest = ordered, []
        is_claimed = name == "publisher" and all(
            value.endswith(CLAIMED) for value in ordered if value
        )
        if is_claimed:
            title = f"{title}, as claimed"
        labels = {value: value.removesuffix(CLAIMED) if is_claimed else value for value in shown}
        bars = [_bar(labels[value] or "not stated", value, counts[value]) for value in shown]
        if rest:
            total: Counter[str] = Counter()
            for value in rest:
                total += counts[value]
            bars.append(_bar(f"{len(rest):,} others", "", total)._replace(is_rest=True))
        return Facet(name, title, tuple(bars), tuple(value for value in ordered if value))


def _bar(label: str, value: str, counts: Counter[str]) -> Bar:
    return Bar(label, value, counts["passed"], counts["unknown"], counts["failed"])


@dataclass(slots=True)
class Grouped:
    """Models that do not pass for one reason, of one owner."""

    code: str
    owner: str
    models: int = 0
    newly: int = 0
    oldest: datetime | None = None
    """Since when the first of them does not pass."""

    def add(self, entry: Entry) -> None:
        """Count a model."""
        self.models += 1
        self.newly += entry.kind == "newly-refused"
        if entry.since is not None:
            self.oldest = min(self.oldest or entry.since, entry.since)


def by_reason(entries: Iterable[Entry]) -> tuple[Grouped, ...]:
    """Group models that do not pass by reason and owner; one with several reasons counts in each.

    Args:
        entries: The models.

    Returns:
        The groups, the largest first.
    """
    groups: dict[tuple[str, str], Grouped] = {}
    for entry in entries:
        for code in dict.fromkeys(why.code for why in entry.whys):
            key = code, entry.owner
            groups.setdefault(key, Grouped(*key)).add(entry)
    return tuple(sorted(groups.values(), key=lambda group: (-group.models, group.code)))


def by_owner(entries: Iterable[Entry]) -> tuple[tuple[str, int], ...]:
    """Count models that do not pass by owner, the most first; empty: nothing states whose."""
    counts = Counter(entry.owner for entry in entries)
    return tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


class Passing(NamedTuple):
    """Models that pass by one waiver, or with one warning."""

    code: str
    models: int
    exemption: Exemption | None = None


def exemptions_in(entries: Iterable[Entry]) -> tuple[Passing, ...]:
    """Count the models that pass by each waiver, those that end first first."""
    found: dict[tuple[str, str, str, str], list[Exemption]] = defaultdict(list)
    for entry in entries:
        for one in dict.fromkeys(entry.exemptions):
            found[one.code, one.until, one.owner, one.reason].append(one)
    passing = [Passing(key[0], len(all_of), all_of[0]) for key, all_of in found.items()]
    return tuple(sorted(passing, key=lambda one: (one.exemption and one.exemption.until, one.code)))


def warnings_in(entries: Iterable[Entry]) -> tuple[Passing, ...]:
    """Count the models that pass with each warning, the most frequent first."""
    counts = Counter(code for entry in entries for code in entry.warnings)
    return tuple(
        Passing(code, count)
        for code, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    )
