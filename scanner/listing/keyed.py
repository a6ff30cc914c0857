"""List the artifacts that certain objects below a root belong to, without listing the root.

An artifact is found as a listing of the root finds it: with the same address, the same files beside
it and the same pin. So what surrounds an object is listed (`scanner.listing.neighbourhood`), and of
the artifacts in there only those that have one of the objects.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Final, Protocol, TypeVar

from prefect_mutagen.scanner.census import Census
from prefect_mutagen.scanner.content.oci import is_of_layout
from prefect_mutagen.scanner.content.ollama import is_of_store
from prefect_mutagen.scanner.listing.artifacts import Artifact
from prefect_mutagen.scanner.listing.counting import Counting
from prefect_mutagen.scanner.listing.grouping import group_artifacts
from prefect_mutagen.scanner.listing.listed_index import index_reader
from prefect_mutagen.scanner.listing.looking import find_artifact, look_at, probe
from prefect_mutagen.scanner.listing.neighbourhood import Neighbourhood, Surroundings
from prefect_mutagen.scanner.listing.registry_stores import artifacts_of_file
from prefect_mutagen.scanner.listing.roles import role_of
from prefect_mutagen.scanner.listing.unnamed import Looked, Unnamed
from prefect_mutagen.scanner.storage.address import folder_of
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.store import Store, StoredObject

__all__ = ["FoundKeys", "KnownKeys", "list_keys"]

_LOOKED_UP: Final = 32
"""Folders or objects that are looked up at the same time; each takes a thread."""
_LISTED: Final = 16
"""Neighbourhoods that are listed ahead, of which each may hold some thousand objects in memory."""
_REFUSED: Final = ("storage/denied", "storage/credentials")
_A = TypeVar("_A")
_B = TypeVar("_B")


class KnownKeys(Protocol):
    """Previous results for a root, as far as keys need them."""

    def knows(self, url: str) -> bool:
        """Whether there is a result for an artifact."""
        ...

    def miss(self, url: str) -> None:
        """Count an artifact as removed, if it is known and was not found."""
        ...


@dataclass(slots=True)
class FoundKeys:
    """What became of keys that are no part of an artifact; complete after the listing."""

    not_found: list[str] = field(default_factory=list)
    """Addresses where there is no object."""
    without_model: list[str] = field(default_factory=list)
    """Addresses of objects that belong to no model."""


def list_keys(
    store: Store,
    urls: Iterable[str],
    found: FoundKeys,
    *,
    takes: Callable[[Artifact], bool] = lambda _: True,
    known: KnownKeys | None = None,
    census: Census | None = None,
    looked: Looked | None = None,
) -> Iterator[Artifact]:
    """List the artifacts that objects belong to.

    Args:
        store: The root.
        urls: Addresses of the objects below it, as `scanner.listing.keys` makes them.
        found: Told which objects there are not, and which belong to no artifact.
        takes: Whether an artifact is wanted.
        known: Previous results, of which those of objects that are not there any more, and those of
            files that have become part of another artifact, count as removed.
        census: Where what is listed is counted, what is yielded as examined.
        looked: Files that were looked into because their names say nothing.

    Yields:
        The artifacts, each once. Where a known artifact may have lost one of the objects, it is
        among them.

    Raises:
        StorageError: The storage cannot be reached, or does not allow to list the folder of an
            object that is no model by itself.
    """
    own = census or Census(), looked or Looked()
    return _Keys(store, found, takes, known, *own).listed(urls)


@dataclass(slots=True)
class _Around:
    """Some of the objects, and what is listed around them."""

    place: Neighbourhood
    urls: set[str] = field(default_factory=set)
    counting: Counting | None = None
    census: Census = field(default_factory=Census)
    objects: Iterator[StoredObject] | None = None
    """None: the folder cannot be listed."""


@dataclass(slots=True)
class _Keys:
    """One listing of objects."""

    store: Store
    found: FoundKeys
    takes: Callable[[Artifact], bool]
    known: KnownKeys | None
    census: Census
    looked: Looked
    missing: list[str] = field(default_factory=list)
    """Objects that were not seen in a listing: it leaves out what no loader takes."""
    seen: dict[bytes, bool] = field(default_factory=dict)

    def listed(self, urls: Iterable[str]) -> Iterator[Artifact]:
        others: list[str] = []
        yield from self._of_registries(urls, others)
        by_folder: dict[str, set[str]] = {}
        for url in others:
            by_folder.setdefault(folder_of(url), set()).add(url)
        around: dict[str, _Around] = {}
        places = _ahead(self.store, Surroundings(self.store).around, by_folder, _LOOKED_UP)
        for inside, place in zip(by_folder.values(), places, strict=True):
            one = around.setdefault(place.folder, _Around(place))
            one.place.near |= place.near
            one.urls |= inside
        for one in _ahead(self.store, self._begin, around.values(), _LISTED):
            yield from self._each(one)
        self._look_up()
        self.looked.found = {**self.looked.known, **self.seen}

    def _begin(self, one: _Around) -> _Around:
        """Begin to list what is around objects, possibly in a thread of its own."""
        one.counting = Counting(self.store.root, one.census, Looked(self.looked.known))
        try:
            one.objects = one.place.list(self.store, one.counting.wanted)
        except StorageError as problem:  # permission to read does not imply permission to list
            if problem.code not in _REFUSED:
                raise
        return one

    def _each(self, one: _Around) -> Iterator[Artifact]:
        """Yield the artifacts of objects that lie near each other."""
        counting = one.counting
        assert counting is not None  # noqa: S101 - it was begun
        if one.objects is None:
            yield from self._alone(one.urls)
            return
        unnamed = Unnamed(self.store, self.looked.known)
        there: set[str] = set()
        left = set(one.urls)
        parts = {url for url in one.urls if self._is_part(url)}
        objects = unnamed.sort_out(_noting(one.objects, one.urls, there))
        artifacts = group_artifacts(
            objects,
            self.store.root,
            look=lambda folder: look_at(self.store, folder),
            read_index=index_reader(self.store),
        )
        for artifact in artifacts:
            own = one.urls.intersection(_urls_of(artifact))
            left -= own
            if own or self._may_have_lost(artifact, parts - there):
                yield from self._taken(artifact, counting)
        counting.count_unnamed(unnamed)
        self.seen |= unnamed.found
        self.census.add(one.census.listed)
        self.found.without_model += sorted(left & there)
        self.missing += sorted(left - there)

    def _is_part(self, url: str) -> bool:
        """Whether an object may be a part of an artifact, and is none by itself."""
        is_whole = self.known is not None and self.known.knows(url)
        return role_of(_name(url)) != "other" and not is_whole

    def _may_have_lost(self, artifact: Artifact, missing: set[str]) -> bool:
        """Whether a known artifact may have had one of the objects that are not there."""
        if self.known is None or not missing or not self.known.knows(artifact.url):
            return False
        return any(url.startswith(artifact.root) for url in missing)

    def _taken(self, artifact: Artifact, counting: Counting) -> Iterator[Artifact]:
        """Yield an artifact if it is wanted; what was one before and is a part of it is none."""
        if not self.takes(artifact):
            return
        counting.examined(artifact)
        if self.known is not None:
            loose = (*artifact.beside.pickles.items, *artifact.beside.other_weights.items)
            for item in (*artifact.objects, *loose):
                if item.url != artifact.url:
                    self.known.miss(item.url)
        yield artifact

    def _alone(self, urls: Iterable[str]) -> Iterator[Artifact]:
        """Yield the artifacts of objects whose folder cannot be listed."""
        for url in sorted(urls):
            item = probe(self.store, url)
            if item is None:
                self.missing.append(url)
                continue
            if item.fault is not None:
                raise item.fault
            if role_of(item.name) not in ("weights", "index", "pickle", "other-weights"):
                reason = "its folder cannot be listed, so the model that it belongs to is not known"
                raise StorageError("storage/denied", url, reason)
            counting = Counting(self.store.root, self.census)
            counting.count_root(item)
            is_below = folder_of(url) != self.store.root.rstrip("/") + "/"
            artifact = find_artifact(self.store, item, above=is_below)
            yield from self._taken(artifact, counting)

    def _of_registries(self, urls: Iterable[str], others: list[str]) -> Iterator[Artifact]:
        """Yield the artifacts of files of registries' stores; collect the other files."""
        yielded: set[str] = set()
        for url in urls:
            item = probe(self.store, url) if _is_registered(url) else None
            artifacts = artifacts_of_file(self.store, item) if item is not None else []
            if item is None or not artifacts:
                others.append(url)
                continue
            counting = Counting(self.store.root, self.census)
            counting.count_root(item)
            for artifact in artifacts:
                if artifact.url not in yielded:
                    yielded.add(artifact.url)
                    yield from self._taken(artifact, counting)

    def _look_up(self) -> None:
        """Look objects up that no listing has shown."""
        for url, item in zip(
            self.missing, _ahead(self.store, self._probe, self.missing, _LOOKED_UP), strict=True
        ):
            if item is not None:
                self.found.without_model.append(url)
                continue
            self.found.not_found.append(url)
            if self.known is not None:
                self.known.miss(url)

    def _probe(self, url: str) -> StoredObject | None:
        item = probe(self.store, url)
        if item is not None and item.fault is not None:
            raise item.fault
        return item


def _urls_of(artifact: Artifact) -> Iterator[str]:
    """Yield the addresses of all files of an artifact, and of what could be loaded instead."""
    for one in (artifact, *artifact.parts):
        loose = chain(one.beside.pickles.items, one.beside.other_weights.items)
        yield from (item.url for item in loose)
    yield artifact.url
    yield from (item.url for item in artifact.files)


def _noting(
    objects: Iterable[StoredObject], urls: set[str], there: set[str]
) -> Iterator[StoredObject]:
    """Yield objects, and note which of some addresses are among them; none of a registry's."""
    for item in objects:
        if item.url in urls:
            there.add(item.url)
        if not _is_registered(item.url):
            yield item


def _is_registered(url: str) -> bool:
    """Whether an object may belong to a registry's store, whose manifests say what it is."""
    return role_of(_name(url)) == "other" and (is_of_store(url) or is_of_layout(url))


def _name(url: str) -> str:
    return url.rpartition("/")[2]


def _ahead(store: Store, work: Callable[[_A], _B], items: Iterable[_A], most: int) -> Iterator[_B]:
    """Apply a function that waits for storage to each item, in order, to some ahead of others."""
    waiting = iter(items)
    if store.loop is None:
        yield from map(work, waiting)
        return
    with ThreadPoolExecutor(most) as threads:
        begun: deque[Future[_B]] = deque(
            threads.submit(work, item) for item in islice(waiting, most)
        )
        try:
            while begun:
                done = begun.popleft().result()
                begun.extend(threads.submit(work, item) for item in islice(waiting, 1))
                yield done
        finally:
            for one in begun:
                one.cancel()
