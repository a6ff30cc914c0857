"""The state, the label and the tags of a scan, without a server."""

from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.flows.scan_ending import ScanEnding
from prefect_mutagen.flows.summary import AgentsNotStarted, ModelsRefused, ScanSummary
from prefect_mutagen.tasks.agent_launch import AgentRun
from tests.builders import gguf
from tests.scan_views import scan_view
from tests.scanner.storing import put_local

GGUF = gguf().data
CUT = GGUF[:90]
NOTHING: dict[str, Any] = {
    **dict.fromkeys(("artifacts", "examined", "bytes_read", "requests"), 0),
    **{name: [] for name in ("passed", "failed", "unknown", "agents")},
    **{name: {} for name in ("counts", "drift")},
}
SUMMARY = ScanSummary(scan_id="", source="", **NOTHING)


def _ending(root: str, table: str = "", **rest: Any) -> ScanEnding:
    view = scan_view(root, table)
    return ScanEnding(source=root, summary=view.summary, highlights=view.highlights, **rest)


@pytest.fixture
def root(tmp_path: Path) -> str:
    return put_local(tmp_path / "root", {f"{n}.gguf": CUT if n < 5 else GGUF for n in range(9)})


def test_it_names_the_first_refused(root: str, tmp_path: Path) -> None:
    table = str(tmp_path / "table")
    first = ", ".join(f"{n}.gguf: gguf/truncated" for n in range(3)).replace(",", ";")
    ending = _ending(root, table)
    assert ending.message == f"5 of 9 refused: {first}; …"
    assert (ending.label, ending.tags) == ("5 of 9 refused", ["refused"])
    put_local(Path(root), {"8.gguf": CUT, "0.gguf": GGUF})
    ending = _ending(root, table)
    assert ending.message.startswith("5 of 9 refused, 1 of them new: 8.gguf: gguf/truncated; 1.g")
    assert ending.label == "5 of 9 refused, 1 new"
    assert ending.tags == ["refused", "new-refusals", "drift"]
    assert _ending(root, table).tags == ["refused"]
    put_local(Path(root), {f"{n}.gguf": GGUF for n in range(9)})
    ending = _ending(root, table)
    assert (ending.message, ending.tags) == ("all 9 passed", ["drift"])


def test_what_was_not_examined_and_not_started_is_said_first(root: str) -> None:
    ending = _ending(root, not_examined="2 artifacts were not examined", not_started="1 of 2 not")
    assert ending.message.startswith("2 artifacts were not examined; 1 of 2 not; 5 of 9 refused: ")
    assert ending.label == "5 of 9 refused, not all examined"


def test_agents_are_in_the_message(root: str) -> None:
    agents = [AgentRun(url="", agent="x", state=state) for state in ("failed", "completed")]
    assert _ending(root, agents=agents).message.endswith("; …; 1 of 2 agents failed")
    assert _ending(root, is_gate_closed=True).message.startswith(
        "5 of 9 refused, so no agent starts: 0.gguf: "
    )


def test_each_outcome_has_a_state(root: str, tmp_path: Path) -> None:
    good, empty = put_local(tmp_path / "good", {"a.gguf": GGUF}), tmp_path / "empty"
    empty.mkdir()
    lost = {"not_examined": "1 artifact was not examined"}
    for ending, name, may_fail in (
        (_ending(root), "Refused", True),
        (_ending(good), "Passed", False),
        (_ending(good, **lost), "Incomplete", True),
        (_ending(str(empty)), "Empty", False),
    ):
        state = ending.state(SUMMARY, fail_on_refused=False)
        assert (state.name, state.is_completed(), state.data) == (name, True, SUMMARY)
        state = ending.state(SUMMARY, fail_on_refused=True)
        assert (state.name, state.is_failed()) == (name, may_fail)
        if may_fail:
            assert isinstance(state.data, ModelsRefused)
            assert (str(state.data), state.data.summary) == (state.message, SUMMARY)
    state = _ending(good, not_started="1 of 1 agents could not start").state(
        SUMMARY, fail_on_refused=True
    )
    assert (state.name, state.is_failed()) == ("AgentsNotStarted", True)
    assert isinstance(state.data, AgentsNotStarted)
