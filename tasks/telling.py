"""Task runs whose state says what happened, such as Refused: 2 of 100 refused: a.gguf: ..."""

from collections.abc import Iterable, Iterator
from typing import Any, Final, ParamSpec, TypeVar, cast

from prefect import Task
from prefect.client.schemas.objects import State
from prefect.context import TaskRunContext
from prefect.states import Completed

from prefect_mutagen.scanner.outputs.outcomes import outcome
from prefect_mutagen.scanner.results import ScanResult

__all__ = ["Verdicts", "tells", "told"]

_FIRST: Final = 3
_PATH: Final = 60
"""Characters of their paths in a message, which is read on one line."""

_P = ParamSpec("_P")
_R = TypeVar("_R")


class Verdicts:
    """The verdicts of a task run, counted as they pass by."""

    def __init__(self, source: str) -> None:
        """Start at none.

        Args:
            source: The root.
        """
        self._source = source
        self._artifacts = self._refused = 0
        self._first: list[str] = []

    def watch(self, results: Iterable[ScanResult]) -> Iterator[ScanResult]:
        """Yield results, and count them."""
        for result in results:
            self._artifacts += 1
            if not result.passed:
                self._refused += 1
                if len(self._first) < _FIRST:
                    self._first.append(outcome(result, self._source, _PATH))
            yield result

    def describe(self) -> str:
        """Return how many are refused, and the first of them."""
        if not self._refused:
            return "1 passed" if self._artifacts == 1 else f"all {self._artifacts} passed"
        first, more = "; ".join(self._first), "; …" if self._refused > _FIRST else ""
        return f"{self._refused} of {self._artifacts} refused: {first}{more}"

    def told_with(self, value: _R) -> _R:
        """Return what a task's function returns: its value, in a state that says what was found.

        Args:
            value: What the task returns to those who call it.

        Returns:
            See `told`.
        """
        return told(value, "Refused" if self._refused else "Passed", self.describe())


def told(value: _R, name: str, message: str) -> _R:
    """Return what the function of a task returns: its value, in a state that says what happened.

    Args:
        value: What the task returns to those who call it.
        name: Name of the state.
        message: Its message.

    Returns:
        The value as it is outside of task runs; typed as what callers receive.
    """
    if TaskRunContext.get() is None:
        return value
    return cast("_R", Completed(name=name, message=message, data=value))


class _TellingTask(Task[_P, _R]):
    """A task whose function may return a state; those who call it directly get its value."""

    def __call__(  # type: ignore[override]
        self, *args: Any, return_state: bool = False, **kwargs: Any
    ) -> Any:
        """Run the task; see `prefect.Task`."""
        state: State[Any] = super().__call__(*args, return_state=True, **kwargs)
        return state if return_state else state.result()

    def with_options(self, *args: Any, **kwargs: Any) -> Task[_P, _R]:
        """Return a copy with other options, which does the same."""
        return tells(super().with_options(*args, **kwargs))


def tells(made: Task[_P, _R]) -> Task[_P, _R]:
    """Let a task return its value in a state of its own.

    Args:
        made: The task; its class is changed, because Prefect's decorator makes only its own.
    """
    made.__class__ = _TellingTask
    return made
