"""Find what has to be listed around a file so that its model is found as a scan of the root does.

The nearest folder, at or above the file, that a card or a pipeline's index marks is the root of its
model, and everything below it is listed. A folder without a mark is listed by itself. What marks a
folder is asked for by name, so that no folder is listed for the models that lie in it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Final

from prefect_mutagen.scanner.listing.looking import probe_all
from prefect_mutagen.scanner.listing.models import is_root
from prefect_mutagen.scanner.listing.roles import MARKS, OMS_NAME, PIPELINE_MARKS
from prefect_mutagen.scanner.listing.roots import ABOVE, SUBFOLDERS
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.store import Store, StoredObject, Wanted

__all__ = ["Neighbourhood", "Surroundings"]

_MOST_OBJECTS: Final = 5_000
"""Most files below a model's root that are listed for the keys in it; real ones have hundreds."""
_INDEXES: Final = (
    "model.safetensors.index.json",
    "diffusion_pytorch_model.safetensors.index.json",
)
"""Indexes that loaders look for; those of a folder may name shards in folders below it."""
_ABOVE: Final = (*MARKS, OMS_NAME, *_INDEXES)
"""What is asked for in folders above a file's own."""


@dataclass(slots=True)
class Neighbourhood:
    """What to list for some files, and nothing of other models."""

    folder: str
    """Address of the root of their model, or of their folder, with a trailing slash."""
    is_model: bool = False
    """Whether all below it may belong to one model."""
    near: set[str] = field(default_factory=set)
    """The folders from there down to each file: where everything is too much to be listed."""
    above: tuple[StoredObject, ...] = ()
    """Signatures in folders above, which may cover what lies in it."""

    def list(self, store: Store, wanted: Wanted) -> Iterator[StoredObject] | None:
        """List it.

        Args:
            store: The storage.
            wanted: As for `Store.list_objects`.

        Returns:
            The objects, of which the first thousands were requested already; None if the storage
            has no folders.

        Raises:
            StorageError: They cannot be listed; may be raised during iteration.
        """
        if self.is_model:
            tree = store.list_tree(self.folder, wanted)
            if tree is not None:
                found = list(islice(_there(tree), _MOST_OBJECTS + 1))
                if len(found) <= _MOST_OBJECTS:
                    return iter(found)
        first = store.list_folder(self.folder, wanted)
        if first is None:
            return None
        first = _there(first)
        begun = list(islice(first, _MOST_OBJECTS))
        return chain(self.above, begun, first, self._rest(store, wanted))

    def _rest(self, store: Store, wanted: Wanted) -> Iterator[StoredObject]:
        """List the other folders, each before those below it."""
        inside = {f"{folder}{name}/" for folder in self.near for name in SUBFOLDERS}
        for folder in sorted((self.near | inside) - {self.folder}):
            yield from _there(store.list_folder(folder, wanted) or ())


class Surroundings:
    """Looks around in the folders below one root, and remembers what marks them."""

    def __init__(self, store: Store) -> None:
        """Start without having looked.

        Args:
            store: The root; no folder above it counts.
        """
        self._store = store
        self._root = store.root.rstrip("/") + "/"
        self._asked: dict[str, dict[str, StoredObject | None]] = {}

    def around(self, folder: str) -> Neighbourhood:
        """Return what to list for the files of a folder.

        Args:
            folder: Its address, with a trailing slash; below the root, or the root itself.
        """
        signed: list[StoredObject] = []
        near: set[str] = set()
        for one in self._upwards(folder):
            is_above = bool(near)
            marks = self._marks_of(one, _ABOVE if is_above else MARKS)
            near.add(one)
            if is_root(one, marks) or (is_above and _named(marks, _INDEXES)):
                root = self._pipeline_of(one)
                return Neighbourhood(root, is_model=True, near=near)
            if is_above:
                signed += _named(marks, (OMS_NAME,))
        return Neighbourhood(folder, near={folder}, above=tuple(reversed(signed)))

    def _pipeline_of(self, folder: str) -> str:
        """Return the root of the pipeline that a marked folder is a part of, or the folder."""
        for above in self._upwards(folder):
            if above != folder:
                if not self._marks_of(above, PIPELINE_MARKS):
                    break
                folder = above
        return folder

    def _upwards(self, folder: str) -> Iterator[str]:
        """Yield a folder and those above it that may be a model's root."""
        for _ in range(ABOVE + 1):
            yield folder
            if folder == self._root:
                return
            folder = folder[: folder.rstrip("/").rfind("/") + 1]

    def _marks_of(self, folder: str, names: tuple[str, ...]) -> list[StoredObject]:
        """Return which files of these names are in a folder; each is asked for once."""
        known = self._asked.setdefault(folder, {})
        unknown = [name for name in names if name not in known]
        if unknown:
            there = {item.name: item for item in probe_all(self._store, folder, unknown)}
            known.update({name: there.get(name) for name in unknown})
        found = (known[name] for name in names)
        return [item for item in found if item is not None and item.fault is None]


def _there(listed: Iterable[StoredObject]) -> Iterator[StoredObject]:
    """Yield what is listed; nothing for a folder that is not there."""
    try:
        yield from listed
    except StorageError as problem:
        if problem.code != "storage/not-found":
            raise


def _named(items: Iterable[StoredObject], names: tuple[str, ...]) -> list[StoredObject]:
    return [item for item in items if item.name in names]
