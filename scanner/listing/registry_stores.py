"""Find the models of registries' stores among the listed objects: Ollama's, and OCI layouts.

A blob has no ending, and a manifest any name: their paths say what they are. A storage lists by
bytes, so blobs come before the manifests that say which of them are weights. They are set aside,
beyond `SPILL_THRESHOLD` in a temporary file, until the listing has left the store.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress

from prefect_mutagen.scanner.content.oci import is_of_layout, layout_of
from prefect_mutagen.scanner.content.ollama import blob_name, manifest_place
from prefect_mutagen.scanner.internal_errors import log_fault
from prefect_mutagen.scanner.listing.artifacts import Artifact
from prefect_mutagen.scanner.listing.object_spool import (
    SPILL_THRESHOLD,
    FolderObjects,
    ObjectSpool,
)
from prefect_mutagen.scanner.listing.oci_layout import OciLayout
from prefect_mutagen.scanner.listing.ollama_store import OllamaStore, broken, find_object
from prefect_mutagen.scanner.listing.roles import role_of
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.store import Store, StoredObject

__all__ = ["RegistryStores", "artifacts_of_file"]


def artifacts_of_file(store: Store, item: StoredObject) -> list[Artifact]:
    """Return the artifacts of a root that is a file of an Ollama store, as its scan finds them.

    Args:
        store: The root.
        item: A blob, or a manifest, which stands for all weights that it names.

    Returns:
        The artifacts; empty for a file of no store, and for a blob that no manifest names.

    Raises:
        StorageError: The store's manifests cannot be listed.
    """
    inside = layout_of(item.url)
    if inside is not None:
        return _of_layout(store, item, inside.root)
    blob, folder = blob_name(item.name), item.folder
    if blob is not None and folder.endswith("/blobs/"):
        root = folder.removesuffix("blobs/")
    elif (place := manifest_place(item.url)) is not None and role_of(item.name) == "other":
        root = place[0]
    else:
        return []
    listed = store.list_tree(f"{root}manifests/", lambda path, _: manifest_place(path) is not None)
    if listed is None:
        return []
    with (
        closing(ObjectSpool()) as spool,
        closing(OllamaStore(root, FolderObjects(spool))) as one,
    ):
        for manifest in listed:
            one.add_manifest(manifest)
        return list(one.artifacts_of(store, item))


def _of_layout(store: Store, item: StoredObject, root: str) -> list[Artifact]:
    """Return the artifacts of a layout that a file of it stands for; the index for all."""
    with (
        closing(ObjectSpool()) as spool,
        closing(OciLayout(root, FolderObjects(spool), look_up=True)) as layout,
    ):
        with suppress(StorageError):
            layout.add(find_object(store, f"{root}index.json"))
        with suppress(StorageError):
            listed = store.list_tree(f"{root}manifests/", lambda path, _: is_of_layout(path))
            for manifest in listed or ():
                layout.add(manifest)
        is_index = item.name in ("index.json", "oci-layout")
        return [one for one in layout.artifacts(store) if is_index or one.url == item.url]


class RegistryStores:
    """Sets the files of Ollama stores aside while a root is listed, and makes artifacts of them."""

    def __init__(self, store: Store, threshold: int = SPILL_THRESHOLD) -> None:
        """Start without any.

        Args:
            store: What is listed; manifests are read from it.
            threshold: Number of objects that a store may hold in memory before it spills.
        """
        self._store = store
        self._root = store.root.rstrip("/") + "/"
        self._spool = ObjectSpool(threshold)
        self._open: list[OllamaStore | OciLayout] = []
        self._left: list[OllamaStore | OciLayout] = []

    def group(
        self,
        objects: Iterable[StoredObject],
        group_others: Callable[[Iterable[StoredObject]], Iterator[Artifact]],
    ) -> Iterator[Artifact]:
        """Group listed objects into artifacts.

        Args:
            objects: All objects, as `Store.list_objects` yields them.
            group_others: Groups those outside of Ollama stores.
        """
        with closing(self._spool), closing(self):
            for artifact in group_others(self._divert(objects)):
                yield artifact
                yield from self._artifacts()
            self._left += reversed(self._open)
            self._open.clear()
            yield from self._artifacts()

    def close(self) -> None:
        """Let go of the stores that are left, when a listing ends early."""
        for one in (*self._open, *self._left):
            one.close()
        self._open.clear()
        self._left.clear()

    def _divert(self, objects: Iterable[StoredObject]) -> Iterator[StoredObject]:
        """Set aside what belongs to a store; yield the rest."""
        for item in objects:
            while self._open and not item.url.startswith(self._open[-1].root):
                self._left.append(self._open.pop())
            if not self._take(item):
                yield item

    def _take(self, item: StoredObject) -> bool:
        blob = blob_name(item.name)
        if blob is not None:
            folder = item.folder
            root = folder.removesuffix("blobs/") if folder.endswith("/blobs/") else folder
            self._of(root).objects.add(blob.kind, blob.digest, item)
            return True
        inside = layout_of(item.url)
        if inside is not None and inside.root.startswith(self._root):
            self._layout_of(inside.root).add(item)
            return True
        place = manifest_place(item.url)
        if place is None or not place[0].startswith(self._root):
            return False
        # A tag may be a file's name (``hf.co/owner/repo:m-Q4_K_M.gguf``). Blobs are listed first.
        named = role_of(item.name) != "other"
        stores = (one for one in self._open if isinstance(one, OllamaStore))
        if named and not any(one.root == place[0] and one.has_blobs for one in stores):
            return False
        self._of(place[0]).add_manifest(item)
        return True

    def _of(self, root: str) -> OllamaStore:
        """Return the open store of a folder."""
        for one in reversed(self._open):
            if one.root == root and isinstance(one, OllamaStore):
                return one
        store = OllamaStore(root, FolderObjects(self._spool))
        self._open.append(store)
        return store

    def _layout_of(self, root: str) -> OciLayout:
        """Return the open layout of a folder."""
        for one in reversed(self._open):
            if one.root == root and isinstance(one, OciLayout):
                return one
        layout = OciLayout(root, FolderObjects(self._spool))
        self._open.append(layout)
        return layout

    def _artifacts(self) -> Iterator[Artifact]:
        """Yield the artifacts of the stores that the listing has left."""
        while self._left:
            one = self._left.pop(0)
            try:
                yield from one.artifacts(self._store)
            except Exception as problem:  # noqa: BLE001 - a bug affects this store only
                fault = log_fault(problem, "grouping", one.root)
                yield broken(StoredObject(one.root, 0, ""), "scan/internal-error", fault)
            finally:
                one.close()
