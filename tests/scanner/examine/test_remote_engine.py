"""The loop of a remote scan, over stores that are made of dictionaries."""

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from fsspec.asyn import get_loop

from prefect_mutagen.scanner.examine.examiner import Examiner
from prefect_mutagen.scanner.examine.remote_engine import examine_remote, share_requests
from prefect_mutagen.scanner.examine.retries import RequestServer
from prefect_mutagen.scanner.listing.artifacts import Artifact
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.store import RangeReply, StoredObject, Wanted
from tests.builders import gguf

GGUF = gguf().data


class Shelf:
    """A store without streams, each read of which does what the test says."""

    root = "shelf://"

    def __init__(self, act: Callable[[str], float | Exception]) -> None:
        self.loop = get_loop()
        self.most = self._now = 0
        self._act = act

    def list_objects(self, wanted: Wanted) -> Iterator[StoredObject]:
        raise NotImplementedError

    def list_folder(self, folder: str, wanted: Wanted) -> None:
        raise NotImplementedError

    def list_tree(self, folder: str, wanted: Wanted) -> None:
        raise NotImplementedError

    async def find(self, url: str) -> StoredObject:
        raise NotImplementedError

    async def stored_sha256(self, item: StoredObject) -> str:
        raise NotImplementedError

    async def read(self, item: StoredObject, start: int, end: int) -> RangeReply:
        self._now += 1
        self.most = max(self.most, self._now)
        try:
            what = self._act(item.name)
            if isinstance(what, Exception):
                raise what
            await asyncio.sleep(what)
            return RangeReply(GGUF[start:end], len(GGUF), item.pin)
        finally:
            self._now -= 1


def _artifacts(count: int, broken: Exception | None = None) -> Iterator[Artifact]:
    for number in range(count):
        item = StoredObject(f"shelf://{number}.gguf", len(GGUF), "etag:x")
        yield Artifact(item.url, (item,))
    if broken is not None:
        raise broken


def _number(url: str) -> int:
    return int(url.removeprefix("shelf://").removesuffix(".gguf"))


@pytest.mark.parametrize("concurrency", [1, 3, 1000])
def test_results_come_in_order_and_no_more_than_allowed_are_asked_for(concurrency: int) -> None:
    shelf = Shelf(lambda name: 0.1 if name == "0.gguf" else 0.01)
    results = list(examine_remote(_artifacts(100), Examiner(), share_requests(shelf, concurrency)))
    assert [_number(result.url) for result in results] == list(range(100))
    assert all(result.passed for result in results)
    assert min(concurrency, 10) <= shelf.most <= concurrency


def test_a_scan_that_is_left_lets_go_of_what_is_under_way() -> None:
    shelf = Shelf(lambda name: 0.0 if name == "0.gguf" else 100.0)
    results = examine_remote(_artifacts(50), Examiner(), share_requests(shelf, 8))
    assert next(results).passed
    results.close()  # type: ignore[attr-defined]
    deadline = time.monotonic() + 20
    while shelf._now:
        assert time.monotonic() < deadline, "they are read to their end"
        time.sleep(0.01)


def test_a_bug_is_the_result_of_its_artifact() -> None:
    shelf = Shelf(lambda name: KeyError("a bug") if name == "5.gguf" else 0.001)
    results = list(examine_remote(_artifacts(20), Examiner(), share_requests(shelf, 4)))
    assert [_number(result.url) for result in results] == list(range(20))
    assert [result.url for result in results if not result.passed] == ["shelf://5.gguf"]
    assert [finding.code for finding in results[5].findings] == ["scan/internal-error"]


def test_nobody_waits_for_ever_for_what_cannot_even_be_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fail(_: RequestServer) -> None:
        raise RuntimeError

    monkeypatch.setattr(RequestServer, "close", fail)
    results = list(
        examine_remote(_artifacts(3), Examiner(), share_requests(Shelf(lambda _: 0.001), 2))
    )
    assert [result.verdict.status for result in results] == ["unknown"] * 3


def test_a_storage_error_is_a_result() -> None:
    denied = StorageError("storage/denied", "shelf://3.gguf", "access denied")
    shelf = Shelf(lambda name: denied if name == "3.gguf" else 0.001)
    results = list(examine_remote(_artifacts(6), Examiner(), share_requests(shelf, 2)))
    codes = {_number(result.url): [f.code for f in result.findings] for result in results}
    assert codes == {number: ["storage/denied"] if number == 3 else [] for number in range(6)}


def test_artifacts_before_a_broken_listing_have_their_results() -> None:
    broken = StorageError("storage/failed", "shelf://", "the listing broke off")
    results = examine_remote(
        _artifacts(40, broken), Examiner(), share_requests(Shelf(lambda _: 0.001), 8)
    )
    assert len([next(results) for _ in range(40)]) == 40
    with pytest.raises(StorageError, match="listing broke off"):
        next(results)


def test_no_more_artifacts_are_taken_than_are_under_way() -> None:
    taken: list[int] = []

    def watched() -> Iterator[Artifact]:
        for number, artifact in enumerate(_artifacts(1000)):
            taken.append(number)
            yield artifact

    results = examine_remote(watched(), Examiner(), share_requests(Shelf(lambda _: 0.0), 10))
    assert next(results).passed
    assert len(taken) <= 20
    results.close()  # type: ignore[attr-defined]


def test_scans_that_share_have_room_for_so_many_together() -> None:
    shelf = Shelf(lambda name: 0.02 if name == "0.gguf" else 0.001)
    shared = share_requests(shelf, 4)

    def examine(count: int) -> list[int]:
        results = examine_remote(_artifacts(count), Examiner(), shared)
        return [_number(result.url) for result in results]

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(examine, [30, 1, 0, 60, 7, 30, 2, 90]))
    assert found == [list(range(count)) for count in (30, 1, 0, 60, 7, 30, 2, 90)]
    assert shelf.most == 4
    assert shared.slots.free == 8


def test_a_scan_that_is_left_gives_its_room_back() -> None:
    shared = share_requests(Shelf(lambda _: 0.001), 4)
    results = examine_remote(_artifacts(100), Examiner(), shared)
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert shared.slots.free == 8
    broken = share_requests(Shelf(lambda _: KeyError("a bug")), 4)
    assert not any(result.passed for result in examine_remote(_artifacts(20), Examiner(), broken))
    assert broken.slots.free == 8
