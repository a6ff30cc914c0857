"""Which artifacts a scan is about: patterns, an age, and what is listed in the first place.

A pattern is a shell's: ``*`` and ``?`` stay inside a folder, ``**`` crosses folders, and a pattern
without a slash is held against the name alone. It selects whole artifacts: a set whose index or any
of whose shards fits is examined with all its shards, and neighbours are always looked at.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from prefect_mutagen.scanner.listing.artifacts import Artifact
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.store import StoredObject

__all__ = ["NothingIncluded", "Selection", "read_moment"]

_AGE: Final = re.compile(r"(\d{1,6})(min|h|d|w)")
_UNITS: Final = {"min": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class NothingIncluded(StorageError):  # noqa: N818 - it names what happened
    """Nothing of what lies below a root is included: the patterns may be misspelt."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What a scan examines; by default everything."""

    include: tuple[str, ...] = ()
    """Patterns; an artifact is selected when one of its files fits one. Empty: all are."""
    exclude: tuple[str, ...] = ()
    """Patterns; an artifact is left out when one of its files fits one."""
    modified_since: float = 0.0
    """Seconds since 1970; older artifacts are left out, and those whose age is unknown are not."""
    all_versions: bool = False
    """Whether older versions of model files are listed too, in a bucket that keeps them."""
    inventory: str = ""
    """Address of the ``manifest.json`` of an S3 Inventory, in place of a listing; empty: none."""

    def __post_init__(self) -> None:
        """Refuse what selects nothing, and what cannot be had together."""
        for name, texts in (("include", self.include), ("exclude", self.exclude)):
            if not all(text.strip() for text in texts):
                raise ValueError(f"a pattern of {name} is empty")
        if self.inventory and not self.inventory.strip():
            raise ValueError("the address of the inventory is empty")
        if self.all_versions and self.inventory:
            raise ValueError("an inventory gives the newest versions; leave one of the two out")

    def describe(self) -> str:
        """Say in one line what is selected; empty where everything is."""
        parts = [
            ("only ", ", ".join(self.include)),
            ("not ", ", ".join(self.exclude)),
            ("changed since ", _date(self.modified_since) if self.modified_since else ""),
            ("", "all versions" if self.all_versions else ""),
            ("as listed by ", self.inventory),
        ]
        return "; ".join(label + value for label, value in parts if value)

    @property
    def takes_all(self) -> bool:
        """Whether every artifact that is listed is examined."""
        return not (self.include or self.exclude or self.modified_since)

    def takes(self, artifact: Artifact, root: str) -> bool:
        """Say whether an artifact is examined.

        Args:
            artifact: What the listing shows.
            root: Address that patterns are relative to.
        """
        paths = _paths(artifact, root)
        if self.include and not _fits_any(self.include, paths):
            return False
        if self.exclude and _fits_any(self.exclude, paths):
            return False
        if not self.modified_since:
            return True
        times = [item.modified for item in (*_files(artifact), *artifact.beside.neighbours)]
        return any(time is None or time >= self.modified_since for time in times)

    def includes(self, artifact: Artifact, root: str) -> bool:
        """Whether a pattern of ``include`` fits an artifact, whatever else leaves it out."""
        return not self.include or _fits_any(self.include, _paths(artifact, root))


def _paths(artifact: Artifact, root: str) -> list[str]:
    base = root.rstrip("/") + "/"
    return [item.url.removeprefix(base) for item in _files(artifact)]


def _date(moment: float) -> str:
    try:
        return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M} UTC"
    except (ValueError, OverflowError, OSError):
        return f"{moment:g}"  # a zone may shift a date out of the calendar


def _files(artifact: Artifact) -> Iterator[StoredObject]:
    yield from artifact.objects
    if artifact.shard_index is not None:
        yield artifact.shard_index


def _fits_any(patterns: tuple[str, ...], paths: list[str]) -> bool:
    for pattern in patterns:
        compiled = _compile(pattern)
        whole = "/" in pattern
        if any(compiled.fullmatch(path if whole else path.rpartition("/")[2]) for path in paths):
            return True
    return False


@lru_cache(maxsize=256)
def _compile(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"(\*\*/?|\*|\?)", pattern.removeprefix("/"))
    wild = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    text = "".join(wild.get(part, re.escape(part)) for part in parts)
    return re.compile(text, re.DOTALL)


def read_moment(text: str, now: datetime | None = None) -> float:
    """Read a moment: ISO 8601, or an age such as ``36h``, ``7d``, ``2w`` or ``90min``.

    Args:
        text: What was given; without a zone it is UTC.
        now: What an age counts back from; the present by default.

    Returns:
        Seconds since 1970.

    Raises:
        ValueError: It is neither.
    """
    age = _AGE.fullmatch(text.strip())
    try:
        if age is not None:
            past = timedelta(**{_UNITS[age[2]]: int(age[1])})
            return ((now or datetime.now(UTC)) - past).timestamp()
        moment = datetime.fromisoformat(text.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):  # an age may reach back beyond the first year
        raise ValueError(f"{text!a} is neither a date nor an age such as 7d or 36h") from None
