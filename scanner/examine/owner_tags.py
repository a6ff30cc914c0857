"""Ask storage whose an artifact is, where the policy names the tag that says so.

One more request for each artifact that is examined. The answer is a fact and decides nothing: not
even that there is none, or that nobody may read it.
"""

from collections.abc import Generator
from dataclasses import replace
from typing import Any, Final

from prefect_mutagen.scanner.listing.artifacts import Artifact
from prefect_mutagen.scanner.policy.owners import TAG_FACT, TAG_UNREAD_FACT
from prefect_mutagen.scanner.results import ScanResult
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.requests import Request, Tags

__all__ = ["with_owner_tag"]

_LONGEST: Final = 256
"""Characters of a tag's value in S3."""


def with_owner_tag(
    artifact: Artifact, result: ScanResult, tag: str
) -> Generator[Request, Any, ScanResult]:
    """Return a result with what a tag of its first file says.

    Args:
        artifact: The artifact.
        result: Its examination.
        tag: Name of the tag; empty: it is not asked for.
    """
    if not tag or not artifact.objects:
        return result
    try:
        tags: dict[str, str] = yield Tags(artifact.objects[0])
    except StorageError as problem:
        reason = f"its tags could not be read, which says nothing about it: {problem.reason}"
        return replace(result, facts={**result.facts, TAG_UNREAD_FACT: reason})
    said = tags.get(tag, "").strip()[:_LONGEST]
    return replace(result, facts={**result.facts, TAG_FACT: said}) if said else result
