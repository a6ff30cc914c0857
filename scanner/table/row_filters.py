"""Filters for rows of ``artifacts/``, applied to whole columns."""

from collections.abc import Callable, Collection
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.compute as pc

__all__ = [
    "ONLY",
    "Only",
    "among",
    "differing",
    "may_have_passed",
    "not_passed",
    "passed",
    "passed_as_is",
    "passed_by_waiver",
    "selected",
]


def passed(rows: pa.Table) -> Any:
    """Select rows that passed."""
    return pc.equal(rows["status"], "passed")


def not_passed(rows: pa.Table) -> Any:
    """Select rows that did not pass."""
    return pc.not_equal(rows["status"], "passed")


def passed_by_waiver(rows: pa.Table) -> Any:
    """Select rows that passed only because of a waiver."""
    waived = pc.fill_null(pc.list_value_length(rows["waived"]), 0)
    return pc.and_(passed(rows), pc.greater(waived, 0))


def passed_as_is(rows: pa.Table) -> Any:
    """Select rows that passed without a waiver."""
    return pc.and_not(passed(rows), passed_by_waiver(rows))


def differing(rows: pa.Table) -> Any:
    """Select rows that differ from the previous scan."""
    details = pc.fill_null(pc.list_value_length(rows["drift_details"]), 0)
    return pc.or_(pc.not_equal(rows["drift"], "unchanged"), pc.greater(details, 0))


def may_have_passed(rows: pa.Table) -> Any:
    """Select rows that passed and differ from the previous scan."""
    return pc.and_(passed(rows), differing(rows))


def among(addresses: Collection[str]) -> Callable[[pa.Table], Any]:
    """Return a filter for the rows of these addresses."""
    known = pa.array(addresses, pa.string())
    return lambda rows: pc.is_in(rows["url"], known)


def selected(rows: pa.Table) -> Any:
    """Select the rows of selected artifacts that exist."""
    return pc.invert(pc.is_in(rows["drift"], pa.array(["removed", "left-out"])))


Only = Literal["changed", "failed", "new"]
"""Which artifacts to show: those that differ from the previous scan, verdicts included; those that
did not pass; those that are new."""


def _new(rows: pa.Table) -> Any:
    return pc.equal(rows["drift"], "added")


ONLY: Final[dict[str, Callable[[pa.Table], Any]]] = {
    "changed": differing,
    "failed": not_passed,
    "new": _new,
}
"""The filter for each `Only`."""
