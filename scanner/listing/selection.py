"""Select the artifacts that a scan examines: patterns, modification time, versions, inventory.

Patterns are shell globs: ``*`` and ``?`` do not match a slash, ``**`` does, and a pattern without a
slash is matched against the file name only. Patterns select whole artifacts: a set is examined with
all its shards if its index or any shard matches, and neighbours are always read.
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


class NothingIncluded(StorageError):  # noqa: N818 - named after the condition
    """No artifact below a root matches the patterns to include, which may be misspelt."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Criteria for what a scan examines; by default everything."""

    include: tuple[str, ...] = ()
    """Patterns; an artifact is selected if one of its files matches one. Empty selects all."""
    exclude: tuple[str, ...] = ()
    """Patterns; an artifact is left out if one of its files matches one."""
    modified_since: float = 0.0
    """Seconds since the epoch; older artifacts are left out, those of unknown age are not."""
    all_versions: bool = False
    """Whether to list older versions of model files too, in a versioned bucket."""
    inventory: str = ""
    """Address of the ``manifest.json`` of an S3 Inventory to use instead of a listing, if any."""
    keys: tuple[str, ...] = ()
    """Objects below the root, see `scanner.listing.keys`; an artifact is selected if it has one of
    them. Nothing else is listed. Empty selects all."""

    def __post_init__(self) -> None:
        """Refuse empty patterns and contradictory criteria."""
        for name, texts in (("include", self.include), ("exclude", self.exclude)):
            if not all(text.strip() for text in texts):
                raise ValueError(f"a pattern of {name} is empty")
        if self.inventory and not self.inventory.strip():
            raise ValueError("the address of the inventory is empty")
        if self.all_versions and self.inventory:
            raise ValueError("an inventory gives the newest versions; leave one of the two out")
        if self.keys and (self.all_versions or self.inventory):
            other = "all versions are" if self.all_versions else "an inventory is"
            raise ValueError(
                f"keys name the newest versions of objects, and {other} for whole roots"
            )

    def describe(self) -> str:
        """Return the criteria as one line of text; empty if everything is selected."""
        parts = [
            ("only ", ", ".join(self.include)),
            ("not ", ", ".join(self.exclude)),
            ("changed since ", _date(self.modified_since) if self.modified_since else ""),
            ("", "all versions" if self.all_versions else ""),
            ("as listed by ", self.inventory),
            ("", _keys(self.keys)),
        ]
        return "; ".join(label + value for label, value in parts if value)

    @property
    def takes_all(self) -> bool:
        """Whether every listed artifact is selected."""
        return not (self.include or self.exclude or self.modified_since or self.keys)

    def takes(self, artifact: Artifact, root: str) -> bool:
        """Whether an artifact is selected.

        Args:
            artifact: Artifact as listed.
            root: Address that patterns are relative to.
        """
        paths = _paths(artifact, root)
        if self.include and not _matches_any(self.include, paths):
            return False
        if self.exclude and _matches_any(self.exclude, paths):
            return False
        if not self.modified_since:
            return True
        times = [item.modified for item in (*_files(artifact), *artifact.beside.neighbours)]
        return any(time is None or time >= self.modified_since for time in times)

    def includes(self, artifact: Artifact, root: str) -> bool:
        """Whether an artifact matches ``include``, regardless of the other criteria."""
        return not self.include or _matches_any(self.include, _paths(artifact, root))


def _paths(artifact: Artifact, root: str) -> list[str]:
    base = root.rstrip("/") + "/"
    return [item.plain_url.removeprefix(base) for item in _files(artifact)]


def _keys(keys: tuple[str, ...]) -> str:
    if len(keys) > 1:
        return f"what {len(keys)} keys belong to"
    return f"what the key {keys[0]} belongs to" if keys else ""


def _date(moment: float) -> str:
    try:
        return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M} UTC"
    except (ValueError, OverflowError, OSError):
        return f"{moment:g}"  # outside the range of datetime


def _files(artifact: Artifact) -> Iterator[StoredObject]:
    yield from artifact.objects
    if artifact.shard_index is not None:
        yield artifact.shard_index


def _matches_any(patterns: tuple[str, ...], paths: list[str]) -> bool:
    for pattern in patterns:
        compiled = _compile(pattern)
        is_path = "/" in pattern
        if any(compiled.fullmatch(path if is_path else path.rpartition("/")[2]) for path in paths):
            return True
    return False


@lru_cache(maxsize=256)
def _compile(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"(\*\*/?|\*|\?)", pattern.removeprefix("/"))
    wildcards = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    text = "".join(wildcards.get(part, re.escape(part)) for part in parts)
    return re.compile(text, re.DOTALL)


def read_moment(text: str, now: datetime | None = None) -> float:
    """Parse a time in ISO 8601, or an age such as ``36h``, ``7d``, ``2w`` or ``90min``.

    Args:
        text: Time or age; a time without a zone is UTC.
        now: Time that an age is subtracted from; the current time by default.

    Returns:
        Seconds since the epoch.

    Raises:
        ValueError: The text is neither.
    """
    age = _AGE.fullmatch(text.strip())
    try:
        if age is not None:
            past = timedelta(**{_UNITS[age[2]]: int(age[1])})
            return ((now or datetime.now(UTC)) - past).timestamp()
        moment = datetime.fromisoformat(text.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):  # OverflowError: an age may reach back before year 1
        raise ValueError(f"{text!a} is neither a date nor an age such as 7d or 36h") from None
