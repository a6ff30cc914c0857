"""The table artifact: what differs first, and everything that matters within a narrow window."""

import os
from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.scanner import Policy
from prefect_mutagen.scanner.policy.policy import Waiver
from prefect_mutagen.tasks import showing
from prefect_mutagen.tasks.scan_page import ScanView
from prefect_mutagen.tasks.showing import show_scan
from tests.builders import STRING, gguf
from tests.dates import SOON
from tests.scan_views import scan_view
from tests.scanner.storing import put_local

GGUF = gguf().data
OTHER = gguf((("general.architecture", STRING, "mistral"),)).data
CUT = GGUF[:90]


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What was shown last."""
    made: dict[str, Any] = {}
    monkeypatch.setattr(showing, "create_table_artifact", lambda **given: made.update(given))
    monkeypatch.setattr(showing, "create_markdown_artifact", lambda **_: None)
    return made


def _rows(view: ScanView, shown: dict[str, Any]) -> list[tuple[str, str, str]]:
    show_scan(view)
    for row in shown["table"]:
        assert list(row) == ["verdict", "model", "reason", "details"]
    return [(row["verdict"], row["model"], row["reason"]) for row in shown["table"]]


def test_what_differs_stands_first(tmp_path: Path, shown: dict[str, Any]) -> None:
    files = {"a.gguf": GGUF, "b.gguf": CUT, "c.gguf": CUT, "d.gguf": GGUF, "e.gguf": GGUF}
    root, table = put_local(tmp_path / "root", files), str(tmp_path / "table")
    assert [row[0] for row in _rows(scan_view(root, table), shown)] == [
        *["failed"] * 2,
        *["passed"] * 3,
    ]
    assert shown["description"].startswith("2 of 5 refused. Verdicts on ")
    assert shown["description"].endswith("what is refused first.")
    put_local(Path(root), {"e.gguf": CUT, "c.gguf": GGUF, "d.gguf": OTHER, "f.gguf": GGUF})
    os.unlink(f"{root}/a.gguf")
    assert _rows(scan_view(root, table), shown) == [
        ("failed, was passed", "e.gguf", "gguf/truncated"),
        ("passed, was failed", "c.gguf", ""),
        ("passed, changed", "d.gguf", ""),
        ("passed, new", "f.gguf", ""),
        ("removed, was passed", "a.gguf", ""),
        ("failed", "b.gguf", "gguf/truncated"),
    ]
    details = {row["model"]: row["details"] for row in shown["table"]}
    assert details["d.gguf"].startswith("changed: architecture llama → mistral, ")
    assert "the file ends at byte 90" in details["b.gguf"]
    assert "1 of them new" in shown["description"]
    assert shown["description"].endswith("what differs from the last scan first.")


def test_what_passed_by_a_waiver_is_shown_before_what_just_passed(
    tmp_path: Path, shown: dict[str, Any]
) -> None:
    root = put_local(tmp_path, {"a.gguf": GGUF, "b.gguf": CUT, "c.gguf": b"x"})
    waiver = Waiver("gguf/truncated", "*/b.gguf", "[kept](http://x)", "ana", SOON)
    assert _rows(scan_view(root, policy=Policy(waivers=(waiver,))), shown) == [
        ("failed", "c.gguf", "gguf/bad-magic"),
        ("passed", "b.gguf", "gguf/truncated (waived)"),
        ("passed", "a.gguf", ""),
    ]
    assert shown["table"][1]["details"].endswith(f"(until {SOON}, ana)")


def test_a_long_path_leaves_room_for_the_reason(tmp_path: Path, shown: dict[str, Any]) -> None:
    path = f"{'folder/' * 20}model-00001.gguf"
    root = put_local(tmp_path, {path: CUT})
    ((_, model, reason),) = _rows(scan_view(root), shown)
    assert model.startswith("folder/")
    assert model.endswith("/model-00001.gguf")
    assert "…" in model
    assert len(model) == 36
    assert reason == "gguf/truncated"
    assert shown["table"][0]["details"].endswith(f"; {path}")


def test_many_changes_do_not_hide_what_is_refused(
    tmp_path: Path, shown: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(showing, "_DRIFT_ROWS", 2)
    monkeypatch.setattr(showing, "_ROWS", 4)
    root, table = put_local(tmp_path / "root", {"z.gguf": CUT}), str(tmp_path / "table")
    scan_view(root, table)
    put_local(Path(root), {f"{number}.gguf": GGUF for number in range(5)})
    rows = _rows(scan_view(root, table), shown)
    assert [row[1] for row in rows] == ["0.gguf", "1.gguf", "z.gguf"]
    assert "3 more are in the Parquet table" in shown["description"]


def test_an_empty_root_has_nothing_to_judge(tmp_path: Path, shown: dict[str, Any]) -> None:
    show_scan(scan_view(put_local(tmp_path / "root", {"x.txt": b""})))
    assert shown["table"] == [{"verdict": "nothing to judge"}]
