"""From objects to artifacts: what a loader loads as one thing, and what describes it.

An artifact is a model file with the files beside it that say more about it (`NEIGHBOURS`). Its pin
is a digest over the names and pins of all of them, the absent ones included: a licence edited in
README.md, or a config.json that appears, is a change of the artifact.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from prefect_mutagen.parsers import Format
from prefect_mutagen.scanner.storage import StoredObject

__all__ = ["NEIGHBOURS", "Artifact", "Kind", "format_of", "group_artifacts", "is_relevant"]

Kind = Literal["file", "set"]

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


@dataclass(frozen=True, slots=True)
class Artifact:
    """What is judged, pinned and handed to agents as one thing."""

    url: str
    """Address of its first file."""
    objects: tuple[StoredObject, ...]
    """The files a loader reads the model from."""
    neighbours: tuple[StoredObject, ...] = ()
    """Those of `NEIGHBOURS` that lie beside them."""
    kind: Kind = "file"

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
        present = {item.name: item for item in self.neighbours}
        pinned = [(item.name, item) for item in self.objects]
        pinned += [(name, present[name]) for name in NEIGHBOURS if name in present]
        if not all(item.pin for _, item in pinned):
            return ""
        lines = [f"{name}\0{item.pin}" for name, item in pinned]
        lines += [f"{name}\0absent" for name in NEIGHBOURS if name not in present]
        digest = hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape"))
        return f"sha256:{digest.hexdigest()}"


def format_of(name: str) -> Format | None:
    """Say which format a file's name promises; None for another name."""
    lower = name.lower()
    for suffix, promised in SUFFIXES.items():
        if lower.endswith(suffix):
            return promised
    return None


def is_relevant(name: str) -> bool:
    """Say whether a listing has to show a file of this name."""
    return format_of(name) is not None or name in NEIGHBOURS


@dataclass(slots=True)
class _Folder:
    url: str
    models: list[StoredObject] = field(default_factory=list)
    neighbours: list[StoredObject] = field(default_factory=list)

    def artifacts(self) -> Iterator[Artifact]:
        beside = tuple(self.neighbours)
        for item in self.models:
            yield Artifact(item.url, (item,), beside)


def group_artifacts(objects: Iterable[StoredObject]) -> Iterator[Artifact]:
    """Group listed objects into artifacts, each with its neighbours.

    Args:
        objects: Objects as `Store.list_objects` yields them, below a folder. Only the folders on
            the way to the current object are held.

    Yields:
        Artifacts, folder by folder as each one is complete. What cannot be looked at (a folder
        that may not be listed) is an artifact too: it must not be lost.
    """
    path: list[_Folder] = []
    for item in objects:
        while path and not item.url.startswith(path[-1].url):
            yield from path.pop().artifacts()
        if not path or path[-1].url != item.folder:
            path.append(_Folder(item.folder))
        if item.name in NEIGHBOURS:
            path[-1].neighbours.append(item)
        else:
            path[-1].models.append(item)
    while path:
        yield from path.pop().artifacts()
