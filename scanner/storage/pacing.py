"""Concurrency limits, retries and deadlines for storage requests.

Overloaded storage throttles (503, SlowDown) or breaks connections. Then the concurrency limit is
halved, once per wave of such responses, and grows by one per round of successful requests: additive
increase, multiplicative decrease, as in TCP (RFC 5681). The libraries below never retry by
themselves, so all retries are counted here.
"""

import asyncio
import random
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from prefect_mutagen.scanner.storage.errors import StorageError

__all__ = ["DEADLINE", "ConcurrencyLimit", "RetryBudget", "Slots", "repeat", "timeout_error"]

_T = TypeVar("_T")

DEADLINE: Final = 60.0
_RETRIES: Final = 3
_SLOWEST_RATE: Final = 1 << 20
_FIRST_BACKOFF: Final = 0.25


@dataclass(slots=True)
class ConcurrencyLimit:
    """An adaptive limit on concurrent requests."""

    limit: int
    """Upper bound of concurrent requests."""
    allowed: float = field(init=False)
    """Concurrent requests allowed now."""
    _active: int = 0
    _waiting: deque[asyncio.Future[None]] = field(default_factory=deque)
    _last_decrease: float = 0.0

    def __post_init__(self) -> None:
        """Start at the upper bound."""
        self.limit = max(1, self.limit)
        self.allowed = float(self.limit)

    async def enter(self) -> None:
        """Acquire a slot, waiting if none is free; `leave` releases it."""
        if self._active + 1 <= self.allowed and not self._waiting:
            self._active += 1
            return
        slot: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(slot)
        try:
            await slot
        except asyncio.CancelledError:
            if slot.done() and not slot.cancelled():
                self.leave()  # the slot was granted just as the waiter was cancelled
            raise

    def leave(self) -> None:
        """Release a slot."""
        self._active -= 1
        while self._waiting and self._active + 1 <= self.allowed:
            slot = self._waiting.popleft()
            if not slot.done():
                self._active += 1
                slot.set_result(None)

    def slow_down(self, begun: float) -> None:
        """Halve the limit because a request was throttled or interrupted.

        Args:
            begun: When the request started, by `time.monotonic`; requests from before the last
                decrease say nothing about the limit set then.
        """
        if begun >= self._last_decrease:
            self._last_decrease = time.monotonic()
            self.allowed = max(1.0, self.allowed / 2)

    def speed_up(self) -> None:
        """Raise the limit a little because a request succeeded."""
        if self.allowed < self.limit:
            self.allowed = min(float(self.limit), self.allowed + 1 / self.allowed)


@dataclass(slots=True)
class Slots:
    """Slots for artifacts in progress, shared by all threads that start examinations."""

    free: int
    _released: threading.Condition = field(default_factory=threading.Condition)

    def acquire(self, most: int, *, wait: bool) -> int:
        """Acquire slots.

        Args:
            most: How many at most.
            wait: Whether to block until one is free; only safe for callers that hold none.

        Returns:
            The number acquired.
        """
        with self._released:
            while wait and not self.free:
                self._released.wait()
            taken = min(most, self.free)
            self.free -= taken
            return taken

    def release(self, count: int) -> None:
        """Release slots."""
        with self._released:
            self.free += count
            self._released.notify(count)


@dataclass(slots=True)
class RetryBudget:
    """The time and retries that one artifact has left with storage."""

    seconds: float = DEADLINE
    """Seconds left for requests; waiting for a slot does not count."""
    retries: int = _RETRIES
    """Retries left."""

    def spend(self, seconds: float, received: int = 0) -> None:
        """Deduct the duration of a request; each MiB received adds a second."""
        self.seconds += received / _SLOWEST_RATE - seconds

    def next_backoff(self) -> float | None:
        """Use one retry.

        Returns:
            Back-off in seconds before it; None if none is left.
        """
        if not self.retries:
            return None
        self.retries -= 1
        longest = _FIRST_BACKOFF * 2 ** (_RETRIES - 1 - self.retries)
        seconds = longest * random.uniform(0.5, 1)  # noqa: S311 - jitter, not cryptography
        return seconds if seconds < self.seconds else None


async def repeat(send: Callable[[], Awaitable[_T]], url: str) -> _T:
    """Send a request that belongs to no artifact, such as for a page of a listing, with retries.

    Args:
        send: Sends it once.
        url: The requested address.

    Raises:
        StorageError: It failed for good.
    """
    budget = RetryBudget()
    while True:
        try:
            async with asyncio.timeout(DEADLINE):
                return await send()
        except TimeoutError:
            raise timeout_error(url) from None
        except StorageError as problem:
            backoff = budget.next_backoff() if problem.transient else None
            if backoff is None:
                raise
        await asyncio.sleep(backoff)


def timeout_error(url: str) -> StorageError:
    """Return the error for an exceeded deadline."""
    reason = f"the storage did not respond within {DEADLINE:.0f} seconds"
    return StorageError("storage/timeout", url, reason)
