"""Sort models into the sections of the page, and keep as many as a page can hold."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

from prefect_mutagen.scanner.outputs.page.counting import Facet, Facets
from prefect_mutagen.scanner.outputs.page.entries import Entry

__all__ = ["MOST_ROWS", "Collection"]

MOST_ROWS: Final = 20_000
"""Models on a page, those first that a person has to look at; 10,000 take 1 to 3 MB."""
_NEWLY, _REFUSED, _CHANGED, _EXCEPTION, _OTHER = range(5)


class Collection:
    """The models of a page, in bounded memory."""

    def __init__(self) -> None:
        """Start with nothing."""
        self._by_rank: tuple[list[Entry], ...] = tuple([] for _ in range(_OTHER + 1))
        self._facets = Facets()
        self.statuses: Counter[str] = Counter()
        """Numbers of models that are there now, by verdict."""
        self.kinds: Counter[str] = Counter()
        """Numbers of models by what happened to them."""
        self.exceptions = 0
        """Models that pass by a waiver or with a warning."""

    def add(self, entry: Entry) -> None:
        """Take a model; beyond `MOST_ROWS` of a kind it is counted alone."""
        if entry.status != "removed":
            self.statuses[entry.status] += 1
            self._facets.add(entry)
        self.kinds[entry.kind] += bool(entry.kind)
        rank = _rank(entry)
        self.exceptions += _is_exception(entry)
        kept = self._by_rank[rank]
        if len(kept) < MOST_ROWS:
            kept.append(entry)

    def complete(self, finish: Callable[[list[Entry]], Iterable[Entry]]) -> None:
        """Complete the models that do not pass, with what is looked up for these alone.

        Args:
            finish: Returns them with more facts.
        """
        for rank in (_NEWLY, _REFUSED):
            self._by_rank[rank][:] = finish(self._by_rank[rank])

    @property
    def models(self) -> int:
        """Return the number of models that are there now."""
        return self.statuses.total()

    @property
    def newly_refused(self) -> list[Entry]:
        """Return what is refused and was not before, by reason."""
        return sorted(self._by_rank[_NEWLY], key=lambda entry: (_first_code(entry), entry.path))

    @property
    def refused(self) -> list[Entry]:
        """Return all that does not pass now."""
        return [*self.newly_refused, *self._by_rank[_REFUSED]]

    @property
    def exceptional(self) -> list[Entry]:
        """Return what passes by a waiver or with a warning."""
        return [entry for rank in self._by_rank for entry in rank if _is_exception(entry)]

    @property
    def facets(self) -> tuple[Facet, ...]:
        """Return the counts of all models by their properties."""
        return self._facets.all()

    def rows(self) -> list[Entry]:
        """Return the models that the page lists, those first that a person has to look at."""
        ordered = [self.newly_refused, *self._by_rank[_REFUSED:]]
        return [entry for entries in ordered for entry in entries][:MOST_ROWS]


def _rank(entry: Entry) -> int:
    if entry.kind == "newly-refused":
        return _NEWLY
    if entry.status in ("failed", "unknown"):
        return _REFUSED
    if entry.kind:
        return _CHANGED
    return _EXCEPTION if _is_exception(entry) else _OTHER


def _is_exception(entry: Entry) -> bool:
    return entry.status == "passed" and bool(entry.exemptions or entry.warnings)


def _first_code(entry: Entry) -> str:
    return entry.whys[0].code if entry.whys else ""
