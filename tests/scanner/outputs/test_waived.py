"""What passed only by a waiver says so, in every output that has a verdict or findings."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.scanner import Policy, ScanResult, scan
from prefect_mutagen.scanner.commands.cli import main
from prefect_mutagen.scanner.examine.scan_info import new_scan
from prefect_mutagen.scanner.outputs import writer_of
from prefect_mutagen.scanner.outputs.options import OutputOptions
from prefect_mutagen.scanner.outputs.remarks import remarks, statements
from prefect_mutagen.scanner.policy.policy import Waiver
from prefect_mutagen.scanner.results import Summary
from tests.builders import gguf
from tests.dates import SOON
from tests.scanner.outputs.validating import read
from tests.scanner.outputs.writing import NASTY
from tests.scanner.storing import put_local

GGUF = gguf().data


def _policy(reason: str = "re: load", owner: str = "ana") -> Policy:
    codes = ("gguf/truncated", "policy/size")
    waivers = tuple(Waiver(code, "*", reason, owner, SOON) for code in codes)
    return Policy(max_size_bytes=10, waivers=waivers)


@pytest.fixture
def results(tmp_path: Path) -> list[ScanResult]:
    root = put_local(tmp_path / "root", {"a.gguf": GGUF[:100], "b.gguf": b"<html>"})
    return list(scan(root, policy=_policy()))


def _write(form: str, results: list[ScanResult]) -> str:
    out, summary = io.StringIO(), Summary()
    for result in results:
        summary.add(result)
    writer_of(form)(results, new_scan("/m", _policy()), summary, out, OutputOptions())
    return out.getvalue()


def test_a_remark_is_waived_or_is_not(results: list[ScanResult]) -> None:
    waived = {remark.code: remark.waived for remark in remarks(results[0])}
    assert waived == {
        "gguf/truncated": f"waived (re: load) until {SOON}, ana",
        "policy/size": f"until {SOON}, ana",
    }
    assert {remark.code: remark.waived for remark in remarks(results[1])} == {"gguf/web-page": ""}
    first, second = statements(results[0])
    assert first.startswith("error gguf/truncated: GGUF: ")
    assert first.endswith(f"[waived (re: load) until {SOON}, ana]")
    assert second.startswith("error policy/size: waived (re: load): ")
    assert second.endswith(f"[until {SOON}, ana]")


def test_the_table_says_it(results: list[ScanResult], tmp_path: Path) -> None:
    text = _write("table", results)
    (row,) = (line for line in text.splitlines() if line.startswith("passed"))
    assert row.rstrip().endswith("gguf/truncated (waived)")
    assert f"{tmp_path}/root/a.gguf: passed by a waiver\n" in text
    assert "  policy/size: waived (re: load): " in text
    assert f"    until {SOON}, ana\n" in text
    assert "2 artifacts: 1 passed (1 by a waiver), " in text


def test_sarif_calls_it_suppressed(results: list[ScanResult]) -> None:
    found = read("sarif", _write("sarif", results))["runs"][0]["results"]
    kinds = {
        entry["ruleId"]: [one["justification"] for one in entry.get("suppressions", ())]
        for entry in found
    }
    assert kinds["gguf/truncated"] == [f"waived (re: load) until {SOON}, ana"]
    assert kinds["gguf/web-page"] == []


@pytest.mark.parametrize("form", ["cyclonedx", "spdx3"])
def test_documents_say_it_in_their_annotations(results: list[ScanResult], form: str) -> None:
    read(form, text := _write(form, results[:1]))
    assert f"[waived (re: load) until {SOON}, ana]" in text


def test_the_model_card_says_it(results: list[ScanResult]) -> None:
    text = _write("model-card", results[:1])
    assert "Passed, under the policy of the scan.\n\nAccepted by a waiver of the policy:\n" in text
    assert "* policy/size: waived (re: load): " in text
    assert f"(until {SOON}, ana)" in text


@pytest.mark.parametrize("value", NASTY.values(), ids=NASTY)
def test_what_a_waiver_says_is_shown_and_obeyed_by_nobody(tmp_path: Path, value: str) -> None:
    root = put_local(tmp_path / "root", {"a.gguf": GGUF[:100]})
    text = f"x {value.strip()}"
    results = list(scan(root, policy=_policy(text, text)))
    assert results[0].passed
    table, card = _write("table", results), _write("model-card", results)
    for page in (table, card):
        assert "\x1b" not in page
        assert "\u202e" not in page
        assert "<script>" not in page or page is table
    assert len(table.splitlines()) == len(_write("table", _plain(root)).splitlines())
    assert len(card.splitlines()) == len(_write("model-card", _plain(root)).splitlines())
    for form in ("sarif", "cyclonedx", "spdx3"):
        read(form, _write(form, results))


def _plain(root: str) -> list[ScanResult]:
    return list(scan(root, policy=_policy("plain", "plain")))


def test_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = put_local(tmp_path / "root", {"a.gguf": GGUF[:100]})
    policy: dict[str, Any] = _policy().to_dict()
    (tmp_path / "p.json").write_text(json.dumps(policy))
    assert main(["scan", root, "--policy", str(tmp_path / "p.json"), "--format", "table"]) == 0
    assert "1 passed (1 by a waiver)" in capsys.readouterr().out
