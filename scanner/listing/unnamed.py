"""Look into files whose names say nothing: whether they begin like weights.

A file without an ending, or with one like ``.dat``, may be a model that was renamed, or a pickle.
Each of at least a megabyte costs one small read; the answer is remembered by its pin where a table
keeps it, so that a scan of an unchanged bucket reads none of them.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from prefect_mutagen.parsers.detect import HEAD_SIZE, identify
from prefect_mutagen.scanner.listing.known_kinds import is_known
from prefect_mutagen.scanner.listing.ollama_store import read_beginnings
from prefect_mutagen.scanner.listing.roles import role_of
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.store import Store, StoredObject

__all__ = ["Looked", "Unnamed", "begins_like_weights", "says_nothing"]

LEAST_SIZE: Final = 1 << 20
"""Fewest bytes of a file that is looked into."""
_SILENT: Final = (".dat", ".data", ".weights", ".blob", ".raw", ".tmp", ".out", ".bak", ".old")
"""Endings that any file may have."""
_AT_A_TIME: Final = 512
"""Objects that wait for the files among them which are read."""
_PICKLES: Final = ("a Python pickle", "a GG", "an HDF5", "a TensorFlow Lite")
_IN_TORCH: Final = b"/data.pkl"


def says_nothing(path: str, size: int) -> bool:
    """Whether a file is large enough to be weights, and may be any by its name.

    Args:
        path: Its path.
        size: Its size in bytes.
    """
    name = path.rpartition("/")[2]
    if size < LEAST_SIZE or ("." in name.lstrip(".") and not name.lower().endswith(_SILENT)):
        return False
    return role_of(name) == "other" and (name.lower().endswith(_SILENT) or not is_known(path))


def begins_like_weights(head: bytes, size: int) -> bool:
    """Whether a file begins like a model, a pickle, or weights in another format.

    Args:
        head: Its first bytes, up to `HEAD_SIZE`.
        size: Its size in bytes.
    """
    content = identify(head, size)
    if content.format is not None or content.description.startswith(_PICKLES):
        return True
    return content.kind == "archive" and _IN_TORCH in head


@dataclass(slots=True)
class Looked:
    """Files that were looked into because their names say nothing: whether they are weights.

    Each is identified by a digest of its address and pin.
    """

    known: Mapping[bytes, bool] = field(default_factory=dict)
    """Those of earlier scans."""
    found: Mapping[bytes, bool] | None = None
    """Those of this listing; None until it is complete."""


class Unnamed:
    """Looks into the files of one listing whose names say nothing.

    Attributes:
        models: Number and bytes of those that begin like weights.
        others: Number and bytes of those that do not.
        found: Whether each of them begins like weights; see `Looked`.
    """

    def __init__(self, store: Store, known: Mapping[bytes, bool]) -> None:
        """Start without any.

        Args:
            store: What is listed; the files are read from it.
            known: Files that earlier scans have looked into; see `Looked`.
        """
        self._store, self._known = store, known
        self.models = [0, 0]
        self.others = [0, 0]
        self.found: dict[bytes, bool] = {}

    def sort_out(self, objects: Iterable[StoredObject]) -> Iterator[StoredObject]:
        """Yield listed objects in order, without those that do not begin like weights.

        A file that cannot be read is yielded: its examination tells why.
        """
        for some in _batches(objects):
            silent = [item for item in some if self._is_silent(item)]
            if not silent:
                yield from some
                continue
            dropped = self._look(silent)
            yield from (item for item in some if item.url not in dropped)

    def _is_silent(self, item: StoredObject) -> bool:
        return (
            item.fault is None
            and item.url != self._store.root
            and says_nothing(item.plain_url, item.size)
        )

    def _look(self, silent: list[StoredObject]) -> set[str]:
        """Read the beginnings of files that are not known; return which are no weights."""
        dropped: set[str] = set()
        unknown = []
        for item in silent:
            is_weights = self._known.get(_identity(item)) if item.pin else None
            if is_weights is None:
                unknown.append(item)
            elif not self._note(item, is_weights=is_weights):
                dropped.add(item.url)
        for item, raw in read_beginnings(self._store, unknown, HEAD_SIZE):
            if isinstance(raw, StorageError):
                self._count(self.models, item)
            elif not self._note(item, is_weights=begins_like_weights(raw, item.size)):
                dropped.add(item.url)
        return dropped

    def _note(self, item: StoredObject, *, is_weights: bool) -> bool:
        self._count(self.models if is_weights else self.others, item)
        if item.pin:
            self.found[_identity(item)] = is_weights
        return is_weights

    @staticmethod
    def _count(counts: list[int], item: StoredObject) -> None:
        counts[0] += 1
        counts[1] += max(0, item.size)


def _batches(objects: Iterable[StoredObject]) -> Iterator[list[StoredObject]]:
    """Yield objects in batches; where their listing breaks off, first those that it had yielded."""
    some: list[StoredObject] = []
    try:
        for item in objects:
            some.append(item)
            if len(some) == _AT_A_TIME:
                yield some
                some = []
    except StorageError:
        yield some
        raise
    yield some


def _identity(item: StoredObject) -> bytes:
    """Return 16 bytes that stand for an address and a pin."""
    text = f"{item.url}\0{item.pin}".encode("utf-8", "surrogateescape")
    return hashlib.blake2b(text, digest_size=16).digest()
