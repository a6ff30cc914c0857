"""What is known of the files of one artifact's model, by role: its census."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from prefect_mutagen.scanner.census import Census, CensusRow, Role
from prefect_mutagen.scanner.listing.artifacts import Artifact, Beside, LooseFiles
from prefect_mutagen.scanner.listing.roles import role_of
from prefect_mutagen.scanner.results import ScanResult

__all__ = ["ModelCensus"]


@dataclass(slots=True)
class ModelCensus:
    """Counts the files of models: those that an artifact's pin covers, so it changes with that."""

    _last: tuple[Beside, tuple[CensusRow, ...]] | None = field(default=None)
    """What lies beside the last artifact, which others of its folder share."""

    def add(self, artifact: Artifact, result: ScanResult) -> ScanResult:
        """Return a result with the facts ``census`` and, unless it is ``weights``, ``role``.

        Args:
            artifact: The artifact, as it was listed; those of a folder share what lies beside them.
            result: Its result.
        """
        census, role = Census(), None
        was_examined = result.was_examined
        for item in artifact.objects:
            role = _role_of_weights(item.name)
            examined = was_examined and role != "other-weights"
            census.count(role, "examined" if examined else "named", item.size)
        for one in (artifact, *artifact.parts):
            census.add(self._beside(one, {item.url for item in artifact.objects}))
        facts: dict[str, Any] = {**result.facts, "census": census.to_report()}
        if role is not None and role != "weights":
            facts["role"] = role
        return replace(result, facts=facts)

    def _beside(self, artifact: Artifact, own: set[str]) -> tuple[CensusRow, ...]:
        beside = artifact.beside
        if self._last is not None and self._last[0] is beside:
            return self._last[1]
        census = Census()
        for item in dict.fromkeys((*artifact.describing, *beside.code)):
            examined = item.fault is None
            census.count(role_of(item.name), "examined" if examined else "named", item.size)
        census.add(_loose("pickle", beside.pickles, own))
        census.add(_loose("other-weights", beside.other_weights, own))
        rows = census.rows
        if not own.intersection(item.url for item in beside.pickles.items):
            self._last = beside, rows
        return rows


def _role_of_weights(name: str) -> Role:
    role = role_of(name)
    return "weights" if role == "other" else role


def _loose(role: Role, files: LooseFiles, own: set[str]) -> Iterator[CensusRow]:
    """Yield rows of files beside; of those that are not kept, only the number is known."""
    for item in files.items:
        if item.url not in own:
            examined = role == "pickle" and item.fault is None
            yield CensusRow(role, "examined" if examined else "named", 1, max(0, item.size))
    if files.total > len(files.items):
        yield CensusRow(role, "named", files.total - len(files.items), 0)
