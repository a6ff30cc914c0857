"""Describe a pipeline as a whole: what its root states, and what holds for all of its parts.

A pipeline (diffusers, sentence-transformers) is loaded as a whole, so it is judged, pinned and
handed to agents as a whole. Its root states architecture, licence and lineage.
"""

from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

from prefect_mutagen.scanner.content.details import template_details
from prefect_mutagen.scanner.content.facts import Facts, Stated, plain_text
from prefect_mutagen.scanner.content.neighbours import Neighbours
from prefect_mutagen.scanner.listing.artifacts import Artifact
from prefect_mutagen.scanner.results import ScanResult
from prefect_mutagen.scanner.sbom.document import Description
from prefect_mutagen.scanner.sbom.statements import add_licenses, join_statements
from prefect_mutagen.scanner.storage.store import StoredObject

__all__ = ["describe_pipeline"]

_OF_ALL: Final = ("quantization", "dtype", "training_framework")
_LISTED: Final = ("chat_templates",)
"""Facts that are lists, of which a pipeline has those of all parts."""


def describe_pipeline(
    artifact: Artifact, results: Sequence[ScanResult], neighbours: Neighbours
) -> Description:
    """Combine what a pipeline's root states with the results of its parts.

    Args:
        artifact: The pipeline.
        results: Results of its parts.
        neighbours: What the files of its root say.

    Returns:
        Its facts and metadata, and the findings of all.
    """
    found = [finding for result in results for finding in result.findings]
    facts, details = _facts(artifact, results, neighbours), _details(results, neighbours)
    root: dict[str, Any] = dict(neighbours.details)
    found += add_licenses(facts, root, list(chain(*neighbours.licenses)), artifact.url)
    parts = [root, *(result.facts for result in results)]
    found += join_statements(facts, details, parts, artifact.url)
    return Description(facts, {"parts": _sums(results)}, details, (*found, *neighbours.findings))


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
    own = {"chat_templates": template_details(neighbours.templates)}
    for key in _LISTED:
        listed: list[Any] = list(own[key])
        for result in results:
            listed += [one for one in result.facts.get(key) or () if one not in listed]
        if listed:
            details[key] = listed
    return details
