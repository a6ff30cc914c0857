"""Whose models are: who is asked when one is refused. An owner changes no verdict.

An entry names a prefix, compared by path segment: a whole address, or one relative to the root of
the scan. The longest prefix wins.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self

from prefect_mutagen.scanner.policy.entries import check_texts, says_something
from prefect_mutagen.scanner.policy.publishers import has_dot_segments, normalized

__all__ = ["TAG_FACT", "TAG_UNREAD_FACT", "Owner", "Owners", "check_owners", "owner_by_tag"]

TAG_FACT: Final = "owner_tag"
"""The fact with what the tag says that the policy names."""
TAG_UNREAD_FACT: Final = "owner_tag_unread"
"""The fact that says why it could not be read."""

_ROOT: Final = "."
"""The prefix of everything below any root."""


@dataclass(frozen=True)
class Owner:
    """Whose the models below an address are."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {
        "extra": "forbid",
        "use_attribute_docstrings": True,
    }

    prefix: str
    """An address such as s3://models/search, or a path below the root such as search/rerankers; a
    single dot is the root itself. Compared by path segment, without wildcards."""
    owner: str
    """A team or an address to write to."""

    def __post_init__(self) -> None:
        """Validate the fields.

        Raises:
            ValueError: A field is empty, or the prefix can match nothing.
        """
        for name in ("prefix", "owner"):
            check_texts(f"owners ({name})", (getattr(self, name),))
        if not says_something(self.owner):
            raise ValueError(f"owner of an entry of owners has no letter: {self.owner!a}")
        if "*" in self.prefix or "?" in self.prefix:
            raise ValueError(
                f"a prefix of owners has a wildcard, which it does not take: {self.prefix!a}"
            )
        rest = self.prefix.partition("://")[2] or self.prefix
        if self.prefix != _ROOT and has_dot_segments(rest):
            raise ValueError(f"a prefix of owners may mean another place: {self.prefix!a}")
        if self.prefix.endswith("://"):
            raise ValueError(f"a prefix of owners names no place: {self.prefix!a}")


def owner_by_tag(facts: Mapping[str, Any], tag: str) -> str:
    """Return whose an artifact is by its tag; empty if it is not asked for, or says nothing.

    Args:
        facts: The facts beyond the SBOM.
        tag: Name of the tag in the policy.
    """
    return str(facts.get(TAG_FACT) or "") if tag else ""


def check_owners(entries: Iterable[Owner]) -> None:
    """Raise if two entries are for the same prefix.

    Raises:
        ValueError: There are two.
    """
    known: set[str] = set()
    for entry in entries:
        key = _key(entry.prefix)
        if key in known:
            raise ValueError(f"owners has two entries for {entry.prefix!a}")
        known.add(key)


class Owners:
    """The entries of a policy, by prefix; looking up takes as long as an address has segments."""

    def __init__(self, entries: Iterable[Owner] = ()) -> None:
        """Take the entries.

        Args:
            entries: Those of a policy.
        """
        self._by_prefix = {_key(entry.prefix): entry.owner for entry in entries}

    @classmethod
    def recorded(cls, policy: Mapping[str, Any]) -> Self:
        """Return those of a policy as a table has it, as plain values.

        Args:
            policy: The policy; entries of a later version that cannot be understood are left out.
        """
        owners = cls()
        for entry in policy.get("owners") or ():
            with suppress(KeyError, TypeError, AttributeError):
                owners._by_prefix[_key(entry["prefix"])] = str(entry["owner"])
        return owners

    def __bool__(self) -> bool:
        """Whether there are entries."""
        return bool(self._by_prefix)

    def of(self, url: str, root: str) -> str:
        """Return the owner of an artifact.

        Args:
            url: Its address.
            root: The root that it was found below; relative prefixes count from there.

        Returns:
            The owner with the longest prefix, a whole address before a relative one that says the
            same; empty if none matches, or if the address may mean another place.
        """
        known = self._by_prefix
        if not known or has_dot_segments(url.partition("://")[2] or url):
            return ""
        base = _key(root)
        for place in _upwards(_key(url)):
            if place in known:
                return known[place]
            if place == base:
                relative = _ROOT
            else:
                relative = place[len(base) + 1 :] if place.startswith(f"{base}/") else ""
            if relative in known:
                return known[relative]
        return ""


def _upwards(place: str) -> Iterator[str]:
    """Yield an address and those above it, the longest first."""
    while place and not place.endswith((":", ":/")):
        yield place
        if place == "/":
            return
        above, slash, _ = place.rpartition("/")
        place = above or slash


def _key(prefix: str) -> str:
    """Return a prefix in the form in which it is compared."""
    return normalized(prefix.replace("s3a://", "s3://", 1).rstrip("/")) or "/"
