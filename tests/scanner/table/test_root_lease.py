"""The lease on a root, on real storage."""

import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.scanner.claimants import this_claimant
from prefect_mutagen.scanner.table.json_files import JsonFiles
from prefect_mutagen.scanner.table.leases import LEASE_SECONDS
from prefect_mutagen.scanner.table.root_lease import RootLease, hold_root
from prefect_mutagen.scanner.table.table import Table

Place = tuple[str, dict[str, Any]]
ROOT = Path(__file__).parent.parent.parent.parent
SOURCE = "s3://models/all"


def _lease(place: Place, source: str = SOURCE, flow_run: str = "") -> RootLease:
    return Table(place[0], source, place[1]).lease(flow_run)


def test_one_at_a_time_holds_a_root(place: Place) -> None:
    first, second = _lease(place, flow_run="run-1"), _lease(place)
    for _ in range(3):
        assert first.acquire() is None
        holder = second.acquire()
        assert holder is not None
        assert (holder.source, holder.claimant) == (SOURCE, this_claimant("run-1"))
        assert f"flow run run-1 for 0 s, since {holder.since:%Y-%m-%d}" in holder.describe()
        first.release()
        assert second.acquire() is None
        second.release()
    with _lease(place, "s3://models/other") as other, first:
        assert (other.acquire(), first.acquire()) == (None, None), "another root is free"
    assert second.acquire() is None
    second.release()


def test_of_many_at_once_one_gets_it(place: Place) -> None:
    got: list[RootLease] = []
    start = threading.Barrier(8)

    def acquire() -> None:
        lease = _lease(place)
        start.wait()
        if lease.acquire() is None:
            got.append(lease)

    for _ in range(3):
        threads = [threading.Thread(target=acquire) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (holder,) = got
        holder.release()
        got.clear()


def test_a_number_that_is_used_up_gives_nothing(tmp_path: Path) -> None:
    place: Place = (str(tmp_path), {})
    with _lease(place) as first:
        assert first.acquire() is None
    (folder,) = (tmp_path / "roots").iterdir()
    (only,) = folder.iterdir()
    only.rename(folder / "00000007.json")
    with _lease(place) as lease:
        # As if it had been slow since there was none: the lower number is free, and counts nothing.
        slow, own = iter([True]), lease._numbers

        def numbers() -> list[int]:
            return [] if next(slow, False) else own()

        lease._numbers = numbers  # type: ignore[method-assign]
        assert lease.acquire() is None
        assert [path.stem for path in folder.iterdir()] == ["00000008"]


def test_who_is_killed_holds_nothing(tmp_path: Path) -> None:
    code = (
        "import sys; from prefect_mutagen.scanner.table.table import Table\n"
        "lease = Table(sys.argv[1], sys.argv[2]).lease()\n"
        "print(lease.acquire(), flush=True); input()"
    )
    command = [sys.executable, "-c", code, str(tmp_path), SOURCE]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "None\n"
        lease = _lease((str(tmp_path), {}))
        held = lease.acquire()
        assert held is not None
        assert held.claimant.pid == holder.pid
        holder.kill()
    assert lease.acquire() is None
    lease.release()


def _put_elsewhere(place: Place, age: float) -> None:
    """Let a process of another machine hold the root, which renewed its lease some time ago."""
    claimant = replace(this_claimant(), host="far", boot="another machine")
    now = datetime.now(UTC)
    renewed = (now - timedelta(seconds=age)).isoformat()
    content = {**claimant.to_plain(), "renewed_at": renewed}
    JsonFiles(place[0], "claimants", "the lease", place[1]).replace("far", content)
    folder = Table(place[0], SOURCE, place[1]).files._folder
    since = {"lease": "far", "since": (now - timedelta(hours=1)).isoformat()}
    JsonFiles(place[0], f"roots/{folder}", "the lease", place[1]).replace("00000041", since)


def test_elsewhere_the_lease_decides(place: Place) -> None:
    _put_elsewhere(place, LEASE_SECONDS - 60)
    holder = _lease(place).acquire()
    assert holder is not None
    assert f"on far for 60 min, since {holder.since:%Y-%m-%d}" in holder.describe()
    _put_elsewhere(place, LEASE_SECONDS + 60)
    with _lease(place) as lease:
        assert lease.acquire() is None


@pytest.mark.parametrize(
    "content",
    [b"{}", b"[]", b'{"lease": "../x"}', b'{"lease": 7}', b'{"lease": "gone"}', b'{"since": "x"}'],
)
def test_a_record_that_names_nobody_holds_nothing(tmp_path: Path, content: bytes) -> None:
    with _lease((str(tmp_path), {})) as lease:
        assert lease.acquire() is None
    (folder,) = (tmp_path / "roots").iterdir()
    (folder / "00000009.json").write_bytes(content)
    with lease:
        assert lease.acquire() is None


def test_waiting_ends_with_the_other_scan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = _lease((str(tmp_path), {})), _lease((str(tmp_path), {}))
    assert first.acquire() is None
    said: list[str] = []
    looks: list[float] = []

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 9:
            first.release()

    monkeypatch.setattr("prefect_mutagen.scanner.table.root_lease.time.sleep", sleep)
    assert hold_root(second, "wait", said.append) is None
    assert len(looks) == 9
    assert (looks[0], max(looks)) == (0.2, 5.0)
    assert len(said) == 1, "once is enough"
    assert said[0].startswith(f"{SOURCE} has been scanned by process ")
    assert said[0].endswith("; waiting for that scan to end")
    assert first.acquire() is not None, "it is held now"
    second.release()


@pytest.mark.parametrize(("if_busy", "skips", "says"), [("skip", True, []), ("scan", False, [1])])
def test_a_busy_root_is_skipped_or_scanned(
    tmp_path: Path, if_busy: Any, *, skips: bool, says: list[int]
) -> None:
    first, second = _lease((str(tmp_path), {})), _lease((str(tmp_path), {}))
    assert first.acquire() is None
    said: list[str] = []
    assert (hold_root(second, if_busy, said.append) is not None) is skips
    assert len(said) == len(says)
    first.release()
    assert hold_root(second, if_busy, said.append) is None
    assert first.acquire() is not None, "whoever finds it free holds it"
    second.release()
    assert len(list((tmp_path / "claimants").iterdir())) == 0


def test_who_cannot_hold_it_scans_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "roots").write_text("a file")
    said: list[str] = []
    assert hold_root(_lease((str(tmp_path), {})), "wait", said.append) is None
    assert "other scans of the same root are not kept from starting" in said[0]

    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    table = str(tmp_path / "table")
    first, second = _lease((table, {})), _lease((table, {}))
    assert first.acquire() is None
    monkeypatch.setattr("prefect_mutagen.scanner.table.root_lease.time.sleep", interrupt)
    tell: Callable[[str], None] = said.append
    with pytest.raises(KeyboardInterrupt):
        hold_root(second, "wait", tell)
