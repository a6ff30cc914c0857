"""The measure itself: a figure that no behaviour could change would prove nothing."""

import pytest

from tests.memory import Peak, peak_apart

MB = 1 << 20


def take(megabytes: int) -> int:
    """Take memory, and free it again."""
    return len(bytearray(megabytes * MB).replace(b"\0", b"\1"))


def take_twice(first: int, then: int) -> float:
    take(first)
    peak = Peak()
    take(then)
    return peak.megabytes()


@pytest.mark.parametrize("megabytes", [0, 20, 100])
def test_what_the_parent_took_does_not_count(megabytes: int) -> None:
    take(300)
    measured, length = peak_apart(take, megabytes)
    assert length == megabytes * MB
    assert 2 * megabytes - 5 < measured < 2 * megabytes + 15


def test_what_was_taken_before_does_not_count() -> None:
    _, measured = peak_apart(take_twice, 200, 40)
    assert 75 < measured < 95
