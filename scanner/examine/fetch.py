"""Read the objects of one artifact: headers, shard index, neighbours, checksum files.

Like the rest of an examination these do no I/O: they are generators that yield requests and are
sent the replies (`scanner.storage.requests`).
"""

import hashlib
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from prefect_mutagen.parsers import (
    Content,
    Header,
    HeaderError,
    NeedBytes,
    UnknownHeader,
    read_header,
)
from prefect_mutagen.parsers.detect import format_of
from prefect_mutagen.scanner.content.folders import Folder, Folders
from prefect_mutagen.scanner.content.neighbours import Neighbours, read_neighbours, read_up_to
from prefect_mutagen.scanner.content.read_limits import read_limit
from prefect_mutagen.scanner.content.shard_index import (
    INDEX_LIMIT,
    ShardIndex,
    read_index,
    too_long,
)
from prefect_mutagen.scanner.content.template_places import holds_templates
from prefect_mutagen.scanner.examine.read_plan import read_ahead
from prefect_mutagen.scanner.examine.second_format import look_behind
from prefect_mutagen.scanner.findings import Finding, make_finding
from prefect_mutagen.scanner.listing.artifacts import Artifact
from prefect_mutagen.scanner.listing.listed_index import unpack
from prefect_mutagen.scanner.listing.loose_weights import LOOSE, is_looked_for
from prefect_mutagen.scanner.listing.roles import role_of
from prefect_mutagen.scanner.listing.shards import siblings
from prefect_mutagen.scanner.storage.address import below
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.hashing import read_checksums
from prefect_mutagen.scanner.storage.requests import Digest, Find, Read, Request, read
from prefect_mutagen.scanner.storage.store import UNKNOWN_SIZE, RangeReply, StoredObject

__all__ = [
    "FilesBeside",
    "Seen",
    "by_name",
    "find_shards",
    "load_beside",
    "load_index",
    "read_beside",
    "read_folder",
    "see",
    "stated_digests",
]

_MAX_SHARD_LOOKUPS: Final = 4096


@dataclass(frozen=True, slots=True)
class Seen:
    """One file and its header, or why that could not be read."""

    item: StoredObject
    header: Header | None
    """None if it could not be read."""
    format: str
    header_sha256: str = ""
    fault: StorageError | None = None


def see(
    item: StoredObject, *, digest: bool, allowed: Collection[str] = ()
) -> Generator[Request, Any, Seen]:
    """Read a header; start over once if the object was replaced meanwhile.

    Args:
        item: The object.
        digest: Whether to compute the header's SHA-256.
        allowed: Globals of pickles that a policy trusts, each ``module.name``.

    Returns:
        The file; a storage error is in ``fault``, never raised.
    """
    try:
        if item.fault is not None:
            raise item.fault
        try:
            return (yield from _see_once(item, allowed, digest=digest))
        except StorageError as problem:
            if problem.code != "storage/changed-during-scan":
                raise
        fresh: StoredObject = yield Find(item.url)
        return (yield from _see_once(fresh, allowed, digest=digest))
    except StorageError as problem:
        return Seen(item, None, "unknown", fault=problem)


def _see_once(
    item: StoredObject, allowed: Collection[str], *, digest: bool
) -> Generator[Request, Any, Seen]:
    expected = format_of(item.name)
    data = b""
    if item.size == UNKNOWN_SIZE:
        end, upto = read_ahead(expected, 0, 1)
        reply = yield from read(Read(item, 0, end, upto=upto))
        item = item.as_read(reply)
        data = reply.data
    told: tuple[HeaderError, ...] = ()
    if role_of(item.name) in LOOSE:
        seen, told = yield from _see_loose(item, allowed, data)
        if seen is not None:
            return seen
        # Its content decides: a model under such a name is read as what it is.
    reader = read_header(item.size, expected)
    pieces = [data] if data else []
    last = (0, data)
    answer = reader.feed(data)
    while isinstance(answer, NeedBytes):
        start = reader.position
        end, upto = read_ahead(reader.format or expected, start, answer.upto)
        reply = yield from read(Read(item, start, min(item.size, end), upto=upto))
        item = item.as_read(reply)
        if digest:
            pieces.append(reply.data)
        last = (start, reply.data)
        answer = reader.feed(reply.data)
    answer = yield from look_behind(item, answer, last)
    if isinstance(answer, UnknownHeader) and role_of(item.name) == "other":
        seen, _ = yield from _see_loose(item, allowed, last[1] if last[0] == 0 else b"")
        if seen is not None:
            return seen
    if isinstance(answer, UnknownHeader) and role_of(item.name) in LOOSE:
        unknown = _may_be_weights(item, answer.content)
        answer = replace(answer, errors=() if unknown else told or answer.errors)
    sha256 = ""
    if digest and answer.complete and answer.header_size <= reader.position:
        sha256 = yield from _digest_of(pieces, answer.header_size)
    return Seen(item, answer, reader.format or "unknown", sha256)


def _see_loose(
    item: StoredObject, allowed: Collection[str], data: bytes
) -> Generator[Request, Any, tuple[Seen | None, tuple[HeaderError, ...]]]:
    """Read a pickle, or weights in another format; None, and what is wrong, if it is neither."""
    # Imported here: a scan without pickles does not need their reader.
    from prefect_mutagen.scanner.examine.pickles import format_of_loose, read_loose

    loose = yield from read_loose(item, allowed, data)
    seen = Seen(item, loose, format_of_loose(loose)) if loose.format else None
    return seen, loose.errors


def _may_be_weights(item: StoredObject, content: Content) -> bool:
    """Whether content in no known format may be the weights that a file's name promises."""
    return not is_looked_for(item.name) and content.kind in ("bad-magic", "archive")


def _digest_of(pieces: list[bytes], count: int) -> Generator[Request, Any, str]:
    digest = hashlib.sha256()
    for piece in pieces:
        yield Digest(digest, piece[:count])
        count = max(0, count - len(piece))
    return digest.hexdigest()


def load_index(
    artifact: Artifact, item: StoredObject
) -> Generator[Request, Any, tuple[ShardIndex | None, StoredObject, list[Finding]]]:
    """Read the shard index of a set, unless the listing has read it.

    Args:
        artifact: The set.
        item: Its index.

    Returns:
        The index, None if it is unusable; the object with size and pin as read; and findings.
    """
    wanted = INDEX_LIMIT if item.size == UNKNOWN_SIZE else item.size
    try:
        if item.fault is not None:
            raise item.fault
        if problem := too_long(wanted):
            return None, item, [_unexamined(item.url, f"the index: {problem}", item.name)]
        data = b""
        if artifact.packed_index:
            data = unpack(artifact.packed_index)
        elif wanted:
            reply = yield from read(Read(item, 0, wanted))
            data, item = reply.data, item.as_read(reply)
        if problem := too_long(item.size):
            return None, item, [_unexamined(item.url, f"the index: {problem}", item.name)]
    except StorageError as problem:
        return None, item, [make_finding(problem.code, str(problem), url=item.url)]
    index, clause, is_limit = read_index(data)
    if is_limit:
        return None, item, [_unexamined(item.url, f"the index: {clause}", item.name)]
    return index, item, [_bad_index(item, clause)] if clause else []


def _bad_index(item: StoredObject, problem: str) -> Finding:
    message = f"the index cannot be used: {problem}"
    return make_finding("set/index-invalid", message, url=item.url, field=item.name)


def _unexamined(url: str, message: str, field: str) -> Finding:
    return make_finding("set/unexamined", message, url=url, field=field)


def find_shards(
    artifact: Artifact, index: ShardIndex | None
) -> Generator[Request, Any, tuple[tuple[StoredObject, ...], list[Finding]]]:
    """Look up the shards of a set that the listing did not cover.

    These are all where the folder was not listed. Where it was, they are those in folders below,
    whose files may have been listed before the index, and those that are no weights by their name,
    such as pickles.

    Returns:
        Its objects, without those that do not exist, in order; and findings.
    """
    known = {artifact.path_beside(item): item for item in artifact.objects}
    folder = (artifact.shard_index or artifact.objects[0]).folder
    names: Iterator[str] = iter(())
    if index is not None:
        names = iter(index.shards())
    elif not artifact.listed and artifact.shard_index is None:
        names = siblings(artifact.objects[0].name)
    missing = (name for name in names if name not in known)
    if artifact.listed:
        missing = (name for name in missing if "/" in name or role_of(name) != "weights")
    findings: list[Finding] = []
    for number, name in enumerate(missing):
        if number == _MAX_SHARD_LOOKUPS:
            message = f"more than {_MAX_SHARD_LOOKUPS:,} shards would have to be looked up by name"
            findings.append(_unexamined(artifact.url, message, "folder"))
            break
        url = below(folder, name)
        try:
            known[name] = yield Find(url)
        except StorageError as problem:
            if problem.code != "storage/not-found":
                known[name] = StoredObject(url, 0, "", fault=problem)
    return tuple(known[name] for name in sorted(known)), findings


@dataclass(frozen=True, slots=True)
class FilesBeside:
    """Contents of small files of a model."""

    objects: tuple[StoredObject, ...]
    contents: Mapping[str, tuple[str, bytes]]
    """Address and bytes up to the limit, by path."""
    unread: tuple[tuple[str, StoredObject, StorageError], ...]
    """Files that cannot be read, by path, and why."""
    whole: frozenset[str] = frozenset()
    """Paths of the files that were read to their end."""

    def parse_neighbours(self, folder: str = "") -> Neighbours:
        """Parse them as neighbours; each unreadable file becomes a finding.

        Args:
            folder: Folder of the weights below the model's root, with a trailing slash.
        """
        neighbours = read_neighbours(self.contents, folder)
        digests = {
            path: hashlib.sha256(raw).hexdigest()
            for path, (_, raw) in self.contents.items()
            if path in self.whole
        }
        found = list(neighbours.findings)
        found += self.unread_findings()
        return replace(neighbours, findings=tuple(found), digests=digests)

    def unread_findings(self) -> Iterator[Finding]:
        """Yield findings about the files that could not be read."""
        for path, item, problem in self.unread:
            message = f"{path} cannot be read: {problem.reason}"
            yield make_finding("sbom/neighbour-unread", message, url=item.url, field=path)
            if holds_templates(path):
                message = f"chat templates in {path} are not examined: {problem.reason}"
                yield make_finding("template/unexamined", message, url=item.url, field=path)


def load_beside(
    items: Iterable[tuple[str, StoredObject]], limit_of: Callable[[str], int]
) -> Generator[Request, Any, FilesBeside]:
    """Read small files of a model; unreadable ones are kept apart.

    Args:
        items: The files by path.
        limit_of: Maximum bytes to read, by file name; 0: a file is not read.
    """
    contents: dict[str, tuple[str, bytes]] = {}
    objects: list[StoredObject] = []
    unread: list[tuple[str, StoredObject, StorageError]] = []
    whole: set[str] = set()
    for path, item in items:
        limit = limit_of(item.name)
        if not limit:
            objects.append(item)
            continue
        try:
            found, raw = yield from read_beside(item, limit)
        except StorageError as problem:
            unread.append((path, item, problem))
            objects.append(item)
            continue
        objects.append(found)
        contents[path] = (found.url, raw)
        if len(raw) == found.size:
            whole.add(path)
    return FilesBeside(tuple(objects), contents, tuple(unread), frozenset(whole))


def read_folder(artifact: Artifact, folders: Folders) -> Generator[Request, Any, Folder]:
    """Read the files that describe an artifact, unless another artifact of its folder has.

    Args:
        artifact: The artifact.
        folders: Neighbours already read.
    """
    items = artifact.beside.neighbours
    folder = folders.find(items)
    if folder is None:
        files = yield from load_beside(artifact.named(items), read_limit)
        # Another artifact of the folder may have read the same files meanwhile.
        folder = folders.find(items)
        if folder is None:
            length = sum(len(raw) for _, raw in files.contents.values())
            neighbours = files.parse_neighbours(artifact.folder)
            folder = Folder(neighbours, files.objects, max(length, neighbours.memory))
            folder = folders.add(items, folder)
    return folder


def read_beside(
    item: StoredObject, limit: int
) -> Generator[Request, Any, tuple[StoredObject, bytes]]:
    """Read a small file; start over once if it was replaced since it was listed.

    Args:
        item: The file.
        limit: Maximum bytes to read.

    Returns:
        The file as it was read, and its bytes.

    Raises:
        StorageError: It cannot be read.
    """
    if item.fault is not None:
        raise item.fault
    try:
        return (yield from _read_up_to(item, limit))
    except StorageError as problem:
        if problem.code != "storage/changed-during-scan":
            raise
    fresh: StoredObject = yield Find(item.url)
    return (yield from _read_up_to(fresh, limit))


def _read_up_to(
    item: StoredObject, limit: int
) -> Generator[Request, Any, tuple[StoredObject, bytes]]:
    wanted = limit if item.size == UNKNOWN_SIZE else min(limit, item.size)
    reply = RangeReply(b"", 0, item.pin)
    if wanted:
        reply = yield from read(Read(item, 0, wanted, shared=True))
    raw = reply.data
    while (end := read_up_to(item.name, raw, reply.size)) > len(raw):
        more = yield from read(Read(item, len(raw), end, shared=True))
        raw += more.data
    return item.as_read(reply), raw


def by_name(items: Iterable[StoredObject]) -> Iterator[tuple[str, StoredObject]]:
    """Yield files of one folder with their names."""
    return ((item.name, item) for item in items)


def stated_digests(files: FilesBeside) -> dict[str, tuple[str, str]]:
    """Parse checksum files.

    Returns:
        Digest and name of the checksum file, by file name.
    """
    stated: dict[str, tuple[str, str]] = {}
    for source, (_, raw) in files.contents.items():
        for name, digest in read_checksums(source, raw).items():
            stated.setdefault(name, (digest, source))
    return stated
