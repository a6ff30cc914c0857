"""A line that says what the demo is doing, and for how many seconds.

On a terminal the line counts; elsewhere there is a line when a phase begins, one every five
seconds, and one when it ends after a second or more, so that nobody waits in front of silence.
"""

import logging
import threading
import time
from collections.abc import Mapping
from typing import Final, Self, TextIO

__all__ = ["PhaseHandler", "Progress"]

_COUNT_SECONDS: Final = 0.5
_REMIND_SECONDS: Final = 5.0


class Progress:
    """Show one phase after the other, each with its seconds."""

    def __init__(self, stream: TextIO, *, rewrites: bool) -> None:
        """Take where to write.

        Args:
            stream: It is flushed after each line.
            rewrites: Whether the line may be written over, as on a terminal that nobody else uses.
        """
        self._stream = stream
        self._rewrites = rewrites
        self._lock = threading.Lock()
        self._phase = ""
        self._began = self._told = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._count, name="demo progress", daemon=True)

    def __enter__(self) -> Self:
        """Start to count."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End the phase under way."""
        self._over.set()
        self._thread.join()
        self.end()

    def begin(self, phase: str) -> None:
        """End the phase under way and begin another; the same one goes on.

        Args:
            phase: What is being done, in a few words.
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
        """End the phase under way, if there is one."""
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

    def _count(self) -> None:
        while not self._over.wait(_COUNT_SECONDS):
            with self._lock:
                if self._phase and self._rewrites:
                    self._write(self._line())
                elif self._phase and time.monotonic() - self._told >= _REMIND_SECONDS:
                    self._write(f"{self._line()} so far\n")

    def _write(self, text: str) -> None:
        self._told = time.monotonic()
        self._stream.write(text)
        self._stream.flush()


class PhaseHandler(logging.Handler):
    """Tell from Prefect's log records which step a flow run has come to."""

    def __init__(self, progress: Progress, phases: Mapping[str, str]) -> None:
        """Take where to show it.

        Args:
            progress: The line.
            phases: For each task, by its name, the phase that begins when it has *ended*.
        """
        super().__init__(logging.INFO)
        self._progress = progress
        self._phases = phases

    def emit(self, record: logging.LogRecord) -> None:
        """Begin the phase that follows a task's end."""
        phase = self._phases.get(str(getattr(record, "task_name", "")))
        if phase is not None:
            self._progress.begin(phase)
