"""The shown form of names is valid, unique and reversible."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_mutagen.scanner.storage.address import Address
from prefect_mutagen.scanner.storage.names import (
    has_surrogates,
    original_address,
    original_name,
    readable,
    storable,
    storable_name,
)

_PARTS = st.binary(min_size=1, max_size=6) | st.sampled_from(
    [b"file:", b"%E9", b"%25", b"%", b"\xe9", b"\\udce9", b"caf", "é".encode()]
)
NAMES = (
    st.lists(_PARTS, min_size=1, max_size=4)
    .map(b"".join)
    .map(lambda name: name.replace(b"/", b"_").replace(b"\0", b"_"))
    .map(os.fsdecode)
)


@given(NAMES)
def test_names_come_back(name: str) -> None:
    shown = storable_name(name)
    shown.encode("utf-8", "strict")
    assert original_name(shown) == name


@given(NAMES)
def test_paths_come_back(name: str) -> None:
    path = f"/models/{name}"
    shown = storable(path)
    shown.encode("utf-8", "strict")
    assert original_address(shown) == path
    assert storable(shown) == shown
    assert has_surrogates(path) is shown.startswith("file://")
    if name not in (".", ".."):
        assert Address.parse(shown) == Address.parse(path)


@given(NAMES, NAMES)
def test_two_names_are_shown_by_two(one: str, other: str) -> None:
    assert (storable_name(one) == storable_name(other)) is (one == other)
    assert (storable(f"/m/{one}") == storable(f"/m/{other}")) is (one == other)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("/m/a.gguf", "/m/a.gguf"),
        ("/m/caf\udce9 %41?.gguf", "file:///m/caf%E9%20%2541%3F.gguf"),
        ("sftp://h/caf\udce9.gguf", "sftp://h/caf%E9.gguf"),
        ("s3://b/größe%41.gguf", "s3://b/größe%41.gguf"),
        ("/m/\ud800.gguf", "/m/\\ud800.gguf"),
        ("caf\udce9.gguf", "file:caf%E9.gguf"),
    ],
)
def test_addresses(url: str, shown: str) -> None:
    assert storable(url) == shown


def test_other_texts_stay_readable() -> None:
    assert readable("größe") == "größe"
    assert readable("a\udce9\ud800") == "a\\udce9\\ud800"
