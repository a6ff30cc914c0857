"""Temporary files and folders of processes that live, have ended, or run elsewhere."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from prefect_mutagen.scanner.claimants import this_claimant
from prefect_mutagen.scanner.temporary import (
    own_folder,
    owner_mark,
    partial_path,
    sweep_folders,
    sweep_partial_files,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")

ROOT = Path(__file__).parent.parent.parent
WEEK = 7 * 86_400


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def _killed(place: Path, code: str) -> None:
    """Run code in a process that is killed as soon as it has printed a line."""
    with subprocess.Popen(
        [sys.executable, "-c", f"{code}\nprint(flush=True)\ninput()"],
        env=os.environ | {"TMPDIR": str(place)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()


def test_the_folders_of_killed_processes_are_deleted(place: Path) -> None:
    make = "from prefect_mutagen.scanner.temporary import own_folder\n"
    _killed(place, f"{make}one, other = own_folder(), own_folder('agent')")
    begin = "from prefect_mutagen.scanner.shutdown import ended_by_signals\n"
    _killed(place, f"{begin}it = ended_by_signals(); it.__enter__()")
    assert len(list(place.iterdir())) == 3
    assert sweep_folders() == 3
    assert list(place.iterdir()) == []


def test_what_belongs_to_others_stays(place: Path) -> None:
    (place / "mutagen-abcdefgh").mkdir()
    (place / f"mutagen-{owner_mark()}").mkdir()
    (place / f"other-{owner_mark()}-abc").mkdir()
    link = place / f"mutagen-{_mark(pid=1, start=1)}-link"
    link.symlink_to(place / "mutagen-abcdefgh")
    with own_folder() as own:
        assert sweep_folders() == 0
        assert Path(own).is_dir()
    assert len(list(place.iterdir())) == 4


def _mark(*, pid: int, start: int, machine: str = "") -> str:
    here = owner_mark().rsplit("-", 2)[0]
    return f"{machine or here}-{pid}-{start}"


@pytest.mark.parametrize(
    ("age", "swept"), [(WEEK - 3600, 0), (WEEK + 3600, 1)], ids=["in use", "unused"]
)
def test_elsewhere_a_week_without_a_change_decides(place: Path, age: int, swept: int) -> None:
    folder = place / f"mutagen-{_mark(pid=1, start=1, machine='00c0ffee-7')}-abc"
    folder.mkdir()
    os.utime(folder, (time.time() - age, time.time() - age))
    assert sweep_folders() == swept
    assert folder.exists() is not bool(swept)


def test_a_process_of_the_same_number_is_another(place: Path) -> None:
    own = this_claimant()
    later = _mark(pid=own.pid, start=int(own.start_time) + 1)
    (place / f"mutagen-{later}-abc").mkdir()
    assert sweep_folders() == 1


def test_unfinished_files_of_killed_processes_are_deleted(place: Path) -> None:
    code = "from prefect_mutagen.scanner.temporary import partial_path\n"
    code += f"open(partial_path({str(place / 'out.json')!r}), 'w').close()"
    _killed(place, code)
    mine = Path(partial_path(str(place / "out.json")))
    mine.touch()
    foreign = place / "out.json.partial"
    foreign.touch()
    assert len(list(place.iterdir())) == 3
    assert sweep_partial_files(str(place)) == 1
    assert sorted(place.iterdir()) == sorted([mine, foreign])
