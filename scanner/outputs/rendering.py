"""One artifact's part of an output: made whole before anything of it is written.

Where a writer fails over an artifact, the part says so instead: the artifact is a row with the
verdict ``unknown``, and half a part is never seen.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TypeVar
from urllib.parse import quote

from prefect_mutagen.scanner.examine.unexamined import internal_error
from prefect_mutagen.scanner.results import ScanResult, Summary

__all__ = ["render", "render_each"]

_T = TypeVar("_T")


def render(result: ScanResult, make: Callable[[ScanResult], _T]) -> tuple[ScanResult, _T]:
    """Make an artifact's part of an output.

    Args:
        result: What is known about it.
        make: Makes the part; it changes nothing else, for it may be called again.

    Returns:
        What the part is about, the result or what stands in for it, and the part.
    """
    try:
        return result, make(result)
    except Exception as problem:  # noqa: BLE001 - a bug costs this artifact alone
        broken = internal_error(result, problem, "writing")
    try:
        return broken, make(broken)
    except Exception as problem:  # noqa: BLE001 - nothing is left to fail over but the address
        address = quote(result.url.encode("utf-8", "surrogatepass"), safe="/:")
        broken = internal_error(replace(result, url=address, objects=()), problem, "writing")
        return broken, make(broken)


def render_each(
    results: Iterable[ScanResult], summary: Summary, make: Callable[[ScanResult, int], _T]
) -> Iterator[_T]:
    """Make each artifact's part of an output.

    Args:
        results: What is known about them; they are counted in the summary already.
        summary: Corrected where something else stands in for a result.
        make: Makes a part of a result and its number, from 1; see `render`.
    """
    for number, result in enumerate(results, 1):
        shown, part = render(result, _numbered(make, number))
        summary.correct(result.verdict.status, shown.verdict.status)
        yield part


def _numbered(make: Callable[[ScanResult, int], _T], number: int) -> Callable[[ScanResult], _T]:
    return lambda result: make(result, number)
