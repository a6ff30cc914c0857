"""Name task runs after what they work on."""

from typing import Any

from prefect.runtime import task_run
from prefect.utilities.annotations import BaseAnnotation

from prefect_mutagen.scanner.outputs.visible import visible

__all__ = ["parameter", "short_name"]


def parameter(name: str) -> Any:
    """Give a parameter of the current task run; it may still be wrapped for Prefect's eyes."""
    value = task_run.parameters[name]
    return value.unwrap() if isinstance(value, BaseAnnotation) else value


def short_name(url: str) -> str:
    """Give the last part of an address, fit for a name."""
    return visible(url.rstrip("/").rpartition("/")[2], 80)
