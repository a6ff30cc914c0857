"""One file of an artifact: what was read of it, and what is found about it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from prefect_mutagen.parsers import UnknownHeader
from prefect_mutagen.parsers.errors import shown
from prefect_mutagen.parsers.weights_header import OtherWeightsHeader
from prefect_mutagen.scanner.content.neighbours import Neighbours
from prefect_mutagen.scanner.content.shard_index import ShardIndex
from prefect_mutagen.scanner.examine.fetch import Seen
from prefect_mutagen.scanner.findings import Finding, from_header, make_finding
from prefect_mutagen.scanner.listing.artifacts import Artifact
from prefect_mutagen.scanner.pins import is_local_pin
from prefect_mutagen.scanner.results import ScanResult
from prefect_mutagen.scanner.sbom.document import Description, describe
from prefect_mutagen.scanner.storage.hashing import COMPUTED, ObjectHash
from prefect_mutagen.scanner.storage.store import StoredObject

__all__ = [
    "Part",
    "describe_part",
    "digests_beside",
    "is_model",
    "known_by_url",
    "no_index",
    "with_digests",
    "with_digests_of_pipeline",
]

_STATED: Final = "stated_sha256"
"""The fact that lists digests which nobody proved."""


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
    found = (*findings, *_named_only(seen), *description.findings, *part.hashed.findings)
    return Part(seen, part.hashed, description, found)


def _named_only(seen: Seen) -> Iterator[Finding]:
    """Yield the finding about a file whose format is named, and whose content is not judged."""
    header = seen.header
    if isinstance(header, OtherWeightsHeader):
        described = header.description
    elif isinstance(header, UnknownHeader) and not header.errors:
        described = f"{header.content.description}, no format that is known"
    else:
        return
    message = f"{shown(seen.item.name)} is not examined: {described}, {seen.item.size} bytes"
    yield make_finding("weights/named-only", message, url=seen.item.url, field="content")


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


def known_by_url(artifact: Artifact, beside: Mapping[str, str]) -> dict[str, str]:
    """Return the known SHA-256 of describing files by address.

    Args:
        artifact: The artifact, as it was read.
        beside: As `digests_beside` returns them.
    """
    items = dict(artifact.named(artifact.beside.neighbours))
    if artifact.shard_index is not None:
        items[artifact.shard_index.name] = artifact.shard_index
    return {items[path].url: sha256 for path, sha256 in beside.items() if sha256}


def with_digests(
    result: ScanResult, artifact: Artifact, parts: Sequence[Part], beside: Mapping[str, str]
) -> ScanResult:
    """Add the SHA-256 of the local files that were read to their end, and those only stated.

    What a file or a name beside a model states is a fact with its source, never the SBOM's
    ``sha256``: whoever uploads a model can state the digest of another.

    Args:
        result: The artifact's result.
        artifact: The artifact, as it was read.
        parts: Its files.
        beside: As `digests_beside` returns them.
    """
    digests = {
        f"object:{artifact.path_beside(part.item)}": part.hashed.sha256
        for part in parts
        if part.hashed.source == COMPUTED and is_local_pin(part.item.pin)
    }
    if artifact.objects and is_local_pin(artifact.objects[0].pin):
        digests |= {f"neighbour:{path}": sha256 for path, sha256 in beside.items() if sha256}
    stated = [
        {
            "file": artifact.path_beside(part.item),
            "sha256": part.hashed.stated,
            "source": part.hashed.source,
        }
        for part in parts
        if part.hashed.stated
    ]
    return _with_stated(replace(result, digests=digests), stated)


def with_digests_of_pipeline(
    result: ScanResult,
    parts: Sequence[Artifact],
    results: Sequence[ScanResult],
    beside: Mapping[str, str],
) -> ScanResult:
    """Add those of a pipeline's parts and of its root; see `with_digests`."""
    digests: dict[str, str] = {}
    stated: list[dict[str, str]] = []
    for part, of in zip(parts, results, strict=True):
        for label, sha256 in of.digests.items():
            kind, _, path = label.partition(":")
            digests[f"{kind}:{part.folder if kind == 'object' else ''}{path}"] = sha256
        stated += (
            {**entry, "file": f"{part.folder}{entry['file']}"}
            for entry in of.facts.get(_STATED, ())
        )
    if digests:
        digests |= {f"neighbour:{path}": sha256 for path, sha256 in beside.items() if sha256}
    return _with_stated(replace(result, digests=digests), stated)


def _with_stated(result: ScanResult, stated: list[dict[str, str]]) -> ScanResult:
    return replace(result, facts={**result.facts, _STATED: stated}) if stated else result


def is_model(seen: Seen) -> bool:
    """Whether a header of a known format was read."""
    return seen.header is not None and not isinstance(seen.header, UnknownHeader)


def no_index(url: str) -> Finding:
    """Return the finding about shards without an index."""
    message = "there is no index that maps tensors to these shards"
    return make_finding("set/index-missing", message, url=url, field="folder")
