import asyncio
import threading
import time
from dataclasses import dataclass

import pytest

from prefect_mutagen.scanner import StorageError
from prefect_mutagen.scanner.examine.read_plan import piece_size, read_ahead
from prefect_mutagen.scanner.storage import pacing
from prefect_mutagen.scanner.storage.pacing import ConcurrencyLimit, RetryBudget, Slots, repeat


def test_no_more_than_the_limit_enter_and_all_get_a_turn() -> None:
    limit = ConcurrencyLimit(3)
    inside: list[int] = []
    most: list[int] = []

    async def work(number: int) -> None:
        await limit.enter()
        inside.append(number)
        most.append(len(inside))
        await asyncio.sleep(0.001)
        inside.remove(number)
        limit.leave()

    async def run() -> None:
        await asyncio.gather(*(work(number) for number in range(20)))

    asyncio.run(run())
    assert len(most) == 20
    assert max(most) == 3


def test_one_wave_of_throttling_halves_once_and_success_grows_by_one_a_round() -> None:
    limit = ConcurrencyLimit(64)
    begun = time.monotonic()
    for _ in range(64):
        limit.slow_down(begun)
    assert limit.allowed == 32
    for _ in range(33):
        limit.speed_up()
    assert 32.9 < limit.allowed < 33.1
    for _ in range(20):
        limit.slow_down(time.monotonic())
    assert limit.allowed == 1
    for _ in range(10_000):
        limit.speed_up()
    assert limit.allowed == 64


def test_a_cancelled_waiter_leaks_no_slot() -> None:
    async def run() -> int:
        limit = ConcurrencyLimit(1)
        await limit.enter()
        waiting = [asyncio.ensure_future(limit.enter()) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        limit.leave()  # the second gets the slot, and is cancelled in the same turn
        waiting[1].cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        return sum(not task.cancelled() for task in waiting)

    assert asyncio.run(asyncio.wait_for(run(), 5)) == 1


def test_slots_are_shared_and_callers_without_one_wait() -> None:
    slots = Slots(5)
    assert [
        slots.acquire(3, wait=True),
        slots.acquire(3, wait=True),
        slots.acquire(3, wait=False),
    ] == [3, 2, 0]
    got: list[int] = []
    other = threading.Thread(target=lambda: got.append(slots.acquire(3, wait=True)))
    other.start()
    other.join(0.05)
    assert got == []
    slots.release(2)
    other.join(30)
    assert (got, slots.free) == ([2], 0)


def test_the_retry_budget_runs_out() -> None:
    budget = RetryBudget()
    pauses = [budget.next_backoff() for _ in range(4)]
    assert pauses[3] is None
    assert all(pause is not None and pause <= 1 for pause in pauses[:3])
    short = RetryBudget(seconds=0.01)
    assert short.next_backoff() is None


def test_received_bytes_extend_the_deadline() -> None:
    budget = RetryBudget(seconds=60)
    for _ in range(1000):
        budget.spend(0.5, 8 << 20)
    assert budget.seconds > 60
    budget.spend(10_000, 8 << 20)
    assert budget.seconds < 0


def test_transient_page_errors_are_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacing, "_FIRST_BACKOFF", 0.001)

    @dataclass
    class Page:
        code: str
        failures: int
        asked: int = 0

        async def ask(self) -> int:
            self.asked += 1
            if self.asked <= self.failures:
                raise StorageError(self.code, "s3://b", "no")
            return self.asked

    assert asyncio.run(repeat(Page("storage/throttled", 3).ask, "s3://b")) == 4
    for page, asked in ((Page("storage/throttled", 9), 4), (Page("storage/denied", 9), 1)):
        with pytest.raises(StorageError):
            asyncio.run(repeat(page.ask, "s3://b"))
        assert page.asked == asked


@pytest.mark.parametrize(
    ("promised", "start", "upto", "expected"),
    [
        ("safetensors", 0, 1024, (128 << 10, 0)),
        ("safetensors", 0, 1 << 20, (1 << 20, 0)),
        ("safetensors", 128 << 10, 200_000, (200_000, 0)),
        ("gguf", 0, 1024, (1 << 20, 1024)),
        (None, 0, 1024, (1 << 20, 1024)),
        ("gguf", 1 << 20, 1_100_000, (5 << 20, 1_100_000)),
        ("gguf", 1 << 20, 9 << 20, (9 << 20, 9 << 20)),
    ],
)
def test_reading_ahead(
    promised: str | None, start: int, upto: int, expected: tuple[int, int]
) -> None:
    assert read_ahead(promised, start, upto) == expected  # type: ignore[arg-type]


def test_pieces_grow_with_what_was_taken() -> None:
    assert piece_size(0) == 64 << 10
    assert piece_size(4 << 20) == 512 << 10
    assert piece_size(1 << 40) == 1 << 20
