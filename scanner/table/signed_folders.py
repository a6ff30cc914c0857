"""Whether what lies in a signed folder is still what it was when its signature was verified."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from itertools import islice
from typing import Any

from prefect_mutagen.scanner.signing.coverage import MOST_BELOW, folder_digest
from prefect_mutagen.scanner.signing.digests import LISTED
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.store import Store

__all__ = ["SignedFolders", "names_any"]


def names_any(facts: Mapping[str, Any], weights: AbstractSet[str]) -> bool:
    """Whether a signature beside an artifact may name any of its weights.

    Args:
        facts: The facts of an examination of the same signatures.
        weights: Names of the artifact's files.
    """
    stated = facts.get("signature")
    files = stated.get("files") if isinstance(stated, dict) else ()
    if not isinstance(files, (list, tuple)) or len(files) >= LISTED:
        return True
    for entry in files:
        if not isinstance(entry, dict) or entry.get("problem"):
            return True
        for key in ("agree", "differ", "unknown"):
            paths = entry.get(key) or ()
            if len(paths) >= LISTED or any(path.rpartition("/")[2] in weights for path in paths):
                return True
    return False


class SignedFolders:
    """The signed folders of a store, each listed once for all artifacts in it."""

    def __init__(self, store: Store) -> None:
        """Start without any.

        Args:
            store: The storage.
        """
        self._store = store
        self._digests: dict[str, str] = {}

    def are_unchanged(self, facts: Mapping[str, Any]) -> bool:
        """Whether the folders that signatures were held against hold the same files.

        Args:
            facts: The facts of an earlier examination.
        """
        stated = facts.get("signature")
        folders = stated.get("folders") if isinstance(stated, dict) else None
        if not isinstance(folders, dict):
            return True
        return all(digest and self._digest(url) == digest for url, digest in folders.items())

    def _digest(self, folder: str) -> str:
        if folder not in self._digests:
            self._digests[folder] = self._list(folder)
        return self._digests[folder]

    def _list(self, folder: str) -> str:
        try:
            found = self._store.list_tree(folder, lambda *_: True)
            items = None if found is None else tuple(islice(found, MOST_BELOW + 1))
        except StorageError:
            return ""
        if items is None or len(items) > MOST_BELOW:
            return ""
        return folder_digest(items, folder)
