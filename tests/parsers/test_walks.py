"""The walks themselves: bounds, byte orders, and what the columns promise."""

import os
import subprocess
import sys

import pytest

from prefect_mutagen.parsers import TensorInfo, walks
from tests.builders import number

STRINGS = [b"a" * (n % 40) for n in range(3000)]


def _strings(order: str, width: int) -> bytes:
    sign, code = "<" if order == "little" else ">", "Q" if width == 8 else "I"
    return b"".join(number(code, len(text), sign) + text for text in STRINGS)


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize("width", [8, 4])
def test_strings_are_stepped_over(order: str, width: int) -> None:
    data = b"before" + _strings(order, width) + b"behind"
    end = len(data) - 6
    assert walks.walk_strings(data, 6, 3000, order, width) == (end, 0)
    assert walks.walk_strings(bytearray(data), 6, 3000, order, width) == (end, 0)
    at, left = walks.walk_strings(data, 6, 1234, order, width)
    assert left == 0
    assert walks.walk_strings(data, at, 1766, order, width) == (end, 0)


@pytest.mark.parametrize("cut", [0, 1, 7, 8, 9, 1000, 20_000, 54_321])
def test_a_string_that_is_not_whole_is_left(cut: int) -> None:
    data = _strings("little", 8)
    at, left = walks.walk_strings(data[:cut], 0, 3000, "little", 8)
    assert at <= cut
    assert walks.walk_strings(data, at, left, "little", 8) == (len(data), 0)
    whole = sum(8 + len(text) for text in STRINGS[: 3000 - left])
    assert at == whole


@pytest.mark.parametrize("length", [2**32, 2**63 - 1, 2**63, 2**64 - 8, 2**64 - 1])
def test_lengths_that_wrap_stop_the_walk(length: int) -> None:
    data = number("Q", 1) + b"a" + number("Q", length) + b"x" * 5000
    assert walks.walk_strings(data, 0, 5, "little", 8) == (9, 4)
    many = (number("Q", 0) * 2000) + number("Q", length) + b"x" * 50
    assert walks.walk_strings(many, 0, 3000, "little", 8) == (16_000, 1000)


@pytest.mark.parametrize(("at", "count"), [(0, 0), (0, 5), (100, 1)])
def test_nothing_to_walk_over(at: int, count: int) -> None:
    assert walks.walk_strings(b"", at, count, "little", 8) == (at, count)


def _member(name: str, begin: int, end: int, dtype: str = "I8") -> str:
    return f'"{name}":{{"dtype":"{dtype}","shape":[{end - begin}],"data_offsets":[{begin},{end}]}}'


def test_columns_take_what_is_usual_and_leave_the_rest() -> None:
    raw = ("{" + _member("a", 0, 4) + "," + _member("b", 4, 9) + ',"x":1}').encode()
    columns = walks.TensorColumns(raw, len(raw))
    at, ended = columns.walk(1)
    assert (raw[at:], ended) == (b'"x":1}', False)
    assert len(columns) == 2
    assert columns.names() == ["a", "b"]
    assert columns.dtypes() == ["I8", "I8"]
    assert columns.counts() == [4, 5]
    assert columns.parameters == 9
    assert columns.data_end == 9
    assert columns.info(1) == TensorInfo("b", (5,), "I8", 4, 5, 5)
    assert columns.contains(b"a")
    assert not columns.contains(b"c")
    with pytest.raises(IndexError):
        columns.info(2)


def test_columns_take_tensors_that_were_read_elsewhere() -> None:
    raw = ("{" + _member("a", 0, 4) + "}").encode()
    columns = walks.TensorColumns(raw, len(raw))
    assert columns.walk(1) == (len(raw), True)
    odd = TensorInfo("größe", (), "", 4, 6, 2**64 - 1)
    columns.append(odd, 17)
    assert columns.names() == ["a", "größe"]
    assert columns.dtypes() == ["I8", ""]
    assert columns.counts() == [4, 2**64 - 1]
    assert columns.info(1) == odd
    assert columns.offsets_at(1) == 17
    assert columns.contains("größe".encode())
    assert columns.parameters == 2**64 + 3
    assert columns.data_end == 10
    assert columns.first_misplaced() is None
    columns.append(TensorInfo("hole", (), "I8", 11, 1, 1), 0)
    assert columns.first_misplaced() == (2, 10)


def test_the_order_of_the_data_counts_not_that_of_the_header() -> None:
    members = [_member("b", 4, 9), _member("empty", 4, 4), _member("a", 0, 4)]
    raw = ("{" + ",".join(members) + "}").encode()
    columns = walks.TensorColumns(raw, len(raw))
    assert columns.walk(1)[1]
    assert columns.first_misplaced() is None


def test_many_names_are_told_apart() -> None:
    members = [_member(f"layer.{n}.{'x' * (n % 30)}", n, n + 1) for n in range(5000)]
    raw = ("{" + ",".join([*members, members[4321]]) + "}").encode()
    columns = walks.TensorColumns(raw, len(raw))
    assert not columns.walk(1)[1]
    assert len(columns) == 5000
    assert all(columns.contains(name.encode()) for name in columns.names())
    assert not columns.contains(b"layer.5000.")


@pytest.mark.parametrize(
    "member",
    [
        '"a":{"dtype":"I9","shape":[4],"data_offsets":[0,4]}',
        '"a":{"dtype":"I8","shape":[04],"data_offsets":[0,4]}',
        '"a":{"dtype":"I8","shape":[4,],"data_offsets":[0,4]}',
        '"a":{"dtype":"I8","shape":[-4],"data_offsets":[0,4]}',
        '"a":{"dtype":"I8","shape":[4],"data_offsets":[0,5]}',
        '"a":{"dtype":"I8","shape":[4],"data_offsets":[4,0]}',
        '"a":{"dtype":"I8","shape":[4],"data_offsets":[0,4,8]}',
        '"a":{"dtype":"F4","shape":[3],"data_offsets":[0,2]}',
        '"a":{"shape":[4],"dtype":"I8","data_offsets":[0,4],"x":1}',
        '"a":{"shape":[4],"dtype":"I8"}',
        '"a":{"shape":[4],"shape":[4],"data_offsets":[0,4]}',
        '"a":{"dtype":"I8","shape":[4294967296,4294967296],"data_offsets":[0,0]}',
        '"a":{"dtype":"U64","shape":[2305843009213693952],"data_offsets":[0,0]}',
        '"a":{"dtype":"I8","shape":[10000000000000000000],"data_offsets":[0,4]}',
        '"a\\u0062":{"dtype":"I8","shape":[4],"data_offsets":[0,4]}',
        '"a\x01":{"dtype":"I8","shape":[4],"data_offsets":[0,4]}',
        '"__metadata__":{"dtype":"I8","shape":[4],"data_offsets":[0,4]}',
        '"a":{"dtype":"I8","shape":[4],"data_offsets":[0,4]} x',
        '"a":{"dtype":"I8","shape":[4],"data_offsets":[0,4]',
        '"a":{"dtype":"I8","sha',
        '"a":{"dtype":"I8","shape":["4"],"data_offsets":[0,4]}',
        f'"a":{{"dtype":"I8","shape":[{"1," * 3000}4],"data_offsets":[0,4]}}',
    ],
)
def test_anything_unusual_is_left_where_it_stands(member: str) -> None:
    raw = ("{" + _member("first", 0, 4) + "," + member + ",").encode()
    columns = walks.TensorColumns(raw, len(raw))
    at, ended = columns.walk(1)
    assert (at, ended) == (len(_member("first", 0, 4)) + 2, False)
    assert len(columns) == 1


@pytest.mark.parametrize("cut", range(55))
def test_the_walk_never_looks_behind_the_end(cut: int) -> None:
    raw = ("{" + _member("a", 0, 4) + "}").encode()
    assert len(raw) <= 54
    cut = min(cut, len(raw))
    columns = walks.TensorColumns(raw, cut)
    at, ended = columns.walk(1)
    assert ended == (cut >= len(raw))
    assert at <= max(1, cut)


def test_the_choice_can_be_made_and_seen() -> None:
    code = "from prefect_mutagen.parsers import walks; print(walks.COMPILED)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PREFECT_MUTAGEN_PURE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "False\n"
