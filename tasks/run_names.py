"""Name task runs after what they work on."""

from collections.abc import Callable
from typing import Any

from prefect_mutagen.scanner.outputs.visible import visible

__all__ = ["names_runs", "short_name"]


def names_runs(function: Callable[[dict[str, Any]], str]) -> Any:
    """Mark a function as one that names the runs of a task by their ``parameters``.

    Prefect gives it values, where the runtime context still has the futures that a caller may have
    passed; and its type for such functions asks for a method that no function has.
    """
    return function


def short_name(url: str) -> str:
    """Give the last part of an address, fit for a name."""
    return visible(url.rstrip("/").rpartition("/")[2], 80)
