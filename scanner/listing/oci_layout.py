"""One OCI image layout: which of its listed blobs form a model, as its manifests say.

As in a store of Ollama, the unit is the blob that is loaded, whatever number of models use it; the
safetensors layers of one manifest are a set, under the address of the manifest. A blob that no
manifest names is an artifact if it begins like weights.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from prefect_mutagen.parsers.detect import HEAD_SIZE
from prefect_mutagen.parsers.errors import shown
from prefect_mutagen.scanner.content.oci import (
    Descriptor,
    OciDocument,
    blob_in_layout,
    kind_of,
    layout_of,
    read_document,
)
from prefect_mutagen.scanner.listing.artifacts import Artifact, RegistryModel
from prefect_mutagen.scanner.listing.object_spool import FolderObjects
from prefect_mutagen.scanner.listing.ollama_store import broken, find_object, read_beginnings
from prefect_mutagen.scanner.listing.unnamed import begins_like_weights
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.store import Store, StoredObject

__all__ = ["OciLayout"]

_SOURCE: Final = "name of the layout's blob"
_DOCUMENT_LIMIT: Final = 4 << 20
"""Most bytes that are read of an index or a manifest, as registries limit them."""
_MOST_DOCUMENTS: Final = 10_000
_DEPTH_LIMIT: Final = 4
_MOST_MODELS: Final = 256
_FILES: Final = ("model", "adapter", "projector")
_TEXTS: Final = ("license", "jinja", "template", "unread")


@dataclass(frozen=True, slots=True)
class _Model:
    """One manifest: its name, itself as a file, and the layers that count."""

    name: str
    manifest: StoredObject
    layers: tuple[tuple[str, Descriptor], ...]


@dataclass(slots=True)
class OciLayout:
    """One layout, while it is listed."""

    root: str
    """Its folder, with a trailing slash."""
    objects: FolderObjects
    """Blobs and manifests by digest; the index and the mark."""
    look_up: bool = False
    """Whether blobs that were not listed are looked up."""
    _models: list[_Model] = field(default_factory=list)
    _named: set[str] = field(default_factory=set)
    """Digests that any document names."""

    def add(self, item: StoredObject) -> None:
        """Add a file of the layout, by its path."""
        place = layout_of(item.url)
        if place is not None:
            self.objects.add(place.kind, place.digest, item)

    def close(self) -> None:
        """Let go of its files."""
        self.objects.clear()

    def artifacts(self, store: Store) -> Iterator[Artifact]:
        """Yield its artifacts: what cannot be used, weights by digest, blobs without a manifest."""
        if not (self.objects.has("blob") or self.objects.has("manifest")) and not self.look_up:
            return
        yield from self._read_documents(store)
        yield from self._files(store)
        for model in self._models:
            yield from self._tensors(store, model)
        orphans = (item for digest, item in self.objects.items("blob") if digest not in self._named)
        for item, raw in read_beginnings(store, orphans, HEAD_SIZE):
            if isinstance(raw, StorageError) or begins_like_weights(raw, item.size):
                yield Artifact(item.url, (_stated(item),))

    def _read_documents(self, store: Store) -> Iterator[Artifact]:
        """Read the index, and the manifests that it leads to; yield what cannot be used."""
        level: list[tuple[StoredObject, str]] = []
        for kind in ("index", "manifest"):
            level += ((item, "") for _, item in self.objects.items(kind))
        seen: set[str] = set()
        for depth in range(_DEPTH_LIMIT + 1):
            names = {item.url: name for item, name in level if item.url not in seen}
            items = [item for item, _ in level if item.url in names]
            if depth == _DEPTH_LIMIT or len(seen) + len(items) > _MOST_DOCUMENTS:
                if items:
                    reason = "its manifests are too many, or too deep, to be read"
                    yield broken(items[0], "scan/manifest-unexamined", reason)
                return
            seen.update(names)
            level = []
            for item, raw in read_beginnings(store, items, _DOCUMENT_LIMIT + 1):
                document = _document(raw)
                if isinstance(document, StorageError):
                    yield Artifact(item.url, (item._replace(pin="", fault=document),))
                    continue
                yield from self._check(item, document)
                self._named.update(one.digest for one in (*document.manifests, *document.layers))
                if document.is_manifest:
                    self._add_model(item, names[item.url], document.layers)
                for one in document.manifests:
                    found = self._blob(store, one.digest, item.name)
                    level.append((found, one.name or names[item.url]))
            if not level:
                return

    def _check(self, item: StoredObject, document: OciDocument) -> Iterator[Artifact]:
        """Yield what stands for a document that cannot be used, or not all of it."""
        if document.more:
            yield broken(item, "scan/manifest-unexamined", "it names more than is read of one")
        if document.problem and (item.name != "index.json" or self.objects.has("mark")):
            reason = f"the manifest cannot be used: {document.problem}"
            yield broken(item, "set/manifest-invalid", reason)

    def _add_model(self, item: StoredObject, name: str, layers: Iterable[Descriptor]) -> None:
        known = ((kind_of(layer), layer) for layer in layers)
        model = _Model(name or item.name, item, tuple(one for one in known if one[0]))
        self._models.append(model)

    def _files(self, store: Store) -> Iterator[Artifact]:
        """Yield the artifacts of weights that are one blob each, with all models that use them."""
        users: dict[str, list[tuple[_Model, str, Descriptor]]] = {}
        texts: dict[str, tuple[tuple[str, StoredObject], ...]] = {}
        for model in self._models:
            for kind, layer in model.layers:
                if kind in (*_FILES, "archive"):
                    users.setdefault(layer.digest, []).append((model, kind, layer))
        for digest in sorted(users):
            uses = users[digest][:_MOST_MODELS]
            blob = self._blob(store, digest, uses[0][0].name)
            if uses[0][1] == "archive" and blob.fault is None:
                reason = f"{shown(uses[0][2].name or blob.name)} holds its weights in an archive"
                yield broken(blob, "set/layer-unexamined", reason)
                continue
            for model, _, _ in uses:
                if model.manifest.url not in texts:
                    texts[model.manifest.url] = self._texts(store, model)
            registry = tuple(
                RegistryModel(
                    model.name, kind, layer.size, model.manifest, texts[model.manifest.url]
                )
                for model, kind, layer in uses
            )
            yield Artifact(blob.url, (blob,), registry=registry)

    def _tensors(self, store: Store, model: _Model) -> Iterator[Artifact]:
        """Yield the set of a manifest's safetensors files."""
        layers = dict.fromkeys(layer.digest for kind, layer in model.layers if kind == "tensor")
        if layers:
            found = tuple(self._blob(store, digest, model.name) for digest in layers)
            texts = self._texts(store, model)
            registry = (RegistryModel(model.name, "tensor", -1, model.manifest, texts),)
            yield Artifact(model.manifest.url, found, kind="set", registry=registry)

    def _texts(self, store: Store, model: _Model) -> tuple[tuple[str, StoredObject], ...]:
        return tuple(
            (kind, self._blob(store, layer.digest, model.name))
            for kind, layer in model.layers
            if kind in _TEXTS
        )

    def _blob(self, store: Store, digest: str, name: str) -> StoredObject:
        """Return the blob of a digest, or an absent one that says who misses it."""
        found = self.objects.get("blob", digest)
        url = f"{self.root}blobs/sha256/{digest}"
        if not found and self.look_up:
            with suppress(StorageError):
                found = [find_object(store, url)]
        if found:
            return _stated(found[0])
        reason = f"the manifest of {shown(name)} names it, and it is not in the layout"
        return StoredObject(url, 0, "", fault=StorageError("set/missing-layer", url, reason))


def _stated(item: StoredObject) -> StoredObject:
    """Return a blob with the SHA-256 that its path states."""
    digest = blob_in_layout(item.url)
    if not digest or item.sha256:
        return item
    return item._replace(sha256=digest, sha256_source=_SOURCE)


def _document(raw: bytes | StorageError) -> OciDocument | StorageError:
    if isinstance(raw, StorageError):
        return raw
    if len(raw) > _DOCUMENT_LIMIT:
        return OciDocument(more=True)
    return read_document(raw)
