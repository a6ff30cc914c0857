"""Hand values to task runs as they are, whatever runs them.

Prefect walks through the parameters of a task run to find futures in them, and takes a parameter
that contains an object of another task run's result for its output, be it the empty text. Its
annotation ``quote`` prevents both, and reaches tasks on Dask and Ray as a plain tuple. A `Quoted`
is an object that no walk enters, so it arrives everywhere; the task opens it (`opens_quoted`).
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, Final, Generic, ParamSpec, TypeVar, cast

__all__ = ["Quoted", "opened", "opens_quoted", "quoted"]

_T = TypeVar("_T")
_P = ParamSpec("_P")


class Quoted(Generic[_T]):
    """A value that nobody looks into on its way."""

    # Prefect remembers results by their address in memory. Of those with weak references it notices
    # that they are gone, and takes no later object at the same address for them.
    __slots__ = ("__weakref__", "value")

    def __init__(self, value: _T) -> None:
        """Enclose a value."""
        self.value: Final = value

    def __repr__(self) -> str:
        """Return the name of the class: Prefect logs parameters when it debugs."""
        return "Quoted(...)"


def quoted(value: _T) -> _T:
    """Enclose a value; its type is kept for the signature of the task that opens it."""
    return cast("_T", Quoted(value))


def opened(value: _T) -> _T:
    """Return the value in a `Quoted`, and any other value as it is."""
    return cast("_T", value.value) if isinstance(value, Quoted) else value


def opens_quoted(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """Open the quoted ones among the arguments of a task's function."""

    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> _T:
        plain = {name: opened(value) for name, value in kwargs.items()}
        return cast("Callable[..., _T]", function)(*map(opened, args), **plain)

    return cast("Callable[_P, _T]", run)
