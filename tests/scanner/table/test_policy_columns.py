"""By which rules a row was judged, and whose it is: both follow the policy, and nothing is read."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from prefect_mutagen.scanner import Policy
from prefect_mutagen.scanner.examine.scan_info import new_scan
from prefect_mutagen.scanner.policy.digest import policy_digest
from prefect_mutagen.scanner.policy.policy import Owner
from prefect_mutagen.scanner.results import Summary
from prefect_mutagen.scanner.table.marks import Mark
from prefect_mutagen.scanner.table.state import Comparison
from prefect_mutagen.scanner.table.table import Table
from tests.report_tables import NOW, ROOT, judged, scan_at

MODELS = 300
OWNED = Policy(
    owners=(Owner("google", "vision"), Owner("google/gemma-3-12b-it/v0", "vision v0")),
)


def _write(table: Table, policy: Policy, hour: int, *, models: int = MODELS) -> None:
    moment, summary = NOW + timedelta(hours=hour), Summary()
    summary.finished_at = moment.isoformat()
    table.write(scan_at(moment, policy), judged(range(models), moment, policy), summary)


def _rescan(table: Table, policy: Policy, hour: int, left_out: int = 0) -> dict[str, int]:
    """Scan again, and find all models as they were; return what was counted."""
    moment, summary, known = NOW + timedelta(hours=hour), Summary(), Comparison(table.open_state())
    summary.finished_at = moment.isoformat()
    known.marks[:] = bytes(
        Mark.UNSELECTED if at < left_out else Mark.KEPT for at in range(len(known.marks))
    )
    return table.write(scan_at(moment, policy), (), summary, known)


def _rows(table: Table) -> dict[str, dict[str, Any]]:
    state = table.open_state()
    names = ["url", "policy_digest", "owner", "status", "drift", "drift_details"]
    rows = [
        row
        for number, _, _ in state.file.groups()
        for row in state.file.read(number, names).to_pylist()
    ]
    return {row["url"].removeprefix(f"{ROOT}/"): row for row in rows}


def _states(table: Table) -> int:
    return len(table.files.names("artifacts")) + len(table.files.names("changes"))


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(str(tmp_path / "table"), ROOT)


def test_each_row_says_by_what_it_was_judged_and_whose_it_is(table: Table) -> None:
    _write(table, OWNED, 0)
    rows = _rows(table)
    assert {row["policy_digest"] for row in rows.values()} == {policy_digest(OWNED)}
    owners = {path: row["owner"] for path, row in rows.items()}
    for path, owner in owners.items():
        if not path.startswith("google/"):
            assert owner is None
        else:
            assert owner == ("vision v0" if "/v0/" in path else "vision")
    assert {"vision", "vision v0", None} == set(owners.values())


def test_other_owners_are_in_every_row_and_change_nothing_else(table: Table) -> None:
    _write(table, OWNED, 0)
    before = _rows(table)
    assert _rescan(table, OWNED, 1) == {"unchanged": MODELS}
    assert _states(table) == 1, "nothing is different"
    handed_on = replace(OWNED, owners=(Owner("google", "robots"), Owner(".", "platform")))
    assert _rescan(table, handed_on, 2) == {"unchanged": MODELS}
    after = _rows(table)
    assert _states(table) == 2
    assert {row["owner"] for row in after.values()} == {"robots", "platform"}
    assert {row["drift"] for row in after.values()} == {"unchanged"}
    for path, row in after.items():
        assert row["drift_details"] == [], "an owner is nothing about the model"
        assert (row["status"], row["policy_digest"]) == (
            before[path]["status"],
            before[path]["policy_digest"],
        )
    assert _rescan(table, handed_on, 3) == {"unchanged": MODELS}
    assert _states(table) == 2
    assert _rescan(table, Policy(), 4) == {"unchanged": MODELS}
    assert {row["owner"] for row in _rows(table).values()} == {None}


def test_other_rules_are_in_every_row_though_no_verdict_changes(table: Table) -> None:
    _write(table, OWNED, 0)
    stricter = replace(OWNED, max_size_bytes=1 << 60)
    assert _rescan(table, stricter, 1) == {"unchanged": MODELS}
    assert {row["policy_digest"] for row in _rows(table).values()} == {policy_digest(stricter)}
    states = _states(table)
    assert _rescan(table, stricter, 2) == {"unchanged": MODELS}
    assert _states(table) == states


def test_what_a_scan_leaves_out_keeps_its_rules_and_is_not_written_each_time(table: Table) -> None:
    _write(table, OWNED, 0)
    stricter = replace(OWNED, max_size_bytes=1 << 60, owners=(Owner(".", "all"),))
    assert _rescan(table, stricter, 1, left_out=100)["left-out"] == 100
    rows = list(_rows(table).values())
    digests = [row["policy_digest"] for row in rows]
    assert digests == [policy_digest(OWNED)] * 100 + [policy_digest(stricter)] * (MODELS - 100)
    assert {row["owner"] for row in rows[100:]} == {"all"} != {row["owner"] for row in rows[:100]}
    states = _states(table)
    _rescan(table, stricter, 2, left_out=100)
    assert _states(table) == states


def test_rows_of_earlier_versions_are_read_and_completed(table: Table) -> None:
    _write(table, Policy(), 0)
    (name,) = table.files.names("artifacts")
    (path,) = Path(table.url).glob(f"artifacts/*/{name}.parquet")
    known = pq.read_table(path)
    earlier = known.drop_columns(["policy_digest", "owner"])
    sorting = [pq.SortingColumn(known.column_names.index("url"))]
    pq.write_table(earlier, path, sorting_columns=sorting)
    assert {row["owner"] for row in _rows(table).values()} == {None}
    _rescan(table, Policy(), 1)
    assert _states(table) == 1, "no state is written for the sake of a column alone"
    _rescan(table, OWNED, 2)
    rows = _rows(table)
    assert {row["policy_digest"] for row in rows.values()} == {policy_digest(OWNED)}
    assert {row["owner"] for row in rows.values()} == {"vision", "vision v0", None}


def test_a_delta_names_the_rules_too(table: Table) -> None:
    many = 2000
    _write(table, OWNED, 0, models=many)
    known, summary = Comparison(table.open_state()), Summary()
    moment = NOW + timedelta(hours=1)
    summary.finished_at = moment.isoformat()
    known.marks[:] = bytes([Mark.KEPT]) * len(known.marks)
    known.marks[5] = Mark.MISSING
    new = judged([many], moment, OWNED)
    table.write(scan_at(moment, OWNED), new, summary, known)
    assert len(table.files.names("changes")) == 1
    rows = _rows(table)
    assert {row["policy_digest"] for row in rows.values()} == {policy_digest(OWNED)}


def test_a_scan_knows_digest_and_owners_wherever_it_goes() -> None:
    import pickle

    scan = new_scan("/models", OWNED)
    copy = pickle.loads(pickle.dumps(scan))  # noqa: S301 - made here
    assert copy == scan
    assert copy.policy_digest == policy_digest(OWNED)
    assert copy.owner_of("/models/google/x", {}) == "vision"
