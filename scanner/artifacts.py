"""From objects to artifacts: what a loader loads as one thing, and what describes it.

An artifact is a model file, or a set of shards that only make a model together: GGUF files that
number themselves, safetensors files that an index names or that number themselves. With it go the
files beside it that say more about it (`NEIGHBOURS`, checksums), and those that could be loaded in
its place (pickles). Its pin is a digest over the names and pins of all of them, the absent ones
included: a licence edited in README.md, or a config.json that appears, is a change of the artifact.

Shards are named as llama.cpp (``%s-%05d-of-%05d.gguf``) and transformers name them; an index is
``NAME.safetensors.index.json``, with the variant before or behind its ``index``.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

from prefect_mutagen.parsers import Format
from prefect_mutagen.scanner.signatures import is_signature
from prefect_mutagen.scanner.storage import StoredObject

__all__ = [
    "NEIGHBOURS",
    "Artifact",
    "Kind",
    "Pickles",
    "ShardName",
    "artifact_of",
    "format_of",
    "group_artifacts",
    "is_relevant",
    "role_of",
    "shard_name",
]

Kind = Literal["file", "set"]
Role = Literal["model", "index", "neighbour", "checksums", "signature", "pickle"]

SUFFIXES: Final[dict[str, Format]] = {".gguf": "gguf", ".safetensors": "safetensors"}
NEIGHBOURS: Final = (
    "config.json",
    "tokenizer_config.json",
    "generation_config.json",
    "adapter_config.json",
    "chat_template.jinja",
    "README.md",
)
"""Names of the files that say more about a model in their folder."""
CHECKSUMS: Final = ("SHA256SUMS", "SHA256SUMS.txt", "sha256sums.txt", "checksums.sha256")
"""Names of files that list the SHA-256 of files beside them; so does ``NAME.sha256`` for one."""

_SHARD: Final = re.compile(
    r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<variant>\.\w+)?\.(gguf|safetensors)",
    re.IGNORECASE,
)
_INDEX: Final = re.compile(r"(?P<stem>.+)\.safetensors\.index(?P<variant>\.[\w-]+)?\.json")
# What Python's pickle is called when it holds weights, and the .bin files that are one.
_PICKLE: Final = re.compile(
    r".+\.(pt|pth|pkl|pickle|ckpt|joblib|dill)"
    r"|(pytorch_model|adapter_model|diffusion_pytorch_model|training_args|optimizer).*\.bin",
    re.IGNORECASE,
)
_PICKLES_NAMED: Final = 5
_ALL_ABSENT: Final = "\n".join(f"{name}\0absent" for name in NEIGHBOURS)
# What git, the hub's cache and archivers keep for themselves: no model is loaded from there, and
# the cache marks files that a repository does not have by empty ones of their names.
_TOOL_FOLDERS: Final = frozenset({".git", ".no_exist", ".locks", "__MACOSX"})


class ShardName(NamedTuple):
    """What the name of a shard says."""

    stem: str
    """What all shards of the set are called, without numbers."""
    number: int
    """From 1."""
    total: int
    """Of shards."""


@dataclass(frozen=True, slots=True)
class Pickles:
    """The pickled weights in a folder: what loads the folder may load them instead."""

    names: tuple[str, ...] = ()
    """The first of them."""
    count: int = 0
    pin: str = "absent"
    """Digest over the names and pins of all."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """What is judged, pinned and handed to agents as one thing."""

    url: str
    """Address of its file; for a set, of its index, else of its first shard."""
    objects: tuple[StoredObject, ...]
    """The files a loader reads tensors from."""
    neighbours: tuple[StoredObject, ...] = ()
    """Those of `NEIGHBOURS` that lie beside them."""
    kind: Kind = "file"
    index: StoredObject | None = None
    """The file that says which shard holds which tensor."""
    checksums: tuple[StoredObject, ...] = ()
    """Files beside it that state the SHA-256 of its files."""
    signatures: tuple[StoredObject, ...] = ()
    """Signatures and attestations beside it that may name it."""
    pickles: Pickles = Pickles()
    listed: bool = True
    """Whether a listing showed what lies beside it; if not, shards have to be looked for."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel between processes as a tuple: a record's own way takes five times as long."""
        return Artifact, (
            self.url,
            self.objects,
            self.neighbours,
            self.kind,
            self.index,
            self.checksums,
            self.signatures,
            self.pickles,
            self.listed,
        )

    @property
    def size(self) -> int:
        """Bytes of its files, as listed."""
        return sum(max(0, item.size) for item in self.objects)

    @property
    def pin(self) -> str:
        """Name these very bytes, and what describes them.

        Returns:
            ``sha256:`` and a digest; the empty text when a file has no pin of its own yet, because
            the listing did not say.
        """
        beside = self.neighbours or self.checksums or self.signatures or self.index
        if not beside and len(self.objects) == 1:  # most are so, and a bucket has many
            item = self.objects[0]
            if not item.pin:
                return ""
            return _digest(f"{item.name}\0{item.pin}\n{_ALL_ABSENT}\npickles\0{self.pickles.pin}")
        index = (self.index,) if self.index is not None else ()
        pinned = (*index, *self.objects, *self.neighbours, *self.checksums, *self.signatures)
        if not all(item.pin for item in pinned):
            return ""
        present = {item.name for item in self.neighbours}
        lines = sorted(f"{item.name}\0{item.pin}" for item in pinned)
        lines += [f"{name}\0absent" for name in NEIGHBOURS if name not in present]
        lines.append(f"pickles\0{self.pickles.pin}")
        return _digest("\n".join(lines))


def _digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode('utf-8', 'surrogateescape')).hexdigest()}"


def format_of(name: str) -> Format | None:
    """Say which format a file's name promises; None for another name."""
    lower = name.lower()
    for suffix, promised in SUFFIXES.items():
        if lower.endswith(suffix):
            return promised
    return None


def shard_name(name: str) -> ShardName | None:
    """Read the name of a shard; None for any other name."""
    match = _SHARD.fullmatch(name)
    if match is None:
        return None
    stem = match["stem"] + (match["variant"] or "")
    return ShardName(stem, int(match["number"]), int(match["count"]))


def role_of(name: str) -> Role | None:
    """Say what a file of this name is here; None for one that nobody looks at."""
    if format_of(name) is not None:
        return "model"
    if name in NEIGHBOURS:
        return "neighbour"
    if _INDEX.fullmatch(name):
        return "index"
    if name in CHECKSUMS or name.endswith((".gguf.sha256", ".safetensors.sha256")):
        return "checksums"
    if is_signature(name):
        return "signature"
    return "pickle" if _PICKLE.fullmatch(name) else None


def is_relevant(name: str) -> bool:
    """Say whether a listing has to show a file of this name."""
    return role_of(name) is not None


@dataclass(slots=True)
class _Folder:
    url: str
    kept: bool = True
    models: list[StoredObject] = field(default_factory=list)
    indexes: dict[str, StoredObject] = field(default_factory=dict)
    neighbours: list[StoredObject] = field(default_factory=list)
    checksums: dict[str, StoredObject] = field(default_factory=dict)
    signatures: list[StoredObject] = field(default_factory=list)
    pickles: list[StoredObject] = field(default_factory=list)
    _counted: Pickles | None = None

    def add(self, item: StoredObject) -> None:
        if not self.kept:
            return
        role = role_of(item.name)
        if role == "neighbour":
            self.neighbours.append(item)
        elif role == "checksums":
            self.checksums[item.name] = item
        elif role == "signature":
            self.signatures.append(item)
        elif role == "pickle":
            self.pickles.append(item)
        elif role == "index" and (match := _INDEX.fullmatch(item.name)):
            self.indexes[match["stem"] + (match["variant"] or "")] = item
        else:
            self.models.append(item)

    def artifacts(self) -> Iterator[Artifact]:
        """Give single files as they were listed, then sets."""
        beside, pickles = tuple(self.neighbours), self._pickles()
        singles: list[StoredObject] = []
        sets: dict[tuple[Format | None, str, int], list[StoredObject]] = {}
        for item in self.models:
            form = format_of(item.name)
            shard = None if item.version else shard_name(item.name)
            named = form == "safetensors" and shard is not None and shard.stem in self.indexes
            if shard is None or (shard.total == 1 and not named):
                singles.append(item)
                yield self.single(item)
            else:
                # An index speaks for all shards of its name, whatever count they claim.
                key = (form, shard.stem, 0 if named else shard.total)
                sets.setdefault(key, []).append(item)
        for stem in self.indexes:
            if ("safetensors", stem, 0) not in sets:
                # It names files that do not number themselves; they are artifacts of their own too.
                sets["safetensors", stem, 0] = [
                    item for item in singles if format_of(item.name) == "safetensors"
                ]
        for (form, stem, count), shards in sets.items():
            shards.sort(key=lambda item: item.name)
            index = self.indexes.get(stem) if form == "safetensors" and not count else None
            url = index.url if index is not None else shards[0].url
            yield Artifact(
                url,
                tuple(shards),
                beside,
                "set",
                index,
                self._sums(shards),
                self._signed(shards),
                pickles,
            )

    def single(self, item: StoredObject) -> Artifact:
        """Make the artifact of one file; what lies beside an older version is of another time."""
        if item.version:
            return Artifact(item.url, (item,))
        return Artifact(
            item.url,
            (item,),
            tuple(self.neighbours),
            checksums=self._sums([item]),
            signatures=self._signed([item]),
            pickles=self._pickles(),
        )

    def _signed(self, items: Iterable[StoredObject]) -> tuple[StoredObject, ...]:
        if not self.signatures:
            return ()
        names = [item.name for item in items]
        return tuple(item for item in self.signatures if is_signature(item.name, names))

    def _sums(self, items: Iterable[StoredObject]) -> tuple[StoredObject, ...]:
        if not self.checksums:
            return ()
        names = [*CHECKSUMS, *(f"{item.name}.sha256" for item in items)]
        return tuple(self.checksums[name] for name in names if name in self.checksums)

    def _pickles(self) -> Pickles:
        if self._counted is None:
            self._counted = self._count_pickles()
        return self._counted

    def _count_pickles(self) -> Pickles:
        if not self.pickles:
            return Pickles()
        named = sorted(self.pickles, key=lambda item: item.name)
        text = "\n".join(f"{item.name}\0{item.pin}" for item in named)
        digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
        first = tuple(item.name for item in named[:_PICKLES_NAMED])
        return Pickles(first, len(named), digest)


def group_artifacts(objects: Iterable[StoredObject], root: str = "") -> Iterator[Artifact]:
    """Group listed objects into artifacts, each with its neighbours.

    Args:
        objects: Objects as `Store.list_objects` yields them, below a folder. Only the folders on
            the way to the current object are held.
        root: Address of that folder; what tools keep for themselves below it is passed over.

    Yields:
        Artifacts, folder by folder as each one is complete. What cannot be looked at (a folder
        that may not be listed) is an artifact too: it must not be lost.
    """
    path: list[_Folder] = []
    for item in objects:
        url = item.url
        while path and not url.startswith(path[-1].url):
            yield from path.pop().artifacts()
        if not path or "/" in url[len(path[-1].url) :].rstrip("/"):
            folder = item.folder
            path.append(_Folder(folder, not _is_tool_folder(folder, root)))
        path[-1].add(item)
    while path:
        yield from path.pop().artifacts()


def _is_tool_folder(folder: str, root: str) -> bool:
    inside = folder.removeprefix(root.rstrip("/") + "/")
    return not _TOOL_FOLDERS.isdisjoint(inside.split("/"))


def artifact_of(item: StoredObject, beside: Iterable[StoredObject]) -> Artifact:
    """Make the artifact of a file that was named by itself: what a loader loads by that name.

    Args:
        item: The file; the index or the first shard of a set stands for the set.
        beside: The files in its folder, itself included or not.
    """
    if item.version:
        return Artifact(item.url, (item,))
    folder = _Folder(item.folder)
    for other in beside:
        if other.url != item.url:
            folder.add(other)
    if role_of(item.name) in ("model", "index"):
        folder.add(item)
        for artifact in folder.artifacts():
            if artifact.url == item.url:
                return artifact
    return folder.single(item)
