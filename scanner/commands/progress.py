"""A line on stderr that says how far a scan is, when a person is looking."""

import sys
import threading

from prefect_mutagen.scanner.outputs.visible import counted, short_size
from prefect_mutagen.scanner.results import Summary
from prefect_mutagen.scanner.storage.store import StoredObject

__all__ = ["Progress"]

_EVERY = 0.2


class Progress:
    """Shows counts that grow, from a thread of its own: to hash a large object takes long."""

    def __init__(self, summary: Summary, *, shown: bool) -> None:
        """Take what is counted.

        Args:
            summary: Artifacts.
            shown: Whether anybody looks.
        """
        self._summary = summary
        self._hashed = 0
        self._shown = shown
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._show_on, name="progress", daemon=True)

    def add_piece(self, _item: StoredObject, start: int, end: int) -> None:
        """Count what was hashed; see `scanner.storage.hashing.HashProgress`."""
        self._hashed += end - start

    def start(self) -> None:
        """Show the line until `clear`."""
        if self._shown:
            self._thread.start()

    def _show_on(self) -> None:
        while not self._over.wait(_EVERY):
            counts = self._summary
            artifacts = counted(counts.artifacts, "artifact")
            text = f"{artifacts}, {counts.failed + counts.unknown} not passed"
            if self._hashed:
                text += f", {short_size(self._hashed)} hashed"
            sys.stderr.write(f"\r{text}\x1b[K")
            sys.stderr.flush()

    def clear(self) -> None:
        """Take the line away, for good."""
        if self._shown and not self._over.is_set():
            self._over.set()
            self._thread.join()
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
