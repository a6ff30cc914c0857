"""What a format shows of one artifact, made in the process that examined it.

A document depends on its result alone, so worker processes can render it. The other formats compare
or sort results, and take them as they are.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from prefect_mutagen.scanner.outputs.documents import RenderedResult, render_json, render_jsonl
from prefect_mutagen.scanner.results import ScanResult, Tally

__all__ = ["SHOWN", "itself", "tallied"]


def itself(result: ScanResult) -> ScanResult:
    """Return the result."""
    return result


def _nothing(_result: ScanResult) -> None:
    """Return nothing: the tally is all that is needed."""


SHOWN: Final[Mapping[str, Callable[[ScanResult], Any]]] = MappingProxyType(
    {"json": render_json, "jsonl": render_jsonl, "summary": _nothing}
)
"""What to make of each result, by format; for all others: `itself`."""


def tallied(show: Callable[[ScanResult], Any], result: ScanResult) -> tuple[Tally, Any]:
    """Return the tally of what is shown of a result, and that."""
    part = show(result)
    return part.tally if isinstance(part, RenderedResult) else result.tally(), part
