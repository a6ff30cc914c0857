"""Leases on real storage."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.scanner.claimants import this_claimant
from prefect_mutagen.scanner.table import leases
from prefect_mutagen.scanner.table.json_files import JsonFiles
from prefect_mutagen.scanner.table.leases import LEASE_SECONDS, Leases

Place = tuple[str, dict[str, Any]]


def test_a_lease_is_known_while_it_is_held(place: Place) -> None:
    held = Leases(*place)
    with held.hold(this_claimant("run-1")) as name:
        lease = Leases(*place).find(name)
        assert lease is not None
        assert (lease.claimant, lease.is_alive) == (this_claimant("run-1"), True)
        assert lease.age < LEASE_SECONDS
    assert held.find(name) is None


def _put(place: Place, name: str, age: float, *, here: bool) -> None:
    claimant = this_claimant() if here else replace(this_claimant(), boot="another machine")
    renewed = datetime.now(UTC) - timedelta(seconds=age)
    content = {**claimant.to_plain(), "renewed_at": renewed.isoformat()}
    JsonFiles(place[0], "claimants", "the lease", place[1]).replace(name, content)


@pytest.mark.parametrize(
    ("age", "here", "alive"),
    [(0, False, True), (LEASE_SECONDS + 1, False, False), (LEASE_SECONDS + 1, True, True)],
    ids=["renewed elsewhere", "run out elsewhere", "run out here, and the process lives"],
)
def test_elsewhere_the_lease_decides(place: Place, age: float, *, here: bool, alive: bool) -> None:
    _put(place, "one", age, here=here)
    lease = Leases(*place).find("one")
    assert lease is not None
    assert lease.is_alive is alive


def test_a_lease_is_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "_RENEW_SECONDS", 0.01)
    held = Leases(str(tmp_path))
    with held.hold(this_claimant()) as name:
        first = held.find(name)
        assert first is not None
        later = first
        while later.renewed_at == first.renewed_at:
            found = held.find(name)
            assert found is not None
            later = found


def test_old_leases_are_swept(tmp_path: Path) -> None:
    place: Place = (str(tmp_path), {})
    _put(place, "old", 8 * 86_400, here=False)
    _put(place, "old-and-alive", 8 * 86_400, here=True)
    _put(place, "run-out", LEASE_SECONDS + 1, here=False)
    (tmp_path / "claimants" / "broken.json").write_text('{"renewed_at": 7}')
    held = Leases(*place)
    assert held.sweep() == 2
    assert held.find("old") is None
    assert held.find("old-and-alive") is not None
    assert held.find("run-out") is not None
