"""Render one artifact's part of an output completely before any of it is written.

When rendering fails, the part reports an internal error instead: the artifact keeps its entry, with
the verdict ``unknown``, and a partial entry is never written.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TypeVar
from urllib.parse import quote

from prefect_mutagen.scanner.examine.unexamined import internal_error
from prefect_mutagen.scanner.results import ScanResult, Summary
from prefect_mutagen.scanner.sbom.valid_names import with_valid_names

__all__ = ["render", "render_each"]

_T = TypeVar("_T")


def render(result: ScanResult, make: Callable[[ScanResult], _T]) -> tuple[ScanResult, _T]:
    """Render an artifact's part of an output.

    Args:
        result: The artifact's result.
        make: Renders the part. It must have no side effects, because it may be called again.

    Returns:
        The rendered result, which is an internal error if `make` failed, and the part.
    """

    def rendered(one: ScanResult) -> tuple[ScanResult, _T]:
        valid = with_valid_names(one)
        return valid, make(valid)

    try:
        return rendered(result)
    except Exception as problem:  # noqa: BLE001 - a bug costs this artifact alone
        broken = internal_error(result, problem, "writing")
    try:
        return rendered(broken)
    except Exception as problem:  # noqa: BLE001 - only the address is left to cause this
        address = quote(result.url.encode("utf-8", "surrogatepass"), safe="/:")
        return rendered(
            internal_error(replace(result, url=address, objects=()), problem, "writing")
        )


def render_each(
    results: Iterable[ScanResult], summary: Summary, make: Callable[[ScanResult, int], _T]
) -> Iterator[_T]:
    """Render each artifact's part of an output.

    Args:
        results: The results, which the summary has already counted.
        summary: Corrected where an internal error replaces a result.
        make: Renders the part of a result, given its number from 1; see `render`.
    """
    for number, result in enumerate(results, 1):
        shown, part = render(result, _numbered(make, number))
        summary.correct(result.verdict.status, shown.verdict.status)
        yield part


def _numbered(make: Callable[[ScanResult, int], _T], number: int) -> Callable[[ScanResult], _T]:
    return lambda result: make(result, number)
