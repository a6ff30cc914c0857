"""The page on a scan, in Markdown."""

import os
import re
from pathlib import Path

import pytest
import yaml
from markdown_it import MarkdownIt

from prefect_mutagen.scanner import Policy
from prefect_mutagen.scanner.policy.digest import policy_digest
from prefect_mutagen.scanner.policy.policy import Waiver
from prefect_mutagen.tasks.agent_launch import AgentRun
from prefect_mutagen.tasks.markdown import plain
from prefect_mutagen.tasks.scan_page import summary_markdown
from tests.builders import STRING, U32, gguf
from tests.dates import SOON
from tests.scan_views import scan_view
from tests.scanner.storing import put_local

GGUF = gguf().data
OTHER = gguf((("general.architecture", STRING, "mistral"),)).data
CUT = GGUF[:90]


def _sections(page: str) -> dict[str, str]:
    """The text of each section by its heading."""
    parts = re.split(r"^## (.*)\n", page, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_it_says_why_and_what_to_do(tmp_path: Path) -> None:
    root = put_local(tmp_path, {"a.gguf": GGUF, "b.gguf": b"<html>"})
    page = summary_markdown(scan_view(root))
    assert page.startswith("# 1 of 2 refused\n")
    assert "It has no table, so there is nothing to compare this scan with." in page
    sections = _sections(page)
    assert list(sections) == ["Refused (1)", "To allow one for a while", "About this scan", "More"]
    assert sections["Refused (1)"].startswith("\n* **b.gguf**: failed\n    * gguf/web-page: ")
    assert "Fetch the file again; check the address" in sections["Refused (1)"]
    assert f"    prefect-mutagen verify {root}/b.gguf\n" in sections["More"]
    assert "query" not in sections["More"]


def test_what_differs_stands_first_and_says_what_and_why(tmp_path: Path) -> None:
    files = {"a.gguf": GGUF, "b.gguf": CUT, "c.gguf": CUT, "d.gguf": GGUF, "e.gguf": GGUF}
    root, table = put_local(tmp_path / "root", files), str(tmp_path / "table")
    first = summary_markdown(scan_view(root, table))
    assert "It is the first of this root, so there is nothing to compare this scan with." in first
    put_local(Path(root), {"e.gguf": CUT, "c.gguf": GGUF, "d.gguf": OTHER, "f.gguf": GGUF})
    os.unlink(f"{root}/a.gguf")
    page = summary_markdown(scan_view(root, table))
    assert page.startswith("# 2 of 5 refused, 1 of them new\n")
    assert "| passed | failed | newly refused | newly passed | added | removed | changed |" in page
    assert "| 3 | 2 | 1 | 1 | 1 | 1 | 1 |" in page
    sections = _sections(page)
    assert list(sections) == [
        "Newly refused (1)",
        "Newly passed (1)",
        "Added (1)",
        "Removed (1)",
        "Changed, with the same outcome (1)",
        "Still refused (1)",
        "To allow one for a while",
        "About this scan",
        "More",
    ]
    entry = sections["Newly refused (1)"]
    size = f"size\\_bytes {len(GGUF)} → 90"
    assert entry.startswith(f"\n* **e.gguf**: failed, was passed; changed: {size}, ")
    assert "\n    * gguf/truncated: " in entry
    entry = sections["Newly passed (1)"]
    assert entry.startswith("\n* **c.gguf**: passed, was failed (gguf/truncated); changed: ")
    assert sections["Added (1)"] == f"\n* **f.gguf**: llama, F32, {len(GGUF)} B\n\n"
    assert sections["Removed (1)"] == "\n* **a.gguf**: was passed\n\n"
    changed = sections["Changed, with the same outcome (1)"]
    assert changed.startswith("\n* **d.gguf**: passed; architecture llama → mistral, ")
    assert f"query --table {table} \\\n" in sections["More"]
    page = summary_markdown(scan_view(root, table))
    assert "Nothing is different from the last scan." in page
    assert "## Still refused (2)" in page


def test_a_verdict_of_another_policy_says_that_the_bytes_are_the_same(tmp_path: Path) -> None:
    root, table = put_local(tmp_path / "root", {"a.gguf": GGUF}), str(tmp_path / "table")
    scan_view(root, table)
    policy = Policy(require_license=True, denied_licenses=("[x](http://y)",))
    page = summary_markdown(scan_view(root, table, policy))
    assert "was passed; the bytes are the same; the policy or the scanner changed" in page
    digest = policy_digest(policy)[:16]
    assert f"* policy: sha256\\:{digest}…, " in page
    assert "require\\_license\\: true" in page
    assert plain("[x](http://y)") in page


def test_what_was_not_examined_is_said_before_anything_else(tmp_path: Path) -> None:
    root = put_local(tmp_path, {"a.gguf": GGUF})
    page = summary_markdown(scan_view(root, not_examined="1 artifact was not examined"))
    assert page.startswith("# 1 passed\n\n**1 artifact was not examined.**\n")
    assert "Selected" not in page
    assert "* selected: only \\*.gguf\n" in summary_markdown(
        scan_view(root, selected="only *.gguf")
    )


def test_waivers_say_until_when_and_warnings_how_many(tmp_path: Path) -> None:
    odd = gguf((("general.file_type", U32, 7),)).data
    root = put_local(tmp_path, {"b.gguf": CUT, "c.gguf": b"x", "d.gguf": odd})
    waiver = Waiver("gguf/truncated", "*/b.gguf", "[kept](http://x)", "ana", SOON)
    sections = _sections(summary_markdown(scan_view(root, policy=Policy(waivers=(waiver,)))))
    section = sections["Passed by a waiver (1)"]
    assert section.startswith("\n* **b.gguf**\n    * gguf/truncated: waived (\\[kept")
    assert f"until {SOON}, ana" in section
    assert "| sbom/quantization-disagrees | 1 | d.gguf |" in sections["Passed with warnings (1)"]


def test_the_waivers_to_paste_are_of_what_is_refused(tmp_path: Path) -> None:
    hostile = "x\n```\n# [y](z) ü'\".gguf"
    root = put_local(tmp_path, {"a.gguf": GGUF, "b.gguf": CUT, hostile: CUT})
    section = _sections(summary_markdown(scan_view(root)))["To allow one for a while"]
    (block,) = [token for token in MarkdownIt("commonmark").parse(section) if token.type == "fence"]
    entries = yaml.safe_load(block.content)["waivers"]
    patterns = {f"{root}/b.gguf", f"{root}/{hostile}".replace("[", "[[]")}
    assert {entry["url"] for entry in entries} == patterns
    assert {entry["owner"] for entry in entries} == {None}
    assert "waive URL" not in section
    put_local(tmp_path, {f"{n}.gguf": CUT for n in range(30)})
    section = _sections(summary_markdown(scan_view(root)))["To allow one for a while"]
    assert section.count("- code:") == 20
    assert "These are those of the first 20" in section


def test_agents_that_need_a_person_stand_first_with_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = put_local(tmp_path, {"a.gguf": GGUF})
    url, run = f"{root}/a.gguf", "0f0e0d0c-0b0a-0908-0706-050403020100"
    agents = [
        AgentRun(url=url, agent="run [it](x)", state="completed", flow_run_id=run),
        AgentRun(url=url, agent="x", state="failed", message="status 3", flow_run_id=run),
        AgentRun(url=url, agent="x", state="waiting", message="over the limit"),
        AgentRun(url=url, agent="x", state="refused", message="no such deployment"),
    ]
    links = {"flow-run": f"http://127.0.0.1:4200/runs/flow-run/{run}"}
    monkeypatch.setattr(
        "prefect_mutagen.tasks.scan_page.url_for", lambda kind, obj_id: links[kind] if obj_id else 0
    )
    page = summary_markdown(scan_view(root, agents=agents))
    assert page.startswith("# 1 passed\n\n**1 agent could not start; see below.**\n")
    sections = _sections(page)
    assert list(sections)[:4] == [
        "Agents that could not start (1)",
        "Agents that failed (1)",
        "Agents that wait for the next scan (1)",
        "Agents that completed (1)",
    ]
    assert sections["Agents that failed (1)"] == (
        f"\n* [x]({links['flow-run']}) for a.gguf: status 3\n\n"
    )
    assert "* [run \\[it\\](x)](http" in sections["Agents that completed (1)"]
    assert (
        "\n* x for a.gguf: over the limit\n" in sections["Agents that wait for the next scan (1)"]
    )


def test_long_sections_are_cut(tmp_path: Path) -> None:
    root = put_local(tmp_path, {f"{number}.gguf": b"<html>" for number in range(60)})
    page = summary_markdown(scan_view(root))
    assert page.count("\n* **") == 50
    assert "\n* and 10 more\n" in page
    agents = [AgentRun(url=f"{root}/{n}", agent="x", state="waiting") for n in range(53)]
    page = summary_markdown(scan_view(root, agents=agents))
    assert "\n* and 3 more\n" in page


def test_hostile_names_mean_nothing(tmp_path: Path) -> None:
    name = "a`*[x](http:x)\n# b; rm -rf $(id) '.gguf"
    root, table = put_local(tmp_path / "root", {name: CUT}), str(tmp_path / "table")
    scan_view(root, table)
    put_local(Path(root), {name: GGUF, f"2{name}": CUT})
    page = summary_markdown(scan_view(root, table))
    assert not [line for line in page.splitlines() if line.startswith("# b")]
    outside = [line for line in page.splitlines() if not line.startswith("    prefect")]
    assert "[x](http" not in "\n".join(outside)
    (command,) = (line for line in page.splitlines() if "prefect-mutagen verify" in line)
    assert command.startswith("    prefect-mutagen verify '/")
    assert """$(id) '"'"'.gguf'""" in command
