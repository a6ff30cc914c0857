"""Look files up that a listing does not cover: beside, below and above a single file."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from typing import Final, TypeVar

from prefect_mutagen.scanner.listing.artifacts import Artifact
from prefect_mutagen.scanner.listing.grouping import artifact_of, group_artifacts
from prefect_mutagen.scanner.listing.listed_index import index_reader
from prefect_mutagen.scanner.listing.models import Model, inherit, is_root, signed_above
from prefect_mutagen.scanner.listing.roles import (
    MARKS,
    OMS_NAME,
    PIPELINE_MARKS,
    PROBED,
    SIGNATURE_SUFFIXES,
    is_described_by,
    is_relevant,
    role_of,
    signed_name,
)
from prefect_mutagen.scanner.listing.roots import ABOVE, MOST_DESCRIBING, SUBFOLDERS
from prefect_mutagen.scanner.listing.shards import rank_name, shard_name
from prefect_mutagen.scanner.storage.address import below
from prefect_mutagen.scanner.storage.coroutines import run, run_repeated
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.store import Store, StoredObject, VersionedStore

__all__ = ["find_artifact", "look_at", "probe", "probe_all"]

_MOST_OBJECTS: Final = 5_000
"""Most files below a pipeline's root that are listed for one file; real ones have a few hundred."""
_REFUSED: Final = ("storage/denied", "storage/credentials")
_A = TypeVar("_A")
_B = TypeVar("_B")


def find_artifact(store: Store, item: StoredObject, *, above: bool = True) -> Artifact:
    """Return the artifact that a loader would load by a file's address.

    The address of a set's index or first shard stands for the set.

    Args:
        store: The store whose root is the file.
        item: The file.
        above: Whether the root of its model may be a folder above.

    Raises:
        StorageError: The file describes a pipeline, whose parts lie in folders below its own.
    """
    if role_of(item.name) == "pipeline":
        reason = "it names the parts of a pipeline; give the folder that it lies in"
        raise StorageError("storage/unsupported", item.url, reason)

    def whole(own: Model) -> Model:
        if any(one.name in PIPELINE_MARKS for one in own.describing):
            found = _find_listed(store, own.root, item.url)
            if found is not None:
                return Model(found.beside.root, found.beside.neighbours, found.beside.code)
        of_folder = own.with_files(_list_below(store, own.root))
        if not above or is_root(own.root, own.describing):
            return of_folder
        return _look_above(store, of_folder)

    if item.version and _is_newest(store, item):
        plain = item._replace(url=item.plain_url)
        found = find_artifact(store, plain, above=above)
        return _under_its_version(found, plain, item)
    with suppress(StorageError):  # read permission does not imply list permission
        listed = store.list_folder(item.folder, is_relevant)
        if listed is not None:
            return artifact_of(item, listed, index_reader(store), whole)
    beside, unseen = _probe_neighbours(store, item)
    artifact = artifact_of(item, beside)
    if unseen:
        artifact = artifact._replace(beside=artifact.beside._replace(unseen=unseen))
    shard = shard_name(item.name)
    # Not the first shard; or a rank, of which there may be any number.
    if (shard is not None and shard.number > 1) or rank_name(item.name) is not None:
        artifact = artifact._replace(kind="file")
    return artifact._replace(listed=False)


def _is_newest(store: Store, item: StoredObject) -> bool:
    """Whether an object that was named by its version is what its plain address means."""
    if not isinstance(store, VersionedStore):
        return False
    return run_repeated(store, lambda: store.is_newest(item), item.url)


def _under_its_version(found: Artifact, plain: StoredObject, item: StoredObject) -> Artifact:
    """Name the file of an artifact by its version again, so that no newer one is read."""
    index = found.shard_index
    return found._replace(
        url=item.url if found.url == plain.url else found.url,
        objects=tuple(item if one.url == plain.url else one for one in found.objects),
        shard_index=item if index is not None and index.url == plain.url else index,
    )


def look_at(store: Store, folder: str) -> tuple[StoredObject, ...] | None:
    """Return the describing files and signatures directly in a folder; None if it is no root.

    Args:
        store: The storage.
        folder: Address of the folder, with a trailing slash.
    """
    return _look_at_marks(store, folder, probe_all(store, folder, MARKS))


def _look_at_marks(
    store: Store, folder: str, probed: Iterable[StoredObject]
) -> tuple[StoredObject, ...] | None:
    marks = [mark for mark in probed if mark.fault is None]
    if not is_root(folder, marks):
        return None
    return _list_describing(store, folder, "signature") or tuple(marks)


def probe_all(store: Store, folder: str, names: Iterable[str]) -> list[StoredObject]:
    """Look files of a folder up, all at the same time; return those that exist."""
    urls = [below(folder, name) for name in names]
    if store.loop is None:
        found = [probe(store, url) for url in urls]
    else:
        found = run(store, _probe_each(store, urls))
    return [item for item in found if item is not None]


async def _probe_each(store: Store, urls: Iterable[str]) -> list[StoredObject | None]:
    import asyncio

    from prefect_mutagen.scanner.storage.pacing import repeat  # it needs asyncio

    async def look(url: str) -> StoredObject | None:
        try:
            return await repeat(lambda: store.find(url), url)
        except StorageError as problem:
            return _absent(url, problem)

    return await asyncio.gather(*map(look, urls))


def _look_above(store: Store, own: Model) -> Model:
    """Find the root of a model above the folder of its weights."""
    between: list[str] = []
    signed: list[StoredObject] = []
    folder = own.root
    for _ in range(ABOVE):
        folder = _folder_above(folder)
        if not folder:
            break
        probed = probe_all(store, folder, (*MARKS, OMS_NAME))
        found = _look_at_marks(store, folder, probed)
        if found is not None:
            levels = [_list_describing(store, one, "signature") for one in between]
            return inherit(own, levels, folder, found)
        between.append(folder)
        signed += (item for item in probed if item.name == OMS_NAME)
    return signed_above(own, signed)


def _folder_above(folder: str) -> str:
    """Return the folder above one, with a trailing slash; empty for a bucket or a file system."""
    above = folder.rstrip("/").rpartition("/")[0]
    return f"{above}/" if above and not above.endswith(("/", ":")) else ""


def _list_below(store: Store, folder: str) -> list[StoredObject]:
    """List the files that a loader takes from folders below that of the weights."""
    names = [f"{folder}{name}/" for name in SUBFOLDERS]
    listed = _each(store, lambda name: _list_describing(store, name, "code"), names)
    return [item for items in listed for item in items]


def _find_listed(store: Store, folder: str, url: str) -> Artifact | None:
    """Return an artifact as a scan of its folder finds it; None if that is none or too large.

    Files of all folders below describe weights in the root of a pipeline, as those of a pooling
    layer do.
    """
    with suppress(StorageError):
        objects = list(islice(store.list_tree(folder, is_relevant) or (), _MOST_OBJECTS + 1))
        if len(objects) <= _MOST_OBJECTS:
            found = group_artifacts(objects, folder)
            return next((artifact for artifact in found if artifact.url == url), None)
    return None


def _list_describing(store: Store, folder: str, *also: str) -> tuple[StoredObject, ...]:
    def is_wanted(path: str, _: int) -> bool:
        name = path.rpartition("/")[2]
        role = role_of(name)
        # A signature that is named after a model covers no weights in other folders.
        return is_described_by(role) or (role in also and not signed_name(name))

    with suppress(StorageError):
        found = tuple(islice(store.list_folder(folder, is_wanted) or (), MOST_DESCRIBING + 1))
        if len(found) > MOST_DESCRIBING:
            last = found[-2]
            reason = f"more than {MOST_DESCRIBING:,} files lie in its folder"
            unread = last._replace(fault=StorageError("storage/unsupported", last.url, reason))
            return (*found[:-2], unread)
        return found
    return ()


def _probe_neighbours(store: Store, item: StoredObject) -> tuple[list[StoredObject], str]:
    """Request the possible neighbours of a file one by one, where its folder cannot be listed.

    Returns:
        Those that exist; and why none can be seen, as a clause, where storage refuses every one.
        A signed address grants access to one file, and without the right to list a bucket, S3
        refuses names that do not exist.
    """
    signatures = (OMS_NAME, *(item.name + suffix for suffix in SIGNATURE_SUFFIXES))
    names = (*PROBED, f"{item.name}.sha256", *signatures)
    there = probe_all(store, item.folder, names)
    faults = [one.fault for one in there if one.fault is not None]
    if len(faults) == len(names) and all(fault.code in _REFUSED for fault in faults):
        return [], faults[0].reason
    return there, ""


def probe(store: Store, url: str) -> StoredObject | None:
    """Look a file up; None if it does not exist."""
    try:
        return run_repeated(store, lambda: store.find(url), url)
    except StorageError as problem:
        return _absent(url, problem)


def _absent(url: str, problem: StorageError) -> StoredObject | None:
    """Return what stands for a file that cannot be looked up; None if it does not exist."""
    if problem.code == "storage/not-found":
        return None
    return StoredObject(url, 0, "", fault=problem)


def _each(store: Store, look: Callable[[_A], _B], items: Iterable[_A]) -> Iterator[_B]:
    """Apply a function that may wait for storage to each item, all at the same time."""
    found = list(items)
    if store.loop is None:
        return map(look, found)
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(len(found)) as threads:
        return iter(list(threads.map(look, found)))
