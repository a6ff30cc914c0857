"""Artifacts: what a loader loads as one thing, and what describes it.

An artifact is a model file, or a set of shards that only make a model together: GGUF files that
number themselves, safetensors files that an index names or that number themselves. With it go the
files beside it that say more about it (`NEIGHBOURS`, checksums), and those that could be loaded in
its place (pickles). Its pin is a digest over the names and pins of all of them, the absent ones
included: a licence edited in README.md, or a config.json that appears, is a change of the artifact.
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
]

_ALL_ABSENT: Final = "\n".join(f"{name}\0absent" for name in NEIGHBOURS)


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
