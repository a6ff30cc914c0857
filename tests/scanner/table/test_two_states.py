"""Two states side by side, and since when artifacts are refused."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from prefect_mutagen.scanner import Policy, ScanResult
from prefect_mutagen.scanner.results import Summary
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.table import deltas
from prefect_mutagen.scanner.table.retention import Retention
from prefect_mutagen.scanner.table.roots import tables_of
from prefect_mutagen.scanner.table.table import Table
from prefect_mutagen.scanner.table.two_states import pairs_of, refusals_of, scan_before
from prefect_mutagen.scanner.verdicts import Reason, Status, Verdict
from tests.report_tables import NOW, ROOT, model, scan_at

Write = Callable[[int, dict[str, Status]], None]
REFUSED = (Reason("gguf/truncated", "fail_on", "error", "it is cut"),)


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(str(tmp_path / "table"), ROOT)


@pytest.fixture
def write(table: Table) -> Write:
    """Publishes the scan of a day: the verdicts of models by the last part of their names."""

    def publish(day: int, verdicts: dict[str, Status]) -> None:
        moment = NOW + timedelta(days=day)
        results = []
        for name, status in verdicts.items():
            verdict = Verdict(status, () if status == "passed" else REFUSED)
            result = replace(model(1, moment), url=f"{ROOT}/{name}", verdict=verdict)
            results.append(result)
        table.write(scan_at(moment, Policy()), iter(results), Summary())

    return publish


def _name(result: ScanResult | None) -> str:
    return result.url.rpartition("/")[2] if result is not None else ""


def test_states_are_walked_side_by_side(table: Table, write: Write) -> None:
    write(0, {"a": "passed", "b": "passed", "d": "failed", "z": "passed"})
    write(1, {"b": "failed", "c": "failed", "d": "failed"})
    _, before = scan_before(table, table.scan_ids(), f"{NOW:%Y%m%dT%H%M%S}")
    pairs = list(pairs_of(before, table.open_state()))
    assert [(_name(one.before), _name(one.result), one.is_removed) for one in pairs] == [
        ("a", "a", True),
        ("b", "b", False),
        ("", "c", False),
        ("d", "d", False),
        ("z", "z", True),
    ]
    changes = {_name(one.result): [change.field for change in one.changes] for one in pairs}
    assert changes == {"a": [], "b": ["status", "reasons"], "c": [], "d": [], "z": []}
    assert [_name(one.result) for one in pairs_of(None, table.open_state())] == ["b", "c", "d"]


def test_a_state_beside_itself_differs_in_nothing(table: Table, write: Write) -> None:
    write(0, {"a": "failed"})
    (pair,) = pairs_of(table.open_state(), table.open_state())
    assert pair.before == pair.result
    assert pair.changes == ()


@pytest.mark.parametrize("with_deltas", [False, True], ids=["whole", "deltas"])
def test_since_when_artifacts_are_refused(
    table: Table, write: Write, monkeypatch: pytest.MonkeyPatch, *, with_deltas: bool
) -> None:
    if with_deltas:
        monkeypatch.setattr(deltas, "_LEAST_ROWS", 0)
        monkeypatch.setattr(deltas, "_PART", 9)
    write(0, {"always": "failed", "again": "failed", "lately": "passed", "passing": "passed"})
    write(1, {"always": "failed", "again": "passed", "lately": "passed", "passing": "passed"})
    later: dict[str, Status] = {"again": "failed", "lately": "unknown", "new": "failed"}
    write(2, {"always": "failed", "passing": "passed", **later})
    write(3, {"always": "failed", "passing": "passed", **later})
    assert bool(table.files.names("changes")) == with_deltas
    urls = [f"{ROOT}/{name}" for name in ("always", "again", "lately", "new")]
    found = refusals_of(table, table.scan_ids(), urls)
    days = {url.rpartition("/")[2]: (one.since - NOW).days for url, one in found.items()}
    assert days == {"always": 0, "again": 2, "lately": 2, "new": 2}
    assert all(one.is_exact for one in found.values())
    assert found[f"{ROOT}/again"].passed_at is not None
    assert found[f"{ROOT}/always"].passed_at is None


def test_what_retention_deleted_may_have_been_refused(table: Table, write: Write) -> None:
    for day in range(3):
        write(day, {"a": "failed", "b": "passed" if day < 2 else "failed"})
    first = table.scan_ids()[0]
    for path in Path(table.url).rglob(f"*{first}*"):
        path.unlink()
    found = refusals_of(table, table.scan_ids(), [f"{ROOT}/a", f"{ROOT}/b"])
    assert (found[f"{ROOT}/a"].since, found[f"{ROOT}/a"].is_exact) == (NOW + timedelta(1), False)
    assert (found[f"{ROOT}/b"].since, found[f"{ROOT}/b"].is_exact) == (NOW + timedelta(2), True)


def test_the_state_at_a_moment(table: Table, write: Write) -> None:
    for day in range(3):
        write(day, {"a": "passed", str(day): "passed"})
    scan_ids = table.scan_ids()

    def at(day: float) -> str:
        return scan_before(table, scan_ids, f"{NOW + timedelta(days=day):%Y%m%dT%H%M%S}")[0]

    assert [at(0), at(0.5), at(1), at(7)] == [scan_ids[0], scan_ids[0], scan_ids[1], scan_ids[2]]
    assert at(-1) == "", "nothing was there before the first scan"
    table.prune(Retention(keep_states=2))
    for path in Path(table.url).rglob(f"*{scan_ids[0]}*"):
        path.unlink(missing_ok=True)
    kept = table.scan_ids()
    before, state = scan_before(table, kept, f"{NOW - timedelta(days=1):%Y%m%dT%H%M%S}")
    assert (before, state is not None) == (scan_ids[1], True), "the oldest that is kept"


def test_the_roots_of_a_table(tmp_path: Path) -> None:
    place = str(tmp_path / "table")
    odd = "/models/caf\udce9"
    for root in (ROOT, odd):
        result = replace(model(1, NOW), url=f"{root}/a.gguf", objects=())
        scan = scan_at(
            datetime.now(UTC), Policy(), "file:///models/caf%E9" if root == odd else root
        )
        Table(place, root).write(scan, iter([result]), Summary())
    assert [table.source for table in tables_of(place)] == sorted([odd, ROOT])
    with pytest.raises(StorageError, match="no table"):
        tables_of(str(tmp_path / "nothing"))
