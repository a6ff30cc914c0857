"""Match where an artifact lies, and who publishes it, against a policy.

Where it lies is its address, and where its files were really read: behind links and redirects. Only
the hub's own address, or its cache where the environment says that it is, proves a publisher;
whatever else names one (a header, a folder in a bucket) is a claim of whoever wrote it.
"""

import os
import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple
from urllib.parse import unquote, urlsplit

__all__ = [
    "Publisher",
    "has_dot_segments",
    "lies_below",
    "normalized",
    "publisher_of",
    "really_lies_below",
    "same_publisher",
]

_ENDPOINT: Final = "https://huggingface.co"
_KINDS: Final = frozenset({"datasets", "spaces", "buckets", "models", "kernels"})
"""Kinds of repositories, which stand before the owner in an address."""
_NO_OWNERS: Final = _KINDS | {"api"}
_CACHED: Final = re.compile(r"(?:models|datasets|spaces)--([^/]+?)--[^/]+/(?:snapshots|blobs)/")
_SPACE: Final = re.compile(r"[\s_-]+")
_PORTS: Final = {"http": 80, "https": 443}
_DECODINGS: Final = 4
_INVISIBLE: Final = re.compile(r"[\x00-\x20\x7f-\xa0\u200b-\u200f\u2060-\u2064\ufeff]")


class Publisher(NamedTuple):
    """Who publishes an artifact, as far as that is known."""

    name: str = ""
    source: str = ""
    """Where the name stands."""
    is_proven: bool = False


def has_dot_segments(url: str) -> bool:
    """Whether a server or a file system may take a part of an address for the folder above.

    Percent-encoded any number of times, with a backslash for a slash, with parameters behind a
    semicolon, with control characters in between, or in letters of other widths.
    """
    for _ in range(_DECODINGS):
        if any(_is_dots(part) for part in re.split(r"[/\\]", url)):
            return True
        decoded = unquote(url)
        if decoded == url:
            return False
        if "\ufffd" in decoded and "\ufffd" not in url:
            return True  # bytes that are not UTF-8, such as an overlong form of a dot
        url = decoded
    return "%" in url


def _is_dots(part: str) -> bool:
    name = _INVISIBLE.sub("", part.partition(";")[0])
    return (name if name.isascii() else unicodedata.normalize("NFKC", name)) in (".", "..")


def lies_below(url: str, sources: Iterable[str]) -> bool:
    """Whether an address is one of the sources or lies below one.

    An empty address does not, nor does one with ``.`` or ``..`` segments in any spelling.
    """
    if not url or has_dot_segments(url.partition("://")[2] or url):
        return False
    place = normalized(url)
    for source in sources:
        prefix = normalized(source.rstrip("/").replace("s3a://", "s3://", 1))
        if place == prefix or place.startswith(f"{prefix}/"):
            return True
    return False


def really_lies_below(places: Iterable[str], sources: Iterable[str]) -> bool:
    """Whether all that was read lies below one of the sources, links of their own resolved.

    Args:
        places: Folders in which files were really read, where those are not their addresses.
        sources: The policy's addresses.
    """
    allowed = tuple(sources)
    allowed += tuple(_real_path(source) for source in allowed if source.startswith("/"))
    return all(lies_below(place, allowed) for place in places)


@lru_cache(maxsize=256)
def _real_path(path: str) -> str:
    return os.path.realpath(path)


def normalized(url: str) -> str:
    """Return a web address with its host in lower case and without the usual port."""
    scheme, mark, rest = url.partition("://")
    if not mark or scheme.lower() not in _PORTS:
        return url
    scheme = scheme.lower()
    host, slash, path = rest.partition("/")
    host = host.lower().removesuffix(f":{_PORTS[scheme]}")
    return f"{scheme}://{host}{slash}{path}"


def publisher_of(url: str, facts: Mapping[str, Any]) -> Publisher:
    """Return an artifact's publisher.

    Args:
        url: The address; an owner that it proves takes precedence over what the file claims.
        facts: The facts beyond the SBOM; see `scanner.content.details`.

    Returns:
        The publisher; empty when none is stated.
    """
    owner = _owner_at_the_hub(url)
    if owner:
        return Publisher(owner, "address", is_proven=True)
    owner = _owner_in_the_cache(url)
    # A link may stand in the place of the folder, or of a file in it.
    if owner and all(
        _owner_in_the_cache(str(one)) == owner for one in facts.get("read_from") or ()
    ):
        return Publisher(owner, "address", is_proven=True)
    organization = facts.get("organization")
    if isinstance(organization, str) and organization:
        return Publisher(organization, "general.organization")
    for key in ("repo_url", "url"):
        stated = facts.get(key)
        owner = _owner_at_the_hub(stated) if isinstance(stated, str) else ""
        if owner:
            return Publisher(owner, f"general.{key}")
    claimed = re.search(rf"/{_CACHED.pattern}", url)
    return Publisher(claimed[1], "a folder of the address") if claimed else Publisher()


def _owner_at_the_hub(url: str) -> str:
    """Return the owner of a repository by its address at the hub; empty for any other address."""
    if has_dot_segments(url.partition("://")[2]):
        return ""
    scheme, _, path = url.partition("://")
    if scheme == "https":
        host, _, path = normalized(url).partition("://")[2].partition("/")
        if host != _hub_host():
            return ""
    elif scheme != "hf":
        return ""
    parts = path.split("/")
    if parts[0] in _KINDS:
        del parts[0]
    if len(parts) < 2 or parts[0] in _NO_OWNERS or not all(parts[:2]):
        return ""
    return parts[0]


def _hub_host() -> str:
    """Return the host of the hub; that of another one is set for its own client, too."""
    endpoint = os.environ.get("HF_ENDPOINT", "").strip() or _ENDPOINT
    return urlsplit(normalized(endpoint)).netloc


def _owner_in_the_cache(url: str) -> str:
    """Return the owner of a file in the hub's cache; empty outside of it."""
    cache = _cache_folder()
    for root in (cache, _real_path(cache)):
        if url.startswith(f"{root.rstrip('/')}/") and not has_dot_segments(url):
            found = _CACHED.match(url[len(root.rstrip("/")) + 1 :])
            return found[1] if found else ""
    return ""


def _cache_folder() -> str:
    """Return the folder of the hub's cache, as its own client finds it."""
    given = os.environ.get("HF_HUB_CACHE", "").strip()
    home = os.environ.get("HF_HOME", "").strip()
    if not given and not home:
        base = os.environ.get("XDG_CACHE_HOME", "").strip() or "~/.cache"
        home = os.path.join(base, "huggingface")
    return os.path.abspath(os.path.expanduser(given or os.path.join(home, "hub")))


def same_publisher(one: str, other: str) -> bool:
    """Whether two names are equal; converters write ``meta-llama`` as ``Meta Llama``.

    Only ASCII letters are folded: others that look alike, or fold to them, are other names.
    """
    return _plain(one) == _plain(other)


def _plain(name: str) -> str:
    plain = _SPACE.sub("-", name.strip())
    return plain.lower() if plain.isascii() else plain
