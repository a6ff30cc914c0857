from pathlib import Path

import pytest

from prefect_mutagen.scanner import Policy, scan
from prefect_mutagen.scanner.examine.scan_info import new_scan
from prefect_mutagen.scanner.policy.policy import Waiver
from prefect_mutagen.scanner.results import Summary
from prefect_mutagen.tasks.agent_launch import AgentRun
from prefect_mutagen.tasks.showing import _rank, _row, artifact_key, plain, summary_markdown
from tests.builders import gguf
from tests.dates import SOON
from tests.scanner.storing import put_local


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("blk.0_q.weight", "blk.0\\_q.weight"),
        ("**b** `c`", "\\*\\*b\\*\\* \\`c\\`"),
        ("[x](javascript:1)", "\\[x\\](javascript\\:1)"),
        ("<img src=x onerror=1>&", "&lt;img src=x onerror=1&gt;&amp;"),
        ("| a |\n# b", "\\| a \\|\\\\n\\# b"),
        ("www.evil.example a@b", "www\u2060.evil.example a\\@\u2060b"),
        ("HTTPS://evil.example", "HTTP\u2060S\\://evil.example"),
        ("http://a s3://b", "http\u2060\\://a s3\\://b"),
        ("\u2060", "\\\\u2060"),
    ],
)
def test_values_mean_nothing_in_markdown(value: str, shown: str) -> None:
    assert plain(value) == shown


def test_each_root_has_artifacts_of_its_own() -> None:
    keys = {artifact_key("summary", url) for url in ("s3://b/Models", "s3://b/models", "/größe/")}
    assert len(keys) == 3
    for key in keys:
        assert key.strip("-") == key
        assert set(key) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


def test_the_summary_says_why_and_what_to_do(tmp_path: Path) -> None:
    root = put_local(tmp_path, {"a.gguf": gguf().data, "b.gguf": b"<html>"})
    results = list(scan(root))
    summary = Summary()
    for result in results:
        summary.add(result)
    agents = [AgentRun(url=results[0].url, agent="x", state="failed", message="status 3")]
    text = summary_markdown(new_scan(root, Policy()), summary, results, agents)
    assert text.startswith("# 1 of 2 passed\n")
    assert "Selected" not in text
    scan_info = new_scan(root, Policy())
    part = summary_markdown(scan_info, summary, results, agents, "only *.gguf")
    head = f"Root: {plain(root)}\n"
    assert part == text.replace(head, f"{head}\nSelected: only \\*.gguf\n")
    assert "gguf/web-page" in text
    assert "Fetch the file again; check the address" in text
    assert "failed: status 3" in text


def test_what_passed_by_a_waiver_is_shown_before_what_just_passed(tmp_path: Path) -> None:
    root = put_local(tmp_path, {"a.gguf": gguf().data, "b.gguf": gguf().data[:90], "c.gguf": b"x"})
    waiver = Waiver("gguf/truncated", "*/b.gguf", "[kept](http://x)", "ana", SOON)
    results = list(scan(root, policy=Policy(waivers=(waiver,))))
    rows = [_row(result, root) for result in sorted(results, key=_rank)]
    assert [(row["artifact"], row["verdict"]) for row in rows] == [
        ("c.gguf", "failed"),
        ("b.gguf", "passed"),
        ("a.gguf", "passed"),
    ]
    assert rows[1]["reason"] == "gguf/truncated (waived)"
    assert rows[1]["in full"].endswith(f"(until {SOON}, ana)")
    assert rows[2]["reason"] == rows[2]["in full"] == ""
    text = summary_markdown(new_scan(root, Policy()), Summary(), results, [])
    _, section = text.split("## Passed by a waiver\n\n")
    assert section.startswith(
        f"* **{plain(results[1].url)}**\n    * gguf/truncated: waived (\\[kept"
    )
    assert f"until {SOON}, ana" in section
    assert "c.gguf" not in section


def test_a_long_list_of_waivers_is_cut(tmp_path: Path) -> None:
    files = {f"{number}.gguf": gguf().data[:90] for number in range(55)}
    waiver = Waiver("gguf/truncated", "*", "r", "ana", SOON)
    results = list(scan(put_local(tmp_path, files), policy=Policy(waivers=(waiver,))))
    text = summary_markdown(new_scan("/m", Policy()), Summary(), results, [])
    assert text.endswith("* and 5 more\n")
    assert "Not passed" not in text


def test_a_long_summary_is_cut(tmp_path: Path) -> None:
    root = put_local(tmp_path, {f"{number}.gguf": b"<html>" for number in range(60)})
    results = list(scan(root))
    text = summary_markdown(new_scan(root, Policy()), Summary(), results, [])
    assert "and 10 more" in text
