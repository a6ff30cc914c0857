"""How many artifacts the task runs of this process have examined so far, by flow run."""

import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final, TypeVar

__all__ = ["count_examined", "examined_so_far", "forget_examined"]

_T = TypeVar("_T")

_counts: Final[Counter[str]] = Counter()
_lock: Final = threading.Lock()


def count_examined(results: Iterable[_T], run: str) -> Iterator[_T]:
    """Yield results, and count them for a flow run.

    Args:
        results: One for each artifact.
        run: Key of the flow run; see `tasks.ending`.
    """
    for result in results:
        with _lock:
            _counts[run] += 1
        yield result


def examined_so_far(run: str) -> int:
    """Return the number of artifacts that were examined in this process for a flow run."""
    return _counts[run]


def forget_examined(run: str) -> None:
    """Forget the count of a flow run."""
    with _lock:
        _counts.pop(run, None)
