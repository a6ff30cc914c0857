"""Collect what is wrong with one header without letting a hostile file fill the memory."""

from collections import Counter
from typing import Final

from prefect_mutagen.parsers.errors import HeaderError

__all__ = ["ErrorList"]

_KEPT: Final = 16


class ErrorList:
    """The first few errors of each code, and how many more there were."""

    __slots__ = ("_counts", "_errors")

    def __init__(self, errors: tuple[HeaderError, ...] = ()) -> None:
        """Start with what is known already."""
        self._errors = list(errors)
        self._counts = Counter(error.code for error in errors)

    def add(self, error: HeaderError) -> None:
        """Note one more; beyond sixteen of a code they are only counted."""
        self._counts[error.code] += 1
        if self._counts[error.code] <= _KEPT:
            # A kept traceback would keep the reader, and with it the bytes, alive.
            self._errors.append(error.with_traceback(None))

    def finish(self) -> tuple[HeaderError, ...]:
        """Give all that were kept, in the order of the file."""
        errors = sorted(self._errors, key=lambda error: error.offset)
        for code, count in self._counts.items():
            if count > _KEPT:
                last = max(i for i, error in enumerate(errors) if error.code == code)
                errors[last] = _with_rest(errors[last], count - _KEPT)
        return tuple(errors)


def _with_rest(error: HeaderError, more: int) -> HeaderError:
    return type(error)(
        error.code,
        error.severity,
        offset=error.offset,
        field=error.field,
        expected=error.expected,
        found=f"{error.found} (and {more} more of this kind)",
    )
