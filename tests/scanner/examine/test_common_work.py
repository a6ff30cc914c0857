"""What artifacts have in common is done once, and dropped when nobody waits for it any more."""

import asyncio
from typing import Any

import pytest

from prefect_mutagen.scanner.examine.retries import SharedRequests


class Work:
    """Work that takes until it is let go."""

    def __init__(self) -> None:
        self.begun = self.ended = 0
        self.go = asyncio.Event()

    async def __call__(self) -> int:
        self.begun += 1
        await self.go.wait()
        self.ended += 1
        return self.begun


def _shared() -> SharedRequests:
    nothing: Any = None
    return SharedRequests(nothing, nothing, nothing)


def test_work_is_done_once_for_those_that_wait() -> None:
    async def main() -> None:
        shared, work = _shared(), Work()
        waiting = [asyncio.ensure_future(shared.join("key", work)) for _ in range(5)]
        other = asyncio.ensure_future(shared.join("other", work))
        await asyncio.sleep(0.01)
        work.go.set()
        assert await asyncio.gather(*waiting) == [2] * 5
        await other
        assert work.begun == 2
        assert await shared.join("key", work) == 3  # whoever asks later keeps results himself

    asyncio.run(main())


def test_one_that_gives_up_stops_nobody_else() -> None:
    async def main() -> None:
        shared, work = _shared(), Work()
        first, second = (asyncio.ensure_future(shared.join("key", work)) for _ in range(2))
        await asyncio.sleep(0.01)
        first.cancel()
        await asyncio.sleep(0)
        work.go.set()
        assert await second == 1

    asyncio.run(main())


def test_work_that_nobody_waits_for_is_dropped() -> None:
    async def main() -> None:
        shared, work = _shared(), Work()
        first = asyncio.ensure_future(shared.join("key", work))
        await asyncio.sleep(0.01)
        first.cancel()
        await asyncio.sleep(0)
        later = asyncio.ensure_future(shared.join("key", work))
        await asyncio.sleep(0.01)
        work.go.set()
        assert await later == 2
        assert work.ended == 1

    asyncio.run(main())


def test_a_failure_is_that_of_all() -> None:
    async def main() -> None:
        async def fail() -> None:
            await asyncio.sleep(0)
            raise ValueError("broken")

        shared = _shared()
        joined = (shared.join("key", fail) for _ in range(3))
        found = await asyncio.gather(*joined, return_exceptions=True)
        assert [str(one) for one in found] == ["broken"] * 3

    asyncio.run(main())


def test_nothing_is_left_behind() -> None:
    async def main() -> None:
        shared, work = _shared(), Work()
        work.go.set()
        await shared.join("key", work)
        with pytest.raises(KeyError):
            shared._common["key"]

    asyncio.run(main())
