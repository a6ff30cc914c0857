import io
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.scanner import Policy, ScanResult, scan
from prefect_mutagen.scanner.examine.scan_info import new_scan
from prefect_mutagen.scanner.outputs import writer_of
from prefect_mutagen.scanner.outputs.options import OutputOptions
from prefect_mutagen.scanner.outputs.visible import short_count, short_size, visible
from prefect_mutagen.scanner.results import Summary
from prefect_mutagen.scanner.sbom.json_text import to_json
from tests.builders import F32, STRING, gguf
from tests.scanner.storing import put_local

GGUF = gguf().data
NASTY = "\x1b[31mred\x9b0m \u202etxt [/INST] `code` \n| a | \u2028 <b> {{7*7}} ---\n\x7f"


def _write(form: str, root: str, policy: Policy | None = None) -> str:
    out, summary = io.StringIO(), Summary()

    def counted() -> Any:
        for result in scan(root, policy=policy):
            summary.add(result)
            yield result

    scan_info = new_scan(root, policy or Policy())
    writer_of(form)(counted(), scan_info, summary, out, OutputOptions())
    return out.getvalue()


def test_json_is_an_object_a_list_or_empty(tmp_path: Path) -> None:
    assert json.loads(_write("json", str(tmp_path))) == []
    put_local(tmp_path, {"B.gguf": GGUF})
    assert json.loads(_write("json", str(tmp_path)))["model_filename"] == "B.gguf"
    put_local(tmp_path, {"a.gguf": GGUF, "c/d.gguf": GGUF})
    names = [document["model_filename"] for document in json.loads(_write("json", str(tmp_path)))]
    assert names == ["a.gguf", "B.gguf", "d.gguf"]


def test_jsonl_has_a_document_per_line_as_the_scan_goes(tmp_path: Path) -> None:
    put_local(tmp_path, {f"{number}.gguf": GGUF for number in range(3)})
    lines = _write("jsonl", str(tmp_path)).splitlines()
    assert [json.loads(line)["model_filename"] for line in lines] == ["0.gguf", "1.gguf", "2.gguf"]
    out = io.StringIO()
    taken = []

    def results() -> Any:
        for result in scan(str(tmp_path)):
            taken.append(len(out.getvalue().splitlines()))
            yield result

    info = new_scan(str(tmp_path), Policy())
    writer_of("jsonl")(results(), info, Summary(), out, OutputOptions())
    assert taken == [0, 1, 2]


def test_the_report_holds_what_tools_rely_on(tmp_path: Path) -> None:
    put_local(tmp_path, {"a.gguf": GGUF, "b.gguf": GGUF[:100]})
    report = json.loads(_write("report", str(tmp_path), Policy(max_size_bytes=10)))
    assert list(report) == ["scan", "artifacts", "summary"]
    assert list(report["scan"]) == ["id", "source", "started_at", "tool_version", "policy"]
    assert report["scan"]["policy"]["max_size_bytes"] == 10
    assert list(report["summary"]) == [
        *("artifacts", "objects", "passed", "failed", "unknown"),
        *("bytes_read", "requests", "finished_at", "census", "drift"),
    ]
    good, bad = report["artifacts"]
    assert list(good) == [
        *("url", "kind", "pin", "objects", "sbom", "license_spdx", "sources", "facts"),
        *(
            "completeness",
            "loads",
            "header_sha256",
            "sha256_source",
            "findings",
            "verdict",
            "drift",
        ),
        "drift_details",
    ]
    assert good["objects"] == [
        {"url": f"{tmp_path}/a.gguf", "size": len(GGUF), "pin": good["objects"][0]["pin"]}
    ]
    assert len(good["sbom"]) == 20
    assert good["license_spdx"] is None
    assert good["drift"] is None
    (finding,) = bad["findings"]
    assert list(finding) == [*("code", "severity", "offset", "field", "url", "message", "hint")]
    assert (finding["code"], finding["severity"]) == ("gguf/truncated", "error")
    assert bad["verdict"]["status"] == "failed"
    assert {reason["policy_field"] for reason in bad["verdict"]["reasons"]} == {
        "fail_on",
        "max_size_bytes",
    }


def test_the_table_has_a_line_per_artifact_and_the_reasons(tmp_path: Path) -> None:
    put_local(tmp_path, {"a.gguf": GGUF, "b.gguf": GGUF[:100]})
    text = _write("table", str(tmp_path))
    lines = text.splitlines()
    assert lines[0].split() == [
        *("verdict", "artifact", "architecture", "parameters", "quantization"),
        *("licence", "size", "worst", "finding"),
    ]
    assert lines[1].split()[:4] == ["passed", "a.gguf", "llama", "64"]
    assert lines[2].split()[-1] == "gguf/truncated"
    assert "ends at byte 100" in text
    assert lines[-1] == "2 artifacts: 1 passed, 1 failed, 0 unknown"
    empty = tmp_path / "empty"
    empty.mkdir()
    assert _write("table", str(empty)) == "No model files found.\n"


@pytest.mark.parametrize("form", ["json", "jsonl", "report", "table"])
def test_hostile_values_forge_nothing(tmp_path: Path, form: str) -> None:
    data = gguf(
        (
            ("general.architecture", STRING, NASTY),
            ("general.license", STRING, NASTY),
            (f"key {NASTY}"[:60], STRING, NASTY),
            ("nan", F32, float("nan")),
        ),
        ((NASTY[:40], (2,), 0), (NASTY[:40], (2,), 0)),
    ).data
    put_local(tmp_path, {"x.gguf": data})
    text = _write(form, str(tmp_path))
    odd = [letter for letter in text if not letter.isprintable() and letter != "\n"]
    assert odd == []
    if form == "table":
        assert sum(line.startswith("failed") for line in text.splitlines()) == 1
    else:
        document = json.loads(text)
        if form == "report":
            document = document["artifacts"][0]["sbom"]
        assert document["architecture"] == NASTY.strip()
        assert document["metadata"]["nan"] is None


def test_json_text_is_valid_everywhere() -> None:
    value = {"a": "\ud800", "b": "größe 模型", "c": "\u2028\x9b\x7f"}
    text = to_json(value)
    text.encode()
    assert "größe 模型" in text
    assert json.loads(text) == value | {"a": "\\ud800"}
    with pytest.raises(ValueError, match="JSON compliant"):
        to_json(float("inf"))


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (None, ""),
        (0, "0"),
        (999, "999"),
        (6720, "6.72K"),
        (8_030_000_000, "8.03B"),
        (10**13, "10T"),
    ],
)
def test_short_counts(number: int | None, text: str) -> None:
    assert short_count(number) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (1023, "1023 B"), (9568, "9.34 KiB"), (5 << 30, "5 GiB"), (3 << 40, "3 TiB")],
)
def test_short_sizes(size: int, text: str) -> None:
    assert short_size(size) == text


def test_visible_text_has_no_controls_and_an_end() -> None:
    assert visible("a\nb\x1b[0m") == "a\\nb\\x1b[0m"
    assert len(visible("x" * 1000, 50)) == 50


def test_a_result_is_complete_in_the_report(tmp_path: Path) -> None:
    put_local(tmp_path, {"a.gguf": GGUF})
    (result,) = scan(str(tmp_path))
    # Of one scan alone, or for the next one: totals of the first stand in the summary.
    left_out = {"bytes_read", "requests", "modified", "neighbours", "digests"}
    shown = json.loads(to_json(result.to_report())).keys()
    assert shown - {"completeness"} == {field.name for field in fields(ScanResult)} - left_out
