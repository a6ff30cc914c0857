"""Examine one artifact: which bytes to ask for, and what to make of them.

This is a machine without I/O, like the header readers below it. It is a generator that yields what
it wants (`Read`, `Find`, `LookUp`) and is sent the reply; storage errors are thrown into it. So one
piece of code serves the plain loop over local files and the concurrent one over remote objects
(`prefect_mutagen.scanner.scan`), and everything can be tested without a server.
"""

import hashlib
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final, Literal

from prefect_mutagen.parsers import Header, HeaderReader, NeedBytes, UnknownHeader, read_header
from prefect_mutagen.scanner.artifacts import Artifact, format_of
from prefect_mutagen.scanner.document import Description, add_warnings, build_sbom, describe
from prefect_mutagen.scanner.findings import Finding, from_header, make_finding
from prefect_mutagen.scanner.licenses import spdx_expression
from prefect_mutagen.scanner.neighbours import LIMITS, Neighbours, read_neighbours
from prefect_mutagen.scanner.policy import Policy, Verdict, judge
from prefect_mutagen.scanner.reading import read_ahead
from prefect_mutagen.scanner.results import ObjectResult, ScanResult
from prefect_mutagen.scanner.storage import UNKNOWN_SIZE, RangeReply, StorageError, StoredObject

__all__ = [
    "Examination",
    "Examiner",
    "Find",
    "HashLevel",
    "LookUp",
    "Read",
    "Request",
    "crashed",
]

HashLevel = Literal["none", "stored", "lookup", "full"]

_HASH_PIECE: Final = 8 << 20
_FOLDERS_KEPT: Final = 256


@dataclass(frozen=True, slots=True)
class Read:
    """Wants a range of an object; the reply is a `RangeReply`."""

    item: StoredObject
    start: int
    end: int
    shared: bool = False
    """Whether other artifacts of the folder want the very same range."""
    upto: int = 0
    """Where not 0: bytes up to this offset are enough, and more than ``end`` says is welcome."""


@dataclass(frozen=True, slots=True)
class Find:
    """Wants an object looked up again; the reply is a `StoredObject`."""

    url: str


@dataclass(frozen=True, slots=True)
class LookUp:
    """Wants the SHA-256 that storage keeps of an object; the reply is hexadecimal, or empty."""

    item: StoredObject


Request = Read | Find | LookUp
Examination = Generator[Request, Any, ScanResult]


@dataclass(slots=True)
class _Count:
    """What an examination has cost so far."""

    bytes_read: int = 0
    requests: int = 0


@dataclass(frozen=True, slots=True)
class _Seen:
    """One file after its header was read."""

    item: StoredObject
    header: Header | None
    format: str
    header_sha256: str = ""
    fault: StorageError | None = None


@dataclass(slots=True)
class Examiner:
    """Examines artifacts of one scan, and remembers what folders have in common."""

    policy: Policy = field(default_factory=Policy)
    hash_level: HashLevel = "stored"
    generated_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat())
    _folders: dict[tuple[tuple[str, str], ...], tuple[Neighbours, tuple[StoredObject, ...]]] = (
        field(default_factory=dict)
    )

    def examine(self, artifact: Artifact) -> Examination:
        """Examine one artifact; drive the generator to its return value.

        Yields:
            Requests; send it the replies, throw `StorageError` into it.

        Returns:
            The result. Nothing that is wrong with the artifact or its storage is raised.
        """
        count = _Count()
        (item,) = artifact.objects
        seen = yield from self._see(item, count)
        neighbours, beside = Neighbours(), artifact.neighbours
        if seen.header is not None and not isinstance(seen.header, UnknownHeader):
            neighbours, beside = yield from self._read_neighbours(artifact.neighbours, count)
        findings = _header_findings(seen)
        sha256, source, doubts = yield from self._hash(seen, count)
        description = Description()
        if seen.header is not None:
            description = describe(seen.header, neighbours, seen.item.url)
        findings += [*description.findings, *doubts]
        pinned = replace(artifact, objects=(seen.item,), neighbours=beside)
        return self._conclude(pinned, seen, description, tuple(findings), (sha256, source), count)

    def _conclude(
        self,
        artifact: Artifact,
        seen: _Seen,
        description: Description,
        findings: tuple[Finding, ...],
        sha256: tuple[str, str],
        count: _Count,
    ) -> ScanResult:
        item, facts = seen.item, description.facts
        sbom = build_sbom(description, item, seen.format, sha256[0], self.generated_at)
        licence = None
        if "license" in facts:
            name = facts["license_name"].value if "license_name" in facts else ""
            licence = spdx_expression(facts["license"].value, name)
        result = ScanResult(
            url=artifact.url,
            kind=artifact.kind,
            pin=artifact.pin,
            objects=(ObjectResult(item.url, item.size, item.pin),),
            sbom=add_warnings(sbom, findings, unhashed=self.hash_level == "none"),
            license_spdx=licence,
            sources=description.sources(),
            facts=description.details,
            header_sha256=seen.header_sha256,
            sha256_source=sha256[1],
            findings=findings,
            verdict=Verdict("unknown"),
            modified=item.modified,
            bytes_read=count.bytes_read,
            requests=count.requests,
        )
        return replace(result, verdict=judge(result.subject(), self.policy))

    def _see(self, item: StoredObject, count: _Count) -> Generator[Request, Any, _Seen]:
        """Read a header; once more from the start when the object is replaced meanwhile."""
        try:
            if item.fault is not None:
                raise item.fault
            try:
                return (yield from self._read_header(item, count))
            except StorageError as problem:
                if problem.code != "storage/changed-during-scan":
                    raise
            fresh: StoredObject = yield Find(item.url)
            count.requests += 1
            return (yield from self._read_header(fresh, count))
        except StorageError as problem:
            return _Seen(item, None, "unknown", fault=problem)

    def _read_header(self, item: StoredObject, count: _Count) -> Generator[Request, Any, _Seen]:
        expected = format_of(item.name)
        digest = hashlib.sha256() if self.hash_level != "none" else None
        reader: HeaderReader | None = None
        data = b""
        if item.size == UNKNOWN_SIZE:
            end, upto = read_ahead(expected, 0, 1)
            reply = yield from _read(Read(item, 0, end, upto=upto), count)
            item = replace(item, size=reply.size, pin=reply.pin)
            data = reply.data
        reader = read_header(item.size, expected)
        answer = reader.feed(data)
        while isinstance(answer, NeedBytes):
            if digest is not None:
                digest.update(data)
            start = reader.position
            end, upto = read_ahead(reader.format or expected, start, answer.upto)
            reply = yield from _read(Read(item, start, min(item.size, end), upto=upto), count)
            data = reply.data
            answer = reader.feed(data)
        header_sha256 = ""
        if digest is not None and answer.complete and answer.header_size <= reader.position:
            digest.update(data[: len(data) - (reader.position - answer.header_size)])
            header_sha256 = digest.hexdigest()
        return _Seen(item, answer, reader.format or "unknown", header_sha256)

    def _read_neighbours(
        self, items: tuple[StoredObject, ...], count: _Count
    ) -> Generator[Request, Any, tuple[Neighbours, tuple[StoredObject, ...]]]:
        key = tuple((item.url, item.pin) for item in items)
        known = self._folders.get(key)
        if known is not None:
            return known
        files: dict[str, tuple[str, bytes]] = {}
        pinned: list[StoredObject] = []
        findings: list[Finding] = []
        for item in items:
            limit = LIMITS[item.name]
            wanted = limit if item.size == UNKNOWN_SIZE else min(limit, item.size)
            try:
                if item.fault is not None:
                    raise item.fault
                reply = RangeReply(b"", 0, item.pin)
                if wanted:
                    reply = yield from _read(Read(item, 0, wanted, shared=True), count)
                files[item.name] = (item.url, reply.data)
                pinned.append(replace(item, size=reply.size, pin=reply.pin))
            except StorageError as problem:
                message = f"{item.name} cannot be read: {problem.reason}"
                findings.append(
                    make_finding("sbom/neighbour-unread", message, url=item.url, field=item.name)
                )
                pinned.append(item)
        neighbours = read_neighbours(files)
        neighbours = replace(neighbours, findings=(*neighbours.findings, *findings))
        while len(self._folders) >= _FOLDERS_KEPT:
            self._folders.pop(next(iter(self._folders)), None)
        self._folders[key] = (neighbours, tuple(pinned))
        return neighbours, tuple(pinned)

    def _hash(
        self, seen: _Seen, count: _Count
    ) -> Generator[Request, Any, tuple[str, str, list[Finding]]]:
        """Find the SHA-256 of the whole object, as far as the caller wants to pay for it."""
        item = seen.item
        if self.hash_level == "none" or seen.fault is not None:
            return "", "", []
        known: dict[str, str] = {}
        if item.sha256:
            known[item.sha256_source] = item.sha256
        try:
            if self.hash_level == "lookup" and not known:
                count.requests += 1
                kept: str = yield LookUp(item)
                if kept:
                    known["stored checksum"] = kept
            if self.hash_level == "full":
                known["computed"] = yield from self._compute(item, count)
        except StorageError as problem:
            return "", "", [make_finding(problem.code, str(problem), url=item.url)]
        doubts = []
        if len(set(known.values())) > 1:
            stated = "; ".join(f"{source}: {value}" for source, value in known.items())
            message = f"the SHA-256 values disagree: {stated}"
            doubts.append(make_finding("sbom/hash-mismatch", message, url=item.url, field="sha256"))
        source = "computed" if "computed" in known else next(iter(known), "")
        return known.get(source, ""), source, doubts

    def _compute(self, item: StoredObject, count: _Count) -> Generator[Request, Any, str]:
        digest = hashlib.sha256()
        for start in range(0, item.size, _HASH_PIECE):
            end = min(start + _HASH_PIECE, item.size)
            reply = yield from _read(Read(item, start, end), count)
            digest.update(reply.data)
        return digest.hexdigest()


def _read(request: Read, count: _Count) -> Generator[Request, Any, RangeReply]:
    reply: RangeReply = yield request
    count.requests += reply.requests
    count.bytes_read += len(reply.data)
    if request.item.size not in (UNKNOWN_SIZE, reply.size):
        raise StorageError(
            "storage/changed-during-scan",
            request.item.url,
            f"the object has {reply.size} bytes instead of the listed {request.item.size}",
        )
    return reply


def _header_findings(seen: _Seen) -> list[Finding]:
    if seen.fault is not None:
        return [make_finding(seen.fault.code, str(seen.fault), url=seen.item.url)]
    errors = seen.header.errors if seen.header is not None else ()
    return [from_header(error, seen.item.url) for error in errors]


def crashed(artifact: Artifact, policy: Policy, reason: str) -> ScanResult:
    """Give the result of an artifact whose examination itself broke off: seen, but not judged.

    Args:
        artifact: What was to be examined.
        policy: What is accepted.
        reason: How it ended, in a word or two.
    """
    fault = StorageError("scan/crashed", artifact.url, f"the scan of it broke off ({reason})")
    broken = replace(artifact.objects[0], fault=fault)
    examination = Examiner(policy).examine(replace(artifact, objects=(broken,)))
    try:
        next(examination)
    except StopIteration as stop:
        result: ScanResult = stop.value
        return result
    raise RuntimeError("an artifact that cannot be looked at was read all the same")
