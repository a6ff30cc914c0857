"""States of which only what changed is written again: the same for every reader."""

import pickle
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from prefect_mutagen.scanner import Policy, ScanResult, scan
from prefect_mutagen.scanner.commands.query import _add_views
from prefect_mutagen.scanner.examine.scan_info import new_scan
from prefect_mutagen.scanner.results import Summary
from prefect_mutagen.scanner.table import deltas, rejudging, runs, state_file
from prefect_mutagen.scanner.table.deltas import StateName
from prefect_mutagen.scanner.table.marks import Mark
from prefect_mutagen.scanner.table.retention import Retention
from prefect_mutagen.scanner.table.runs import write_parquet
from prefect_mutagen.scanner.table.schema import ARTIFACTS
from prefect_mutagen.scanner.table.state import Comparison, State
from prefect_mutagen.scanner.table.table import Table
from prefect_mutagen.scanner.temporary import owner_mark
from tests.builders import gguf
from tests.scanner.storing import put_local

SOURCE = "s3://models"
MANY = {f"{number:03}.gguf": "1" for number in range(40)}
Pins = dict[str, str]


@pytest.fixture(autouse=True)
def _few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deltas, "_LEAST_ROWS", 20)
    monkeypatch.setattr(rejudging, "_AT_ONCE", 7)
    monkeypatch.setattr(runs, "_CONVERTED_ROWS", 7)


class Bucket:
    """A table, and scans of a bucket that is not there."""

    def __init__(self, folder: Path) -> None:
        (self.pattern,) = scan(put_local(folder / "root", {"a.gguf": gguf().data}))
        self.folder = folder / "table"
        self.table = Table(str(self.folder), SOURCE)

    def scan(
        self, pins: Pins, policy: Policy | None = None, state: State | None = None
    ) -> dict[str, int]:
        """Scan objects with these pins: only those that are new or have another pin."""
        known = Comparison(state or self.table.open_state())
        results: list[ScanResult] = []
        for name, pin in pins.items():
            url = f"{SOURCE}/{name}"
            before = known.state.find(url)
            if before is not None and before.pin == pin:
                place = known.state.index.find(url)
                assert place is not None
                known.marks[place] = Mark.KEPT
            else:
                results.append(replace(self.pattern, url=url, pin=pin))
        info = new_scan(SOURCE, policy or Policy())
        return self.table.write(info, results, Summary(), known)

    def names(self, part: str) -> list[str]:
        return self.table.files.names(part)

    def pins(self) -> Pins:
        return {url.removeprefix(f"{SOURCE}/"): one.pin for url, one in self.state().items()}

    def state(self) -> dict[str, ScanResult]:
        return self.table.read_state()

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect() as connection:
            _add_views(connection, str(self.folder), {})
            return connection.execute(sql).fetchall()


@pytest.fixture
def bucket(tmp_path: Path) -> Bucket:
    bucket = Bucket(tmp_path)
    assert bucket.scan(MANY) == {"added": len(MANY)}
    return bucket


def test_only_what_changed_is_written(bucket: Bucket) -> None:
    (whole,) = bucket.names("artifacts")
    pins = MANY | {"003.gguf": "2", "new.gguf": "1"}
    del pins["005.gguf"]
    drift = bucket.scan(pins)
    assert drift == {"changed": 1, "added": 1, "removed": 1, "unchanged": 38}
    assert bucket.names("artifacts") == [whole]
    (change,) = bucket.names("changes")
    with bucket.table.files.open("changes", change) as file:
        rows = pq.read_table(file).to_pylist()
    assert [(row["url"].rpartition("/")[2], row["drift"]) for row in rows] == [
        ("003.gguf", "changed"),
        ("005.gguf", "removed"),
        ("new.gguf", "added"),
    ]
    assert bucket.pins() == pins
    assert [*bucket.pins()] == sorted(pins)


def test_the_same_as_whole_states(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A random history is the same for all readers, whether deltas are written or not."""
    chance = random.Random(7)
    monkeypatch.setattr(deltas, "_MOST_CHANGES", 6)
    ours, plain = Bucket(tmp_path / "deltas"), Bucket(tmp_path / "whole")
    pins: Pins = {}
    names = [f"{number:03}.gguf" for number in range(60)]
    for _ in range(14):
        for name in names if not pins else chance.sample(names, chance.randrange(5)):
            if chance.random() < 0.3:
                pins.pop(name, None)
            else:
                pins[name] = str(chance.randrange(3))
        policy = Policy(require_license=chance.random() < 0.2)
        drift = ours.scan(pins, policy)
        with monkeypatch.context() as whole:
            whole.setattr(deltas, "_LEAST_ROWS", 10**9)
            assert plain.scan(pins, policy) == drift
        assert ours.pins() == plain.pins() == pins
        verdicts = [
            {url: one.verdict for url, one in each.state().items()} for each in (ours, plain)
        ]
        assert verdicts[0] == verdicts[1]
        asked = "SELECT url, pin, status, sbom_id FROM artifacts ORDER BY url"
        assert ours.ask(asked) == plain.ask(asked)
        changes = """SELECT scan_rank, drift, url, drift_details FROM (
            SELECT *, dense_rank() OVER (ORDER BY scan_id) AS scan_rank FROM history)
            WHERE drift <> 'unchanged' OR len(drift_details) > 0 ORDER BY ALL"""
        assert ours.ask(changes) == plain.ask(changes)
    assert ours.names("changes")
    assert len(ours.names("artifacts")) > 2, "a chain ends"
    assert not plain.names("changes")


def test_drift_in_the_newest_state_is_that_of_its_scan(bucket: Bucket) -> None:
    bucket.scan(MANY | {"003.gguf": "2"})
    bucket.scan(MANY | {"003.gguf": "2", "004.gguf": "2"})
    counted = "SELECT drift, count(*) FROM artifacts GROUP BY drift ORDER BY drift"
    assert bucket.ask(counted) == [("changed", 1), ("unchanged", 39)]
    assert bucket.ask("SELECT count(*) FROM history WHERE drift = 'changed'") == [(2,)]


def test_a_state_is_written_again_when_a_quarter_has_changed(bucket: Bucket) -> None:
    pins = dict(MANY)
    for number in range(10):
        pins |= {f"{number:03}.gguf": "2"}
        bucket.scan(pins)
    assert (len(bucket.names("artifacts")), len(bucket.names("changes"))) == (1, 10)
    bucket.scan(pins | {"020.gguf": "2"})
    assert (len(bucket.names("artifacts")), len(bucket.names("changes"))) == (2, 10)
    assert bucket.pins() == pins | {"020.gguf": "2"}


def test_a_scan_without_a_change_names_the_same_state(bucket: Bucket) -> None:
    bucket.scan(MANY | {"003.gguf": "2"})
    before = bucket.table.open_state().name
    assert bucket.scan(MANY | {"003.gguf": "2"}) == {"unchanged": 40}
    assert bucket.table.open_state().name == before
    assert len(bucket.names("changes")) == 1


def test_readers_without_deltas_see_the_whole_state(bucket: Bucket) -> None:
    (whole,) = bucket.names("artifacts")
    bucket.scan(MANY | {"003.gguf": "2"})
    with bucket.table.files.open("scans", bucket.names("scans")[-1]) as file:
        (row,) = pq.read_table(file).to_pylist()
    assert row["state_scan_id"] == whole
    assert row["changes"] == [bucket.names("scans")[-1]]


def test_another_policy_writes_the_state_again(bucket: Bucket) -> None:
    """Readers without deltas take a state to be judged by the policy of its last scan."""
    strict = Policy(require_license=True)
    assert bucket.scan(MANY | {"003.gguf": "2"}, strict) == {"changed": 1, "unchanged": 39}
    assert (len(bucket.names("artifacts")), bucket.names("changes")) == (2, [])
    judged = [one for url, one in bucket.state().items() if not url.endswith("003.gguf")]
    assert {one.verdict.status for one in judged} == {"failed"}


def test_a_delta_of_a_killed_writer_does_not_count(bucket: Bucket) -> None:
    bucket.scan(MANY | {"003.gguf": "2"})
    bucket.table.files.delete("scans", bucket.names("scans")[-1])
    assert bucket.pins() == MANY
    assert bucket.ask("SELECT count(*) FROM artifacts WHERE pin = '2'") == [(0,)]
    bucket.scan(MANY | {"004.gguf": "2"})
    assert bucket.pins() == MANY | {"004.gguf": "2"}
    assert bucket.ask("SELECT url FROM history WHERE drift = 'changed'") == [
        (f"{SOURCE}/004.gguf",)
    ]
    retention = Retention(keep_states=5, grace_seconds=0)
    assert bucket.table.prune(retention)["leftovers"] == 1
    assert bucket.pins() == MANY | {"004.gguf": "2"}


def test_two_scans_at_once_do_not_mix(bucket: Bucket) -> None:
    slow = bucket.table.open_state()
    bucket.scan(MANY | {"003.gguf": "2"})
    bucket.scan(MANY | {"004.gguf": "2"}, state=slow)
    assert bucket.pins() == MANY | {"004.gguf": "2"}
    assert bucket.ask("SELECT url FROM artifacts WHERE pin = '2'") == [(f"{SOURCE}/004.gguf",)]


@pytest.mark.parametrize("part", ["artifacts", "changes"])
def test_a_state_that_lost_a_file_is_written_again(bucket: Bucket, part: str) -> None:
    bucket.scan(MANY | {"003.gguf": "2"})
    opened = bucket.table.open_state()
    assert bucket.table.has_state(opened.name)
    bucket.table.files.delete(part, bucket.names(part)[0])
    assert not bucket.table.has_state(opened.name)
    bucket.scan(MANY | {"003.gguf": "2"}, state=opened)
    assert bucket.pins() == MANY | {"003.gguf": "2"}
    assert bucket.table.open_state().name == StateName(bucket.names("scans")[-1])


def test_a_pickled_state_has_its_deltas(bucket: Bucket) -> None:
    bucket.scan(MANY | {"003.gguf": "2"})
    bucket.scan(MANY | {"003.gguf": "2", "004.gguf": "2"})
    state = bucket.table.open_state()
    copy: State = pickle.loads(pickle.dumps(state))  # noqa: S301 - our own
    assert [*copy.results()] == [*state.results()]
    assert copy.name == state.name
    assert len(copy) == len(state) == 40


def test_old_states_go_with_their_deltas(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deltas, "_MOST_CHANGES", 2)
    for number in range(2, 10):
        bucket.scan(MANY | {"003.gguf": str(number)})
    assert (len(bucket.names("artifacts")), len(bucket.names("changes"))) == (3, 6)
    keep_one = Retention(keep_states=1, grace_seconds=0)
    assert bucket.table.prune(Retention(keep_states=4, grace_seconds=0))["states"] == 3
    assert (len(bucket.names("artifacts")), len(bucket.names("changes"))) == (2, 4)
    assert bucket.table.prune(keep_one)["states"] == 3
    assert (len(bucket.names("artifacts")), len(bucket.names("changes"))) == (1, 2)
    assert bucket.pins() == MANY | {"003.gguf": "9"}
    asked = bucket.ask("SELECT count(*) FROM artifacts SEMI JOIN sboms USING (sbom_id)")
    assert asked == [(40,)]
    assert bucket.table.prune(keep_one) == {}


def test_pruning_can_be_killed_at_any_time(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was deleted so far, the newest state is whole, and the next time the rest goes."""
    monkeypatch.setattr(deltas, "_MOST_CHANGES", 2)
    for number in range(2, 10):
        bucket.scan(MANY | {"003.gguf": str(number)})
    delete, left = bucket.table.files.delete, 1

    def dies(part: str, name: str) -> None:
        nonlocal left
        if not left:
            raise KeyboardInterrupt
        left -= 1
        delete(part, name)

    keep_one = Retention(keep_states=1, grace_seconds=0)
    with monkeypatch.context() as killed:
        killed.setattr(bucket.table.files, "delete", dies)
        while True:
            left = 1
            try:
                bucket.table.prune(keep_one)
            except KeyboardInterrupt:
                assert bucket.pins() == MANY | {"003.gguf": "9"}
                assert len(bucket.ask("FROM artifacts")) == 40
            else:
                break
    assert (len(bucket.names("artifacts")), len(bucket.names("changes"))) == (1, 2)


def test_rows_of_one_address_in_one_delta_stay(tmp_path: Path) -> None:
    """Two undecodable names may have the same text; both are examined again."""
    bucket = Bucket(tmp_path)
    bucket.scan(MANY)
    twice = [replace(bucket.pattern, url=f"{SOURCE}/x.gguf", pin=pin) for pin in "12"]
    for _ in range(2):
        known = Comparison(bucket.table.open_state())
        known.marks[: len(MANY)] = bytes([Mark.KEPT]) * len(MANY)
        bucket.table.write(new_scan(SOURCE, Policy()), twice, Summary(), known)
    assert len(bucket.names("changes")) == 2
    state = bucket.table.open_state()
    assert [one.url for one in state.results()].count(f"{SOURCE}/x.gguf") == 2
    assert state.file.changed_rows == 2
    assert {*state.file.read(0).column_names} == {*ARTIFACTS.names}


def test_deltas_are_merged_in_a_folder_of_this_process(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the next scan deletes it if this one is killed."""
    for pin in "123":
        bucket.scan(MANY | {"003.gguf": pin})
    places = []

    def write(path: str, *arguments: Any) -> int:
        places.append(path)
        return write_parquet(path, *arguments)

    monkeypatch.setattr(state_file, "write_parquet", write)
    assert bucket.table.open_state().file.changed_rows == 1
    assert [owner_mark() in place for place in places] == [True]
