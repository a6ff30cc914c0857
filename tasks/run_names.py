"""Name task runs by what they work on."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from prefect_mutagen.scanner.outputs.visible import visible
from prefect_mutagen.scanner.storage.names import storable_name
from prefect_mutagen.scanner.storage.secret_parts import without_secrets
from prefect_mutagen.tasks.quoting import opened

__all__ = ["names_runs", "short_name"]


def names_runs(function: Callable[[dict[str, Any]], str]) -> Any:
    """Mark a function as one that names task runs by their ``parameters``.

    Prefect passes it resolved values, whereas the runtime context still has futures. Returns `Any`,
    because Prefect's type for such functions requires a method that no function has.
    """

    @wraps(function)
    def name(parameters: dict[str, Any]) -> str:
        return function({key: opened(value) for key, value in parameters.items()})

    return name


def short_name(url: str) -> str:
    """Return the last part of an address, safe for display in a name, without secrets."""
    name = without_secrets(url).rstrip("/").rpartition("/")[2]
    return visible(storable_name(name), 80)
