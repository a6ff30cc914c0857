"""Artifacts: what a loader loads as one thing, and what describes it.

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
from dataclasses import dataclass
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
    "format_of",
    "index_stem",
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

# A name may hold anything, line ends too.
_SHARD: Final = re.compile(
    r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<variant>\.\w+)?\.(gguf|safetensors)",
    re.IGNORECASE | re.DOTALL,
)
_INDEX: Final = re.compile(
    r"(?P<stem>.+)\.safetensors\.index(?P<variant>\.[\w-]+)?\.json", re.DOTALL
)
# What Python's pickle is called when it holds weights, and the .bin files that are one.
_PICKLE: Final = re.compile(
    r".+\.(pt|pth|pkl|pickle|ckpt|joblib|dill)"
    r"|(pytorch_model|adapter_model|diffusion_pytorch_model|training_args|optimizer).*\.bin",
    re.IGNORECASE | re.DOTALL,
)
_ALL_ABSENT: Final = "\n".join(f"{name}\0absent" for name in NEIGHBOURS)


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
    _, dot, suffix = name.rpartition(".")
    return SUFFIXES.get(dot + suffix.lower())


def shard_name(name: str) -> ShardName | None:
    """Read the name of a shard; None for any other name."""
    match = _SHARD.fullmatch(name)
    if match is None:
        return None
    stem = match["stem"] + (match["variant"] or "")
    return ShardName(stem, int(match["number"]), int(match["count"]))


def index_stem(name: str) -> str | None:
    """Say what the shards that an index of this name speaks for are called; None for no index."""
    match = _INDEX.fullmatch(name)
    return None if match is None else match["stem"] + (match["variant"] or "")


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
