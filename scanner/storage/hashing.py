"""SHA-256 of whole objects, from stated checksums or by reading every byte.

``stored``: checksums that cost no request of their own: the name of a cache's blob, the hub's LFS
record, a checksum file beside the object. ``lookup``: one more request, for the checksum that
storage keeps. ``full``: read every byte. The source is always recorded; sources that disagree are
a finding.

Checksum files are those of ``sha256sum``: a digest and a name per line, also in the BSD form, or
the bare digest in ``NAME.sha256``.
"""

import hashlib
import re
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from prefect_mutagen.scanner.findings import Finding, make_finding
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.requests import Digest, LookUp, Read, Request, read
from prefect_mutagen.scanner.storage.store import StoredObject

__all__ = [
    "CHECKSUM_LIMIT",
    "HashLevel",
    "HashProgress",
    "ObjectHash",
    "hash_object",
    "ignore_progress",
    "read_checksums",
]

HashLevel = Literal["none", "stored", "lookup", "full"]

HashProgress = Callable[[StoredObject, int, int], None]
"""Progress callback: the object, and start and end of the range just hashed. It must be fast and
may be called from any thread."""

CHECKSUM_LIMIT: Final = 1 << 20
"""Maximum bytes read of a checksum file."""
PIECE: Final = 8 << 20
"""Bytes read and hashed at a time; at most two such buffers are held."""
_PROVEN: Final = ("computed", "stored checksum", "the hub's LFS oid")
"""Sources that hashed the bytes; checksum files and cache blob names only claim a digest."""
_LINE: Final = re.compile(r"(?:\\)?([0-9a-fA-F]{64})(?:\s+\*?(.+?))?\s*")
_BSD_LINE: Final = re.compile(r"SHA256 ?\((.+)\) ?= ?([0-9a-fA-F]{64})\s*")


@dataclass(frozen=True, slots=True)
class ObjectHash:
    """The SHA-256 of one object, if known."""

    sha256: str = ""
    """In hexadecimal; empty if unknown."""
    source: str = ""
    """Where it comes from."""
    findings: tuple[Finding, ...] = ()

    @property
    def proven(self) -> str:
        """The digest if the bytes were hashed, here or by the storage; else empty."""
        return self.sha256 if self.source in _PROVEN else ""


def ignore_progress(_item: StoredObject, _start: int, _end: int) -> None:
    """Do nothing; the default progress callback."""


def read_checksums(name: str, raw: bytes) -> dict[str, str]:
    """Read a checksum file.

    Args:
        name: Its name; a bare digest in ``NAME.sha256`` is that of ``NAME``.
        raw: Its bytes.

    Returns:
        Digests in lower case by file name; names with two different digests are left out.
    """
    found: dict[str, str] = {}
    ambiguous: set[str] = set()
    for line in raw.decode("utf-8", "replace").splitlines():
        if match := _LINE.fullmatch(line):
            digest, about = match[1].lower(), match[2] or name.removesuffix(".sha256")
        elif match := _BSD_LINE.fullmatch(line):
            digest, about = match[2].lower(), match[1]
        else:
            continue
        about = about.removeprefix("./")
        if found.setdefault(about, digest) != digest:
            ambiguous.add(about)
    return {about: digest for about, digest in found.items() if about not in ambiguous}


def hash_object(
    item: StoredObject,
    level: HashLevel,
    stated: Mapping[str, tuple[str, str]],
    on_hashed: HashProgress,
) -> Generator[Request, Any, ObjectHash]:
    """Find the SHA-256 of a whole object at the requested cost.

    Args:
        item: The object.
        level: Which sources to use.
        stated: Digest and name of the checksum file, by file name.
        on_hashed: Progress callback.

    Yields:
        Requests; none for ``none`` and ``stored``.
    """
    if level == "none":
        return ObjectHash()
    known: dict[str, str] = {}
    if item.sha256:
        known[item.sha256_source] = item.sha256
    if item.name in stated:
        digest, source = stated[item.name]
        known[source] = digest
    try:
        if level == "lookup" and not known:
            kept: str = yield LookUp(item)
            if kept:
                known["stored checksum"] = kept
        if level == "full":
            known["computed"] = yield from _compute(item, on_hashed)
    except StorageError as problem:
        return ObjectHash(findings=(make_finding(problem.code, str(problem), url=item.url),))
    conflicts: tuple[Finding, ...] = ()
    if len(set(known.values())) > 1:
        listed = "; ".join(f"{source}: {digest}" for source, digest in known.items())
        message = f"the SHA-256 values disagree: {listed}"
        conflicts = (make_finding("sbom/hash-mismatch", message, url=item.url, field="sha256"),)
    source = "computed" if "computed" in known else next(iter(known), "")
    return ObjectHash(known.get(source, ""), source, conflicts)


def _compute(item: StoredObject, on_hashed: HashProgress) -> Generator[Request, Any, str]:
    digest = hashlib.sha256()
    for start in range(0, item.size, PIECE):
        reply = yield from read(Read(item, start, min(start + PIECE, item.size)))
        yield Digest(digest, reply.data)
        on_hashed(item, start, start + len(reply.data))
    return digest.hexdigest()
