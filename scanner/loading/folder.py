"""A folder of a model, as a loader sees it that joins names to its path."""

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from prefect_mutagen.scanner.loading.plan import Loader, LoadPlan, ModelFiles

__all__ = ["Folder", "indexed_weights"]


@dataclass(frozen=True, slots=True, eq=False)
class Folder:
    """A folder below a model's root: what it holds, and where the names in its documents lead.

    All loaders look into the same folder, one after the other; a folder is equal to itself only, so
    that what several of them take of it is found once.
    """

    files: ModelFiles
    path: str
    """Path below the root with a trailing slash; empty: the root."""
    listing: Mapping[str, tuple[str, ...]]
    """Names of the files directly in each folder, sorted; folders of folders alone have none."""

    @classmethod
    @lru_cache(maxsize=4)
    def of(cls, files: ModelFiles, path: str = "") -> "Folder":
        """Return a folder of a model; its files are sorted into their folders once."""
        listing: dict[str, list[str]] = {}
        for name in files.names:
            folder, slash, last = name.rpartition("/")
            listing.setdefault(folder + slash, []).append(last)
        for folder in tuple(listing):
            above = _parent(folder)
            while above and above not in listing:
                listing[above] = []
                above = _parent(above)
        return cls(files, path, {key: tuple(sorted(names)) for key, names in listing.items()})

    def beneath(self, path: str) -> "Folder":
        """Return another folder of the same model, by its path below the root."""
        return Folder(self.files, path, self.listing)

    def parent_with(self, name: str) -> "Folder | None":
        """Return the nearest folder, this one or one above it, that holds a file of this name."""
        path = self.path
        while path + name not in self.files.names:
            if not path:
                return None
            path = _parent(path)
        return self.beneath(path)

    def has(self, name: str) -> bool:
        """Whether a file of this name lies here."""
        return self.path + name in self.files.names

    def paths(self, *names: str) -> tuple[str, ...]:
        """Return the paths below the root of those of these files that are there."""
        return tuple(self.path + name for name in names if self.has(name))

    def names(self, below: str = "") -> tuple[str, ...]:
        """Return the names of the files that lie directly here, or directly in a folder below."""
        return self.listing.get(self.path + below, ())

    def has_folder(self, name: str) -> bool:
        """Whether a folder of this name lies here."""
        return f"{self.path}{name}/" in self.listing

    def document(self, name: str) -> Mapping[str, Any]:
        """Return the JSON object in a file; an empty one if there is none or it was not read."""
        document = self.files.documents.get(self.path + name)
        return document if isinstance(document, Mapping) else {}

    def join(self, name: str) -> str | None:
        """Return the path below the root that a name leads to from here; None if out of it."""
        path = posixpath.normpath(posixpath.join("/", self.path, name))
        climbed = posixpath.normpath(posixpath.join(self.path, name))
        if name.startswith("/") or climbed == ".." or climbed.startswith("../"):
            return None
        return path.lstrip("/")


def _parent(path: str) -> str:
    return path[: path.rstrip("/").rfind("/") + 1]


def indexed_weights(
    loader: Loader, folder: Folder, index: str, variant: str = "", *, plain: bool = False
) -> LoadPlan:
    """Return the shards that an index beside them names, in the order in which they are opened.

    Args:
        loader: Loader that the plan is of.
        folder: Folder that the names in the index are joined to.
        index: Path of the index below the model's root.
        variant: Variant of the weights that the index is of.
        plain: Whether the loader refuses names with a separator.
    """
    document = folder.files.documents.get(index)
    named = document.get("weight_map") if isinstance(document, Mapping) else None
    values = named.values() if isinstance(named, Mapping) else ()
    weights, missing, outside = [], [], []
    for name in sorted({value for value in values if isinstance(value, str) and value}):
        path = folder.join(name)
        if path is None:
            outside.append(name)
        elif plain and "/" in name:
            missing.append(folder.path + name)
        elif path in folder.files.names:
            weights.append(path)
        else:
            missing.append(path)
    return LoadPlan(
        loader=loader,
        weights=tuple(dict.fromkeys(weights)),
        files=(index,),
        missing=tuple(dict.fromkeys(missing)),
        outside=tuple(outside),
        variants=(variant,),
    )
