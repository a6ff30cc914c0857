"""Where an artifact lies and who made it, as a policy compares them.

A place is proven by the address. A publisher is proven only by an address of Hugging Face or of its
cache; what a file states about its organisation is a claim like any other in it.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import unquote

__all__ = ["lies_below", "publisher_of", "same_publisher"]

# https://huggingface.co/owner/name, hf://owner/name, and the cache's models--owner--name.
_HUB: Final = re.compile(r"(?:https?://(?:www\.)?(?:huggingface\.co|hf\.co)|hf:/)/([^/]+)/[^/]+")
_CACHE: Final = re.compile(r"/models--([^/]+?)--[^/]+/(?:snapshots|blobs)/")
_NO_OWNERS: Final = frozenset({"datasets", "spaces", "api", "models"})
_SPACE: Final = re.compile(r"[\s_-]+")


def lies_below(url: str, sources: Iterable[str]) -> bool:
    """Say whether an address is one of these, or lies in a folder of them.

    An address that climbs (``..``, also written in escapes) lies nowhere, and so does none.
    """
    if not url or any(part in (".", "..") for part in unquote(url).split("/")):
        return False
    for source in sources:
        place = source.rstrip("/").replace("s3a://", "s3://", 1)
        if url == place or url.startswith(f"{place}/"):
            return True
    return False


def publisher_of(url: str, facts: Mapping[str, Any]) -> tuple[str, str]:
    """Name who published an artifact, and say who says so.

    Args:
        url: Its address: an owner that stands there counts more than what the file claims.
        facts: What is stated beyond the SBOM; see `scanner.content.details`.

    Returns:
        The publisher and the source of the name; two empty texts when nobody says.
    """
    owner = _owner(url)
    if owner:
        return owner, "address"
    organization = facts.get("organization")
    if isinstance(organization, str) and organization:
        return organization, "general.organization"
    for key in ("repo_url", "url"):
        stated = facts.get(key)
        owner = _owner(stated) if isinstance(stated, str) else ""
        if owner:
            return owner, f"general.{key}"
    return "", ""


def _owner(url: str) -> str:
    cached = _CACHE.search(url)
    if cached:
        return cached[1]
    hub = _HUB.match(url)
    return hub[1] if hub and hub[1] not in _NO_OWNERS else ""


def same_publisher(one: str, other: str) -> bool:
    """Compare names; converters write ``meta-llama`` as ``Meta Llama``."""
    return _SPACE.sub("-", one.strip()).casefold() == _SPACE.sub("-", other.strip()).casefold()
