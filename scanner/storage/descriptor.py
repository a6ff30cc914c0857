"""A store over one open file descriptor, whatever happens to the file's name meanwhile."""

import os
import stat
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from prefect_mutagen.scanner.pins import file_pin, relation_of
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.local import (
    LocalStore,
    describe_file,
    read_fully,
    storage_error,
)
from prefect_mutagen.scanner.storage.store import RangeReply, StoredObject, Wanted

if TYPE_CHECKING:
    import asyncio

__all__ = ["DescriptorStore"]

# File systems take timestamps from a clock that may tick only every 10 ms: two writes within one
# tick leave the same timestamp.
_TICK_NS: Final = 20_000_000
_ROUNDS: Final = 50


class DescriptorStore:
    """A root that is one open file; neighbours are still looked up by name."""

    def __init__(self, path: str) -> None:
        """Open the file.

        Args:
            path: Absolute path; symbolic links are followed once, here.

        Raises:
            StorageError: It cannot be opened, is not a regular file, or is being written to.
        """
        self.root = path
        self.loop: asyncio.AbstractEventLoop | None = None
        self._beside = LocalStore(path)
        try:
            # O_NONBLOCK: opening a pipe without a writer must not block.
            self.handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as problem:
            raise storage_error(problem, path) from None
        self._first = os.fstat(self.handle)
        if not stat.S_ISREG(self._first.st_mode):
            self.close()
            raise StorageError("storage/not-a-file", path, "it is not a regular file")
        self._wait_for_next_tick()

    def _wait_for_next_tick(self) -> None:
        """Wait until any later write must leave another timestamp than the last one did."""
        for _ in range(_ROUNDS):
            last = max(self._first.st_mtime_ns, self._first.st_ctime_ns)
            age = time.time_ns() - last
            if not 0 <= age < _TICK_NS:
                return
            time.sleep((_TICK_NS - age) / 1e9)
            self._first = os.fstat(self.handle)
        self.close()
        raise StorageError("storage/changed-during-scan", self.root, "the file is being written to")

    def close(self) -> None:
        """Close the file."""
        handle, self.handle = self.handle, -1
        os.close(handle)

    def check(self) -> None:
        """Check that the file has not been written to since it was opened.

        Compares size, mtime and ctime, which cannot be set back. A ctime that changed together with
        the link count is accepted: the name was replaced or removed, which leaves the bytes alone.

        Raises:
            StorageError: ``storage/changed-during-scan``.
        """
        now, first = os.fstat(self.handle), self._first
        touched = now.st_ctime_ns != first.st_ctime_ns and now.st_nlink == first.st_nlink
        if touched or relation_of(file_pin(first), file_pin(now)) == "other":
            reason = "the file was changed while it was open"
            raise StorageError("storage/changed-during-scan", self.root, reason)

    def list_objects(self, wanted: Wanted) -> Iterator[StoredObject]:  # noqa: ARG002 - a contract
        """See `Store.list_objects`."""
        yield self._describe()

    def list_folder(self, folder: str, wanted: Wanted) -> Iterator[StoredObject]:
        """See `Store.list_folder`."""
        return self._beside.list_folder(folder, wanted)

    def list_tree(self, folder: str, wanted: Wanted) -> Iterator[StoredObject]:
        """See `Store.list_tree`."""
        return self._beside.list_tree(folder, wanted)

    async def find(self, url: str) -> StoredObject:
        """See `Store.find`."""
        return self._describe() if url == self.root else await self._beside.find(url)

    async def read(self, item: StoredObject, start: int, end: int) -> RangeReply:
        """See `Store.read`."""
        if item.url != self.root:
            return await self._beside.read(item, start, end)
        try:
            data = read_fully(self.handle, start, min(end, self._first.st_size))
        except OSError as problem:
            raise storage_error(problem, self.root) from None
        self.check()
        return RangeReply(data, self._first.st_size, file_pin(self._first))

    async def stored_sha256(self, item: StoredObject) -> str:
        """See `Store.stored_sha256`."""
        return await self._beside.stored_sha256(item)

    def _describe(self) -> StoredObject:
        return describe_file(self.root, self._first, link=os.path.islink(self.root))
