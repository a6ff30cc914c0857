"""How many requests and artifacts may be under way, and how much patience one artifact gets.

Storage that is asked too much says so (503, SlowDown) or breaks connections. Then the number of
requests under way is halved, once for each wave of such replies, and grows again by one for each
round that goes well: additive increase, multiplicative decrease, as TCP does it (RFC 5681). The
libraries below never repeat a request by themselves, so what is repeated is counted here alone.
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

__all__ = ["DEADLINE", "Pace", "Patience", "Room", "repeat", "too_late"]

_T = TypeVar("_T")

DEADLINE: Final = 60.0
_RETRIES: Final = 3
_SLOWEST: Final = 1 << 20
_FIRST_PAUSE: Final = 0.25


@dataclass(slots=True)
class Pace:
    """A gate that lets a changing number of requests through at a time."""

    limit: int
    """The most that may be under way."""
    allowed: float = field(init=False)
    """How many may be under way now."""
    _busy: int = 0
    _waiting: deque[asyncio.Future[None]] = field(default_factory=deque)
    _slowed: float = 0.0

    def __post_init__(self) -> None:
        """Begin with all that is allowed."""
        self.limit = max(1, self.limit)
        self.allowed = float(self.limit)

    async def enter(self) -> None:
        """Wait for a place; give it back with `leave`."""
        if self._busy + 1 <= self.allowed and not self._waiting:
            self._busy += 1
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self.leave()  # the place came at the very moment when nobody wanted it any more
            raise

    def leave(self) -> None:
        """Give a place back."""
        self._busy -= 1
        while self._waiting and self._busy + 1 <= self.allowed:
            place = self._waiting.popleft()
            if not place.done():
                self._busy += 1
                place.set_result(None)

    def slow_down(self, begun: float) -> None:
        """Note that a request was refused or broke off.

        Args:
            begun: When it began, by `time.monotonic`; what began before the last halving says
                nothing about the number allowed since.
        """
        if begun >= self._slowed:
            self._slowed = time.monotonic()
            self.allowed = max(1.0, self.allowed / 2)

    def speed_up(self) -> None:
        """Note that a request went well."""
        if self.allowed < self.limit:
            self.allowed = min(float(self.limit), self.allowed + 1 / self.allowed)


@dataclass(slots=True)
class Room:
    """Places for artifacts under way, shared by all threads that begin some."""

    free: int
    _given_back: threading.Condition = field(default_factory=threading.Condition)

    def take(self, most: int, *, wait: bool) -> int:
        """Take places.

        Args:
            most: How many at most.
            wait: Whether to wait for one; it is safe for who holds none.

        Returns:
            How many there were.
        """
        with self._given_back:
            while wait and not self.free:
                self._given_back.wait()
            taken = min(most, self.free)
            self.free -= taken
            return taken

    def give_back(self, count: int) -> None:
        """Give places back."""
        with self._given_back:
            self.free += count
            self._given_back.notify(count)


@dataclass(slots=True)
class Patience:
    """What one artifact may still cost: time with storage, and requests in vain."""

    seconds: float = DEADLINE
    """Seconds that storage has left; waiting for one's turn does not count."""
    retries: int = _RETRIES
    """Requests that may still be repeated."""

    def spend(self, seconds: float, received: int = 0) -> None:
        """Take the time of a request; each MiB that came earns a second back."""
        self.seconds += received / _SLOWEST - seconds

    def pause(self) -> float | None:
        """Take one more try.

        Returns:
            Seconds to wait before it; None when there is none left.
        """
        if not self.retries:
            return None
        self.retries -= 1
        longest = _FIRST_PAUSE * 2 ** (_RETRIES - 1 - self.retries)
        seconds = longest * random.uniform(0.5, 1)  # noqa: S311 - spreads load, hides nothing
        return seconds if seconds < self.seconds else None


async def repeat(ask: Callable[[], Awaitable[_T]], url: str) -> _T:
    """Ask for something that belongs to no artifact, such as a page of a listing.

    Args:
        ask: Asks once.
        url: What is asked for.

    Raises:
        StorageError: It cannot be had.
    """
    patience = Patience()
    while True:
        try:
            async with asyncio.timeout(DEADLINE):
                return await ask()
        except TimeoutError:
            raise too_late(url) from None
        except StorageError as problem:
            pause = patience.pause() if problem.transient else None
            if pause is None:
                raise
        await asyncio.sleep(pause)


def too_late(url: str) -> StorageError:
    """Say that storage has had its time."""
    reason = f"the storage did not answer within {DEADLINE:.0f} seconds"
    return StorageError("storage/timeout", url, reason)
