"""The page on how an agent ended: what it wrote is shown, and nothing in it is obeyed."""

from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from prefect_mutagen.scanner import ScanResult, verify
from prefect_mutagen.scanner.agents.supervise import Outcome
from prefect_mutagen.tasks.agent_result import agent_markdown
from tests.builders import gguf
from tests.scanner.storing import put_local


@pytest.fixture
def result(tmp_path: Path) -> ScanResult:
    return verify(put_local(tmp_path / "m", {"a*b*.gguf": gguf().data}) + "/a*b*.gguf")


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (Outcome(0, "kernel"), ["status 0", "the kernel ended their PID namespace", "passed"]),
        (Outcome(3, "sweep"), ["status 3", "all descendants found were ended"]),
        (Outcome(124, "kernel", timed_out=True), ["its time limit"]),
        (Outcome(137, "group"), ["ended by signal 9", "process group"]),
        (Outcome(0, "kernel", truncated=True), ["more than a megabyte"]),
    ],
    ids=["completed", "failed", "time limit", "signal", "truncated"],
)
def test_the_page_says_how_it_ended(result: ScanResult, outcome: Outcome, said: list[str]) -> None:
    page = agent_markdown(result, "/bin/agent", outcome, [])
    for words in said:
        assert words in page
    assert "It wrote nothing." in page
    assert "a\\*b\\*.gguf" in page


def test_what_it_wrote_is_code_and_nothing_else(result: ScanResult) -> None:
    hostile = [
        "</code></pre><script>alert(1)</script>",
        "```",
        "# heading",
        "[link](javascript:alert(1))",
        "",
        "\x1b[31m\u202ered",
        "x" * 10_000,
    ]
    page = agent_markdown(result, "<b>agent</b>", Outcome(1, "kernel"), hostile)
    shown = MarkdownIt("commonmark").render(page)
    assert "<script" not in shown
    assert "<b>" not in shown
    assert "<a " not in shown
    assert shown.count("<h1>") == 1
    assert shown.count("<pre>") == 1
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert max(map(len, page.splitlines())) < 1100
