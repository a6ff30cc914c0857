"""What a scan can say of each listed object: what it is, and whether it was looked at.

A census counts objects and bytes by role and state. It is counted where objects are listed, so it
adds up to the listing; examinations only move counts from one state to another.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple, get_args

__all__ = ["ROLES", "STATES", "Census", "CensusRow", "Role", "State"]

Role = Literal[
    "weights",
    "index",
    "config",
    "tokenizer",
    "template",
    "pipeline",
    "adapter",
    "card",
    "licence",
    "code",
    "pickle",
    "other-weights",
    "checksum",
    "signature",
    "unfinished",
    "other",
]
"""What an object is to a loader."""
State = Literal["examined", "named", "not-understood"]
"""Whether an object's content was judged, or only its name, or not even that tells what it is."""

ROLES: Final[tuple[Role, ...]] = get_args(Role)
STATES: Final[tuple[State, ...]] = get_args(State)
_NOUNS: Final[dict[Role, tuple[str, str]]] = {
    "weights": ("model file", "model files"),
    "pickle": ("pickle", "pickles"),
    "other-weights": ("file of other weights", "files of other weights"),
}
_REMEMBERED: Final = 1 << 14
"""Files whose examination is remembered, so that what many artifacts share counts once."""


class CensusRow(NamedTuple):
    """Objects of one role in one state."""

    role: Role
    state: State
    objects: int
    bytes: int


_Counts = dict[tuple[Role, State], list[int]]


def _move(counts: _Counts, role: Role, states: tuple[State, State], moved: list[int]) -> None:
    """Move objects and bytes from one state to another, as far as there are any."""
    there = counts.get((role, states[0]), [0, 0])
    objects = min(moved[0], there[0])
    if objects:
        size = min(moved[1], there[1])
        there[0] -= objects
        there[1] -= size
        target = counts.setdefault((role, states[1]), [0, 0])
        target[0] += objects
        target[1] += size


def _rows(counts: _Counts) -> tuple[CensusRow, ...]:
    return tuple(
        CensusRow(role, state, *counts[role, state])
        for role in ROLES
        for state in STATES
        if counts.get((role, state), [0])[0]
    )


@dataclass(slots=True)
class Census:
    """Numbers of objects and bytes by role and state."""

    _counts: _Counts = field(default_factory=dict)
    _passed_over: dict[Role, list[int]] = field(default_factory=dict)
    """Objects and bytes that turned out not to be examined, possibly before they are counted."""
    _examined: "OrderedDict[int, None]" = field(default_factory=OrderedDict)
    """Hashes of the addresses that were counted as examined last."""

    def count(self, role: Role, state: State, size: int, objects: int = 1) -> None:
        """Count objects; a size that is not known counts as nothing.

        Args:
            role: Their role.
            state: Whether they were examined.
            size: Bytes of all of them.
            objects: How many they are.
        """
        counts = self._counts.get((role, state))
        if counts is None:
            counts = self._counts[role, state] = [0, 0]
        counts[0] += objects
        counts[1] += max(0, size)

    def examine(self, role: Role, url: str, size: int) -> None:
        """Count an object as examined that was counted as named; once, however often it is told.

        Args:
            role: Its role.
            url: Its address.
            size: Its size in bytes, as it was counted.
        """
        key = hash(url)
        if key in self._examined:
            self._examined.move_to_end(key)
            return
        self._examined[key] = None
        if len(self._examined) > _REMEMBERED:
            self._examined.popitem(last=False)
        _move(self._counts, role, ("named", "examined"), [1, max(0, size)])

    def pass_over(self, role: Role, objects: int, size: int) -> None:
        """Count objects as named only that were to be examined, and could not be.

        Args:
            role: Their role.
            objects: How many they are.
            size: Bytes of all of them.
        """
        there = self._passed_over.setdefault(role, [0, 0])
        there[0] += objects
        there[1] += size

    def add(self, rows: Iterable[CensusRow]) -> None:
        """Add the counts of another census, such as that of another root."""
        for row in rows:
            self.count(row.role, row.state, row.bytes, row.objects)

    @property
    def listed(self) -> tuple[CensusRow, ...]:
        """The counts as if all that is to be examined could be."""
        return _rows(self._counts)

    @property
    def rows(self) -> tuple[CensusRow, ...]:
        """The counts that are not zero, in order of roles and states."""
        counts = {key: list(value) for key, value in self._counts.items()}
        for role, passed_over in self._passed_over.items():
            _move(counts, role, ("examined", "named"), passed_over)
        return _rows(counts)

    def to_report(self) -> list[dict[str, Any]]:
        """Return its rows as JSON values."""
        return [row._asdict() for row in self.rows]

    def objects(self, *roles: Role, state: State | None = None) -> int:
        """Return the number of objects.

        Args:
            roles: Of these roles; without any, of all.
            state: In this state; None: in any.
        """
        return sum(
            row.objects
            for row in self.rows
            if (not roles or row.role in roles) and state in (None, row.state)
        )

    @property
    def overlooked(self) -> int:
        """Number of objects that are or may be weights, and that nobody looked into."""
        named = self.objects(*_NOUNS, state="named")
        return named + self.objects(state="not-understood")

    def describe(self) -> str:
        """Return one line for people; empty if nothing was counted."""
        total = self.objects()
        if not total:
            return ""
        parts = [
            f"{', '.join(nouns)} {words}"
            for state, words in (("examined", "examined"), ("named", "named only"))
            if (nouns := [*self._nouns(state)])  # type: ignore[arg-type] # two states
        ]
        if number := self.objects(state="not-understood"):
            parts.append(f"{number:,} not understood")
        rest = total - self.objects(*_NOUNS) - self.objects("other", state="not-understood")
        parts += [f"{rest:,} other"] if rest else []
        return f"{total:,} object{'s' if total != 1 else ''}: {'; '.join(parts)}"

    def _nouns(self, state: State) -> Iterator[str]:
        for role, nouns in _NOUNS.items():
            if number := self.objects(role, state=state):
                yield f"{number:,} {nouns[number != 1]}"
