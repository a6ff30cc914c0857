"""Scans with a table from the command line: in worker processes, and what is shown of them."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.scanner import ScanResult
from prefect_mutagen.scanner.commands.cli import main
from prefect_mutagen.scanner.examine import engine, worker_pool
from prefect_mutagen.scanner.table import examined_rows
from prefect_mutagen.scanner.table.rows import to_row
from prefect_mutagen.scanner.table.table import Table
from tests.builders import gguf
from tests.scanner.storing import put_local

GGUF = gguf().data
Run = Callable[..., str]
TIMES = ("generated_at", "started_at", "finished_at", "id")


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Scan the folder ``root`` into the table ``table``; what is printed."""

    def scan(*words: str, table: str = "table") -> str:
        capsys.readouterr()
        main(["scan", str(tmp_path / "root"), "--table", str(tmp_path / table), *words])
        return capsys.readouterr().out

    return scan


def _files(count: int) -> dict[str, bytes]:
    return {f"{n % 3}/{n:03d}.gguf": GGUF if n % 7 else GGUF[:100] for n in range(count)}


def _untimed(value: Any) -> Any:
    """Leave out what differs between two scans of the same files."""
    if isinstance(value, dict):
        return {name: _untimed(one) for name, one in value.items() if name not in TIMES}
    return [_untimed(one) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize("form", ["json", "jsonl", "report", "table", "summary"])
def test_worker_processes_change_nothing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """Whether examined here or in workers: the same output, and the same rows in the table."""
    root = put_local(tmp_path / "root", _files(100))
    started: list[int] = []
    examine = worker_pool.examine_in_workers

    def noted(*given: Any) -> Any:
        started.append(1)
        return examine(*given)

    monkeypatch.setattr(worker_pool, "examine_in_workers", noted)
    here = run("--format", form, "--processes", "2", table="one")
    assert not started
    monkeypatch.setattr(engine, "_WORTHWHILE", 20)
    there = run("--format", form, "--processes", "2", table="two")
    assert started
    if form in ("table", "summary"):
        assert there == here
    else:
        lines = "\n" if form == "jsonl" else "\0"
        outputs = [each.strip().split(lines) for each in (here, there)]
        read = [[_untimed(json.loads(text)) for text in texts] for texts in outputs]
        assert read[0] == read[1]
    states = [Table(str(tmp_path / name), root).read_state() for name in ("one", "two")]
    rows = [[_untimed(one.to_report()) for one in state.values()] for state in states]
    assert rows[0] == rows[1]
    assert len(rows[0]) == 100


def test_known_artifacts_are_compared_wherever_they_are_examined(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_WORTHWHILE", 20)
    root = put_local(tmp_path / "root", _files(60))
    run()
    put_local(tmp_path / "root", {"1/001.gguf": GGUF + b"x", "new.gguf": GGUF})
    os.unlink(f"{root}/2/002.gguf")
    report = json.loads(run("--format", "report", "--rescan", "all"))
    drift = {one["url"].removeprefix(f"{root}/"): one["drift"] for one in report["artifacts"]}
    assert drift.pop("1/001.gguf") == "changed"
    assert drift.pop("new.gguf") == "added"
    assert {*drift.values()} == {"unchanged"}
    counts = {"added": 1, "changed": 1, "removed": 1, "unchanged": 58}
    assert report["summary"]["drift"] == counts


def _part_breaks(result: ScanResult) -> dict[str, Any]:
    raise RuntimeError(result.url)


def test_a_fault_while_rows_are_made_costs_one_artifact(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = put_local(tmp_path / "root", _files(10))
    original = to_row

    def breaks(result: ScanResult, scan: Any) -> dict[str, Any]:
        whole = result.verdict.status == "passed"
        return _part_breaks(result) if whole and "003" in result.url else original(result, scan)

    monkeypatch.setattr(examined_rows, "to_row", breaks)
    report = json.loads(run("--format", "report"))
    status = {one["url"][-8:]: one["verdict"]["status"] for one in report["artifacts"]}
    assert status.pop("003.gguf") == "unknown"
    assert [*status.values()].count("passed") == 7
    assert report["summary"]["unknown"] == 1
    state = Table(str(tmp_path / "table"), root).read_state()
    assert state[f"{root}/0/003.gguf"].verdict.status == "unknown"


@pytest.mark.parametrize(
    ("only", "shown"),
    [
        ("changed", ["changed.gguf", "new.gguf", "new-bad.gguf"]),
        ("failed", ["bad.gguf", "new-bad.gguf"]),
        ("new", ["new.gguf", "new-bad.gguf"]),
    ],
)
@pytest.mark.parametrize("form", ["jsonl", "report", "table"])
def test_only_some_are_shown(
    run: Run, tmp_path: Path, form: str, only: str, shown: list[str]
) -> None:
    root = put_local(
        tmp_path / "root", {"bad.gguf": GGUF[:99], "changed.gguf": GGUF, "same.gguf": GGUF}
    )
    run()
    more = {"changed.gguf": gguf(version=2).data, "new.gguf": GGUF, "new-bad.gguf": GGUF[:99]}
    put_local(tmp_path / "root", more)
    text = run("--format", form, "--only", only)
    if form == "jsonl":
        found = [json.loads(line)["model_path"] for line in text.splitlines()]
    elif form == "report":
        report = json.loads(text)
        found = [one["url"] for one in report["artifacts"]]
        assert report["summary"]["artifacts"] == 5, "counts are those of all"
    else:
        found = [f"{root}/{line.split()[1]}" for line in text.split("\n\n")[0].splitlines()[1:]]
        assert text.endswith("5 artifacts: 3 passed, 2 failed, 0 unknown\n")
    assert sorted(found) == sorted(f"{root}/{name}" for name in shown)


def test_another_verdict_is_a_change(run: Run, tmp_path: Path) -> None:
    put_local(tmp_path / "root", {"a.gguf": GGUF})
    policy = tmp_path / "policy.yaml"
    policy.write_text("max_size_bytes: 1")
    run()
    assert run("--format", "jsonl", "--only", "changed") == ""
    text = run("--format", "jsonl", "--only", "changed", "--policy", str(policy))
    assert json.loads(text)["model_filename"] == "a.gguf"


def test_failed_ones_need_no_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = put_local(tmp_path, {"bad.gguf": GGUF[:99], "good.gguf": GGUF})
    for form in ("json", "report"):
        assert main(["scan", root, "--only", "failed", "--format", form]) == 1
        found = capsys.readouterr().out
        assert "bad.gguf" in found
        assert "good.gguf" not in found
    assert main(["scan", root, "--only", "new"]) == 2
    assert "--only new does nothing without --table" in capsys.readouterr().err


def test_a_summary_has_counts_drift_and_census(run: Run, tmp_path: Path) -> None:
    root = put_local(tmp_path / "root", {"a.gguf": GGUF, "b.gguf": GGUF[:99], "c.bin.txt": b"x"})
    run()
    os.unlink(f"{root}/a.gguf")
    lines = [" ".join(line.split()) for line in run("--format", "summary").splitlines()]
    assert lines == [
        root,
        "1 artifact 0 passed, 1 failed, 0 unknown",
        "since the scan before 1 removed, 1 unchanged",
        "read 0 B in 0 requests",
        "",
        "weights, examined 1 99 B",
        "other, named 1 1 B",
    ]


def test_a_terminal_gets_the_summary_of_a_table(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = put_local(tmp_path / "root", {"a.gguf": GGUF})
    assert json.loads(run())["model_filename"] == "a.gguf", "a pipe gets documents"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert run().splitlines()[0] == root
    assert json.loads(run("--format", "json"))["model_filename"] == "a.gguf"
