import os
from pathlib import Path

import pytest

from prefect_mutagen.scanner import Policy
from prefect_mutagen.scanner.policy.policy import Waiver
from prefect_mutagen.scanner.table import highlights as module
from prefect_mutagen.scanner.table.highlights import DRIFT, Highlights, Kind
from tests.builders import STRING, U32, gguf
from tests.dates import SOON
from tests.scan_views import scan_view
from tests.scanner.storing import put_local

GGUF = gguf().data
OTHER = gguf((("general.architecture", STRING, "mistral"),)).data
CUT = GGUF[:90]


@pytest.fixture
def root(tmp_path: Path) -> str:
    files = {"a.gguf": GGUF, "b.gguf": GGUF, "c.gguf": CUT, "d.gguf": CUT, "e.gguf": GGUF}
    return put_local(tmp_path / "root", files)


def _names(found: Highlights, kind: Kind) -> list[str]:
    names = [os.path.basename(result.url) for result in found[kind].results]
    assert len(names) == found[kind].count
    return names


def test_a_first_scan_has_nothing_to_compare_with(root: str) -> None:
    found = scan_view(root).highlights
    assert not found.is_compared
    assert not found.has_drift
    assert [found[kind].count for kind in DRIFT] == [0] * len(DRIFT)
    assert _names(found, "still-refused") == ["c.gguf", "d.gguf"]
    assert _names(found, "passed") == ["a.gguf", "b.gguf", "e.gguf"]


def test_each_artifact_is_what_it_became(root: str, tmp_path: Path) -> None:
    table = str(tmp_path / "table")
    scan_view(root, table)
    changed = {"a.gguf": CUT, "b.gguf": OTHER, "c.gguf": GGUF, "new.gguf": GGUF, "web.gguf": b"<"}
    put_local(Path(root), changed)
    os.unlink(f"{root}/e.gguf")
    found = scan_view(root, table).highlights
    assert found.is_compared
    assert found.has_drift
    assert _names(found, "newly-refused") == ["a.gguf", "web.gguf"]
    assert _names(found, "newly-passed") == ["c.gguf"]
    assert _names(found, "changed") == ["b.gguf"]
    assert _names(found, "added") == ["new.gguf"]
    assert _names(found, "removed") == ["e.gguf"]
    assert _names(found, "still-refused") == ["d.gguf"]
    assert [os.path.basename(one.url) for one in found.refused] == ["a.gguf", "web.gguf", "d.gguf"]
    again = scan_view(root, table).highlights
    assert not again.has_drift
    assert _names(again, "still-refused") == ["a.gguf", "d.gguf", "web.gguf"]


def test_another_policy_refuses_the_same_bytes(root: str, tmp_path: Path) -> None:
    table = str(tmp_path / "table")
    scan_view(root, table)
    found = scan_view(root, table, Policy(require_license=True)).highlights
    assert _names(found, "newly-refused") == ["a.gguf", "b.gguf", "e.gguf"]
    assert {result.drift for result in found["newly-refused"].results} == {"unchanged"}
    back = scan_view(root, table).highlights
    assert _names(back, "newly-passed") == ["a.gguf", "b.gguf", "e.gguf"]


def test_what_is_refused_otherwise_is_not_newly_refused(root: str, tmp_path: Path) -> None:
    table = str(tmp_path / "table")
    scan_view(root, table)
    put_local(Path(root), {"c.gguf": b"<html>"})
    found = scan_view(root, table).highlights
    assert _names(found, "newly-refused") == []
    assert _names(found, "changed") == ["c.gguf"]
    assert _names(found, "still-refused") == ["c.gguf", "d.gguf"]


def test_the_first_model_of_a_root_that_was_empty_is_new(tmp_path: Path) -> None:
    root, table = tmp_path / "root", str(tmp_path / "table")
    root.mkdir()
    assert not scan_view(str(root), table).highlights.is_compared
    put_local(root, {"a.gguf": CUT})
    assert _names(scan_view(str(root), table).highlights, "newly-refused") == ["a.gguf"]


def test_waivers_and_warnings_of_what_passed(tmp_path: Path) -> None:
    odd = gguf((("general.file_type", U32, 7),)).data  # it says Q8_0, and its tensors are not
    root = put_local(tmp_path / "root", {"a.gguf": odd, "b.gguf": odd, "c.gguf": CUT})
    waiver = Waiver("gguf/truncated", "*/c.gguf", "kept", "ana", SOON)
    found = scan_view(root, policy=Policy(waivers=(waiver,))).highlights
    assert _names(found, "waived") == ["c.gguf"]
    assert _names(found, "warned") == ["a.gguf", "b.gguf"]
    warned = found.warnings["sbom/quantization-disagrees"]
    assert warned.count == 2
    assert warned.examples == [f"{root}/a.gguf", f"{root}/b.gguf"]
    assert _names(found, "passed") == []


def test_many_are_counted_and_the_first_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST", {"still-refused": 3})
    root = put_local(tmp_path, {f"{number}.gguf": CUT for number in range(5)})
    group = scan_view(root).highlights["still-refused"]
    assert group.count == 5
    assert [os.path.basename(result.url) for result in group.results] == [
        "0.gguf",
        "1.gguf",
        "2.gguf",
    ]
