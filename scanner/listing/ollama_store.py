"""One Ollama store: which of its listed files form a model, as its manifests say.

The unit is the blob that a runner opens, whatever number of models use it; the safetensors blobs of
one model (a tensor or a few each) are a set, under the address of the manifest. A blob that no
manifest names is an artifact if it begins like a model.
"""

import hashlib
import marshal
from array import array
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from io import SEEK_END
from itertools import chain, islice
from tempfile import SpooledTemporaryFile
from typing import Any, Final, TypeVar

from prefect_mutagen.parsers.detect import HEAD_SIZE, identify
from prefect_mutagen.scanner.content.ollama import (
    MANIFEST_LIMIT,
    TENSORS,
    TEXTS,
    WEIGHTS,
    Layer,
    OllamaManifest,
    blob_digest,
    manifest_place,
    read_manifest,
)
from prefect_mutagen.scanner.listing.artifacts import Artifact, RegistryModel
from prefect_mutagen.scanner.listing.object_spool import FolderObjects
from prefect_mutagen.scanner.listing.roles import role_of
from prefect_mutagen.scanner.storage.coroutines import finish, run
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.store import Store, StoredObject

__all__ = ["OllamaStore", "broken", "find_object", "read_beginnings", "with_stated_digest"]

_T = TypeVar("_T")

_SOURCE: Final = "name of the store's blob"
_MARK: Final = b"application/vnd.ollama.image."
_AT_A_TIME: Final = 16
"""Manifests and heads that are read concurrently from a remote store."""
_MODELS_IN_MEMORY: Final = 1 << 20
_MOST_MODELS: Final = 256
"""Models that an artifact lists; its pin covers the rest as one."""


def with_stated_digest(item: StoredObject) -> StoredObject:
    """Return an object with the SHA-256 that its name states, if it is a blob's name."""
    digest = blob_digest(item.name)
    if not digest or item.sha256:
        return item
    return item._replace(sha256=digest, sha256_source=_SOURCE)


class _ModelFile:
    """Models by number: name, manifest and layers, in a temporary file when there are many."""

    def __init__(self) -> None:
        self._file = SpooledTemporaryFile(_MODELS_IN_MEMORY)  # noqa: SIM115 - closed with its owner
        self._offsets = array("Q")

    def add(self, name: str, manifest: StoredObject, layers: Iterable[Layer]) -> int:
        """Add a model and return its number."""
        self._offsets.append(self._file.seek(0, SEEK_END))
        marshal.dump((name, manifest.to_plain(), [tuple(one) for one in layers]), self._file)
        return len(self._offsets) - 1

    def close(self) -> None:
        """Delete everything."""
        self._file.close()

    def __getitem__(self, number: int) -> tuple[str, StoredObject, list[Layer]]:
        self._file.seek(self._offsets[number])
        name, manifest, layers = marshal.load(self._file)  # noqa: S302 - our own unnamed file
        return name, StoredObject.from_plain(manifest), [Layer(*plain) for plain in layers]


@dataclass(slots=True)
class OllamaStore:
    """One store, while it is listed."""

    root: str
    """Its folder, with a trailing slash."""
    objects: FolderObjects
    """Blobs, unfinished blobs (by digest) and manifests (by model)."""
    _models: _ModelFile = field(default_factory=_ModelFile)
    """The models whose manifests can be read."""
    _uses: dict[bytes, list[int]] = field(default_factory=dict)
    """Numbers of the models that use a digest as weights."""
    _named: set[bytes] = field(default_factory=set)
    """Digests that any manifest names."""

    @property
    def has_blobs(self) -> bool:
        """Whether a blob, or an unfinished one, was listed."""
        return self.objects.has("blob") or self.objects.has("partial")

    def artifacts(self, store: Store) -> Iterator[Artifact]:
        """Yield its artifacts: sets, then weights by digest, then blobs without a manifest."""
        for item, raw in self._manifests(store):
            yield from self._add_model(item, raw)
        for digest in sorted(self._uses):
            yield from self._weights(digest)
        orphans = (
            item
            for digest, item in self.objects.items("blob")
            if bytes.fromhex(digest) not in self._named
        )
        for item, raw in read_beginnings(store, orphans, HEAD_SIZE):
            if isinstance(raw, StorageError) or identify(raw, item.size).format is not None:
                yield Artifact(item.url, (with_stated_digest(item),))
        yield from self._unfinished()

    def _unfinished(self) -> Iterator[Artifact]:
        """Yield an artifact for each download; one that a manifest names is told as missing."""
        last = ""
        for digest, item in self.objects.items("partial"):
            seen, last = digest == last, digest  # a file of content, and one for each range
            named = bytes.fromhex(digest) in self._named
            if not seen and not named and not self.objects.contains("blob", digest):
                reason = f"the download of the blob {digest} is not finished"
                yield broken(item, "storage/unfinished", reason)

    def close(self) -> None:
        """Let go of its files and models."""
        self.objects.clear()
        self._models.close()

    def add_manifest(self, item: StoredObject) -> None:
        """Add a file that lies where a manifest does."""
        place = manifest_place(item.url)
        if place is not None:
            self.objects.add("manifest", place[1], item)

    def artifacts_of(self, store: Store, item: StoredObject) -> Iterator[Artifact]:
        """Yield those artifacts of a store whose manifests were added that a file stands for.

        Args:
            store: What the file was found in; the other blobs are looked up in it.
            item: A blob, or a manifest.
        """
        contents = list(read_beginnings(store, self._manifest_items(), MANIFEST_LIMIT + 1))
        wanted = {blob_digest(item.name)}
        for manifest, raw in contents:
            if manifest.url == item.url and isinstance(raw, bytes):
                wanted = {layer.digest for layer in read_manifest(raw).layers}
        for manifest, raw in contents:
            layers = _all_layers(read_manifest(raw)) if isinstance(raw, bytes) else ()
            kinds = (*WEIGHTS, TENSORS) if manifest.url == item.url else WEIGHTS
            if any(layer.digest in wanted and layer.kind in kinds for layer in layers):
                self._look_up(store, layers)
                for artifact in self._add_model(manifest, raw):
                    if artifact.url == item.url:
                        yield artifact
        for digest in sorted(self._uses):
            if digest.hex() in wanted:
                yield from self._weights(digest)

    def _look_up(self, store: Store, layers: Iterable[Layer]) -> None:
        """Add the blobs of layers, as far as they are in the store."""
        for digest in dict.fromkeys(layer.digest for layer in layers):
            if self.objects.contains("blob", digest):
                continue
            for separator in "-:":
                url = f"{self.root}blobs/sha256{separator}{digest}"
                with suppress(StorageError):
                    self.objects.add("blob", digest, find_object(store, url))
                    break

    def _manifest_items(self) -> Iterator[StoredObject]:
        return (item for _, item in self.objects.items("manifest"))

    def _manifests(self, store: Store) -> Iterator[tuple[StoredObject, bytes | StorageError]]:
        """Yield the manifests with their contents; none if nothing here is of Ollama."""
        contents = read_beginnings(store, self._manifest_items(), MANIFEST_LIMIT + 1)
        if self.has_blobs:
            yield from contents
            return
        # Without blobs, folders of other tools look the same. A few of the files tell.
        first = list(islice(contents, _AT_A_TIME))
        if any(isinstance(raw, bytes) and _MARK in raw for _, raw in first):
            yield from chain(first, contents)

    def _add_model(self, item: StoredObject, raw: bytes | StorageError) -> Iterator[Artifact]:
        """Note what a manifest names; yield the set of its tensors, or the manifest's problem."""
        if isinstance(raw, StorageError):
            yield Artifact(item.url, (item._replace(pin="", fault=raw),))
            return
        if len(raw) > MANIFEST_LIMIT:
            problem = f"the manifest has more than the {MANIFEST_LIMIT} bytes that are read of one"
            yield broken(item, "scan/manifest-unexamined", problem)
            return
        manifest = read_manifest(raw)
        if manifest.problem and role_of(item.name) != "other":
            yield Artifact(item.url, (item,))  # a model file in a folder that looks like a tag's
            return
        self._named.update(bytes.fromhex(layer.digest) for layer in _all_layers(manifest))
        if manifest.problem:
            problem = f"the manifest cannot be used: {manifest.problem}"
            yield broken(item, "set/manifest-invalid", problem)
        _, name = manifest_place(item.url) or ("", item.name)
        texts = [layer for layer in _all_layers(manifest) if layer.kind in TEXTS]
        weights = [layer for layer in manifest.layers if layer.kind in WEIGHTS]
        number = self._models.add(name, item, (*texts, *weights))
        for layer in weights:
            users = self._uses.setdefault(bytes.fromhex(layer.digest), [])
            if not users or users[-1] != number:
                users.append(number)
        tensors = dict.fromkeys(layer.digest for layer in manifest.layers if layer.kind == TENSORS)
        if tensors:
            found = [self._blobs(digest, name, TENSORS)[0] for digest in tensors]
            model = RegistryModel(name, TENSORS, -1, item, self._texts(name, texts))
            yield Artifact(item.url, tuple(found), kind="set", registry=(model,))

    def _weights(self, digest: bytes) -> Iterator[Artifact]:
        """Yield the artifact of a blob that is a weights file of some models."""
        text, models = digest.hex(), list[RegistryModel]()
        numbers = self._uses[digest]
        for number in numbers[:_MOST_MODELS]:
            name, manifest, layers = self._models[number]
            mine = [one for one in layers if one.digest == text and one.kind in WEIGHTS]
            others = [one for one in layers if one.kind not in WEIGHTS]
            kind, size = mine[0].kind, mine[0].size
            models.append(RegistryModel(name, kind, size, manifest, self._texts(name, others)))
        if len(numbers) > _MOST_MODELS:
            models.append(self._rest(numbers[_MOST_MODELS:]))
        for blob in self._blobs(text, models[0].name, models[0].kind):
            yield Artifact(blob.url, (blob,), registry=tuple(models))

    def _rest(self, numbers: list[int]) -> RegistryModel:
        """Return one record for models beyond the number that is listed."""
        digest = hashlib.sha256()
        for number in numbers:
            name, manifest, _ = self._models[number]
            digest.update(f"{name}\0{manifest.pin}\n".encode("utf-8", "surrogateescape"))
        manifests = StoredObject(f"{self.root}manifests", 0, f"sha256:{digest.hexdigest()}")
        return RegistryModel(f"{len(numbers)} more", "", -1, manifests)

    def _texts(self, name: str, layers: Iterable[Layer]) -> tuple[tuple[str, StoredObject], ...]:
        return tuple(
            (layer.kind, self._blobs(layer.digest, name, layer.kind)[0]) for layer in layers
        )

    def _blobs(self, digest: str, name: str, kind: str) -> list[StoredObject]:
        """Return the blobs of a digest: one, or an absent one that says who misses it."""
        found = self.objects.get("blob", digest)
        if found:
            return [with_stated_digest(item) for item in found]
        url = f"{self.root}blobs/sha256-{digest}"
        reason = f"the manifest of {name} names it ({kind}), and it is not in the store"
        if self.objects.contains("partial", digest):
            reason += "; there is an unfinished download of it"
        return [StoredObject(url, 0, "", fault=StorageError("set/missing-layer", url, reason))]


def broken(item: StoredObject, code: str, problem: str) -> Artifact:
    """Return the artifact of a file that cannot be used, or of a store that was not examined."""
    fault = StorageError(code, item.url, problem)
    return Artifact(item.url, (item._replace(pin="", fault=fault),))


def _all_layers(manifest: OllamaManifest) -> tuple[Layer, ...]:
    config = () if manifest.config is None else (manifest.config,)
    return (*config, *manifest.layers)


def read_beginnings(
    store: Store, items: Iterable[StoredObject], most: int
) -> Iterator[tuple[StoredObject, bytes | StorageError]]:
    """Read the beginnings of many small objects, those of a remote store some at a time."""

    def read(item: StoredObject) -> tuple[StoredObject, bytes | StorageError]:
        try:
            return item, _read(store, item, most)
        except StorageError as problem:
            return item, problem

    if store.loop is None:
        yield from map(read, items)
        return
    from concurrent.futures import ThreadPoolExecutor

    items = iter(items)
    with ThreadPoolExecutor(_AT_A_TIME) as threads:
        while some := list(islice(items, _AT_A_TIME)):
            yield from threads.map(read, some)


def _read(store: Store, item: StoredObject, most: int) -> bytes:
    if item.fault is not None:
        raise item.fault
    end = min(most, item.size) if item.size >= 0 else most
    if not end:
        return b""

    return _wait(store, lambda: store.read(item, 0, end), item.url).data


def find_object(store: Store, url: str) -> StoredObject:
    """Look one object up, and wait for the reply.

    Raises:
        StorageError: It does not exist or cannot be accessed.
    """
    return _wait(store, lambda: store.find(url), url)


def _wait(store: Store, send: Callable[[], Coroutine[Any, Any, _T]], url: str) -> _T:
    """Send a request of a store and wait for the reply."""
    if store.loop is None:
        return finish(send())
    from prefect_mutagen.scanner.storage.pacing import repeat

    return run(store, repeat(send, url))
