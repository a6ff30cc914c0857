"""A progress line on stderr, if it is a terminal."""

import os
import sys
import threading

from prefect_mutagen.scanner.outputs.visible import counted, short_size
from prefect_mutagen.scanner.results import Summary
from prefect_mutagen.scanner.storage.store import StoredObject

__all__ = ["Progress"]

_UPDATE_SECONDS = 0.2


class Progress:
    """Shows running counts from its own thread, since hashing a large object takes long."""

    def __init__(self, summary: Summary, *, shown: bool) -> None:
        """Start hidden; see `start`.

        Args:
            summary: The counts to show.
            shown: Whether to show the line at all.
        """
        self._summary = summary
        self._hashed = 0
        self._shown = shown
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._update, name="progress", daemon=True)

    def add_hashed(self, _item: StoredObject, start: int, end: int) -> None:
        """Count hashed bytes; see `scanner.storage.hashing.HashProgress`."""
        self._hashed += end - start

    def start(self) -> None:
        """Show the line until `clear`."""
        if self._shown:
            self._thread.start()

    def _update(self) -> None:
        while not self._stopped.wait(_UPDATE_SECONDS):
            counts = self._summary
            artifacts = counted(counts.artifacts, "artifact")
            text = f"{artifacts}, {counts.failed + counts.unknown} not passed"
            if self._hashed:
                text += f", {short_size(self._hashed)} hashed"
            sys.stderr.write(f"\r{text[: _width()]}\x1b[K")
            sys.stderr.flush()

    def clear(self) -> None:
        """Remove the line for good."""
        if self._shown and not self._stopped.is_set():
            self._stopped.set()
            self._thread.join()
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def _width() -> int | None:
    """Return what fits beside the cursor: a line that wraps cannot be written over."""
    try:
        columns = os.get_terminal_size(sys.stderr.fileno()).columns
    except OSError:
        return None
    return columns - 1 if columns > 1 else None
