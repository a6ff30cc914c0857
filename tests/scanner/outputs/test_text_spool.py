"""Texts that wait in files: read back as they were, from whatever process wrote them."""

import multiprocessing
import os
import pickle
from pathlib import Path

import pytest

from prefect_mutagen.scanner.outputs.text_spool import Place, TextSpool, open_spool, read_places

TEXTS = [b"first", b"", "zwölf\u2028".encode(), b"x" * (1 << 20), b"{\n  }"]


def test_texts_come_back_in_any_order() -> None:
    with open_spool() as spool:
        places = [spool.keep(text) for text in TEXTS]
        assert list(read_places(places)) == TEXTS
        assert list(read_places(places[::-1])) == TEXTS[::-1]
        assert list(read_places([])) == []


def test_nothing_is_left_behind() -> None:
    with open_spool() as spool:
        place = spool.keep(b"text")
        folder = Path(place.path).parent
        assert folder.is_dir()
    assert not folder.exists()


def _keep_some(spool: TextSpool, text: bytes) -> list[Place]:
    return [spool.keep(text) for _ in range(100)]


def test_each_process_writes_a_file_of_its_own() -> None:
    with open_spool() as spool:
        here = spool.keep(b"here")
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            written = pool.starmap(_keep_some, [(spool, bytes([n]) * n) for n in range(1, 9)], 1)
        there = [place for places in written for place in places]
        assert here.path not in {place.path for place in there}
        expected = [bytes([n]) * n for n in range(1, 9) for _ in range(100)]
        assert list(read_places(there)) == expected


def test_the_open_file_does_not_travel() -> None:
    with open_spool() as spool:
        first = spool.keep(b"one")
        other: TextSpool = pickle.loads(pickle.dumps(spool))  # noqa: S301 - our own
        second = other.keep(b"two")
        other.close()
        assert list(read_places([first, second])) == [b"one", b"two"]


def test_lost_texts_are_an_error_and_not_a_gap() -> None:
    with open_spool() as spool:
        place = spool.keep(b"twelve bytes")
        os.truncate(place.path, 5)
        with pytest.raises(OSError, match="7 bytes at offset 0 are gone"):
            list(read_places([place]))
