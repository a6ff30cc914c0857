import pickle
from collections.abc import Iterator
from itertools import count, islice

import pytest

from prefect_mutagen.scanner.listing.artifacts import Artifact
from prefect_mutagen.scanner.listing.listing import list_artifacts
from prefect_mutagen.scanner.listing.reading_ahead import ReadingAhead
from prefect_mutagen.scanner.storage.address import Address
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.opening import open_store
from tests.builders import gguf
from tests.scanner.storing import put_local

MANY = 3000


class Clock:
    """Seconds that pass only where the test says so, and one for each artifact that is listed."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> list[Artifact]:
    """Artifacts of some folders, as a listing yields them."""
    root = tmp_path_factory.mktemp("root")
    files = {f"{n // 7}/{n}.gguf": gguf().data for n in range(60)}
    put_local(root, files | {"1/README.md": b"---\nlicense: mit\n---\n"})
    found = list(list_artifacts(open_store(Address.parse(str(root)))))
    assert len(found) == len(files)
    return [found[n % len(found)] for n in range(MANY)]


def _slow(listed: list[Artifact], clock: Clock) -> Iterator[Artifact]:
    for artifact in listed:
        clock.now += 1
        yield artifact


@pytest.mark.parametrize("seconds", [0, 0.5, 1, 3, 10, 1000, 1_000_000])
def test_the_artifacts_are_those_of_the_listing_in_its_order(
    seconds: float, listed: list[Artifact]
) -> None:
    clock = Clock()
    ahead = ReadingAhead(_slow(listed, clock), clock)
    taken = []
    for artifact in ahead:
        taken.append(artifact)
        assert ahead.taken == len(taken) <= ahead.read
        clock.now += seconds
    assert taken == listed
    assert ahead.is_complete
    assert next(ahead, None) is None


def test_an_examination_that_waits_for_the_listing_is_not_kept_waiting(
    listed: list[Artifact],
) -> None:
    clock = Clock()
    ahead = ReadingAhead(_slow(listed, clock), clock)
    for number, _ in enumerate(islice(ahead, 100), 1):
        assert clock.now == ahead.read == number


def test_as_long_as_an_examination_takes_the_listing_is_read_ahead(
    listed: list[Artifact],
) -> None:
    clock = Clock()
    ahead = ReadingAhead(_slow(listed, clock), clock)
    taken = 0
    while not ahead.is_complete:
        next(ahead)
        taken += 1
        clock.now += 9
    assert taken < MANY / 8, "it is known early how much there is to do"
    ahead.close()


def test_what_was_read_ahead_is_not_held_in_memory(
    listed: list[Artifact], monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []
    dumps = pickle.dumps

    def seen(artifacts: list[Artifact], protocol: int) -> bytes:
        written.append(len(artifacts))
        return dumps(artifacts, protocol)

    monkeypatch.setattr(pickle, "dumps", seen)
    clock = Clock()
    ahead = ReadingAhead(_slow(listed, clock), clock)
    next(ahead)
    clock.now += 10 * MANY
    next(ahead)
    assert ahead.is_complete
    assert MANY - sum(written) < 600
    assert max(written) < 300
    ahead.close()


def test_a_listing_that_breaks_has_given_what_it_found(listed: list[Artifact]) -> None:
    clock = Clock()

    def broken() -> Iterator[Artifact]:
        yield from _slow(listed[:50], clock)
        raise StorageError("storage/denied", "s3://m", "no")

    ahead = ReadingAhead(broken(), clock)
    for number in count(1):
        if number > 50:
            break
        assert next(ahead) == listed[number - 1]
        clock.now += 30
    assert ahead.is_complete
    with pytest.raises(StorageError, match="s3://m"):
        next(ahead)
