"""Artifacts: what is loaded as one model, and the files that a loader takes with it.

An artifact is a model file, a set of shards that form one model (numbered GGUF files, or
safetensors files that are numbered or named by an index), or a pipeline, whose parts lie in folders
below it. It includes what its model says about it: configurations, tokenizer, templates, code,
card and licence, of its own folder and of those above it up to the model's root, and those that
could be loaded instead of it (pickles, rivals). Its pin is a digest over the paths and pins of all
of them, and over the names of rivals: an edited licence in README.md, a new config.json, or a
``model.safetensors`` that appears beside shards changes the pin.
"""

import hashlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from prefect_mutagen.scanner.pins import WEAK, is_weak
from prefect_mutagen.scanner.results import Kind
from prefect_mutagen.scanner.storage.address import folder_of, split_version
from prefect_mutagen.scanner.storage.store import StoredObject

__all__ = [
    "Artifact",
    "Beside",
    "LooseFiles",
    "RegistryModel",
    "Rivals",
]


class LooseFiles(NamedTuple):
    """Weights of other kinds beside an artifact, which a loader may prefer to it."""

    names: tuple[str, ...] = ()
    """Paths of the first ones below the artifact's folder."""
    total: int = 0
    pin: str = "absent"
    """Digest over the paths and pins of all of them."""
    items: tuple[StoredObject, ...] = ()
    """The first ones; none where there are so many that each is an artifact of its own."""


class Rivals(NamedTuple):
    """Weights in a folder that a loader may take instead of an artifact, or with it."""

    weights: tuple[str, ...] = ()
    """Names of the first few: of whole files, of indexes, of a shard of each set."""
    variants: tuple[str, ...] = ()
    """Names of the first few variants, which are loaded where they are asked for."""
    others: tuple[str, ...] = ()
    """Beside weights that loaders look for: files under names of their own, up to a hundred."""


class Beside(NamedTuple):
    """Files of an artifact's model that describe it, run with it, or could be loaded instead."""

    neighbours: tuple[StoredObject, ...] = ()
    """The files that describe it: of each name the nearest one, from its folder to the root."""
    checksums: tuple[StoredObject, ...] = ()
    """Files that may state the SHA-256 of its files."""
    signatures: tuple[StoredObject, ...] = ()
    """Signatures and attestations that may cover it."""
    pickles: LooseFiles = LooseFiles()
    code: tuple[StoredObject, ...] = ()
    """Python files in its folder and below it."""
    root: str = ""
    """Address of the model's root with a trailing slash; empty: the folder of its files."""
    unlisted: int = 0
    """Number of files that are too many to be taken into account."""
    unfinished: tuple[str, ...] = ()
    """Names of unfinished downloads of its files."""
    unseen: str = ""
    """Why nothing beside it can be looked at, as a clause; empty if it was."""
    other_weights: LooseFiles = LooseFiles()
    """Weights in formats that are not examined."""


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
    """Address of its file; for a set, of its index, else of its first shard; for a pipeline, of
    the file that names its parts."""
    objects: tuple[StoredObject, ...]
    """Files that contain its tensors."""
    beside: Beside = Beside()
    """Files beside it; artifacts of a folder share one record where possible."""
    kind: Kind = "file"
    shard_index: StoredObject | None = None
    """Index file that maps tensors to shards."""
    listed: bool = True
    """Whether the folder was listed; if not, the shards still have to be looked up."""
    parts: tuple["Artifact", ...] = ()
    """The parts of a pipeline, whose files are in ``objects`` as well."""
    rivals: Rivals = Rivals()
    packed_index: str = ""
    """Contents of the index, if the listing read it; see `scanner.listing.listed_index`."""
    registry: tuple[RegistryModel, ...] = ()
    """Models of a registry's store that use its files."""
    was_touched: bool = False
    """Whether only the change times of its files differ from those of an earlier scan, so that
    every byte is hashed and compared."""

    @property
    def root(self) -> str:
        """Address of the model's root, with a trailing slash."""
        return self.beside.root or folder_of(self.url)

    @property
    def folder(self) -> str:
        """Path of its folder below the model's root, with a trailing slash; empty for the root."""
        path = split_version(self.url)[0].rstrip("/")[len(self.root) :]
        return path[: path.rfind("/") + 1]

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
        """Identifier of its files and of all that its model says about them.

        Returns:
            ``sha256:`` and a digest, with `WEAK` before it if storage states no more than the size
            of one of the files; the empty string if the listing did not pin every file.
        """
        digest, strength = self._digest()
        return f"{strength}sha256:{digest.hex()}" if digest else ""

    @property
    def digest(self) -> bytes:
        """The 32 bytes of a pin that can be believed; empty if there is none."""
        digest, strength = self._digest()
        return b"" if strength else digest

    def _digest(self) -> tuple[bytes, str]:
        """Return the digest, and `WEAK` if storage states no more than the size of a file."""
        pickles = f"{_loose_lines(self.beside)}{_rivals_line(self.rivals)}"
        pickles += "".join(f"\n{name}\0unfinished" for name in self.beside.unfinished)
        if self._is_alone:
            item = self.objects[0]  # fast path for the common case
            digest = _digest(f"{self.path_of(item)}\0{item.pin}\n{pickles}") if item.pin else b""
            return digest, WEAK if is_weak(item.pin) else ""
        pinned = dict.fromkeys(self.files)
        if not all(item.pin for item in pinned):
            return b"", ""
        lines = sorted(f"{self.path_of(item)}\0{item.pin}" for item in pinned)
        lines += [pickles, *(_loose_lines(part.beside) for part in self.parts)]
        weak = any(is_weak(item.pin) for item in pinned)
        return _digest("\n".join(lines)), WEAK if weak else ""

    @property
    def _is_alone(self) -> bool:
        """Whether it is one file, and nothing else says anything about it."""
        beside = self.beside
        if len(self.objects) != 1 or beside.neighbours or beside.code or self.parts:
            return False
        stated = beside.checksums or beside.signatures or self.registry
        return not stated and self.shard_index is None

    @property
    def neighbour_pins(self) -> dict[str, str]:
        """Pins by path of the files beside it and its parts; a change of one is drift.

        ``pickles``, ``other weights`` and ``rivals`` stand for what could be loaded instead of it.
        """
        pins: dict[str, str] = {}
        for one in (self, *self.parts):
            files = (*one.describing, *one.beside.code)
            pins |= {self.path_of(item): item.pin for item in files}
            # Tags of several models have the same file name.
            pins |= {model.name: model.manifest.pin for model in one.registry}
            where = "" if one is self else one.folder
            if one.beside.pickles.total:
                pins[f"{where}pickles"] = one.beside.pickles.pin
            if one.beside.other_weights.total:
                pins[f"{where}other weights"] = one.beside.other_weights.pin
            pins |= dict.fromkeys(one.beside.unfinished, "unfinished")
        if any(self.rivals):
            pins["rivals"] = f"names:{_digest(_rivals_line(self.rivals)).hex()[:16]}"
        return pins

    def path_of(self, item: StoredObject) -> str:
        """Return the path of one of its files relative to the model's root."""
        root = self.beside.root
        if root and item.url.startswith(root):
            return item.plain_url[len(root) :]
        return item.name

    def path_beside(self, item: StoredObject) -> str:
        """Return the path of one of its files relative to the folder of the artifact."""
        folder, url = folder_of(self.url), item.plain_url
        below = url.startswith(folder) and "/" in url[len(folder) :].rstrip("/")
        return url[len(folder) :] if below else item.name

    def named(self, items: Iterable[StoredObject]) -> Iterator[tuple[str, StoredObject]]:
        """Yield files of the model with their paths relative to its root."""
        return ((self.path_of(item), item) for item in items)

    @property
    def files(self) -> Iterator[StoredObject]:
        """All its files, and those that its model says about it; some more than once."""
        yield from self.objects
        for one in (self, *self.parts):
            yield from one.describing
            yield from one.beside.code


def _loose_lines(beside: Beside) -> str:
    others = f"\nother weights\0{beside.other_weights.pin}" if beside.other_weights.total else ""
    return f"pickles\0{beside.pickles.pin}{others}"


def _rivals_line(rivals: Rivals) -> str:
    return (
        "\0".join(("\nrivals", *rivals.weights, *rivals.variants, *rivals.others))
        if any(rivals)
        else ""
    )


def _files_of(model: RegistryModel) -> tuple[StoredObject, ...]:
    return (model.manifest, *(item for _, item in model.texts))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
