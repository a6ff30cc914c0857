"""A progress artifact while a scan examines: how many of how many, how fast, how long it may take.

A thread updates it every few seconds, so it costs the same for ten artifacts and for a million: a
scan that is done before the first update has none.
"""

import threading
import time
from contextvars import copy_context
from types import TracebackType
from typing import Final, Self
from uuid import UUID

import httpx
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.exceptions import PrefectException

from prefect_mutagen.tasks.ending import run_key
from prefect_mutagen.tasks.examined import examined_so_far, forget_examined

__all__ = ["ScanProgress"]

UPDATE_SECONDS: Final = 5.0
"""Seconds between updates, each a request to the server."""
_PATIENCE: Final = 5.0
"""Seconds that the end of a scan waits for an update that is under way."""
_MINUTE: Final = 60
_HOUR: Final = 3600


class ScanProgress:
    """The progress of one examination, in the current flow run; a context manager."""

    def __init__(self, total: int, *, is_counted_here: bool) -> None:
        """Set the total.

        Args:
            total: Number of artifacts to examine.
            is_counted_here: Whether the task runs that examine are threads of this process, which
                are counted artifact by artifact; of others those are known whose results came.
        """
        self._total, self._collected, self._is_counted_here = total, 0, is_counted_here
        self._run, self._began = run_key(), time.monotonic()
        self._artifact: UUID | None = None
        self._closed = threading.Event()
        context = copy_context()  # it knows the flow run that the artifact belongs to
        self._thread = threading.Thread(
            target=context.run, args=(self._update,), name="progress of a scan", daemon=True
        )

    def __enter__(self) -> Self:
        """Start to show progress."""
        if self._total:
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Show how it ended, if anything is shown."""
        self._closed.set()
        if self._thread.ident is not None:
            self._thread.join(_PATIENCE)
            if self._artifact is not None and not self._thread.is_alive():
                self._finish(broken=kind is not None)
        forget_examined(self._run)

    def add(self, artifacts: int) -> None:
        """Count artifacts whose results came, or will not come."""
        self._collected += artifacts

    @property
    def _done(self) -> int:
        counted = examined_so_far(self._run) if self._is_counted_here else 0
        return min(self._total, max(self._collected, counted))

    def describe(self) -> str:
        """Return what is done, how fast, and what remains."""
        done, seconds = self._done, max(time.monotonic() - self._began, 0.001)
        said = f"{done:,} of {self._total:,} examined, {done / seconds:,.1f} a second"
        if not done:
            return said
        return f"{said}, about {_duration((self._total - done) * seconds / done)} left"

    def _finish(self, *, broken: bool) -> None:
        took = _duration(time.monotonic() - self._began)
        if broken:
            self._show(f"ended after {self._done:,} of {self._total:,}, and {took}")
        else:
            self._show(f"{self._done:,} of {self._total:,} examined in {took}", 100.0)

    def _update(self) -> None:
        while not self._closed.wait(UPDATE_SECONDS):
            self._show(self.describe())

    def _show(self, text: str, percent: float | None = None) -> None:
        """Create or update the artifact; that it cannot be shown harms nothing."""
        if percent is None:
            percent = round(100 * self._done / self._total, 1)
        try:
            if self._artifact is None:
                self._artifact = create_progress_artifact(percent, description=text)  # type: ignore[assignment]
            else:
                update_progress_artifact(self._artifact, percent, description=text)
        except (httpx.HTTPError, PrefectException):
            return


def _duration(seconds: float) -> str:
    """Format a duration: 40 s, 12 min, 3.5 h."""
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f} s"
    return f"{seconds / _MINUTE:.0f} min" if seconds < 2 * _HOUR else f"{seconds / _HOUR:.1f} h"
