"""The code of models, read once for all artifacts of a model."""

from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from prefect_mutagen.scanner.listing.artifacts import Artifact
from prefect_mutagen.scanner.storage.requests import Request
from prefect_mutagen.scanner.storage.store import StoredObject

if TYPE_CHECKING:
    from prefect_mutagen.scanner.examine.remote_code import LoadedCode

__all__ = ["ModelCode", "with_code"]

_MOST_MODELS: Final = 64

_Key = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class ModelCode:
    """Code that was read, by the files of the model; several artifacts have it in common."""

    _kept: "dict[_Key, LoadedCode]" = field(default_factory=dict)

    def load(
        self, artifact: Artifact, documents: Mapping[str, Any]
    ) -> "Generator[Request, Any, LoadedCode | None]":
        """Read the code that loaders run for an artifact.

        Args:
            artifact: The artifact.
            documents: The JSON files of its model by path relative to its root.

        Returns:
            The code; None if there is nothing to report.
        """
        files = {
            one.path_of(item): item
            for one in (artifact, *artifact.parts)
            for item in (*one.beside.neighbours, *one.beside.code)
        }
        if not files:
            return None
        from prefect_mutagen.scanner.content.code import code_references, may_name_code

        naming = {path: values for path, values in documents.items() if may_name_code(path)}
        references = code_references(naming, files.keys())
        if not references and not any(one.beside.code for one in (artifact, *artifact.parts)):
            return None
        key = tuple((item.url, item.pin) for item in files.values())
        known = self._kept.get(key)
        if known is not None and all(pin for _, pin in key):
            return known
        from prefect_mutagen.scanner.examine.remote_code import load_code

        loaded = yield from load_code(references, files, artifact.root, listed=artifact.listed)
        if all(finding.code != "code/unexamined" for finding in loaded.findings):
            if len(self._kept) >= _MOST_MODELS:
                self._kept.clear()
            self._kept[key] = loaded
        return loaded


def with_code(artifact: Artifact, read: Iterable[StoredObject]) -> Artifact:
    """Return an artifact with the modules as they were read; one that no listing had is added."""
    by_url = {item.url: item for item in read}

    def updated(one: Artifact) -> Artifact:
        code = tuple(by_url.get(item.url, item) for item in one.beside.code)
        return one._replace(beside=one.beside._replace(code=code))

    # A part may inherit the code of its root.
    known = {
        item.url
        for one in (artifact, *artifact.parts)
        for item in (*one.beside.code, *one.beside.neighbours)
    }
    new = tuple(item for url, item in by_url.items() if url not in known)
    parts = tuple(updated(part) for part in artifact.parts)
    artifact = updated(artifact._replace(parts=parts))
    if not new:
        return artifact
    return artifact._replace(beside=artifact.beside._replace(code=(*artifact.beside.code, *new)))
