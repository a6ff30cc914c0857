"""Artifacts: the files that are loaded as one model, and the files that describe them.

An artifact is a model file, or a set of shards that form one model: numbered GGUF files, or
safetensors files that are numbered or named by an index. It includes the files beside it that
describe it (`NEIGHBOURS`, checksums, signatures), and those that could be loaded instead of it
(pickles). Its pin is a digest over the names and pins of all of them, and over the names of absent
neighbours: an edited licence in README.md, or a new config.json, changes the pin.
"""

import hashlib
from typing import Final, NamedTuple

from prefect_mutagen.scanner.listing.roles import NEIGHBOURS
from prefect_mutagen.scanner.results import Kind
from prefect_mutagen.scanner.storage.store import StoredObject

__all__ = [
    "Artifact",
    "Beside",
    "Pickles",
    "RegistryModel",
]

_ALL_ABSENT: Final = "\n".join(f"{name}\0absent" for name in NEIGHBOURS)


class Pickles(NamedTuple):
    """Pickled weights in a folder, which a loader may prefer to the artifact."""

    names: tuple[str, ...] = ()
    """The first few names."""
    total: int = 0
    pin: str = "absent"
    """Digest over the names and pins of all of them."""


class Beside(NamedTuple):
    """Files beside an artifact that describe it, or that could be loaded instead of it."""

    neighbours: tuple[StoredObject, ...] = ()
    """The files of `NEIGHBOURS` that exist."""
    checksums: tuple[StoredObject, ...] = ()
    """Files that may state the SHA-256 of its files."""
    signatures: tuple[StoredObject, ...] = ()
    """Signatures and attestations that may cover it."""
    pickles: Pickles = Pickles()
    unfinished: tuple[str, ...] = ()
    """Names of unfinished downloads of its files."""


class RegistryModel(NamedTuple):
    """A model of a registry's store (Ollama) that an artifact's files are weights of."""

    name: str
    """As its registry writes it: ``HOST/NAMESPACE/NAME:TAG``."""
    kind: str
    """What the files are to it, such as ``model`` or ``projector``."""
    size: int
    """Bytes that its manifest states for a single file; -1 if none, or for a set."""
    manifest: StoredObject
    texts: tuple[tuple[str, StoredObject], ...] = ()
    """Its other blobs by kind: template, licences, parameters. A missing one has a fault."""


class Artifact(NamedTuple):
    """The unit that is judged, pinned and passed to agents."""

    url: str
    """Address of its file; for a set, of its index, else of its first shard."""
    objects: tuple[StoredObject, ...]
    """Files that contain its tensors."""
    beside: Beside = Beside()
    """Files beside it; artifacts of a folder share one record where possible."""
    kind: Kind = "file"
    shard_index: StoredObject | None = None
    """Index file that maps tensors to shards."""
    listed: bool = True
    """Whether the folder was listed; if not, the shards still have to be looked up."""
    registry: tuple[RegistryModel, ...] = ()
    """Models of a registry's store that use its files."""

    @property
    def describing(self) -> tuple[StoredObject, ...]:
        """The files that describe it: index, neighbours, checksums, signatures, manifests."""
        index = (self.shard_index,) if self.shard_index is not None else ()
        registered = [item for model in self.registry for item in _files_of(model)]
        beside = (*self.beside.neighbours, *self.beside.checksums, *self.beside.signatures)
        return (*index, *beside, *dict.fromkeys(registered))

    @property
    def size(self) -> int:
        """Total size of its files in bytes, as listed."""
        return sum(max(0, item.size) for item in self.objects)

    @property
    def pin(self) -> str:
        """Identifier of its files and the files that describe them.

        Returns:
            ``sha256:`` and a digest; the empty string if the listing did not pin every file.
        """
        digest = self.digest
        return f"sha256:{digest.hex()}" if digest else ""

    @property
    def digest(self) -> bytes:
        """The 32 bytes of the pin; empty if the listing did not pin every file."""
        neighbours, checksums, signatures, pickles, unfinished = self.beside
        is_described = (
            neighbours
            or checksums
            or signatures
            or unfinished
            or self.shard_index is not None
            or self.registry
        )
        if len(self.objects) == 1 and not is_described:
            item = self.objects[0]  # fast path for the common case
            if not item.pin:
                return b""
            return _digest(f"{item.name}\0{item.pin}\n{_ALL_ABSENT}\npickles\0{pickles.pin}")
        pinned = (*self.objects, *self.describing)
        if not all(item.pin for item in pinned):
            return b""
        present = {item.name for item in neighbours}
        lines = sorted(f"{item.name}\0{item.pin}" for item in pinned)
        lines += [f"{name}\0absent" for name in NEIGHBOURS if name not in present]
        lines.append(f"pickles\0{pickles.pin}")
        lines += [f"{name}\0unfinished" for name in unfinished]
        return _digest("\n".join(lines))


def _files_of(model: RegistryModel) -> tuple[StoredObject, ...]:
    return (model.manifest, *(item for _, item in model.texts))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
