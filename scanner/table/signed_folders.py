"""Whether what lies in a signed folder is still what it was when its signature was verified."""

from collections.abc import Mapping
from itertools import islice
from typing import Any

from prefect_mutagen.scanner.signing.coverage import MOST_BELOW, folder_digest
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.store import Store

__all__ = ["SignedFolders"]


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
            found = self._store.list_tree(folder, lambda _: True)
            items = None if found is None else tuple(islice(found, MOST_BELOW + 1))
        except StorageError:
            return ""
        if items is None or len(items) > MOST_BELOW:
            return ""
        return folder_digest(items, folder)
