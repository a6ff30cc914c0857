"""Which artifacts of a scan a page shows that has no room for all."""

from collections.abc import Iterable
from itertools import chain, islice
from typing import Final

import pyarrow as pa

from prefect_mutagen.scanner.results import ScanResult
from prefect_mutagen.scanner.table.row_filters import (
    not_passed,
    passed_as_is,
    passed_by_waiver,
    selected,
)
from prefect_mutagen.scanner.table.rows import from_row

__all__ = ["worth_showing"]

_KINDS: Final = (not_passed, passed_by_waiver, passed_as_is)


def worth_showing(tables: Iterable[pa.Table], most: int) -> list[ScanResult]:
    """Return results to show: first what did not pass, then what a waiver let pass, then the rest.

    Args:
        tables: The rows of a state, read once.
        most: Maximum number of results.
    """
    found: list[list[ScanResult]] = [[] for _ in _KINDS]
    for table in tables:
        rows = table.filter(selected(table))
        for is_kind, results in zip(_KINDS, found, strict=True):
            chosen = rows.filter(is_kind(rows)).slice(0, most - len(results))
            results.extend(map(from_row, chosen.to_pylist()))
    return list(islice(chain.from_iterable(found), most))
