"""How a model stood from scan to scan: each change of verdict or bytes, whole states and deltas."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from prefect_mutagen.scanner import Policy, ScanResult
from prefect_mutagen.scanner.policy.policy import Owner
from prefect_mutagen.scanner.results import Summary
from prefect_mutagen.scanner.table.handed_out import Standing, standings_of
from prefect_mutagen.scanner.table.marks import Mark
from prefect_mutagen.scanner.table.state import Comparison
from prefect_mutagen.scanner.table.table import Table
from prefect_mutagen.scanner.verdicts import Reason, Verdict
from tests.report_tables import NOW, ROOT, model, scan_at

MODELS = 1200
"""Enough for deltas."""
POLICY = Policy(owners=(Owner(".", "ana"),))
REFUSED = Verdict("failed", (Reason("policy/license", "denied_licenses", "x", "forbidden"),))


def _known(number: int) -> ScanResult:
    return replace(model(number, NOW), verdict=Verdict("passed"))


def _scan(table: Table, hour: int, *changed: ScanResult, gone: str = "") -> None:
    """Find some models changed, and the rest as it was; without changes, all for the first time."""
    moment, summary = NOW + timedelta(hours=hour), Summary()
    summary.finished_at = moment.isoformat()
    scan = scan_at(moment, POLICY)
    if not changed and not gone:
        table.write(scan, map(_known, range(MODELS)), summary)
        return
    known = Comparison(table.open_state())
    known.marks[:] = bytes([Mark.KEPT]) * len(known.marks)
    if gone:
        place = known.state.index.find(gone)
        assert place is not None
        known.marks[place] = Mark.MISSING
    table.write(scan, changed, summary, known)


@pytest.fixture
def table(tmp_path: Path) -> Table:
    """A model is there, gets other bytes, is refused, goes, and comes back."""
    table, one = Table(str(tmp_path / "table"), ROOT), _known(7)
    other = replace(one, pin="sha256:other")
    _scan(table, 0)
    _scan(table, 1, other)
    _scan(table, 2, replace(_known(8), pin="sha256:of another"))
    _scan(table, 3, replace(other, verdict=REFUSED))
    _scan(table, 4, gone=one.url)
    _scan(table, 5, one)
    return table


def _said(found: list[Standing]) -> list[tuple[str, str, int]]:
    return [(one.status, one.pin, (one.since - NOW) // timedelta(hours=1)) for one in found]


def test_each_change_of_a_model(table: Table) -> None:
    assert len(table.files.names("changes")) == 5, "most of it is in deltas"
    one = _known(7)
    found = standings_of(table, one.url)
    assert _said(found) == [
        ("passed", one.pin, 0),
        ("passed", "sha256:other", 1),
        ("failed", "sha256:other", 3),
        ("removed", "sha256:other", 4),
        ("passed", one.pin, 5),
    ]
    assert found[2].codes == ("policy/license",)
    assert {standing.owner for standing in found} == {"ana"}
    assert found[0].scan_id[:11] == f"{NOW:%Y%m%dT%H}"


def test_by_pin_all_models_that_had_it_once(table: Table) -> None:
    by_url = standings_of(table, _known(7).url)
    assert standings_of(table, "sha256:other") == by_url
    assert standings_of(table, _known(7).pin) == by_url
    assert {one.url for one in standings_of(table, "sha256:of another")} == {_known(8).url}
    assert standings_of(table, "sha256:nobody's") == []
    assert standings_of(table, f"{ROOT}/nowhere.gguf") == []


def test_what_a_whole_state_does_not_have_is_gone(tmp_path: Path) -> None:
    table = Table(str(tmp_path / "table"), ROOT)
    for hour, numbers in enumerate((range(3), range(1, 3))):
        moment, summary = NOW + timedelta(hours=hour), Summary()
        summary.finished_at = moment.isoformat()
        table.write(scan_at(moment, POLICY), map(_known, numbers), summary)
    assert _said(standings_of(table, _known(0).url)) == [
        ("passed", _known(0).pin, 0),
        ("removed", _known(0).pin, 1),
    ]
