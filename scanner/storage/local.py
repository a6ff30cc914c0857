"""Local files: listed with scandir, read with pread, pinned by size, both times and inode."""

import errno
import glob
import os
import re
import stat
from collections.abc import Iterator
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from prefect_mutagen.parsers.errors import shown
from prefect_mutagen.scanner.pins import file_pin
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.store import RangeReply, StoredObject, Wanted

if TYPE_CHECKING:
    import asyncio

__all__ = ["LocalStore", "describe_file", "read_fully", "storage_error"]

_CODES: Final = {
    errno.ENOENT: ("storage/not-found", "there is no such file or folder"),
    errno.ENOTDIR: ("storage/not-found", "there is no such file or folder"),
    errno.EACCES: ("storage/denied", "permission denied"),
    errno.EPERM: ("storage/denied", "permission denied"),
    errno.ELOOP: ("storage/not-found", "the symbolic links form a loop"),
    errno.EISDIR: ("storage/not-a-file", "it is a folder"),
    errno.ENXIO: ("storage/not-a-file", "it is not a regular file"),
    errno.ETIMEDOUT: ("storage/timeout", "the file system does not respond"),
}
_MOST_LINKS: Final = 100
"""Most links to folders outside of a root that are followed."""
_SORT_LIMIT: Final = 20_000
"""Directory entries held and sorted at a time."""

# The Hugging Face cache links to blobs named by their SHA-256.
_BLOB_NAME: Final = re.compile(r"[0-9a-f]{64}")


def storage_error(problem: OSError, url: str) -> StorageError:
    """Return the storage error for an error of the operating system."""
    code, reason = _CODES.get(
        problem.errno or 0, ("storage/failed", problem.strerror or type(problem).__name__)
    )
    return StorageError(code, url, reason)


class LocalStore:
    """A local file or folder."""

    def __init__(self, root: str) -> None:
        """Take an absolute path; the file system is not accessed yet."""
        self.root = root
        self.loop: asyncio.AbstractEventLoop | None = None

    def list_objects(self, wanted: Wanted) -> Iterator[StoredObject]:
        """See `Store.list_objects`.

        Symbolic links are followed and keep their own names, as in the Hugging Face cache and as
        loaders do: those to files, and those to folders outside of the root. What lies inside of it
        is listed where it lies.
        """
        yield from self._list(wanted, links=False)

    def _list(self, wanted: Wanted, *, links: bool) -> Iterator[StoredObject]:
        """List objects; see `list_objects`.

        Args:
            wanted: See `Store.list_objects`.
            links: Whether a link to a folder is listed, with a fault.
        """
        try:
            status = os.stat(self.root)
        except OSError as problem:
            raise storage_error(problem, self.root) from None
        if not stat.S_ISDIR(status.st_mode):
            yield _describe(self.root)
            return
        followed = _Followed(self.root)
        folders = [(self.root, followed.real_root)]
        while folders:
            folder, real = folders.pop()
            inside: list[tuple[str, str]] = []
            linked: list[str] = []
            try:
                yield from _files_in((folder, real), wanted, inside, linked)
                for path in linked:
                    refusal = followed.refuse(path)
                    if links:
                        refusal = "it is a link to a folder" if wanted(path, 0) else ""
                    if refusal is None:
                        inside.append((path, _real_path(path)))
                    elif refusal:
                        yield _unfollowed(path, refusal)
            except OSError as problem:
                fault = storage_error(problem, folder)
                if folder == self.root:
                    raise fault from None
                yield StoredObject(folder, 0, "", fault=fault)
            inside.sort(reverse=True)
            folders += inside

    def list_folder(self, folder: str, wanted: Wanted) -> Iterator[StoredObject]:
        """See `Store.list_folder`."""
        try:
            real = _real_path(folder)
            yield from _files_in((folder, real), wanted, [], [])
        except OSError as problem:
            raise storage_error(problem, folder) from None

    def list_tree(self, folder: str, wanted: Wanted) -> Iterator[StoredObject]:
        """See `Store.list_tree`; a link to a folder is listed with a fault."""
        return LocalStore(folder.rstrip("/"))._list(wanted, links=True)

    async def find(self, url: str) -> StoredObject:
        """See `Store.find`."""
        found = _describe(url)
        if found.fault is not None:
            raise found.fault
        return found

    async def read(self, item: StoredObject, start: int, end: int) -> RangeReply:
        """See `Store.read`."""
        try:
            # O_NONBLOCK: opening a pipe without a writer must not block.
            handle = os.open(item.url, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as problem:
            raise storage_error(problem, item.url) from None
        try:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise StorageError("storage/not-a-file", item.url, "it is not a regular file")
            data = read_fully(handle, start, min(end, status.st_size))
            pin = file_pin(status)
            if (item.pin and pin != item.pin) or file_pin(os.fstat(handle)) != pin:
                raise StorageError(
                    "storage/changed-during-scan", item.url, "the file was changed during the scan"
                )
        except OSError as problem:
            raise storage_error(problem, item.url) from None
        finally:
            os.close(handle)
        return RangeReply(data, status.st_size, pin)

    async def stored_sha256(self, item: StoredObject) -> str:  # noqa: ARG002 - a contract
        """See `Store.stored_sha256`; file systems keep none."""
        return ""


def _files_in(
    place: tuple[str, str],
    wanted: Wanted,
    inside: list[tuple[str, str]],
    linked: list[str],
) -> Iterator[StoredObject]:
    """Yield the wanted files of a folder sorted by name.

    A folder is its path and its real path, with all links resolved. Its subfolders are appended to
    ``inside``, the paths of links to folders to ``linked``.

    A very large folder is sorted in batches. It is opened once, and entries are looked up relative
    to its descriptor, which saves the system resolving the path for each.
    """
    folder, real = place
    start, real = os.path.join(folder, ""), os.path.join(real, "")
    moved = real if real != start else ""
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
    try:
        with os.scandir(handle) as entries:
            while some := sorted(islice(entries, _SORT_LIMIT), key=attrgetter("name")):
                for entry in some:
                    if entry.is_dir(follow_symlinks=False):
                        inside.append((start + entry.name, real + entry.name))
                    elif (link := entry.is_symlink()) and _links_to_folder(entry):
                        linked.append(start + entry.name)
                    elif wanted(start + entry.name, _size_of(entry)):
                        found = _describe_entry(entry, start, link=link)
                        if moved and not found.real:
                            found = found._replace(real=moved + entry.name)
                        yield found
    finally:
        os.close(handle)


def _size_of(entry: "os.DirEntry[str]") -> int:
    """Return the size of an entry; 0 for what is no file, and for a link to nothing."""
    try:
        status = entry.stat()
    except OSError:
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


def _links_to_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False  # a link whose target is inaccessible; `stat` reports why


def _unfollowed(path: str, reason: str) -> StoredObject:
    """Return a link to a folder that is not followed, though loaders follow it."""
    return StoredObject(path, 0, "", fault=StorageError("storage/unsupported", path, reason))


class _Followed:
    """Links to folders outside of a root that were followed."""

    def __init__(self, root: str) -> None:
        self.real_root = _real_path(root)
        self._targets: set[str] = set()

    def refuse(self, path: str) -> str | None:
        """Return why a link is not followed: empty if all behind it is listed; None to follow."""
        real = os.path.join(self.real_root, "")
        target = os.path.join(_real_path(path), "")
        if target.startswith(real) or any(map(target.startswith, self._targets)):
            return ""
        if real.startswith(target):
            return "it is a link to a folder above, which holds the root itself"
        if len(self._targets) >= _MOST_LINKS:
            return f"more than {_MOST_LINKS} links to folders outside of the root are not followed"
        self._targets.add(target)
        return None


def _describe_entry(entry: "os.DirEntry[str]", start: str, *, link: bool) -> StoredObject:
    """Describe an entry of an open folder whose path is ``start``."""
    path = start + entry.name
    try:
        status = entry.stat()
    except OSError as problem:
        return StoredObject(path, 0, "", fault=_link_error(problem, path))
    return describe_file(path, status, link=link)


def _link_error(problem: OSError, path: str) -> StorageError:
    """Return the error for a path that cannot be accessed; a dangling link says what is missing."""
    if problem.errno != errno.ENOENT or not os.path.islink(path):
        return storage_error(problem, path)
    target = os.path.realpath(path)
    name = shown(os.path.basename(target))
    if glob.glob(f"{glob.escape(target)}*.incomplete"):
        reason = f"the download of the file that it links to is not finished ({name}.incomplete)"
        return StorageError("storage/unfinished", path, reason)
    return StorageError("storage/not-found", path, f"the file that it links to is missing ({name})")


def _real_path(path: str) -> str:
    """Return a path with all links resolved; the path itself where one went meanwhile."""
    try:
        return os.path.realpath(path)
    except OSError:
        return path


def _describe(path: str) -> StoredObject:
    """Describe the file at a path."""
    try:
        status = os.stat(path)
    except OSError as problem:
        return StoredObject(path, 0, "", fault=_link_error(problem, path))
    found, real = describe_file(path, status, link=os.path.islink(path)), _real_path(path)
    return found if real == path else found._replace(real=real)


def describe_file(path: str, status: os.stat_result, *, link: bool) -> StoredObject:
    """Return the stored object for a file's status.

    Args:
        path: Its path.
        status: Its status, links followed.
        link: Whether the path is a symbolic link, as to a blob in the Hugging Face cache.
    """
    if not stat.S_ISREG(status.st_mode):
        fault = StorageError("storage/not-a-file", path, "it is not a regular file")
        return StoredObject(path, 0, "", fault=fault)
    real = _real_path(path) if link else ""
    found = StoredObject(path, status.st_size, file_pin(status), status.st_mtime, real=real)
    blob = _blob_name(path) if link else ""
    if not blob:
        return found
    return found._replace(sha256=blob, sha256_source="name of the cache's blob")


def _blob_name(path: str) -> str:
    """Return the SHA-256 that the target of a link is named by; empty for other names."""
    try:
        target = os.readlink(path)
    except OSError:
        return ""  # gone, or no longer a link; reading it will tell
    found = _BLOB_NAME.fullmatch(os.path.basename(target))
    return found[0] if found else ""


def read_fully(handle: int, start: int, end: int) -> bytes:
    """Read a range of an open file; returns fewer bytes only at its end.

    Raises:
        OSError: The file cannot be read.
    """
    data = os.pread(handle, max(0, end - start), start)
    while start + len(data) < end:  # the kernel returns at most 2 GiB at once
        more = os.pread(handle, end - start - len(data), start + len(data))
        if not more:
            break
        data += more
    return data
