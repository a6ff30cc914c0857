"""From measured growth to a plan: what a bucket of any size would take.

Each value is taken to be a line through what the two largest buckets of a run took; the plan of the
largest bucket, made from smaller ones alone, is compared with what it really took.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

__all__ = ["Costs", "check_plan", "plan_for"]

# S3's list prices in us-east-1, in dollars: https://aws.amazon.com/s3/pricing/
_LIST_PRICE: Final = 0.005 / 1000
_GET_PRICE: Final = 0.0004 / 1000
_STORED_PRICE: Final = 0.023e-9
"""A byte, kept for a month."""
_PAGE: Final = 1000
"""Keys in a reply to a listing."""
_HOURS: Final = 24 * 365
_INDEX_BYTES: Final = 45 + 12
"""Of each artifact, in memory; see `prefect_mutagen.scanner.table.state_index`."""
_DELTAS: Final = 25
"""Of 1 %, until the whole state is written again; see `prefect_mutagen.scanner.table.deltas`."""


class Costs(Protocol):
    """What one run over a bucket took."""

    @property
    def wall(self) -> float: ...
    @property
    def cpu(self) -> float: ...
    @property
    def requests(self) -> int: ...
    @property
    def table(self) -> int: ...


class _Line(NamedTuple):
    """A straight line through two measurements."""

    start: float
    slope: float

    def at(self, size: int) -> float:
        return max(0.0, self.start + self.slope * size)


_VALUES: Final[dict[str, Callable[[Costs], float]]] = {
    "wall s": lambda run: run.wall,
    "CPU s": lambda run: run.cpu,
    "requests": lambda run: run.requests,
    "table bytes": lambda run: run.table,
}


def _lines(sizes: Sequence[int], runs: Sequence[Costs]) -> dict[str, _Line]:
    """Return a line for each value, through the last two sizes."""
    (less, more), (first, second) = sizes[-2:], runs[-2:]
    lines = {}
    for name, of in _VALUES.items():
        slope = (of(second) - of(first)) / (more - less)
        lines[name] = _Line(of(second) - slope * more, slope)
    return lines


def check_plan(sizes: Sequence[int], found: Mapping[str, Sequence[Costs]]) -> str:
    """Compare the plan of the largest size, made from the others, with what it took.

    Args:
        sizes: At least three, the largest last.
        found: For each kind of run, one for each size.
    """
    lines = [f"\nplanned for {sizes[-1]} from smaller buckets, against measured"]
    for kind, runs in found.items():
        planned = _lines(sizes[:-1], runs[:-1])
        told = [
            f"{name} {planned[name].at(sizes[-1]):,.0f} / {of(runs[-1]):,.0f}"
            for name, of in _VALUES.items()
        ]
        lines.append(f"{kind}: {', '.join(told)}")
    return "\n".join(lines)


def plan_for(size: int, sizes: Sequence[int], found: Mapping[str, Sequence[Costs]]) -> str:
    """Return the plan for a bucket of so many models, one object each.

    Args:
        size: Its models.
        sizes: What was measured: at least two sizes.
        found: For each kind of run, one for each size; ``with a new table`` and ``again, …``.
    """
    told = [f"\nplan for {size:,} models; {size * _INDEX_BYTES / 1e6:,.0f} MB for their index"]
    for kind, runs in found.items():
        planned = {name: line.at(size) for name, line in _lines(sizes, runs).items()}
        listed = size / _PAGE
        read = max(0.0, planned["requests"] - listed)
        dollars = listed * _LIST_PRICE + read * _GET_PRICE
        values = ", ".join(f"{value:,.0f} {name}" for name, value in planned.items())
        told.append(f"{kind}: {values}; {dollars:,.2f} dollars for requests")
    whole = _lines(sizes, found["with a new table"])["table bytes"].at(size)
    delta = _lines(sizes, found["again, 1 % replaced"])["table bytes"].at(size)
    for often, scans in (("day", 365), ("hour", _HOURS)):
        kept = scans * delta + scans / _DELTAS * whole
        told.append(
            f"1 % changed each {often}: {kept / 1e9:,.1f} GB of table a year without a retention, "
            f"{kept * _STORED_PRICE:,.2f} dollars a month"
        )
    return "\n".join(told)
