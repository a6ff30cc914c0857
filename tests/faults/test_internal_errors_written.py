"""A bug of our own met while an artifact is written, recorded or shown: the others are complete."""

import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.scanner import Policy, ScanResult, scan
from prefect_mutagen.scanner.commands.cli import main
from prefect_mutagen.scanner.examine.examiner import Examiner
from prefect_mutagen.scanner.examine.scan_info import new_scan
from prefect_mutagen.scanner.outputs import FORMATS, sarif
from prefect_mutagen.scanner.policy import judge
from prefect_mutagen.scanner.results import Summary
from prefect_mutagen.scanner.table import drift, examined_rows, recording, spool
from prefect_mutagen.scanner.table.table import Table
from prefect_mutagen.tasks import scan_page, showing
from tests.builders import gguf
from tests.faults import planting
from tests.faults.planting import (
    ARTIFACTS,
    FILES,
    GGUF,
    MARK,
    SECRET,
    SPOILED,
    assert_one_is_unknown,
    fail_for,
)
from tests.packed_page import packed
from tests.scan_views import scan_view
from tests.scanner.storing import put_local

ONE_MODEL = ("hf-readme", "model-card")


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return put_local(tmp_path / "root", FILES)


def _count(form: str, text: str) -> int:
    """Count the artifacts that a document describes, those of a set as its files."""
    if form == "spdx":
        return len(re.findall(r"^Relationship: SPDXRef-DOCUMENT DESCRIBES", text, re.MULTILINE))
    if form == "table":
        return len(re.findall(r"^(?:passed|failed|unknown) ", text, re.MULTILINE))
    if form in ONE_MODEL:
        return len(re.findall("^# ", text, re.MULTILINE))
    if form == "jsonl":
        return len([json.loads(line) for line in text.splitlines()])
    if form == "html":
        return len(packed(text)["rows"])
    found: Any = json.loads(text)
    if form == "json":
        return len(found) if isinstance(found, list) else 1
    if form == "sarif":
        return len(found["runs"][0]["artifacts"])
    if form == "spdx3":
        return len([one for one in found["@graph"] if one.get("spdxId", "").endswith("/contains")])
    if form == "intoto":
        return len(found["subject"])
    return len(found[{"report": "artifacts", "cyclonedx": "components"}.get(form, "packages")])


@pytest.mark.parametrize("table", [False, True], ids=["", "table"])
@pytest.mark.parametrize("form", sorted({*FORMATS} - {"summary"}))
def test_writing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    form: str,
    table: bool,  # noqa: FBT001 - a column of the table
) -> None:
    files = {f"b/{SPOILED}": GGUF} if form in ONE_MODEL else FILES
    root = put_local(tmp_path / "root", files)
    words = ["scan", root, "--format", form, "--hash", "full"]
    words += ["--table", str(tmp_path / "table")] if table else []
    main(words)
    count = _count(form, capfd.readouterr().out)
    shutil.rmtree(tmp_path / "table", ignore_errors=True)
    monkeypatch.setattr(Examiner, "examine", planting.examine)
    output = tmp_path / "out"
    assert main([*words, "--output", str(output)]) == 1
    said = capfd.readouterr()
    text = output.read_text()
    if form == "intoto":
        count -= 1  # nothing is attested of what nobody has seen
    assert _count(form, text) == count
    told = json.dumps(packed(text)) if form == "html" else text
    if form != "intoto":
        assert told.count(MARK) >= 1
    assert not os.path.exists(f"{output}.partial")
    assert said.out == ""
    assert "scan/internal-error" in said.err
    assert re.search(r"(Runtime|Attribute)Error at prefect_mutagen\.[\w.]+:[\w.<>]+:\d+", said.err)
    assert SECRET not in said.err + text + told


def test_writing_what_fails_over_an_address(
    folder: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    main(["scan", folder, "--format", "sarif"])
    expected = _count("sarif", capfd.readouterr().out)
    os.rename(f"{folder}/b/{SPOILED}", f"{folder}/b/a {SPOILED}")
    fail_for(monkeypatch, sarif, "as_uri", lambda url: url if " " in url else "")
    assert main(["scan", folder, "--format", "sarif"]) == 1
    log = json.loads(capfd.readouterr().out)
    codes = [result["ruleId"] for result in log["runs"][0]["results"]]
    assert "scan/internal-error" in codes
    assert len(log["runs"][0]["artifacts"]) == expected - 1
    (met,) = [one for one in log["runs"][0]["results"] if one["ruleId"] == "scan/internal-error"]
    assert "20spoiled" in json.dumps(met["locations"])


@pytest.mark.parametrize(
    ("module", "name"),
    [(examined_rows, "to_row"), (examined_rows, "sbom_rows"), (drift, "compare")],
    ids=["row", "documents", "drift"],
)
def test_recording(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: Any, name: str
) -> None:
    table = str(tmp_path / "table")
    words = ["scan", folder, "--table", table, "--format", "report", "--rescan", "all"]
    first = tmp_path / "first.json"
    assert main([*words, "--output", str(first)]) == 1
    before = Table(table, folder).read_state()
    calls: list[str] = []
    original = getattr(module, name)

    def planted(*given: Any) -> Any:
        result = given[-1] if name == "compare" else given[0]
        if result.url.endswith(SPOILED) and not calls:
            calls.append(result.url)
            raise RuntimeError(SECRET)
        return original(*given)

    monkeypatch.setattr(module, name, planted)
    put_local(Path(folder), {f"b/{SPOILED}": gguf(version=2).data})
    second = tmp_path / "second.json"
    assert main([*words, "--output", str(second)]) == 1
    assert calls
    after = Table(table, folder).read_state()
    assert after.keys() == before.keys()
    for url, result in after.items():
        expected = "unknown" if url.endswith(SPOILED) else before[url].verdict.status
        assert result.verdict.status == expected
    report = json.loads(second.read_text())
    assert report["summary"]["artifacts"] == ARTIFACTS
    assert report["summary"]["unknown"] == 1
    monkeypatch.undo()
    assert main([*words, "--output", str(second)]) == 1
    assert json.loads(second.read_text())["summary"]["unknown"] == 0


def test_recording_what_no_column_holds(folder: str, tmp_path: Path) -> None:
    table, info, summary = Table(str(tmp_path / "t"), folder), new_scan(folder, Policy()), Summary()
    results = list(scan(folder))
    with recording.Recording(info) as recorded:
        for result in results:
            odd: Any = result
            if result.url.endswith(SPOILED):
                odd = replace(odd, license_spdx=7)
            summary.add(recorded.add(odd))
        recorded.close(summary)
        table.publish(recorded.prepare(summary))
        assert list(recorded.internal_errors())
    assert (summary.artifacts, summary.unknown) == (ARTIFACTS, 1)
    assert_one_is_unknown(list(table.read_state().values()), results)


def test_recording_in_batches(folder: str, tmp_path: Path) -> None:
    results, info, summary = list(scan(folder)), new_scan(folder, Policy()), Summary()
    spoiled = [planting.spoil(one) if one.url.endswith(SPOILED) else one for one in results]
    with recording.Recording(info) as recorded:
        recorded.adopt(spool.spool_results(spoiled, info, str(tmp_path / "batch")), summary)
        recorded.close(summary)
        assert_one_is_unknown(list(recorded.results()), results)
    assert (summary.artifacts, summary.unknown) == (ARTIFACTS, 1)


def test_judging_again(folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = str(tmp_path / "table")
    policy = tmp_path / "policy.yaml"
    policy.write_text("max_size_bytes: 1000000")
    main(["scan", folder, "--table", table])
    before = list(Table(table, folder).read_state().values())
    fail_for(monkeypatch, judge, "_from_fields", lambda subject, *_: subject.url)
    assert main(["scan", folder, "--table", table, "--policy", str(policy)]) == 1
    assert_one_is_unknown(list(Table(table, folder).read_state().values()), before)


@pytest.mark.parametrize(("module", "name"), [(showing, "_row"), (scan_page, "_refused")])
def test_showing(folder: str, monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> None:
    view = scan_view(folder, policy=Policy(max_size_bytes=1))
    shown: dict[str, Any] = {}
    monkeypatch.setattr(showing, "create_table_artifact", lambda **given: shown.update(given))
    monkeypatch.setattr(showing, "create_markdown_artifact", lambda **given: shown.update(given))
    original = getattr(module, name)

    def planted(*given: Any, **more: Any) -> Any:
        (result,) = (one for one in given if isinstance(one, ScanResult))
        if result.url.endswith(SPOILED) and result.pin:
            raise RuntimeError(SECRET)
        return original(*given, **more)

    monkeypatch.setattr(module, name, planted)
    showing.show_scan(view)
    assert len(shown["table"]) == ARTIFACTS
    assert shown["markdown"].count("\n* **") == ARTIFACTS
    met = [row for row in shown["table"] if row["reason"] == "scan/internal-error"]
    assert len(met) == (name == "_row")
    assert (MARK in shown["markdown"]) == (name == "_refused")
