"""What a table forgets, and what it never does."""

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from prefect_mutagen.scanner import Policy, ScanResult, scan
from prefect_mutagen.scanner.examine.scan_info import new_scan
from prefect_mutagen.scanner.results import Summary
from prefect_mutagen.scanner.table.retention import Retention
from prefect_mutagen.scanner.table.state import Comparison
from prefect_mutagen.scanner.table.table import Table
from tests.builders import gguf
from tests.scanner.storing import S3_SERVERS, put_local, s3_table

SOURCE = "s3://models"
NOW = Retention(keep_states=1, grace_seconds=0)


class Keeper:
    """Writes states of made-up artifacts."""

    def __init__(self, address: str, options: dict[str, Any], pattern: ScanResult) -> None:
        self.table = Table(address, SOURCE, options)
        self.pattern = pattern

    def write(self, **pins: str) -> str:
        """Publish a scan that found these artifacts; its id."""
        info = new_scan(SOURCE, Policy())
        results = [
            replace(self.pattern, url=f"{SOURCE}/{name}", pin=pin) for name, pin in pins.items()
        ]
        self.table.write(info, results, Summary())
        return info.id

    def names(self, part: str) -> list[str]:
        return self.table.files.names(part)

    def documents(self) -> int:
        count = 0
        for name in self.names("sboms"):
            with self.table.files.open("sboms", name) as file:
                count += pq.read_metadata(file).num_rows
        return count

    def check(self, **pins: str) -> None:
        """See that the newest state is this, with every document once."""
        state = self.table.read_state()
        assert {url.rpartition("/")[2]: result.pin for url, result in state.items()} == pins
        named = {result.sbom_id for result in state.values()}
        found: list[str] = []
        for name in self.names("sboms"):
            with self.table.files.open("sboms", name) as file:
                found += [row for row in pq.read_table(file)["sbom_id"].to_pylist() if row in named]
        assert sorted(found) == sorted(named)


@pytest.fixture(params=["local", "memory", *S3_SERVERS])
def keeper(request: pytest.FixtureRequest, tmp_path: Path) -> Keeper:
    (pattern,) = scan(put_local(tmp_path / "root", {"a.gguf": gguf().data}))
    address, options = str(tmp_path / "table"), dict[str, Any]()
    if request.param == "memory":
        address = f"memory://{tmp_path.name}/table"
    elif request.param != "local":
        address, options = s3_table(request)
    return Keeper(address, options, pattern)


def test_by_default_all_is_kept(keeper: Keeper) -> None:
    for number in range(3):
        keeper.write(a=str(number))
    assert keeper.table.prune(Retention()) == {}
    assert keeper.table.prune(Retention(keep_states=2)) == {}, "a state stays for a day at least"
    assert keeper.table.prune(Retention(keep_days=1)) == {}
    assert len(keeper.names("artifacts")) == 3


def test_old_states_go_with_documents_that_nobody_names(keeper: Keeper) -> None:
    keeper.write(a="1", b="1")
    ids = [keeper.write(a=str(number), b="1") for number in range(2, 6)]
    assert keeper.documents() == 6
    done = keeper.table.prune(Retention(keep_states=2, grace_seconds=0))
    assert done == {"states": 3, "scans": 3, "documents": 2, "compacted": 1}
    assert keeper.names("artifacts") == keeper.names("scans") == ids[-2:]
    assert keeper.documents() == 3
    keeper.check(a="5", b="1")
    assert keeper.table.prune(Retention(keep_states=2, grace_seconds=0)) == {}


def test_a_state_that_scans_still_name_stays(keeper: Keeper) -> None:
    first = keeper.write(a="1")
    for _ in range(3):
        keeper.write(a="1")
    assert keeper.table.prune(NOW) == {}, "scans that found nothing new name the first state"
    assert keeper.names("artifacts") == [first]
    keeper.check(a="1")


def test_days_keep_what_a_number_would_not(keeper: Keeper) -> None:
    for number in range(3):
        keeper.write(a=str(number))
    kept = Retention(keep_states=1, keep_days=1, grace_seconds=0)
    assert keeper.table.prune(kept) == {}
    assert keeper.table.prune(NOW)["states"] == 2


def test_a_scan_under_way_keeps_what_it_builds_on(keeper: Keeper) -> None:
    keeper.write(a="1", b="1")
    slow = keeper.table.open_state()
    keeper.write(a="2", b="1")
    keeper.write(a="3", b="1")
    assert keeper.table.prune(Retention(keep_states=1)) == {}
    assert keeper.table.prune(NOW)["states"] == 2
    # Even after it was deleted, the state that the scan has opened is whole.
    assert {result.pin for result in slow.results()} == {"1"}


def test_a_state_that_went_while_a_scan_confirmed_it_is_written_again(keeper: Keeper) -> None:
    first = keeper.write(a="1")
    state = keeper.table.open_state()
    keeper.table.files.delete("artifacts", first)
    (result,) = state.results()
    again = new_scan(SOURCE, Policy())
    keeper.table.write(again, [result], Summary(), Comparison(state))
    assert keeper.names("artifacts") == [again.id]
    assert keeper.table.newest_state() == again.id
    keeper.table.files.delete("artifacts", again.id)
    assert keeper.table.read_state() == {}, "without any state, the next scan is a first one"


def test_leftovers_are_swept_and_never_read(keeper: Keeper) -> None:
    keeper.write(a="1")
    info = new_scan(SOURCE, Policy())
    files, path = keeper.table.files, keeper.pattern.url
    files.publish(path, "artifacts", info.id)
    files._fs.pipe_file(f"{files._path_of('scans', 'x')}.tmp", b"half")
    keeper.check(a="1")
    assert keeper.table.prune(Retention(keep_states=9)) == {}, "they may be about to be published"
    assert keeper.table.prune(NOW) == {"leftovers": 2}
    keeper.check(a="1")
    assert keeper.names("artifacts") == keeper.names("scans")


def test_age_is_that_of_the_file(tmp_path: Path) -> None:
    table = Table(str(tmp_path), SOURCE)
    (tmp_path / "x").write_bytes(b"")
    table.files.publish(str(tmp_path / "x"), "scans", "old")
    os.utime(table.files._path_of("scans", "old"), (time.time() - 100, time.time() - 100))
    assert 99 < table.files.age("scans", "old") < 3600
    assert table.files.age("scans", "missing") == 0
