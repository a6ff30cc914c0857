"""The files of a table, written atomically: each is complete or absent.

A local file is written under a temporary name in the same folder, synced to disk and renamed. S3
shows an object only when its upload is complete. Other storage gets the file under a temporary name
first, because an interrupted write may leave half a file. What a killed process leaves behind ends
in ``.tmp`` or is not referenced.
"""

import contextlib
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Self

from prefect_mutagen.scanner.shutdown import on_shutdown
from prefect_mutagen.scanner.storage.address import BUCKETS, Address
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.options import refuse_unprintable
from prefect_mutagen.scanner.temporary import own_folder

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Files"]

_SUFFIX: Final = ".parquet"
_LEFTOVER: Final = ".tmp"
_PART: Final = 8 << 20
_AT_ONCE: Final = 8
"""Small files that are read from remote storage at the same time."""


class Files:
    """The Parquet files of one root in the parts of a table."""

    def __init__(
        self, address: Address, folder: str, options: Mapping[str, Any] | None = None
    ) -> None:
        """Open the files of a root; there may be none yet.

        Args:
            address: Address of the table.
            folder: Name of the root's folder in each part.
            options: Options for fsspec's file system.

        Raises:
            StorageError: The address is blank, or its kind of storage is unknown.
        """
        import fsspec

        self.url = address.text
        self._folder = folder
        if address.scheme in BUCKETS:
            try:
                refuse_unprintable(options or {})
            except ValueError as problem:
                raise StorageError("storage/credentials", self.url, str(problem)) from None
        try:
            self._fs, self._path = fsspec.core.url_to_fs(
                address.secret_text, use_listings_cache=False, **(options or {})
            )
        except (ImportError, TypeError, ValueError):
            raise StorageError(
                "storage/unsupported", self.url, "a table cannot be stored there"
            ) from None
        self._local = address.is_local
        self._atomic = address.scheme == "s3"

    @property
    def root_folder(self) -> str:
        """Name of the root's folder in each part."""
        return self._folder

    def names(self, part: str) -> list[str]:
        """Return the sorted names of a part's files, without extension.

        Raises:
            StorageError: They cannot be listed.
        """
        return [name.removesuffix(_SUFFIX) for name in self._list(part) if name.endswith(_SUFFIX)]

    def leftovers(self, part: str) -> list[str]:
        """Return the names of temporary files that killed writers left in a part."""
        return [name for name in self._list(part) if name.endswith(_LEFTOVER)]

    def other_roots(self, part: str) -> list[Self]:
        """Return the files of the other roots that have some in a part.

        Raises:
            StorageError: They cannot be listed.
        """
        others = []
        for folder in self._names_in(f"{self._path}/{part}"):
            if folder != self._folder:
                other = copy(self)
                other._folder = folder  # noqa: SLF001 - of this class
                others.append(other)
        return others

    def _list(self, part: str) -> list[str]:
        return self._names_in(f"{self._path}/{part}/{self._folder}")

    def _names_in(self, place: str) -> list[str]:
        try:
            with self._errors("read"):
                found = self._fs.ls(place, detail=False)
        except StorageError as problem:
            if problem.code == "storage/not-found":
                return []
            raise
        return sorted(os.path.basename(name.rstrip("/")) for name in found)

    def open(self, part: str, name: str) -> "pa.NativeFile":
        """Open a file for reading; it stays readable if it is deleted meanwhile.

        Raises:
            StorageError: It does not exist or cannot be read.
        """
        import pyarrow as pa

        place = self._path_of(part, name)
        with self._errors("read"):
            if self._local:
                return pa.OSFile(place, "rb")
            with own_folder() as folder:
                copy = os.path.join(folder, "copy")
                self._fs.get_file(place, copy)
                return pa.OSFile(copy, "rb")

    def open_all(self, part: str, names: Sequence[str]) -> "list[pa.NativeFile]":
        """Open several files for reading, from remote storage some at a time; see `open`.

        Raises:
            StorageError: One does not exist or cannot be read.
        """
        if self._local or len(names) < 2:
            return [self.open(part, name) for name in names]
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(_AT_ONCE) as threads:
            return list(threads.map(lambda name: self.open(part, name), names))

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Turn exceptions of readers, such as for corrupt files, into a `StorageError`."""
        with self._errors("read"):
            yield

    def exists(self, part: str, name: str) -> bool:
        """Whether a file exists.

        Raises:
            StorageError: It cannot be looked up.
        """
        with self._errors("read"):
            found: bool = self._fs.exists(self._path_of(part, name))
        return found

    def age(self, part: str, name: str) -> float:
        """Return the age of a file in seconds; 0 if it does not exist.

        Never negative: the clock of the storage may differ, and Swift rounds times up.

        Args:
            part: Name of the part.
            name: As returned by `names` or `leftovers`.

        Raises:
            StorageError: It cannot be looked up.
        """
        with self._errors("read"):
            try:
                written: datetime = self._fs.modified(self._path_of(part, name))
            except FileNotFoundError:
                return 0.0
        return max(0.0, (datetime.now(UTC) - written).total_seconds())

    def publish(self, path: str, part: str, name: str, *, synced: bool = True) -> None:
        """Put a local file into a part; replaces one of the same name atomically.

        Args:
            path: The local file.
            part: Name of the part.
            name: Name in the part, without extension.
            synced: Whether it has to survive a loss of power.

        Raises:
            StorageError: It cannot be written; nothing of it is visible then.
        """
        place = self._path_of(part, name)
        folder, _, last = place.rpartition("/")
        hidden = f"{folder}/.{last}.{secrets.token_hex(4)}{_LEFTOVER}"
        with self._errors("written"):
            if self._atomic:
                # By default, parts of 50 MB are buffered, ten at a time.
                self._fs.put_file(path, place, chunksize=_PART, max_concurrency=4)
                return
            self._fs.makedirs(folder, exist_ok=True)
            with on_shutdown(lambda: self._fs.rm_file(hidden)):
                try:
                    if self._local:
                        _copy(path, hidden, synced=synced)
                        os.replace(hidden, place)
                        if synced:
                            _sync_folder(folder)
                    else:
                        self._fs.put_file(path, hidden)
                        self._fs.mv(hidden, place)
                except BaseException:
                    with contextlib.suppress(Exception):
                        self._fs.rm_file(hidden)
                    raise

    def delete(self, part: str, name: str) -> None:
        """Delete a file if it exists.

        Args:
            part: Name of the part.
            name: As returned by `names` or `leftovers`.

        Raises:
            StorageError: It cannot be deleted.
        """
        with self._errors("written"), contextlib.suppress(FileNotFoundError):
            self._fs.rm_file(self._path_of(part, name))

    def _path_of(self, part: str, name: str) -> str:
        ending = "" if name.endswith(_LEFTOVER) else _SUFFIX
        return f"{self._path}/{part}/{self._folder}/{name}{ending}"

    @contextlib.contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except StorageError:
            raise
        except FileNotFoundError:
            reason = f"the table cannot be {what}: there is no such place"
            raise StorageError("storage/not-found", self.url, reason) from None
        except PermissionError:
            reason = f"the table cannot be {what}: permission denied"
            raise StorageError("storage/denied", self.url, reason) from None
        except Exception as problem:  # noqa: BLE001 - every file system raises its own errors
            detail = getattr(problem, "strerror", None) or type(problem).__name__
            reason = f"the table cannot be {what}: {detail}"
            raise StorageError("storage/failed", self.url, reason) from None


def _copy(path: str, target: str, *, synced: bool) -> None:
    """Copy a file, and sync the copy to disk if it has to be."""
    with open(path, "rb") as source, open(target, "xb") as copy:
        while piece := source.read(1 << 20):
            copy.write(piece)
        if synced:
            copy.flush()
            os.fsync(copy.fileno())


def _sync_folder(folder: str) -> None:
    """Sync a folder's entries to disk, where the file system supports it."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
