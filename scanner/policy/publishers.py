"""Match an artifact's address and publisher against a policy.

The address proves where an artifact lies. Only an address on Hugging Face or in its cache proves a
publisher; the organisation stated in a file is a claim like any other in it.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import unquote

__all__ = ["lies_below", "publisher_of", "same_publisher"]

# https://huggingface.co/owner/name, hf://owner/name, and the cache's models--owner--name. Data
# sets, Spaces and buckets have their kind before the owner.
_HUB: Final = re.compile(
    r"(?:https?://(?:www\.)?(?:huggingface\.co|hf\.co)|hf:/)/"
    r"(?:(?:datasets|spaces|buckets|models|kernels)/)?([^/]+)/[^/]+"
)
_CACHE: Final = re.compile(r"/(?:models|datasets|spaces)--([^/]+?)--[^/]+/(?:snapshots|blobs)/")
_NO_OWNERS: Final = frozenset({"datasets", "spaces", "buckets", "models", "kernels", "api"})
_SPACE: Final = re.compile(r"[\s_-]+")


def lies_below(url: str, sources: Iterable[str]) -> bool:
    """Whether an address is one of the sources or lies below one.

    An empty address does not, nor does one with ``.`` or ``..`` segments, percent-encoded or not.
    """
    if not url or any(part in (".", "..") for part in unquote(url).split("/")):
        return False
    for source in sources:
        prefix = source.rstrip("/").replace("s3a://", "s3://", 1)
        if url == prefix or url.startswith(f"{prefix}/"):
            return True
    return False


def publisher_of(url: str, facts: Mapping[str, Any]) -> tuple[str, str]:
    """Return an artifact's publisher and the source of that name.

    Args:
        url: The address; an owner in it takes precedence over what the file claims.
        facts: The facts beyond the SBOM; see `scanner.content.details`.

    Returns:
        The publisher and its source; both empty when no publisher is stated.
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
    """Whether two names are equal; converters write ``meta-llama`` as ``Meta Llama``."""
    return _SPACE.sub("-", one.strip()).casefold() == _SPACE.sub("-", other.strip()).casefold()
