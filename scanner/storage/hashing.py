"""SHA-256 of whole objects, from stated checksums or by reading every byte.

``stored``: checksums that cost no request of their own: the name of a cache's blob, the hub's LFS
record, a checksum file beside the object. ``lookup``: one more request, for the checksum that
storage keeps. ``full``: read every byte. The source is always recorded; sources that disagree are
a finding.

Only who hashed the bytes proves a digest: this tool, S3 for a whole object, the hub for what it
keeps in LFS. A checksum file and the name of a link are claims, of whoever uploaded the model too.
They are reported as stated, never as the object's hash.

Checksum files are those of ``sha256sum``: a digest and a name per line, also in the BSD form, or
the bare digest in ``NAME.sha256``. Those of OpenSSL, certutil and PowerShell are read as well.
"""

import hashlib
import re
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from prefect_mutagen.scanner.findings import Finding, make_finding
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.requests import Digest, LookUp, Read, Request, read
from prefect_mutagen.scanner.storage.store import StoredObject

__all__ = [
    "CHECKSUM_LIMIT",
    "COMPUTED",
    "HUB_OID",
    "Compute",
    "HashLevel",
    "HashProgress",
    "ObjectHash",
    "compute_sha256",
    "hash_object",
    "ignore_progress",
    "is_proof",
    "join_sources",
    "read_checksums",
]

HashLevel = Literal["none", "stored", "lookup", "full"]

HashProgress = Callable[[StoredObject, int, int], None]
"""Progress callback: the object, and start and end of the range just hashed. It must be fast and
may be called from any thread."""

Compute = Callable[[StoredObject, HashProgress], Generator[Request, Any, str]]
"""Reads and hashes every byte of an object."""

CHECKSUM_LIMIT: Final = 4 << 20
"""Maximum bytes read of a checksum file."""
PIECE: Final = 8 << 20
"""Bytes read and hashed at a time; at most two such buffers are held."""
COMPUTED: Final = "computed"
KEPT: Final = "stored checksum"
HUB_OID: Final = "the hub's LFS oid"
_PROOFS: Final = (COMPUTED, KEPT, HUB_OID)
"""Sources that hashed the bytes, the strongest first."""
_AND: Final = " and "
_LONGEST_DIGEST: Final = 64 + len("sha-256:")
_SHORTEST: Final = 64
_TITLE: Final = "SHA256 "
_LINE_LIMIT: Final = 4096 + 256
"""Longest line of a checksum file: a path and a digest."""
_DIGEST: Final = r"(?:sha-?256[:=])?(?P<digest>[0-9a-f]{64})"
# Each matches at one place alone, so that no line takes more time than its length.
_AT_START: Final = re.compile(rf"(?P<escaped>\\)?{_DIGEST}(?=\s|\Z)", re.IGNORECASE)
_POWERSHELL: Final = re.compile(rf"SHA256\s+{_DIGEST}(?=\s)", re.IGNORECASE)
_AT_END: Final = re.compile(rf"(?<![0-9a-f]){_DIGEST}\Z", re.IGNORECASE)
_BSD: Final = re.compile(r"SHA2?-?256 ?\(", re.IGNORECASE)
_CERTUTIL: Final = re.compile(r"SHA256 [^:]*?\b(?:of|von|de|di) (?:file )?(?P<name>\S.*):\s*")
_FROM_ROOT: Final = re.compile(r"/|[A-Za-z]:[\\/]")
_SUFFIX: Final = re.compile(r"\.sha-?256(?:sums?)?(?:\.txt)?", re.IGNORECASE)
_MARKS: Final = ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"), (b"\xef\xbb\xbf", "utf-8"))
"""Byte order marks; PowerShell writes UTF-16."""


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
        return self.sha256 if self.source in _PROOFS else ""

    @property
    def proof(self) -> str:
        """The source of a proven digest; empty without one."""
        return self.source if self.proven else ""

    @property
    def stated(self) -> str:
        """The digest if it is only stated; else empty."""
        return "" if self.proven else self.sha256


def is_proof(source: str) -> bool:
    """Whether all sources, as recorded for an artifact, hashed its bytes."""
    return all(one in _PROOFS for one in source.split(_AND))


def join_sources(sources: Iterable[str]) -> str:
    """Name the sources of all files' digests; empty unless all are known."""
    named = set(sources)
    return _AND.join(sorted(named)) if "" not in named else ""


def ignore_progress(_item: StoredObject, _start: int, _end: int) -> None:
    """Do nothing; the default progress callback."""


def read_checksums(name: str, raw: bytes) -> dict[str, str]:
    """Read a checksum file.

    Args:
        name: Its name; a bare digest in ``NAME.sha256`` is that of ``NAME``.
        raw: Its bytes.

    Returns:
        Digests in lower case by file name; names with two different digests are left out. A path
        from a root counts by its last part, because it is one of another machine.
    """
    found: dict[str, str] = {}
    ambiguous: set[str] = set()
    announced = ""
    for line in _decode(raw).splitlines():
        if len(line) > _LINE_LIMIT:
            continue
        if len(line) < _SHORTEST and not line.startswith(_TITLE):
            announced = ""
            continue
        entry = _entry(line.strip())
        if entry is None:
            announces = line.rstrip().endswith(":")
            title = _CERTUTIL.fullmatch(line) if announces else None
            announced = title["name"] if title is not None else ""
            continue
        digest, own, escaped = entry
        about = _plain_name(own or announced or _SUFFIX.split(name)[0], escaped=escaped)
        if found.setdefault(about, digest) != digest:
            ambiguous.add(about)
    return {about: digest for about, digest in found.items() if about not in ambiguous}


def _entry(line: str) -> tuple[str, str, bool] | None:
    """Return digest, name (empty if none stands there) and whether that is escaped, of a line."""
    if match := _AT_START.match(line):  # coreutils
        own = line[match.end() :].lstrip().removeprefix("*")
        return match["digest"].lower(), own, bool(match["escaped"])
    if match := _POWERSHELL.match(line):
        return match["digest"].lower(), line[match.end() :].lstrip(), False
    start = max(0, len(line) - _LONGEST_DIGEST)
    match = _AT_END.search(line, start)
    if match is None:
        return None
    before = line[: match.start()]
    own = before.rstrip()
    if own.endswith((":", "=")):
        own = own[:-1].rstrip()
    elif own == before:
        return None  # letters before it are a part of the word
    title = _BSD.match(own)  # BSD, OpenSSL
    if title is not None and own.endswith(")"):
        own = own[title.end() : -1]
    return (match["digest"].lower(), own, False) if own else None


def _decode(raw: bytes) -> str:
    for mark, encoding in _MARKS:
        if raw.startswith(mark):
            return raw[len(mark) :].decode(encoding, "replace")
    return raw.decode("utf-8", "replace")


def _plain_name(name: str, *, escaped: bool) -> str:
    """Return a file name as it is listed: without ``./`` and escapes, with slashes of POSIX."""
    if escaped:
        name = name.replace("\\n", "\n").replace("\\r", "\r").replace("\\\\", "\\")
    else:
        name = name.replace("\\", "/")
    return name.rpartition("/")[2] if _FROM_ROOT.match(name) else name.removeprefix("./")


def hash_object(
    item: StoredObject,
    level: HashLevel,
    stated: Mapping[str, tuple[str, str]],
    on_hashed: HashProgress,
    compute: Compute | None = None,
) -> Generator[Request, Any, ObjectHash]:
    """Find the SHA-256 of a whole object at the requested cost.

    Args:
        item: The object.
        level: Which sources to use.
        stated: Digest and name of the checksum file, by file name.
        on_hashed: Progress callback.
        compute: Reads and hashes every byte; by default `compute_sha256`.

    Yields:
        Requests; none for ``none`` and ``stored``.
    """
    if level == "none":
        return ObjectHash()
    known: dict[str, str] = {}
    if item.sha256:
        known[item.sha256_source] = item.sha256
    # A bare digest in m.sha256 is stated for "m".
    for name in (item.name, item.name.rpartition(".")[0]):
        if name in stated:
            digest, source = stated[name]
            known[source] = digest
            break
    try:
        if level == "lookup" and not known.keys() & set(_PROOFS):
            kept: str = yield LookUp(item)
            if kept:
                known[KEPT] = kept
        if level == "full":
            known[COMPUTED] = yield from (compute or compute_sha256)(item, on_hashed)
    except StorageError as problem:
        return ObjectHash(findings=(make_finding(problem.code, str(problem), url=item.url),))
    conflicts: tuple[Finding, ...] = ()
    if len(set(known.values())) > 1:
        listed = "; ".join(f"{source}: {digest}" for source, digest in known.items())
        message = f"the SHA-256 values disagree: {listed}"
        conflicts = (make_finding("sbom/hash-mismatch", message, url=item.url, field="sha256"),)
    source = next((proof for proof in _PROOFS if proof in known), next(iter(known), ""))
    return ObjectHash(known.get(source, ""), source, conflicts)


def compute_sha256(item: StoredObject, on_hashed: HashProgress) -> Generator[Request, Any, str]:
    """Read every byte of an object, and return its SHA-256 in hexadecimal.

    Args:
        item: The object; its size is known.
        on_hashed: Progress callback.

    Raises:
        StorageError: It cannot be read, or changed meanwhile.
    """
    digest = hashlib.sha256()
    for start in range(0, item.size, PIECE):
        reply = yield from read(Read(item, start, min(start + PIECE, item.size)))
        yield Digest(digest, reply.data)
        on_hashed(item, start, start + len(reply.data))
    return digest.hexdigest()
