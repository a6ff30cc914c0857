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
from typing import Final, Literal, NamedTuple

from prefect_mutagen.parsers import Format
from prefect_mutagen.scanner.signing.signatures import is_signature
from prefect_mutagen.scanner.storage.store import StoredObject

__all__ = [
    "NEIGHBOURS",
    "Artifact",
    "Beside",
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
_MODELS: Final = tuple(SUFFIXES)
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
_SHARD_MARK: Final = "-of-"
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


class Pickles(NamedTuple):
    """The pickled weights in a folder: what loads the folder may load them instead."""

    names: tuple[str, ...] = ()
    """The first of them."""
    total: int = 0
    pin: str = "absent"
    """Digest over the names and pins of all."""


class Beside(NamedTuple):
    """What lies beside an artifact and says more about it, or could be loaded in its place."""

    neighbours: tuple[StoredObject, ...] = ()
    """Those of `NEIGHBOURS` that lie there."""
    checksums: tuple[StoredObject, ...] = ()
    """Files that state the SHA-256 of its files."""
    signatures: tuple[StoredObject, ...] = ()
    """Signatures and attestations that may name it."""
    pickles: Pickles = Pickles()


class Artifact(NamedTuple):
    """What is judged, pinned and handed to agents as one thing."""

    url: str
    """Address of its file; for a set, of its index, else of its first shard."""
    objects: tuple[StoredObject, ...]
    """The files a loader reads tensors from."""
    beside: Beside = Beside()
    """What lies beside them; the same record for all artifacts of a folder that share it."""
    kind: Kind = "file"
    shard_index: StoredObject | None = None
    """The file that says which shard holds which tensor."""
    listed: bool = True
    """Whether a listing showed what lies beside it; if not, shards have to be looked for."""

    @property
    def describing(self) -> tuple[StoredObject, ...]:
        """The files that say more about it: its index, and what is read of what lies beside it."""
        index = (self.shard_index,) if self.shard_index is not None else ()
        return (*index, *self.beside.neighbours, *self.beside.checksums, *self.beside.signatures)

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
        digest = self.digest
        return f"sha256:{digest.hex()}" if digest else ""

    @property
    def digest(self) -> bytes:
        """Give the 32 bytes of the pin; none when a file has no pin of its own yet."""
        neighbours, checksums, signatures, pickles = self.beside
        described = neighbours or checksums or signatures or self.shard_index
        if len(self.objects) == 1 and not described:
            item = self.objects[0]  # most are so, and a bucket has many
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
        return _digest("\n".join(lines))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def format_of(name: str) -> Format | None:
    """Say which format a file's name promises; None for another name."""
    _, dot, suffix = name.rpartition(".")
    return SUFFIXES.get(dot + suffix.lower())


def shard_name(name: str) -> ShardName | None:
    """Read the name of a shard; None for any other name."""
    match = _SHARD.fullmatch(name) if _SHARD_MARK in name.lower() else None
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
    if name.endswith(_MODELS) or format_of(name) is not None:  # nearly all are in small letters
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
