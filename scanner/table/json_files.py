"""Small JSON files beside the Parquet files of a table, each created, replaced or read whole.

A local file is written under a temporary name, synced to disk, and linked or renamed. S3 shows an
object only when its upload is complete, and creates one conditionally.
"""

import contextlib
import json
import os
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from prefect_mutagen.scanner.storage.address import Address
from prefect_mutagen.scanner.storage.errors import StorageError

__all__ = ["JsonFiles"]

_SUFFIX: Final = ".json"
_UNFINISHED: Final = ".tmp"
_DAY: Final = 86_400.0


class JsonFiles:
    """The JSON files below one folder of a table; their names are paths below it."""

    def __init__(
        self,
        url: str | Address,
        folder: str,
        what: str,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """Open the files of a table; neither they nor the table have to exist yet.

        Args:
            url: Address of the table.
            folder: Name of the folder in the table.
            what: What the files are, for error texts, such as "the record of agents".
            options: Options for fsspec's file system.

        Raises:
            StorageError: The kind of storage is unknown.
        """
        import fsspec

        address = Address.parse(url)
        self.url = address.text
        self._what = what
        try:
            self._fs, path = fsspec.core.url_to_fs(
                address.secret_text, use_listings_cache=False, **(options or {})
            )
        except (ImportError, TypeError, ValueError):
            reason = f"{what} cannot be kept there"
            raise StorageError("storage/unsupported", self.url, reason) from None
        self._path = f"{path}/{folder}"
        self._local = address.is_local

    def create(self, name: str, content: Mapping[str, Any]) -> bool:
        """Create a file exclusively.

        Returns:
            Whether it was created; False if it exists. Of several callers at once one gets True.

        Raises:
            StorageError: It cannot be written.
        """
        path, data = self._place(name), json.dumps(content).encode()
        with self._errors("written"):
            self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            try:
                if self._local:
                    _link(path, data)
                else:
                    self._fs.pipe_file(path, data, mode="create")
            except FileExistsError:
                return False
        return True

    def replace(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a file, whether it exists or not.

        Raises:
            StorageError: It cannot be written.
        """
        path, data = self._place(name), json.dumps(content).encode()
        with self._errors("written"):
            self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            if self._local:
                os.replace(_write_temporary(path, data), path)
            else:
                self._fs.pipe_file(path, data)

    def read(self, name: str) -> dict[str, Any] | None:
        """Return the content of a file; None if it does not exist.

        Raises:
            StorageError: It cannot be read.
        """
        with self._errors("read"):
            try:
                content = json.loads(self._fs.cat_file(self._place(name)))
            except FileNotFoundError:
                return None
        return content if isinstance(content, dict) else {}

    def read_all(self, names: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return the contents of files by name, many at a time where storage is remote.

        Args:
            names: Their names; those that do not exist are left out.

        Raises:
            StorageError: They cannot be read.
        """
        places = {self._place(name): name for name in names}
        with self._errors("read"):
            found = self._fs.cat(list(places), on_error="return") if places else {}
            contents: dict[str, dict[str, Any]] = {}
            for place, data in found.items():
                if isinstance(data, FileNotFoundError):
                    continue
                if isinstance(data, Exception):
                    raise data
                content = json.loads(data)
                contents[places[str(place)]] = content if isinstance(content, dict) else {}
        return contents

    def names(self, folder: str = "") -> list[str]:
        """Return the sorted names of the files directly in a folder.

        Raises:
            StorageError: They cannot be listed.
        """
        place = f"{self._path}/{folder}".rstrip("/")
        with self._errors("read"):
            try:
                found = self._fs.ls(place, detail=False)
            except FileNotFoundError:
                return []
        prefix = f"{folder}/" if folder else ""
        names = (str(path).rstrip("/").rpartition("/")[2] for path in found)
        return sorted(f"{prefix}{name[:-5]}" for name in names if name.endswith(_SUFFIX))

    def folders(self, folder: str = "") -> list[str]:
        """Return the sorted names of the folders directly in a folder.

        Raises:
            StorageError: They cannot be listed.
        """
        place = f"{self._path}/{folder}".rstrip("/")
        with self._errors("read"):
            try:
                found = self._fs.ls(place, detail=True)
            except FileNotFoundError:
                return []
        prefix = f"{folder}/" if folder else ""
        paths = (str(one["name"]).rstrip("/") for one in found if one["type"] == "directory")
        return sorted(f"{prefix}{path.rpartition('/')[2]}" for path in paths)

    def delete(self, name: str) -> None:
        """Delete a file if it exists.

        Raises:
            StorageError: It cannot be deleted.
        """
        path = self._place(name)
        with self._errors("written"), contextlib.suppress(FileNotFoundError):
            if self._local or self._fs.exists(path):
                self._fs.rm_file(path)

    def sweep_unfinished(self) -> None:
        """Delete what writers that were killed a day ago left directly in the folder.

        Raises:
            StorageError: They cannot be deleted.
        """
        if not self._local:
            return  # there is nothing before it is complete
        with self._errors("written"), contextlib.suppress(FileNotFoundError):
            for name in os.listdir(self._path):
                if name.startswith(".") and name.endswith(_UNFINISHED):
                    place = f"{self._path}/{name}"
                    with contextlib.suppress(FileNotFoundError):  # its writer has finished it
                        if time.time() - os.stat(place).st_mtime > _DAY:
                            os.unlink(place)

    def _place(self, name: str) -> str:
        return f"{self._path}/{name}{_SUFFIX}"

    @contextlib.contextmanager
    def _errors(self, done: str) -> Iterator[None]:
        try:
            yield
        except (PermissionError, FileNotFoundError):
            reason = f"{self._what} cannot be {done}: permission denied or no such folder"
            raise StorageError("storage/denied", self.url, reason) from None
        except Exception as problem:  # noqa: BLE001 - each file system has its own errors
            reason = f"{self._what} cannot be {done}: {type(problem).__name__}"
            raise StorageError("storage/failed", self.url, reason) from None


def _write_temporary(path: str, data: bytes) -> str:
    folder, _, name = path.rpartition("/")
    temporary = f"{folder}/.{name}.{secrets.token_hex(4)}{_UNFINISHED}"
    with open(temporary, "xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return temporary


def _link(path: str, data: bytes) -> None:
    """Create a complete local file atomically; unlike a rename, a link never overwrites."""
    temporary = _write_temporary(path, data)
    try:
        os.link(temporary, path)
    finally:
        os.unlink(temporary)
