import pytest

from prefect_mutagen.scanner.table.address_index import AddressIndex

URLS = [f"s3://models/{number:03}.gguf" for number in range(100)]


@pytest.fixture
def index() -> AddressIndex:
    """A hundred addresses, every tenth row without one."""
    made = AddressIndex()
    for start in (0, 40):
        rows = range(start, 100 if start else 40)
        assert made.extend(None if n % 10 == 9 else URLS[n] for n in rows) == []
    return made


@pytest.mark.parametrize("step", [1, -1, 7], ids=["in-order", "backwards", "here-and-there"])
def test_every_address_is_found_in_any_order(index: AddressIndex, step: int) -> None:
    asked = [number * step % 100 for number in range(100)]
    expected = [None if number % 10 == 9 else number for number in asked]
    assert [index.find(URLS[number]) for number in asked] == expected
    assert len(index) == 90


def test_what_is_new_is_not_found(index: AddressIndex) -> None:
    for url in URLS[:9]:
        assert index.find(f"{url}x") is None
        assert index.find(url) is not None


def test_equal_addresses_have_the_place_of_the_first() -> None:
    index = AddressIndex()
    assert index.extend(["a", "b", None, "b"]) == [(3, 1)]
    assert index.extend(["b", "c"]) == [(4, 1)]
    assert len(index) == 3
    assert [index.find(url) for url in "abc"] == [0, 1, 5]


def test_nothing_is_found_in_nothing() -> None:
    assert AddressIndex().find("a") is None
