"""Read the objects of one artifact: headers, shard index, neighbours, checksum files.

Like the rest of an examination these do no I/O: they are generators that yield requests and are
sent the replies (`scanner.storage.requests`).
"""

import hashlib
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final

from prefect_mutagen.parsers import Header, NeedBytes, read_header
from prefect_mutagen.parsers.detect import format_of
from prefect_mutagen.scanner.content.neighbours import Neighbours, read_neighbours
from prefect_mutagen.scanner.content.shard_index import INDEX_LIMIT, ShardIndex, read_index
from prefect_mutagen.scanner.examine.read_plan import read_ahead
from prefect_mutagen.scanner.examine.second_format import look_behind
from prefect_mutagen.scanner.findings import Finding, make_finding
from prefect_mutagen.scanner.listing.artifacts import Artifact
from prefect_mutagen.scanner.listing.roles import shard_name
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.hashing import read_checksums
from prefect_mutagen.scanner.storage.requests import Digest, Find, Read, Request, read
from prefect_mutagen.scanner.storage.store import UNKNOWN_SIZE, RangeReply, StoredObject

__all__ = [
    "FilesBeside",
    "Seen",
    "find_shards",
    "load_beside",
    "load_index",
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


def see(item: StoredObject, *, digest: bool) -> Generator[Request, Any, Seen]:
    """Read a header; start over once if the object was replaced meanwhile.

    Args:
        item: The object.
        digest: Whether to compute the header's SHA-256.

    Returns:
        The file; a storage error is in ``fault``, never raised.
    """
    try:
        if item.fault is not None:
            raise item.fault
        try:
            return (yield from _see_once(item, digest=digest))
        except StorageError as problem:
            if problem.code != "storage/changed-during-scan":
                raise
        fresh: StoredObject = yield Find(item.url)
        return (yield from _see_once(fresh, digest=digest))
    except StorageError as problem:
        return Seen(item, None, "unknown", fault=problem)


def _see_once(item: StoredObject, *, digest: bool) -> Generator[Request, Any, Seen]:
    expected = format_of(item.name)
    data = b""
    if item.size == UNKNOWN_SIZE:
        end, upto = read_ahead(expected, 0, 1)
        reply = yield from read(Read(item, 0, end, upto=upto))
        item = item._replace(size=reply.size, pin=reply.pin)
        data = reply.data
    reader = read_header(item.size, expected)
    pieces = [data] if data else []
    last = (0, data)
    answer = reader.feed(data)
    while isinstance(answer, NeedBytes):
        start = reader.position
        end, upto = read_ahead(reader.format or expected, start, answer.upto)
        reply = yield from read(Read(item, start, min(item.size, end), upto=upto))
        if digest:
            pieces.append(reply.data)
        last = (start, reply.data)
        answer = reader.feed(reply.data)
    answer = yield from look_behind(item, answer, last)
    sha256 = ""
    if digest and answer.complete and answer.header_size <= reader.position:
        sha256 = yield from _digest_of(pieces, answer.header_size)
    return Seen(item, answer, reader.format or "unknown", sha256)


def _digest_of(pieces: list[bytes], count: int) -> Generator[Request, Any, str]:
    digest = hashlib.sha256()
    for piece in pieces:
        yield Digest(digest, piece[:count])
        count = max(0, count - len(piece))
    return digest.hexdigest()


def load_index(
    item: StoredObject,
) -> Generator[Request, Any, tuple[ShardIndex | None, StoredObject, list[Finding]]]:
    """Read the shard index of a set.

    Returns:
        The index, None if it is unusable; the object with size and pin as read; and findings.
    """
    wanted = INDEX_LIMIT if item.size == UNKNOWN_SIZE else item.size
    try:
        if item.fault is not None:
            raise item.fault
        if wanted > INDEX_LIMIT:
            return None, item, [_bad_index(item, f"it has more than {INDEX_LIMIT} bytes")]
        data = b""
        if wanted:
            reply = yield from read(Read(item, 0, wanted))
            data, item = reply.data, item._replace(size=reply.size, pin=reply.pin)
        if item.size > INDEX_LIMIT:
            return None, item, [_bad_index(item, f"it has more than {INDEX_LIMIT} bytes")]
    except StorageError as problem:
        return None, item, [make_finding(problem.code, str(problem), url=item.url)]
    index, invalid = read_index(data)
    return index, item, [_bad_index(item, invalid)] if invalid else []


def _bad_index(item: StoredObject, problem: str) -> Finding:
    message = f"the index cannot be used: {problem}"
    return make_finding("set/index-invalid", message, url=item.url, field=item.name)


def find_shards(
    artifact: Artifact, index: ShardIndex | None
) -> Generator[Request, Any, tuple[StoredObject, ...]]:
    """Look up the shards of a set that was not listed.

    Returns:
        Its objects, without those that do not exist.
    """
    known = {item.name: item for item in artifact.objects}
    folder = (artifact.shard_index or artifact.objects[0]).folder
    missing = (name for name in _expected(artifact, index) if name not in known)
    for name in islice(missing, _MAX_SHARD_LOOKUPS):
        url = folder + name
        try:
            known[name] = yield Find(url)
        except StorageError as problem:
            if problem.code != "storage/not-found":
                known[name] = StoredObject(url, 0, "", fault=problem)
    return tuple(known[name] for name in sorted(known))


def _expected(artifact: Artifact, index: ShardIndex | None) -> Iterator[str]:
    if index is not None:
        yield from index.shards()
        return
    for item in artifact.objects[:1]:
        shard = shard_name(item.name)
        if shard is not None:
            before, _, behind = item.name.rpartition(f"{shard.number:05d}-of-{shard.total:05d}")
            for number in range(1, shard.total + 1):
                yield f"{before}{number:05d}-of-{shard.total:05d}{behind}"


@dataclass(frozen=True, slots=True)
class FilesBeside:
    """Contents of small files beside an artifact."""

    objects: tuple[StoredObject, ...]
    contents: Mapping[str, tuple[str, bytes]]
    """Address and bytes up to the limit, by name."""
    unread: tuple[tuple[StoredObject, StorageError], ...]
    """Files that cannot be read, and why."""

    def parse_neighbours(self) -> Neighbours:
        """Parse them as neighbours; each unreadable file becomes a finding."""
        neighbours = read_neighbours(self.contents)
        sizes = {item.name: item.size for item in self.objects}
        digests = {
            name: hashlib.sha256(raw).hexdigest()
            for name, (_, raw) in self.contents.items()
            if len(raw) == sizes[name]
        }
        found = list(neighbours.findings)
        for item, problem in self.unread:
            message = f"{item.name} cannot be read: {problem.reason}"
            found.append(
                make_finding("sbom/neighbour-unread", message, url=item.url, field=item.name)
            )
        return replace(neighbours, findings=tuple(found), digests=digests)


def load_beside(
    items: tuple[StoredObject, ...], limit_of: Callable[[str], int]
) -> Generator[Request, Any, FilesBeside]:
    """Read small files beside an artifact; unreadable ones are kept apart.

    Args:
        items: The files.
        limit_of: Maximum bytes to read, by file name.
    """
    contents: dict[str, tuple[str, bytes]] = {}
    objects: list[StoredObject] = []
    unread: list[tuple[StoredObject, StorageError]] = []
    for item in items:
        limit = limit_of(item.name)
        wanted = limit if item.size == UNKNOWN_SIZE else min(limit, item.size)
        try:
            if item.fault is not None:
                raise item.fault
            reply = RangeReply(b"", 0, item.pin)
            if wanted:
                reply = yield from read(Read(item, 0, wanted, shared=True))
            contents[item.name] = (item.url, reply.data)
            same = (reply.size, reply.pin) == (item.size, item.pin)
            objects.append(item if same else item._replace(size=reply.size, pin=reply.pin))
        except StorageError as problem:
            unread.append((item, problem))
            objects.append(item)
    return FilesBeside(tuple(objects), contents, tuple(unread))


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
