"""Show the demo's current phase and its elapsed seconds.

On a terminal one line is updated in place. Elsewhere there is a line when a phase begins, one every
five seconds, and one at the end of a phase that took a second or more, so the demo is never silent
for long.
"""

import logging
import threading
import time
from collections.abc import Mapping
from typing import Final, Self, TextIO

__all__ = ["PhaseHandler", "Progress"]

_UPDATE_SECONDS: Final = 0.5
_REPEAT_SECONDS: Final = 5.0


class Progress:
    """Shows one phase after another, each with its elapsed seconds."""

    def __init__(self, stream: TextIO, *, rewrites: bool) -> None:
        """Set the output.

        Args:
            stream: The stream to write to; it is flushed after each line.
            rewrites: Whether to update the line in place, as on a terminal without other output.
        """
        self._stream = stream
        self._rewrites = rewrites
        self._lock = threading.Lock()
        self._phase = ""
        self._began = self._written = 0.0
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._update, name="demo progress", daemon=True)

    def __enter__(self) -> Self:
        """Start the updating thread."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the thread and end the current phase."""
        self._closed.set()
        self._thread.join()
        self.end()

    def begin(self, phase: str) -> None:
        """End the current phase and begin another; no effect if it is the current one.

        Args:
            phase: A few words about what is being done.
        """
        with self._lock:
            if phase == self._phase:
                return
            self._end()
            self._phase, self._began = phase, time.monotonic()
            if self._rewrites:
                self._write(f"\rdemo: {phase} ...")
            else:
                self._write(f"demo: {phase} ...\n")

    def end(self) -> None:
        """End the current phase, if there is one."""
        with self._lock:
            self._end()

    def _end(self) -> None:
        if self._phase and (self._rewrites or self._seconds() >= 1):
            self._write(f"{self._line()}\n")
        self._phase = ""

    def _seconds(self) -> int:
        return int(time.monotonic() - self._began)

    def _line(self) -> str:
        text = f"demo: {self._phase}: {self._seconds()} s"
        return f"\r{text}\x1b[K" if self._rewrites else text

    def _update(self) -> None:
        while not self._closed.wait(_UPDATE_SECONDS):
            with self._lock:
                if self._phase and self._rewrites:
                    self._write(self._line())
                elif self._phase and time.monotonic() - self._written >= _REPEAT_SECONDS:
                    self._write(f"{self._line()} so far\n")

    def _write(self, text: str) -> None:
        self._written = time.monotonic()
        self._stream.write(text)
        self._stream.flush()


class PhaseHandler(logging.Handler):
    """Follows a flow run's progress through Prefect's log records."""

    def __init__(self, progress: Progress, phases: Mapping[str, str]) -> None:
        """Set the output.

        Args:
            progress: Where to show the phase.
            phases: The phase that begins after a step of the scan, by the ``step`` of the record
                that says it is done; see `flows.run_log`.
        """
        super().__init__(logging.INFO)
        self._progress = progress
        self._phases = phases

    def emit(self, record: logging.LogRecord) -> None:
        """Begin the phase that follows the end of a step."""
        phase = self._phases.get(str(getattr(record, "step", "")))
        if phase is not None:
            self._progress.begin(phase)
