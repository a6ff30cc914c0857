"""Find the root of each model while folders are listed, in memory that does not grow with a bucket.

A model's root is the nearest folder, at or above its weights and within the scanned root, that a
card, a pipeline's index or the position in a hub's cache marks. A storage lists by bytes, so the
mark may come after a hundred subfolders. A complete folder therefore waits until the folders above
it are known: because the listing has left them, or, where many wait, because their files were
looked up once.

Without a mark, the folder of the weights is the root. Roots are at most `ABOVE` folders above their
weights, so that a scan and a check of one file find the same.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Final, Generic, Protocol, Self, TypeVar

from prefect_mutagen.scanner.listing.models import Model, inherit, is_root, signed_above
from prefect_mutagen.scanner.listing.roles import PIPELINE_MARKS
from prefect_mutagen.scanner.storage.store import StoredObject

__all__ = [
    "ABOVE",
    "MOST_DESCRIBING",
    "SUBFOLDERS",
    "FolderTree",
    "ListedFolder",
    "Look",
    "Unit",
]

ABOVE: Final = 4
"""Most folders between weights and the root of their model."""
_WAITING_FOLDERS: Final = 64
"""Folders that wait below one folder before its files are looked up; a pipeline has fewer parts."""
_WAITING_OBJECTS: Final = 5_000
MOST_DESCRIBING: Final = 2_000
"""Most files of one folder that describe models or are code; a real model has a few dozen."""
_BELOW: Final = 1_000
"""Files in subfolders that are kept for the weights of a folder."""

SUBFOLDERS: Final = ("additional_chat_templates", "custom_generate")
"""Folders below the weights from which transformers takes templates and code."""

Look = Callable[[str], tuple[StoredObject, ...] | None]
"""Returns the describing files and the signatures directly in a folder; None if the folder is no
model's root."""


class ListedFolder(Protocol):
    """A folder of a listing, as `FolderTree` needs it."""

    url: str
    describing: list[StoredObject]
    code: list[StoredObject]
    signatures: list[StoredObject]
    model: Model | None
    is_empty: bool
    unlisted: int

    has_weights: bool

    @property
    def is_judged(self) -> bool:
        """Whether anything in it may be an artifact."""
        ...

    @property
    def has_loose(self) -> bool:
        """Whether all that it has are weights that are told with those of a folder above."""
        ...

    def take_loose(self, folder: Self) -> None:
        """Take the weights of a folder below, which is no model of its own."""
        ...

    @property
    def given_to_root(self) -> tuple[StoredObject, ...]:
        """What it adds to a model whose root is above it."""
        ...

    @property
    def held(self) -> int:
        """Number of its objects in memory."""
        ...


_F = TypeVar("_F", bound=ListedFolder)


@dataclass(frozen=True, slots=True)
class Unit(Generic[_F]):
    """A complete folder, and the parts of the pipeline that it describes, if it does."""

    folder: _F
    pipeline: StoredObject | None = None
    """The file that names the parts."""
    parts: tuple[_F, ...] = ()


@dataclass(slots=True, eq=False)
class _Waiting(Generic[_F]):
    """A complete folder whose root is not known yet."""

    folder: _F
    above: list[tuple[StoredObject, ...]] = field(default_factory=list)
    """Describing files and signatures of the folders that it has climbed over, the nearest
    first."""


@dataclass(slots=True, eq=False)
class _Open(Generic[_F]):
    """A folder that the listing is in, or in a subfolder of."""

    folder: _F
    below: list[StoredObject] = field(default_factory=list)
    """Describing files and code in subfolders that are not models of their own."""
    taken: list[StoredObject] = field(default_factory=list)
    """Those of them that a loader of its own weights takes, however many subfolders there are."""
    waiting: list[_Waiting[_F]] = field(default_factory=list)
    looked_up: tuple[StoredObject, ...] | None = None
    """Its describing files and signatures, once they were looked up; before that, those listed so
    far count."""
    is_collection: bool = False
    """Whether it has too many subfolders to be one model."""

    @property
    def listed(self) -> tuple[StoredObject, ...]:
        """Its describing files and signatures as they were listed so far."""
        return (*self.folder.describing, *self.folder.signatures)

    @property
    def describing(self) -> tuple[StoredObject, ...]:
        return self.listed if self.looked_up is None else self.looked_up

    def add_below(self, items: Iterable[StoredObject]) -> None:
        items = tuple(items)
        for item in items:
            if _is_taken_below(item.url[len(self.folder.url) :]):
                if len(self.taken) < MOST_DESCRIBING:
                    self.taken.append(item)
                else:
                    self.folder.unlisted += 1
        if not self.is_collection:
            self.below.extend(items)
            if len(self.below) > _BELOW:
                self.is_collection = True
                self.below.clear()


class FolderTree(Generic[_F]):
    """The open folders of a listing, and the complete ones that wait for their roots."""

    def __init__(
        self, root: str, open_folder: Callable[[str, _F | None], _F], look: Look | None
    ) -> None:
        """Start without a folder.

        Args:
            root: Address that is listed; empty: the folder of the first object.
            open_folder: Makes the record of a folder from its address and the folder above.
            look: See `Look`; None: only listed files count.
        """
        self._base = f"{root.rstrip('/')}/" if root else ""
        self._open_folder = open_folder
        self._look = look
        self._path: list[_Open[_F]] = []
        self.current: _F

    def go_to(self, item: StoredObject) -> Iterator[Unit[_F]]:
        """Enter the folder of an object, and yield what is complete with that."""
        url = item.url
        if self._path:
            here = self.current.url
            if url.startswith(here) and "/" not in url[len(here) :].rstrip("/"):
                return
        target = item.folder
        while self._path and not target.startswith(self._path[-1].folder.url):
            yield from self._leave()
        start = self._path[-1].folder.url if self._path else self._base
        if not self._path and not (start and target.startswith(start)):
            self._enter(target)
        else:
            if not self._path:
                self._enter(start)
            for name in target[len(start) :].split("/")[:-1]:
                start += f"{name}/"
                self._enter(start)
        self.current = self._path[-1].folder

    def finish(self) -> Iterator[Unit[_F]]:
        """Leave all folders, and yield what was waiting."""
        while self._path:
            yield from self._leave()

    def abandon(self) -> Iterator[Unit[_F]]:
        """Yield the complete folders that wait, after the listing broke off.

        What was listed of the folders above them counts. Parts of a pipeline are lost with it.
        """
        while self._path:
            last = self._path.pop()
            last.looked_up = last.describing
            for one in last.waiting:
                if one.above or _pipeline_of(last) is None:
                    yield from self._pass(one, last, len(self._path))

    def _enter(self, url: str) -> None:
        above = self._path[-1].folder if self._path else None
        self._path.append(_Open(self._open_folder(url, above)))

    def _leave(self) -> Iterator[Unit[_F]]:
        done = self._path.pop()
        folder, waiting = done.folder, done.waiting
        done.looked_up = done.listed
        done.waiting = []
        pipeline = _pipeline_of(done)
        if self._path and not is_root(folder.url, folder.describing):
            self._path[-1].add_below((*folder.given_to_root, *done.below))
            if folder.is_empty:
                self._path[-1].folder.unlisted += folder.unlisted
        if pipeline is not None and any(not one.above for one in waiting):
            yield from self._make_pipeline(done, pipeline, waiting)
            return
        folder.model = _own_model(done, whole=pipeline is not None)
        whole = folder.has_weights and is_root(folder.url, folder.describing)
        for one in waiting:
            if whole and not done.is_collection and one.folder.has_loose:
                folder.take_loose(one.folder)
            else:
                yield from self._pass(one, done, len(self._path))
        if folder.is_judged:
            yield from self._hold(_Waiting(folder), len(self._path))

    def _make_pipeline(
        self, done: _Open[_F], pipeline: StoredObject, waiting: list[_Waiting[_F]]
    ) -> Iterator[Unit[_F]]:
        parts = [one for one in waiting if not (one.above or one.folder.has_loose)]
        root = done.folder.url
        for one in waiting:
            if one.folder.has_loose:
                done.folder.take_loose(one.folder)
                continue
            one.folder.model = inherit(one.folder.model, one.above, root, done.describing)
            if one.above:  # deeper than the parts of a pipeline are
                yield Unit(one.folder)
        done.folder.model = _own_model(done, whole=True)
        yield Unit(done.folder, pipeline, tuple(one.folder for one in parts))

    def _hold(self, one: _Waiting[_F], height: int) -> Iterator[Unit[_F]]:
        """Let a folder wait for the one above it.

        Args:
            one: The folder.
            height: How many open folders are above it.
        """
        if not height:
            yield _without_root(one)
            return
        parent = self._path[height - 1]
        if parent.looked_up is not None:
            yield from self._pass(one, parent, height - 1)
            return
        parent.waiting.append(one)
        if len(parent.waiting) > _WAITING_FOLDERS or (
            sum(other.folder.held for other in parent.waiting) > _WAITING_OBJECTS
        ):
            yield from self._stop_waiting(parent, height - 1)

    def _stop_waiting(self, parent: _Open[_F], height: int) -> Iterator[Unit[_F]]:
        """Look an open folder up, because too much waits for it, and let go what waits."""
        looked_up = None if self._look is None else self._look(parent.folder.url)
        parent.looked_up = parent.listed if looked_up is None else looked_up
        parent.is_collection = True
        parent.below.clear()
        waiting, parent.waiting = parent.waiting, []
        for one in waiting:
            yield from self._pass(one, parent, height)

    def _pass(self, one: _Waiting[_F], above: _Open[_F], height: int) -> Iterator[Unit[_F]]:
        """Settle a folder's root if the folder above it is one; let it climb otherwise.

        Args:
            one: The folder.
            above: The folder above it, or above those that it has climbed over.
            height: How many open folders are above that.
        """
        if is_root(one.folder.url, one.folder.describing):
            yield Unit(one.folder)
            return
        url = above.folder.url
        if is_root(url, above.describing):
            one.folder.model = inherit(one.folder.model, one.above, url, above.describing)
            yield Unit(one.folder)
            return
        one.above.append(above.describing)
        if len(one.above) < ABOVE:
            yield from self._hold(one, height)
        else:
            yield _without_root(one)


def _without_root(one: _Waiting[_F]) -> Unit[_F]:
    """Return a folder above which there is no root; what was signed there as a whole covers it."""
    if one.folder.model is not None:
        one.folder.model = signed_above(one.folder.model, chain.from_iterable(one.above))
    return Unit(one.folder)


def _pipeline_of(folder: _Open[_F]) -> StoredObject | None:
    if folder.is_collection:
        return None
    found = {item.name: item for item in folder.describing if item.name in PIPELINE_MARKS}
    return next((found[name] for name in PIPELINE_MARKS if name in found), None)


def _own_model(done: _Open[_F], *, whole: bool = False) -> Model:
    """Return the model of a folder that is its own root.

    Args:
        done: The folder; it has been listed.
        whole: Whether its subfolders are its parts, so that all of their files describe it.
    """
    folder = done.folder
    own = Model(folder.url, tuple(folder.describing), tuple(folder.code))
    return own.with_files(done.below if whole else done.taken)


def _is_taken_below(path: str) -> bool:
    """Whether a loader of a folder's weights takes a file with this path below the folder."""
    folder, _, name = path.partition("/")
    return folder in SUBFOLDERS and "/" not in name
