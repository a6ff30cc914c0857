"""Combine the results of a pipeline's parts into one: the pipeline passes if all of them do.

A pipeline (diffusers, sentence-transformers) is loaded as a whole, so it is judged, pinned and
handed to agents as a whole. Its root states architecture, licence and lineage.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from prefect_mutagen.scanner.content.facts import Facts, Stated, plain_text
from prefect_mutagen.scanner.content.licenses import spdx_expression
from prefect_mutagen.scanner.content.neighbours import Neighbours
from prefect_mutagen.scanner.findings import Finding
from prefect_mutagen.scanner.listing.artifacts import Artifact
from prefect_mutagen.scanner.results import ObjectResult, ScanResult
from prefect_mutagen.scanner.sbom.document import Description, build_sbom, warnings_of
from prefect_mutagen.scanner.storage.store import StoredObject
from prefect_mutagen.scanner.verdicts import Verdict

__all__ = ["combine_parts"]

_OF_ALL: Final = ("quantization", "dtype", "training_framework")
_LISTED: Final = ("chat_templates", "code", "base_models", "licenses")


def combine_parts(
    artifact: Artifact,
    results: Sequence[ScanResult],
    neighbours: Neighbours,
    generated_at: str,
    *,
    unhashed: bool,
) -> ScanResult:
    """Return the result of a pipeline; the verdict is added last.

    Args:
        artifact: The pipeline, with its files as they were read.
        results: Results of its parts.
        neighbours: What the files of its root say.
        generated_at: Time of the scan in ISO 8601.
        unhashed: Whether the caller disabled hashing.
    """
    facts = _facts(artifact, results, neighbours)
    found: list[Finding] = [finding for result in results for finding in result.findings]
    unique = tuple(dict.fromkeys([*found, *neighbours.findings]))
    formats = {result.sbom.format for result in results}
    counts = _sums(results)
    description = Description(facts, {"parts": counts}, _details(results, neighbours))
    whole = StoredObject(artifact.url, artifact.size, "")
    licence = None
    if "license" in facts:
        name = facts["license_name"].value if "license_name" in facts else ""
        licence = spdx_expression(facts["license"].value, name)
    times = [item.modified for item in artifact.objects if item.modified is not None]
    sources = {result.sha256_source for result in results}
    return ScanResult(
        url=artifact.url,
        kind="set",
        pin=artifact.pin,
        objects=tuple(_objects(results)),
        sbom=build_sbom(
            description,
            whole,
            formats.pop() if len(formats) == 1 else "unknown",
            "",
            generated_at,
            warnings_of(unique, unhashed=unhashed),
        ),
        license_spdx=licence,
        sources=description.sources(),
        facts=description.details,
        header_sha256="",
        sha256_source=" and ".join(sorted(sources)) if "" not in sources else "",
        findings=unique,
        verdict=Verdict("unknown"),
        modified=max(times, default=None),
        neighbours=_pins(results, artifact),
    )


def _facts(artifact: Artifact, results: Sequence[ScanResult], neighbours: Neighbours) -> Facts:
    facts: Facts = {**neighbours.behind, **neighbours.before}
    index = artifact.path_of(StoredObject(artifact.url, 0, ""))
    document = neighbours.documents.get(index, {})
    name = plain_text(document.get("_class_name"))
    if name:
        facts["architecture"] = Stated(name, f"{index}:_class_name")
    counts = [result.sbom.parameter_count for result in results]
    if all(count is not None for count in counts):
        facts["parameter_count"] = Stated(sum(count or 0 for count in counts), "parts")
    for field in _OF_ALL:
        values = {getattr(result.sbom, field) for result in results} - {None}
        if values:
            value = values.pop() if len(values) == 1 else "mixed"
            facts.setdefault(field, Stated(value, "parts"))
    return facts


def _sums(results: Sequence[ScanResult]) -> dict[str, Any]:
    return {
        result.url.rpartition("/")[0].rpartition("/")[2] + "/" + result.sbom.model_filename: {
            "parameter_count": result.sbom.parameter_count,
            "file_size_bytes": result.size,
        }
        for result in results
    }


def _details(results: Sequence[ScanResult], neighbours: Neighbours) -> dict[str, Any]:
    """Return the facts of the root, and the lists of facts of all parts."""
    details: dict[str, Any] = dict(neighbours.details)
    for key in _LISTED:
        listed: list[Any] = []
        for result in results:
            listed += [one for one in result.facts.get(key) or () if one not in listed]
        if listed:
            details[key] = listed
    return details


def _objects(results: Sequence[ScanResult]) -> Iterator[ObjectResult]:
    for result in results:
        for item in result.objects:
            yield ObjectResult(item.url, item.size, item.pin, item.sbom or result.sbom)


def _pins(results: Sequence[ScanResult], artifact: Artifact) -> dict[str, str]:
    pins: dict[str, str] = {}
    for result in results:
        pins.update(result.neighbours or {})
    pins.update((path, item.pin) for path, item in artifact.named(artifact.describing))
    return pins
