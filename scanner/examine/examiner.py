"""Examine one artifact: which bytes to read, and what follows from them.

An examination does no I/O, like the header readers below it. It is a generator that yields requests
(`scanner.storage.requests`) and is sent the replies; storage errors are thrown into it. So the same
code serves the plain loop over local files and the concurrent one over remote objects, and can be
tested without a server.
"""

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from prefect_mutagen.scanner.content.folders import Folders
from prefect_mutagen.scanner.content.neighbours import Neighbours
from prefect_mutagen.scanner.content.shard_index import ShardIndex
from prefect_mutagen.scanner.examine.beside import check_beside, places_of
from prefect_mutagen.scanner.examine.fetch import (
    by_name,
    find_shards,
    load_beside,
    load_index,
    read_folder,
    see,
    stated_digests,
)
from prefect_mutagen.scanner.examine.load_plans import (
    add_plans,
    documents_of_weights,
    loaders_of,
    plan_loads,
    taken_by,
)
from prefect_mutagen.scanner.examine.loose_files import LooseMemory, check_loose
from prefect_mutagen.scanner.examine.model_census import ModelCensus
from prefect_mutagen.scanner.examine.model_code import ModelCode, with_code
from prefect_mutagen.scanner.examine.owner_tags import with_owner_tag
from prefect_mutagen.scanner.examine.parts import (
    Part,
    describe_part,
    digests_beside,
    is_model,
    known_by_url,
    no_index,
    with_digests,
    with_digests_of_pipeline,
)
from prefect_mutagen.scanner.examine.pipelines import describe_pipeline
from prefect_mutagen.scanner.examine.set_totals import combined_digest, concerns_set, total
from prefect_mutagen.scanner.examine.sets import (
    Shard,
    are_ranks,
    check_set,
    check_split_name,
)
from prefect_mutagen.scanner.examine.signed_files import SignedFiles
from prefect_mutagen.scanner.examine.unjudged import Unjudged
from prefect_mutagen.scanner.findings import Finding
from prefect_mutagen.scanner.listing.artifacts import Artifact
from prefect_mutagen.scanner.loading.plan_memory import PlanMemory
from prefect_mutagen.scanner.policy.policy import Policy, judge
from prefect_mutagen.scanner.results import ObjectResult, Sbom, ScanResult
from prefect_mutagen.scanner.sbom.document import Description, build_sbom, warnings_of
from prefect_mutagen.scanner.storage.hashing import (
    CHECKSUM_LIMIT,
    HashLevel,
    HashProgress,
    ObjectHash,
    hash_object,
    ignore_progress,
    join_sources,
)
from prefect_mutagen.scanner.storage.requests import Cost, Parts, Request
from prefect_mutagen.scanner.storage.store import StoredObject
from prefect_mutagen.scanner.verdicts import Verdict

__all__ = ["Examination", "Examiner"]

Examination = Generator[Request, Any, ScanResult]


@dataclass(slots=True)
class Examiner:
    """Examines the artifacts of one scan."""

    policy: Policy = field(default_factory=Policy)
    hash_level: HashLevel = "stored"
    generated_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat())
    on_hashed: HashProgress = ignore_progress
    """Progress callback while large objects are hashed."""
    folders: Folders = field(default_factory=Folders)
    """Neighbours already read, by folder; several examiners may share it."""
    modules: ModelCode = field(default_factory=ModelCode)
    plans: PlanMemory = field(default_factory=PlanMemory)
    """Load plans already made."""
    loose: LooseMemory = field(init=False)
    """Pickles and other weights beside artifacts that were already read."""
    census: ModelCensus = field(default_factory=ModelCensus)
    """Counts the files of models."""
    signed: SignedFiles = field(init=False)
    """Signatures already read, and digests of what they name."""
    others: "dict[int, Examiner]" = field(default_factory=dict, init=False)
    """Examiners under the policy's overrides; see `scanner.examine.overridden`."""

    def __post_init__(self) -> None:
        """Load the policy's signers.

        Raises:
            ValueError: Their signatures cannot be verified here; the message says why.
        """
        self.loose = LooseMemory(self.policy.allowed_globals)
        self.signed = SignedFiles(self.policy, self.hash_level, self.on_hashed)

    def examine(self, artifact: Artifact, cost: Cost | None = None) -> Examination:
        """Examine one artifact; drive the generator to its return value.

        Args:
            artifact: What to examine.
            cost: Updated by the driver; recorded in the result.

        Yields:
            Requests; send it the replies, throw `StorageError` into it.

        Returns:
            The result. Problems of the artifact or its storage are findings, never raised.
        """
        cost, listed = cost or Cost(), artifact
        examine = self._examine_pipeline if artifact.parts else self._examine_weights
        found = yield from examine(artifact, cost)
        documents = found.documents
        artifact, result = yield from self._add_code(found.artifact, found.result, documents)
        plans = plan_loads(artifact, documents, self.plans)
        result = add_plans(artifact, result, plans)
        loose = yield from check_loose(artifact, loaders_of(artifact, plans), self.loose)
        result = _with_findings(self.census.add(listed, result), loose)
        if found.signatures:
            result = yield from self._add_signatures(artifact, result, found)
        result = yield from with_owner_tag(artifact, result, self.policy.owner_tag)
        verdict = judge(result.subject(), self.policy)
        return replace(result, verdict=verdict, bytes_read=cost.bytes_read, requests=cost.requests)

    def _examine_weights(self, artifact: Artifact, cost: Cost) -> Generator[Request, Any, Unjudged]:
        """Examine one file or one set of shards."""
        index, findings = None, list[Finding]()
        if artifact.shard_index is not None:
            index, pinned, findings = yield from load_index(artifact, artifact.shard_index)
            artifact = artifact._replace(shard_index=pinned)
            if artifact.packed_index:  # the listing has read it for this examination
                cost.requests += 1
                cost.bytes_read += pinned.size
        if artifact.kind == "set":
            objects, unseen = yield from find_shards(artifact, index)
            artifact, findings = artifact._replace(objects=objects), [*findings, *unseen]
        stated: dict[str, tuple[str, str]] = {}
        beside, unread = artifact.beside, list[Finding]()
        if beside.checksums and self.hash_level != "none":
            sums = yield from load_beside(by_name(beside.checksums), lambda _: CHECKSUM_LIMIT)
            beside, stated = beside._replace(checksums=sums.objects), stated_digests(sums)
            unread += sums.unread_findings()
        level = self._level_of(artifact)
        readers = tuple(self._read_part(item, level, stated) for item in artifact.objects)
        parts: list[Part]
        if len(readers) == 1:
            parts = [(yield from readers[0])]
        else:
            parts = yield Parts(readers)
        neighbours = Neighbours()
        if any(is_model(part.seen) for part in parts):
            folder = yield from read_folder(artifact, self.folders)
            neighbours, beside = folder.neighbours, beside._replace(neighbours=folder.objects)
        signed = yield from self.signed.load(beside.signatures)
        beside, unread = beside._replace(signatures=signed.objects), [*unread, *signed.findings]
        artifact = artifact._replace(objects=tuple(part.item for part in parts), beside=beside)
        parts = [describe_part(part, neighbours) for part in parts]
        if artifact.kind == "set":
            result = self._conclude_set(artifact, parts, index, findings)
        else:
            result = self._conclude_file(artifact, parts[0])
        result = yield from _add_registry(artifact, _with_findings(result, unread))
        described = digests_beside(artifact, neighbours, index)
        result = with_digests(result, artifact, parts, described)
        known = {**neighbours.documents, **dict(documents_of_weights(artifact, parts, index))}
        by_url = known_by_url(artifact, described)
        sha256 = by_url | {part.item.url: part.hashed.sha256 for part in parts}
        proven = by_url | {part.item.url: part.hashed.proven for part in parts}
        return Unjudged(artifact, result, known, signed.files, sha256, proven)

    def _examine_pipeline(
        self, artifact: Artifact, cost: Cost
    ) -> Generator[Request, Any, Unjudged]:
        """Examine the parts of a pipeline, then what its root says about them."""
        touched = artifact.was_touched
        readers = (part._replace(was_touched=touched) for part in artifact.parts)
        examined: list[Unjudged] = yield Parts(
            tuple(self._examine_weights(part, cost) for part in readers)
        )
        results = [part.result for part in examined]
        folder = yield from read_folder(artifact, self.folders)
        signed = yield from self.signed.load(artifact.beside.signatures)
        artifact = artifact._replace(
            objects=tuple(item for part in examined for item in part.artifact.objects),
            beside=artifact.beside._replace(neighbours=folder.objects, signatures=signed.objects),
            parts=tuple(part.artifact for part in examined),
        )
        description = describe_pipeline(artifact, results, folder.neighbours)
        found = (*description.findings, *signed.findings, *check_beside(artifact))
        findings = tuple(dict.fromkeys(found))
        whole = StoredObject(artifact.url, artifact.size, "")
        formats = {result.sbom.format for result in results}
        form = formats.pop() if len(formats) == 1 else "unknown"
        warnings = warnings_of(findings, unhashed=self.hash_level == "none")
        result = self._result(
            artifact,
            *(
                replace(item, sbom=item.sbom or result.sbom)
                for result in results
                for item in result.objects
            ),
            sbom=build_sbom(description, whole, form, "", self.generated_at, warnings),
            description=description,
            findings=findings,
            header_sha256="",
            sha256_source=join_sources(result.sha256_source for result in results),
        )
        described = digests_beside(artifact, folder.neighbours, None)
        result = with_digests_of_pipeline(result, artifact.parts, results, described)
        documents, known = folder.neighbours.documents, known_by_url(artifact, described)
        own = Unjudged(artifact, result, documents, signed.files, known, known)
        return own.with_parts(examined)

    def _add_code(
        self, artifact: Artifact, result: ScanResult, documents: Mapping[str, Any]
    ) -> Generator[Request, Any, tuple[Artifact, ScanResult]]:
        """Add what loaders would run; the modules are part of the pin."""
        loaded = yield from self.modules.load(artifact, documents)
        if loaded is None:
            return artifact, result
        if loaded.objects:
            artifact = with_code(artifact, loaded.objects)
            result = replace(result, pin=artifact.pin, neighbours=artifact.neighbour_pins)
        facts = {**result.facts, **loaded.facts()}
        findings = (*result.findings, *loaded.findings)
        digests = {**result.digests, **loaded.digests()} if result.digests else {}
        return artifact, replace(result, facts=facts, findings=findings, digests=digests)

    def _level_of(self, artifact: Artifact) -> HashLevel:
        return "full" if artifact.was_touched and self.hash_level != "none" else self.hash_level

    def _read_part(
        self, item: StoredObject, level: HashLevel, stated: Mapping[str, tuple[str, str]]
    ) -> Generator[Request, Any, Part]:
        seen = yield from see(item, digest=level != "none", allowed=self.policy.allowed_globals)
        hashed = ObjectHash()
        if seen.fault is None:
            compute = self.signed.compute if self.signed.required else None
            hashed = yield from hash_object(seen.item, level, stated, self.on_hashed, compute)
        return Part(seen, hashed)

    def _conclude_file(self, artifact: Artifact, part: Part) -> ScanResult:
        findings = [*part.findings, *check_beside(artifact)]
        if part.seen.header is not None:
            findings += check_split_name(part.seen.header, part.item.name, part.item.url)
        item, unique = part.item, tuple(dict.fromkeys(findings))
        return self._result(
            artifact,
            ObjectResult(item.url, item.size, item.pin),
            sbom=self._sbom(part, unique),
            description=part.description,
            findings=unique,
            header_sha256=part.seen.header_sha256,
            sha256_source=part.hashed.proof,
        )

    def _conclude_set(
        self,
        artifact: Artifact,
        parts: Sequence[Part],
        index: ShardIndex | None,
        findings: Iterable[Finding],
    ) -> ScanResult:
        shards = [
            Shard(artifact.path_beside(part.item), part.item.url, part.seen.header)
            for part in parts
        ]
        findings = list(findings)
        all_found = all(finding.code != "set/unexamined" for finding in findings)
        checks = list(check_set(shards, index, artifact.url, all_found=all_found))
        complete = all_found and all(check.code != "set/missing-shard" for check in checks)
        # Ranks hold some tensors in slices and others whole; their sum counts these several times.
        complete = complete and not (are_ranks(shards, index) and len(shards) > 1)
        names = {shard.name for shard in shards} if index is None else set(index.shards())
        used = [number for number, shard in enumerate(shards) if shard.name in names]
        description = total(
            [shards[number] for number in used],
            [parts[number].description for number in used],
            artifact.url,
            complete=complete,
        )
        found = [*findings, *checks]
        has_tensors = any(shard.has_tensors for shard in shards)
        for part, shard in zip(parts, shards, strict=True):
            found += [
                finding
                for finding in part.findings
                if concerns_set(finding, shard, has_tensors=has_tensors)
            ]
        formats = {part.seen.format for part in parts} - {"unknown"}
        total_object = StoredObject(artifact.url, sum(max(0, parts[n].item.size) for n in used), "")
        # A set with an unreadable shard is not known to be a model.
        seen = all(part.seen.header is not None for part in parts)
        form = formats.pop() if len(formats) == 1 and seen else "unknown"
        needs_index = form == "safetensors" and not are_ranks(shards, index)
        is_indexed = artifact.shard_index is not None or artifact.registry
        if needs_index and not is_indexed and artifact.listed:
            found.append(no_index(artifact.url))
        found += [*description.findings, *check_beside(artifact)]
        unique = tuple(dict.fromkeys(found))
        warnings = warnings_of(unique, unhashed=self.hash_level == "none")
        return self._result(
            artifact,
            *(self._object(part) for part in parts),
            sbom=build_sbom(description, total_object, form, "", self.generated_at, warnings),
            description=description,
            findings=unique,
            header_sha256=combined_digest(
                [(part.item.name, part.seen.header_sha256) for part in parts]
            ),
            sha256_source=join_sources(part.hashed.proof for part in parts),
        )

    def _object(self, part: Part) -> ObjectResult:
        """Return a shard with its own SBOM, as if it were a single file."""
        item = part.item
        return ObjectResult(item.url, item.size, item.pin, self._sbom(part, part.findings))

    def _sbom(self, part: Part, findings: Iterable[Finding]) -> Sbom:
        """Build the SBOM of one file."""
        return build_sbom(
            part.description,
            part.item,
            part.seen.format,
            part.hashed.proven,
            self.generated_at,
            warnings_of(findings, unhashed=self.hash_level == "none"),
        )

    def _result(
        self,
        artifact: Artifact,
        *objects: ObjectResult,
        sbom: Sbom,
        description: Description,
        findings: tuple[Finding, ...],
        header_sha256: str,
        sha256_source: str,
    ) -> ScanResult:
        """Build the result; the verdict is added last."""
        facts = description.facts
        licence = facts["license_spdx"].value if "license_spdx" in facts else None
        times = [item.modified for item in artifact.objects if item.modified is not None]
        return ScanResult(
            url=artifact.url,
            kind=artifact.kind,
            pin=artifact.pin,
            objects=objects,
            sbom=sbom,
            license_spdx=licence,
            sources=description.sources(),
            facts={**description.details, **places_of(artifact)},
            header_sha256=header_sha256,
            sha256_source=sha256_source,
            findings=findings,
            verdict=Verdict("unknown"),
            modified=max(times, default=None),
            neighbours=artifact.neighbour_pins,
        )

    def _add_signatures(
        self, artifact: Artifact, result: ScanResult, found: Unjudged
    ) -> Generator[Request, Any, ScanResult]:
        """Hold signatures against what the artifact consists of and what loaders take besides."""
        files = found.files(artifact, taken_by(artifact, result.loads))
        look = self.signed.look(found.signatures, files, listed=artifact.listed)
        stated, findings = yield from look
        facts = {**result.facts, "signature": stated}
        return replace(result, facts=facts, findings=(*result.findings, *findings))


def _with_findings(result: ScanResult, findings: Sequence[Finding]) -> ScanResult:
    return replace(result, findings=(*result.findings, *findings)) if findings else result


def _add_registry(artifact: Artifact, result: ScanResult) -> Generator[Request, Any, ScanResult]:
    """Add what a registry's manifests state besides the weights."""
    if not artifact.registry:
        return result
    from prefect_mutagen.scanner.examine.registry import add_registry, load_registry

    texts = yield from load_registry(artifact.registry, artifact.objects)
    return add_registry(result, texts)
