"""The files of a table: each is there whole, or not at all.

A local file is written beside its place under a name that nobody reads, brought to the disk, and
renamed. S3 shows an object when its upload is complete. Any other storage gets the file under
another name first, because a write that breaks off may leave half a file there. What a killed
process leaves behind ends in ``.tmp``, or nothing names it.
"""

import contextlib
import os
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from prefect_mutagen.scanner.shutdown import on_shutdown
from prefect_mutagen.scanner.storage.address import Address
from prefect_mutagen.scanner.storage.errors import StorageError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Files"]

_SUFFIX: Final = ".parquet"
_LEFTOVER: Final = ".tmp"
_PART: Final = 8 << 20


class Files:
    """The Parquet files of one root, in the parts of a table."""

    def __init__(
        self, address: Address, folder: str, options: Mapping[str, Any] | None = None
    ) -> None:
        """Open them; there need not be any.

        Args:
            address: Address of the table.
            folder: Name of the root's folder in each part.
            options: Options for fsspec's file system.

        Raises:
            StorageError: The address names nothing, or there is no such kind of storage.
        """
        import fsspec

        self.url = address.text
        self._folder = folder
        try:
            self._fs, self._path = fsspec.core.url_to_fs(
                address.secret_text, use_listings_cache=False, **(options or {})
            )
        except (ImportError, TypeError, ValueError):
            raise StorageError(
                "storage/unsupported", self.url, "no table can be kept there"
            ) from None
        self._local = address.is_local
        self._atomic = address.scheme == "s3"

    def names(self, part: str) -> list[str]:
        """Give the names of a part's files, sorted, without their ending.

        Raises:
            StorageError: They cannot be listed.
        """
        return [name.removesuffix(_SUFFIX) for name in self._list(part) if name.endswith(_SUFFIX)]

    def leftovers(self, part: str) -> list[str]:
        """Give the names of what killed writers left in a part."""
        return [name for name in self._list(part) if name.endswith(_LEFTOVER)]

    def _list(self, part: str) -> list[str]:
        try:
            with self._errors("read"):
                found = self._fs.ls(f"{self._path}/{part}/{self._folder}", detail=False)
        except StorageError as problem:
            if problem.code == "storage/not-found":
                return []
            raise
        return sorted(os.path.basename(name) for name in found)

    def open(self, part: str, name: str) -> "pa.NativeFile":
        """Open a file for reading; it stays readable when somebody deletes it meanwhile.

        Raises:
            StorageError: It is not there, or cannot be read.
        """
        import pyarrow as pa

        place = self._place(part, name)
        with self._errors("read"):
            if self._local:
                return pa.OSFile(place, "rb")
            with tempfile.TemporaryDirectory(prefix="mutagen-") as folder:
                copy = os.path.join(folder, "copy")
                self._fs.get_file(place, copy)
                return pa.OSFile(copy, "rb")

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Turn what a broken file makes its readers raise into a `StorageError`."""
        with self._errors("read"):
            yield

    def exists(self, part: str, name: str) -> bool:
        """Say whether a file is there.

        Raises:
            StorageError: Nobody can say.
        """
        with self._errors("read"):
            found: bool = self._fs.exists(self._place(part, name))
        return found

    def age(self, part: str, name: str) -> float:
        """Say how many seconds ago a file was written; 0 when it is not there.

        It is not negative either: storage may have a clock of its own, and Swift rounds times up.

        Args:
            part: Name of the part.
            name: As `names` or `leftovers` gave it.

        Raises:
            StorageError: Nobody can say.
        """
        with self._errors("read"):
            try:
                written: datetime = self._fs.modified(self._place(part, name))
            except FileNotFoundError:
                return 0.0
        return max(0.0, (datetime.now(UTC) - written).total_seconds())

    def publish(self, path: str, part: str, name: str) -> None:
        """Put a local file into a part; one of the same name is replaced at once and as a whole.

        Raises:
            StorageError: It cannot be written; nothing is to be seen of it then.
        """
        place = self._place(part, name)
        folder, _, last = place.rpartition("/")
        hidden = f"{folder}/.{last}.{secrets.token_hex(4)}{_LEFTOVER}"
        with self._errors("written"):
            if self._atomic:
                # By default whole parts of 50 MB are read, ten at a time.
                self._fs.put_file(path, place, chunksize=_PART, max_concurrency=4)
                return
            self._fs.makedirs(folder, exist_ok=True)
            with on_shutdown(lambda: self._fs.rm_file(hidden)):
                try:
                    if self._local:
                        _copy(path, hidden)
                        os.replace(hidden, place)
                        _settle(folder)
                    else:
                        self._fs.put_file(path, hidden)
                        self._fs.mv(hidden, place)
                except BaseException:
                    with contextlib.suppress(Exception):
                        self._fs.rm_file(hidden)
                    raise

    def delete(self, part: str, name: str) -> None:
        """Delete a file; it may be gone already.

        Args:
            part: Name of the part.
            name: As `names` or `leftovers` gave it.

        Raises:
            StorageError: It cannot be deleted.
        """
        with self._errors("written"), contextlib.suppress(FileNotFoundError):
            self._fs.rm_file(self._place(part, name))

    def _place(self, part: str, name: str) -> str:
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
        except Exception as problem:  # noqa: BLE001 - each storage has errors of its own
            detail = getattr(problem, "strerror", None) or type(problem).__name__
            reason = f"the table cannot be {what}: {detail}"
            raise StorageError("storage/failed", self.url, reason) from None


def _copy(path: str, target: str) -> None:
    """Copy a file, and have it on the disk before anybody sees it."""
    with open(path, "rb") as source, open(target, "xb") as copy:
        while piece := source.read(1 << 20):
            copy.write(piece)
        copy.flush()
        os.fsync(copy.fileno())


def _settle(folder: str) -> None:
    """Bring a new name to the disk, where the file system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
