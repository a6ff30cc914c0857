"""Filters for rows of ``artifacts/``, applied to whole columns."""

from collections.abc import Callable, Collection
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.compute as pc

from prefect_mutagen.scanner.verdicts import Status

__all__ = [
    "ONLY",
    "Only",
    "among",
    "differing",
    "has_warnings",
    "may_have_passed",
    "not_passed",
    "passed",
    "passed_by_waiver",
    "removed",
    "selected",
    "was_judged",
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


def removed(rows: pa.Table) -> Any:
    """Select the rows of artifacts that are gone since the previous scan."""
    return pc.equal(rows["drift"], "removed")


def was_judged(rows: pa.Table, *statuses: Status) -> Any:
    """Select rows whose verdict was one of these in the previous scan, and is another now."""
    wanted = pa.array(statuses, pa.string())
    return _has_entry(
        rows["drift_details"],
        lambda changes: pc.and_(
            pc.equal(pc.struct_field(changes, "field"), "status"),
            pc.is_in(pc.struct_field(changes, "before"), wanted),
        ),
    )


def has_warnings(rows: pa.Table) -> Any:
    """Select rows with a finding that is a warning."""
    return _has_entry(
        rows["findings"],
        lambda findings: pc.equal(pc.struct_field(findings, "severity"), "warning"),
    )


def _has_entry(lists: Any, wanted: Callable[[Any], Any]) -> Any:
    """Select rows with an entry in a list of structs that fits."""
    whole = lists.combine_chunks()
    rows = pc.list_parent_indices(whole).filter(wanted(pc.list_flatten(whole)))
    return pc.is_in(pa.array(range(len(whole)), rows.type), rows)


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
