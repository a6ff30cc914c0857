"""Remember plans: the models of a bucket often have files of the same names that say the same.

What a loader reads of a model's documents is noted while its plan is made. The plan holds for
another model whose files have the same names, and whose documents say the same at these places.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

from prefect_mutagen.scanner.loading.plan import LoadPlan, ModelFiles

__all__ = ["PlanMemory"]

_MOST_LAYOUTS: Final = 64
_PER_LAYOUT: Final = 4
_MOST_TEXT: Final = 1 << 16
"""Most characters of what was read for plans that are remembered."""
_ABSENT: Final = object()

_Layout = tuple[frozenset[str], frozenset[str], str, tuple[str, ...]]
_Planner = Callable[[ModelFiles, tuple[str, ...]], tuple[LoadPlan, ...]]


class _Read(NamedTuple):
    """Something that was read: a value in a document, or a document as a whole."""

    path: str
    key: str | None
    """None: the whole document."""
    value: Any
    """`_ABSENT` if there is none."""

    def holds(self, documents: Mapping[str, Any]) -> bool:
        """Whether other documents say the same."""
        document = documents[self.path]
        if self.key is None:
            return bool(document == self.value)
        if not isinstance(document, Mapping):
            return False
        value = document.get(self.key, _ABSENT)
        return type(value) is type(self.value) and bool(value == self.value)


class _Watched(Mapping[str, Any]):
    """A document that notes what is read of it."""

    def __init__(self, path: str, values: Mapping[str, Any], reads: dict[Any, _Read]) -> None:
        self._path, self._values, self._reads = path, values, reads

    def __getitem__(self, key: str) -> Any:
        value = self._values.get(key, _ABSENT)
        self._reads[self._path, key] = _Read(self._path, key, value)
        if value is _ABSENT:
            raise KeyError(key)
        return value

    def __iter__(self) -> Iterator[str]:
        self._note_all()
        return iter(self._values)

    def __len__(self) -> int:
        self._note_all()
        return len(self._values)

    def _note_all(self) -> None:
        self._reads[self._path, None] = _Read(self._path, None, self._values)


@dataclass(slots=True)
class PlanMemory:
    """Plans by the names of files; bounded."""

    _known: dict[_Layout, list[tuple[tuple[_Read, ...], tuple[LoadPlan, ...]]]] = field(
        default_factory=dict
    )

    def plan(
        self, files: ModelFiles, weights: tuple[str, ...], make: _Planner
    ) -> tuple[LoadPlan, ...]:
        """Return the plans for a model, made anew unless those of another one hold.

        Args:
            files: The model's files.
            weights: The weights whose loading is planned.
            make: Makes plans; depends on nothing but these two.
        """
        documents = files.documents
        layout = (frozenset(files.names), frozenset(documents), files.folder, weights)
        known = self._known.get(layout, [])
        for reads, plans in known:
            if all(read.holds(documents) for read in reads):
                return plans
        noted: dict[Any, _Read] = {}
        watched: dict[str, Any] = {}
        for path, document in documents.items():
            if isinstance(document, Mapping):
                watched[path] = _Watched(path, document, noted)
            else:
                watched[path] = document
                noted[path, None] = _Read(path, None, document)
        plans = make(replace(files, documents=watched), weights)
        if sum(len(str(read.value)) for read in noted.values()) <= _MOST_TEXT:
            if len(self._known) >= _MOST_LAYOUTS:
                self._known.clear()
            kept = self._known.setdefault(layout, [])
            kept.insert(0, (tuple(noted.values()), plans))
            del kept[_PER_LAYOUT:]
        return plans
