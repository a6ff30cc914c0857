"""Collect the errors of one header in bounded memory, however many a hostile file has."""

from collections import Counter
from typing import Final

from prefect_mutagen.parsers.errors import HeaderError

__all__ = ["ErrorList"]

_KEPT_PER_CODE: Final = 16


class ErrorList:
    """The first few errors of each code, and a count of the rest."""

    __slots__ = ("_counts", "_errors")

    def __init__(self, errors: tuple[HeaderError, ...] = ()) -> None:
        """Start with the errors that are already known."""
        self._errors = list(errors)
        self._counts = Counter(error.code for error in errors)

    def add(self, error: HeaderError) -> None:
        """Add an error; beyond sixteen of one code, errors are only counted."""
        self._counts[error.code] += 1
        if self._counts[error.code] <= _KEPT_PER_CODE:
            # A traceback would keep the reader and its buffer alive.
            self._errors.append(error.with_traceback(None))

    def finish(self) -> tuple[HeaderError, ...]:
        """Return the kept errors in file order."""
        errors = sorted(self._errors, key=lambda error: error.offset)
        for code, count in self._counts.items():
            if count > _KEPT_PER_CODE:
                last = max(i for i, error in enumerate(errors) if error.code == code)
                errors[last] = _with_rest(errors[last], count - _KEPT_PER_CODE)
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
