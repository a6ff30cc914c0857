"""SHA-256 of whole objects: who states it, what asking costs, and reading everything at last.

``stored``: what is stated anyway: the name of a cache's blob, the hub's own record, a checksum file
beside the object. ``lookup``: one request more, for what storage keeps. ``full``: every byte is
read, in pieces. The source is always named; where two are known and differ, that is a finding.

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
    "ObjectHash",
    "PieceHook",
    "hash_object",
    "read_checksums",
    "tell_nobody",
]

HashLevel = Literal["none", "stored", "lookup", "full"]

PieceHook = Callable[[StoredObject, int, int], None]
"""Is told of an object and the offsets between which it was hashed just now. It must be quick, and
is called from whatever thread examines."""

CHECKSUM_LIMIT: Final = 1 << 20
"""Bytes of a checksum file that are read."""
PIECE: Final = 8 << 20
"""Bytes that are read and hashed at a time; two of them are held at most."""
_PROVEN: Final = ("computed", "stored checksum", "the hub's LFS oid")
"""Sources that saw the bytes; checksum files and the names of a cache's blobs only state some."""
_LINE: Final = re.compile(r"(?:\\)?([0-9a-fA-F]{64})(?:\s+\*?(.+?))?\s*")
_BSD_LINE: Final = re.compile(r"SHA256 ?\((.+)\) ?= ?([0-9a-fA-F]{64})\s*")


@dataclass(frozen=True, slots=True)
class ObjectHash:
    """The SHA-256 of one object, as far as it is known."""

    sha256: str = ""
    """In hexadecimal; empty when nobody states it."""
    source: str = ""
    """Who states it."""
    findings: tuple[Finding, ...] = ()

    @property
    def proven(self) -> str:
        """The digest, where the bytes were hashed here or by the storage that holds them."""
        return self.sha256 if self.source in _PROVEN else ""


def tell_nobody(_item: StoredObject, _start: int, _end: int) -> None:
    """Do nothing: the hook where nobody wants to know how far hashing is."""


def read_checksums(name: str, raw: bytes) -> dict[str, str]:
    """Read a checksum file.

    Args:
        name: Its name; that of ``NAME.sha256`` says what a bare digest is about.
        raw: Its bytes.

    Returns:
        Digests in lower case by file name; a name that is given two digests is left out, and so is
        one that leads to another folder.
    """
    found: dict[str, str] = {}
    doubted: set[str] = set()
    for line in raw.decode("utf-8", "replace").splitlines():
        if match := _LINE.fullmatch(line):
            digest, about = match[1].lower(), match[2] or name.removesuffix(".sha256")
        elif match := _BSD_LINE.fullmatch(line):
            digest, about = match[2].lower(), match[1]
        else:
            continue
        about = about.removeprefix("./")
        if found.setdefault(about, digest) != digest:
            doubted.add(about)
    return {about: digest for about, digest in found.items() if about not in doubted}


def hash_object(
    item: StoredObject,
    level: HashLevel,
    stated: Mapping[str, tuple[str, str]],
    told: PieceHook,
) -> Generator[Request, Any, ObjectHash]:
    """Find the SHA-256 of a whole object, as far as the caller wants to pay for it.

    Args:
        item: The object.
        level: What to pay.
        stated: For each file name, the digest that a checksum file states, and that file's name.
        told: Told of each piece that was hashed.

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
            known["computed"] = yield from _compute(item, told)
    except StorageError as problem:
        return ObjectHash(findings=(make_finding(problem.code, str(problem), url=item.url),))
    doubts: tuple[Finding, ...] = ()
    if len(set(known.values())) > 1:
        listed = "; ".join(f"{source}: {digest}" for source, digest in known.items())
        message = f"the SHA-256 values disagree: {listed}"
        doubts = (make_finding("sbom/hash-mismatch", message, url=item.url, field="sha256"),)
    source = "computed" if "computed" in known else next(iter(known), "")
    return ObjectHash(known.get(source, ""), source, doubts)


def _compute(item: StoredObject, told: PieceHook) -> Generator[Request, Any, str]:
    digest = hashlib.sha256()
    for start in range(0, item.size, PIECE):
        reply = yield from read(Read(item, start, min(start + PIECE, item.size)))
        yield Digest(digest, reply.data)
        told(item, start, start + len(reply.data))
    return digest.hexdigest()
