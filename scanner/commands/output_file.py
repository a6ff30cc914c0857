"""The file of ``--output``: looked at before the work, and written atomically."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from prefect_mutagen.scanner.shutdown import on_shutdown
from prefect_mutagen.scanner.temporary import partial_path, sweep_partial_files

__all__ = ["output_file", "prepare_output"]


def prepare_output(path: str, option: str = "--output") -> str:
    """Create the folder of the output before the work, which may take hours.

    Args:
        path: The file.
        option: The option that names it, for messages.

    Returns:
        The path, with ``~`` expanded.

    Raises:
        ValueError: The output cannot be written there.
    """
    place = os.path.expanduser(path)
    sweep_partial_files(os.path.dirname(place))
    try:
        os.makedirs(os.path.dirname(place) or ".", exist_ok=True)
    except OSError as problem:
        reason = (problem.strerror or type(problem).__name__).lower()
        raise ValueError(f"{option} {path}: its folder cannot be created: {reason}") from None
    if os.path.isdir(place):
        raise ValueError(f"{option} {path}: it is a folder; name a file in it")
    if os.path.exists(place) and not os.path.isfile(place):
        # The finished file would replace the device or pipe.
        raise ValueError(f"{option} {path}: it is not a regular file; redirect the output instead")
    return place


@contextmanager
def output_file(path: str | None) -> Iterator[TextIO]:
    """Open the output; a file is written atomically."""
    if path is None:
        yield sys.stdout
        return
    partial = partial_path(path)
    with on_shutdown(lambda: os.unlink(partial)):
        try:
            with open(partial, "w+", 1 << 20, encoding="utf-8") as out:
                yield out
            os.replace(partial, path)
        finally:
            if os.path.exists(partial):
                os.unlink(partial)
