"""Open a verified model file without a gap between check and use (TOCTOU).

A path that passed may lead to other bytes a moment later. Here the file is opened first, examined
through the very descriptor that is handed out, and checked again after each read and at the end. A
remote object is read by range requests, each of which names the version that was examined.
"""

import io
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from prefect_mutagen.scanner.policy.policy import Policy
from prefect_mutagen.scanner.results import ScanResult
from prefect_mutagen.scanner.storage.address import Address
from prefect_mutagen.scanner.storage.coroutines import run
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.opening import open_store
from prefect_mutagen.scanner.storage.store import RangeReply, Store, StoredObject
from prefect_mutagen.scanner.verify import verify_store

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from prefect_mutagen.scanner.storage.descriptor import DescriptorStore

__all__ = ["VerifiedFile", "open_verified"]

_PIECE: Final = 8 << 20
_DEADLINE: Final = 60.0
"""Seconds for one range request."""


class _Ranges(io.RawIOBase):
    """Raw stream over one version of an object, read by range requests."""

    def __init__(self, store: Store, item: StoredObject, handle: int = -1) -> None:
        super().__init__()
        self._store = store
        self._item = item
        self._handle = handle
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def fileno(self) -> int:
        self._refuse_when_closed()
        if self._handle < 0:
            raise io.UnsupportedOperation("a remote object has no descriptor")
        return self._handle

    def tell(self) -> int:
        self._refuse_when_closed()
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        self._refuse_when_closed()
        starts = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._item.size}
        if whence not in starts:
            raise ValueError(f"unknown whence: {whence}")
        if starts[whence] + offset < 0:
            raise ValueError("negative seek position")
        self._at = starts[whence] + offset
        return self._at

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        self._refuse_when_closed()
        view = memoryview(buffer).cast("B")
        data = self._range(len(view))
        view[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        self._refuse_when_closed()
        pieces = []
        while piece := self._range(_PIECE):
            pieces.append(piece)
        return b"".join(pieces)

    def _range(self, count: int) -> bytes:
        """Read from the position; at most a piece, so that a request stays within its deadline."""
        end = min(self._at + min(count, _PIECE), self._item.size)
        if end <= self._at:
            return b""
        reply = run(self._store, self._read(self._at, end))
        if reply.size != self._item.size or len(reply.data) != end - self._at:
            reason = "its size differs from what was verified"
            raise StorageError("storage/changed-during-scan", self._item.url, reason)
        self._at = end
        return reply.data

    def _read(self, start: int, end: int) -> Coroutine[Any, Any, RangeReply]:
        read = self._store.read(self._item, start, end)
        return read if self._store.loop is None else _in_time(read, self._item.url)

    def _refuse_when_closed(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")


async def _in_time(read: Coroutine[Any, Any, RangeReply], url: str) -> RangeReply:
    import asyncio

    try:
        return await asyncio.wait_for(read, _DEADLINE)
    except TimeoutError:
        reason = f"the storage did not answer within {_DEADLINE:.0f} seconds"
        raise StorageError("storage/timeout", url, reason) from None


class VerifiedFile(io.BufferedReader):
    """A read-only, seekable binary stream of the verified bytes.

    A local file has a descriptor (``fileno``) for memory maps or ``/proc/self/fd/N``; a remote
    object has none.

    Attributes:
        result: The result of the examination.
    """

    def __init__(self, raw: io.RawIOBase, result: ScanResult, buffer_size: int) -> None:
        """Buffer a raw stream."""
        super().__init__(raw, buffer_size)
        self.result = result


@contextmanager
def open_verified(
    url: str,
    pin: str | None = None,
    policy: Policy | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> Iterator[VerifiedFile]:
    """Verify a model file and open exactly the bytes that were verified.

    A local file is opened once: renaming, replacing or removing it does not change what is read.
    Writing into it is detected by the next read, or at the end of the block; writing through a
    memory map made before is not. Of a remote object only the verified version is read.

    Args:
        url: One model file; open a folder file by file.
        pin: Pin of an earlier scan; None accepts any bytes that pass.
        policy: The policy to verify against.
        storage_options: Options for fsspec's file system.

    Yields:
        The file at position 0; closed at the end of the block.

    Raises:
        ArtifactRejected: It does not pass, or differs from the pin (``storage/other-pin``).
        ValueError: The pin is blank.
        StorageError: The address names nothing, it cannot be opened or read, its storage states no
            version to hold on to, or it changed while it was open
            (``storage/changed-during-scan``).
    """
    address = Address.parse(url)
    if address.is_local:
        from prefect_mutagen.scanner.storage.descriptor import DescriptorStore

        held = DescriptorStore(address.key)
        try:
            yield from _open_local(held, pin, policy)
        finally:
            held.close()
        return
    store = open_store(address, storage_options)
    result = verify_store(store, pin, policy).result
    with VerifiedFile(_Ranges(store, _verified(store, result)), result, _PIECE) as file:
        yield file


def _open_local(
    held: "DescriptorStore", pin: str | None, policy: Policy | None
) -> Iterator[VerifiedFile]:
    result = verify_store(held, pin, policy).result
    held.check()
    raw = _Ranges(held, _verified(held, result), held.handle)
    with VerifiedFile(raw, result, io.DEFAULT_BUFFER_SIZE) as file:
        yield file
    held.check()


def _verified(store: Store, result: ScanResult) -> StoredObject:
    """Return the examined object at the root.

    Raises:
        StorageError: It has no version, or the root is not a single file.
    """
    for item in result.objects:
        if item.url == store.root:
            if not item.pin.startswith(("stat:", "etag:", "version:", "time:")):
                reason = "the storage states no version of the object to hold on to"
                raise StorageError("storage/unsupported", item.url, reason)
            return StoredObject(item.url, item.size, item.pin)
    reason = "it is not a single model file; open the files of the model one by one"
    raise StorageError("storage/not-a-file", store.root, reason)
