"""One file of an artifact: what was read of it, and what is found about it."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from prefect_mutagen.parsers import UnknownHeader
from prefect_mutagen.scanner.content.neighbours import Neighbours
from prefect_mutagen.scanner.content.shard_index import ShardIndex
from prefect_mutagen.scanner.examine.fetch import Seen
from prefect_mutagen.scanner.findings import Finding, from_header, make_finding
from prefect_mutagen.scanner.listing.artifacts import Artifact
from prefect_mutagen.scanner.sbom.document import Description, describe
from prefect_mutagen.scanner.storage.hashing import ObjectHash
from prefect_mutagen.scanner.storage.store import StoredObject

__all__ = ["Part", "describe_part", "digests_beside", "is_model", "join_sources", "no_index"]


@dataclass(frozen=True, slots=True)
class Part:
    """One file of an artifact and what was found about it."""

    seen: Seen
    hashed: ObjectHash
    description: Description = field(default_factory=Description)
    findings: tuple[Finding, ...] = ()
    """Findings about this file: its header, its metadata, its hashes."""

    @property
    def item(self) -> StoredObject:
        """The file, as it was read."""
        return self.seen.item


def describe_part(part: Part, neighbours: Neighbours) -> Part:
    """Add the description of a file and its neighbours, and the findings."""
    seen = part.seen
    if seen.header is None:
        findings: list[Finding] = []
        if seen.fault is not None:
            findings = [make_finding(seen.fault.code, str(seen.fault), url=seen.item.url)]
        return Part(seen, part.hashed, findings=(*findings, *part.hashed.findings))
    description = describe(seen.header, neighbours, seen.item.url)
    findings = [from_header(error, seen.item.url) for error in seen.header.errors]
    found = (*findings, *description.findings, *part.hashed.findings)
    return Part(seen, part.hashed, description, found)


def digests_beside(
    artifact: Artifact, neighbours: Neighbours, index: ShardIndex | None
) -> dict[str, str]:
    """Return the SHA-256 of each describing file; empty for those not read completely."""
    digests = {
        path: neighbours.digests.get(path, "")
        for path, _ in artifact.named(artifact.beside.neighbours)
    }
    if artifact.shard_index is not None:
        digests[artifact.shard_index.name] = index.sha256 if index is not None else ""
    return digests


def is_model(seen: Seen) -> bool:
    """Whether a header of a known format was read."""
    return seen.header is not None and not isinstance(seen.header, UnknownHeader)


def no_index(url: str) -> Finding:
    """Return the finding about shards without an index."""
    message = "there is no index that maps tensors to these shards"
    return make_finding("set/index-missing", message, url=url, field="folder")


def join_sources(sources: Iterable[str]) -> str:
    """Name the sources of all files' digests; empty unless all are known."""
    named = set(sources)
    return " and ".join(sorted(named)) if "" not in named else ""
