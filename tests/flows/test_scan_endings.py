"""What a flow run tells when it has ended: state, name, tags, log, and the progress meanwhile."""

import logging
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect import flow
from prefect.logging.handlers import APILogWorker

from prefect_mutagen.flows import AgentLaunch, ModelsRefused, run_agent, scan_models, scan_progress
from prefect_mutagen.flows.agent import AgentFailed
from prefect_mutagen.flows.run_labels import label_run
from prefect_mutagen.tasks import list_artifacts, scan_artifact, scan_batch, scanning
from tests.builders import gguf
from tests.scanner.storing import put_local
from tests.servers import PrefectServer

pytestmark = pytest.mark.server

GGUF = gguf().data
CUT = GGUF[:90]


class Api:
    """The server's record of runs, as the UI reads it."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def last_run(self, name: str) -> dict[str, Any]:
        body = {"sort": "START_TIME_DESC", "limit": 1, "flows": {"name": {"any_": [name]}}}
        return self._post("/flow_runs/filter", body)[0]

    def artifacts(self, run: dict[str, Any]) -> dict[str, Any]:
        body = {"artifacts": {"flow_run_id": {"any_": [run["id"]]}}}
        return {entry["type"]: entry for entry in self._post("/artifacts/filter", body)}

    def log(self, run: dict[str, Any], last: str) -> list[dict[str, Any]]:
        """Return what a run and its task runs said, once a line with such a text has come."""
        APILogWorker.instance().drain_all(timeout=30)
        body = {"logs": {"flow_run_id": {"any_": [run["id"]]}}, "sort": "TIMESTAMP_ASC"}
        deadline = time.monotonic() + 60
        while True:
            lines = self._post("/logs/filter", body)
            if any(last in line["message"] for line in lines) or time.monotonic() > deadline:
                return lines
            time.sleep(0.2)

    def _post(self, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._client.post(path, json=body).json()
        return found


@pytest.fixture
def api(prefect: PrefectServer) -> Iterator[Api]:
    with prefect.connect() as client:
        yield Api(client)


@pytest.fixture
def root(tmp_path: Path) -> str:
    return put_local(tmp_path / "root", {"a.gguf": GGUF, "b.gguf": GGUF, "c.gguf": CUT})


def test_a_run_tells_what_happened(root: str, tmp_path: Path, api: Api) -> None:
    table = str(tmp_path / "table")
    first: Any = scan_models(root, table=table, return_state=True)
    assert (first.name, first.message) == ("Refused", "1 of 3 refused: c.gguf: gguf/truncated")
    run = api.last_run("scan-models")
    assert run["name"].startswith(root[:10])
    assert run["name"].endswith("Z: 1 of 3 refused")
    assert len(run["name"]) <= 72
    assert run["tags"] == ["refused"]
    put_local(Path(root), {"a.gguf": CUT, "d.gguf": GGUF})
    os.unlink(f"{root}/b.gguf")
    second: Any = scan_models(root, table=table, return_state=True)
    reasons = "a.gguf: gguf/truncated; c.gguf: gguf/truncated"
    assert second.message == f"2 of 3 refused, 1 of them new: {reasons}"
    assert second.result().counts == {"passed": 1, "failed": 2, "unknown": 0}
    run = api.last_run("scan-models")
    assert run["name"].endswith("Z: 2 of 3 refused, 1 new")
    assert sorted(run["tags"]) == ["drift", "new-refusals", "refused"]
    lines = api.log(run, "Finished in state Refused")
    said = [line["message"] for line in lines]
    assert not [line for line in lines if line["task_run_id"] and "Finished" in line["message"]]
    (newly,) = (line for line in lines if line["message"].startswith("newly refused: "))
    assert newly["message"].startswith("newly refused: a.gguf: gguf/truncated, was passed, changed")
    assert newly["level"] == logging.WARNING
    assert "refused: c.gguf: gguf/truncated" in said
    assert "added: d.gguf" in said
    assert "removed: b.gguf, was passed" in said
    assert not [text for text in said if text.startswith("newly passed")]


def test_failing_is_asked_for(root: str, tmp_path: Path, api: Api) -> None:
    @flow(name="platform")
    def platform() -> None:
        scan_models(root, fail_on_refused=True)

    with pytest.raises(ModelsRefused, match=r"1 of 3 refused: c\.gguf: gguf/truncated") as caught:
        platform()
    assert caught.value.summary is not None
    assert caught.value.summary.counts == {"passed": 2, "failed": 1, "unknown": 0}
    run = api.last_run("scan-models")
    assert (run["state_type"], run["state_name"]) == ("FAILED", "Refused")
    assert run["state"]["message"] == str(caught.value)
    assert {"table", "markdown"} <= set(api.artifacts(run))
    # A second try of the run has the name of one.
    scan_models.with_options(retries=1)(root, fail_on_refused=True, return_state=True)
    run = api.last_run("scan-models")
    assert run["run_count"] == 2
    assert run["name"].count("1 of 3 refused") == 1
    os.unlink(f"{root}/c.gguf")
    passed: Any = scan_models(root, fail_on_refused=True, return_state=True)
    assert (passed.name, passed.message) == ("Passed", "all 2 passed")
    assert api.last_run("scan-models")["tags"] == []
    empty = put_local(tmp_path / "empty", {"x.txt": b""})
    nothing: Any = scan_models(empty, fail_on_refused=True, return_state=True)
    assert (nothing.name, nothing.message) == ("Empty", "nothing to judge")


def test_an_agent_that_answers_with_a_status_leaves_no_traceback(root: str, api: Api) -> None:
    command = [sys.executable, "-c", "print('unfit'); raise SystemExit(3)"]
    with pytest.raises(AgentFailed, match=r"^the command ended with status 3$"):
        run_agent(command, f"{root}/a.gguf")
    run = api.last_run("run-agent")
    assert run["name"] == f"{os.path.basename(sys.executable)} for a.gguf"
    assert (run["state_name"], run["state"]["message"]) == (
        "Failed",
        "the command ended with status 3",
    )
    said = "\n".join(line["message"] for line in api.log(run, "Finished in state"))
    assert "unfit" in said
    assert "Traceback" not in said
    assert "exception" not in said
    summary = scan_models(root, agents=[AgentLaunch(command=command)])
    assert {run.message for run in summary.agents} == {"the command ended with status 3"}


def test_tasks_of_other_flows_get_results_and_tell_what_they_found(root: str, api: Api) -> None:
    @flow(name="own")
    def own() -> list[Any]:
        artifacts = list_artifacts(root)
        direct = scan_batch(artifacts, root)
        renamed = scan_artifact.with_options(name="look")(artifacts[0], root)
        mapped: Any = scan_artifact.map(artifacts, source=root)
        state: Any = scan_batch(artifacts, root, return_state=True)
        assert state.message == "1 of 3 refused: c.gguf: gguf/truncated"
        assert state.name == "Refused"
        with pytest.raises(ValueError, match="stored in clear text"):
            scan_batch([], "https://127.0.0.1/m?sig=hunter2")
        return [direct, [renamed], mapped.result(), state.result()]

    found = own()
    assert [len(results) for results in found] == [3, 1, 3, 3]
    passed = [[result.passed for result in results] for results in found]
    assert passed == [[True, True, False], [True], [True, True, False], [True, True, False]]
    lines = api.log(api.last_run("own"), "Finished in state")
    assert not [line for line in lines if line["task_run_id"] and "Finished" in line["message"]]


def test_many_lines_become_a_count(root: str, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prefect_mutagen.flows.run_log._MODELS", 2)
    put_local(Path(root), {f"{number}.gguf": CUT for number in range(4)})
    scan_models(root)
    said = [line["message"] for line in api.log(api.last_run("scan-models"), "Finished in state")]
    assert len([text for text in said if text.startswith("refused: ")]) == 2
    assert "and 3 more models that are refused or different" in said


def test_progress_is_shown_and_complete_at_the_end(
    root: str, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan_progress, "UPDATE_SECONDS", 0.05)
    real: Any = scanning.examine_artifacts  # type: ignore[attr-defined]
    seen: list[str] = []
    show: Any = scan_progress.update_progress_artifact  # type: ignore[attr-defined]

    def update(identity: Any, percent: float, *, description: str) -> None:
        seen.append(description)
        show(identity, percent, description=description)

    def slow(*given: Any) -> Iterator[Any]:
        for result in real(*given):
            yield result
            deadline = time.monotonic() + 60
            while not any(" examined, " in text for text in seen) and time.monotonic() < deadline:
                time.sleep(0.02)

    monkeypatch.setattr(scan_progress, "update_progress_artifact", update)
    monkeypatch.setattr(scanning, "examine_artifacts", slow)
    scan_models(root)
    assert any(" of 3 examined, " in text and " a second" in text for text in seen)
    progress = api.artifacts(api.last_run("scan-models"))["progress"]
    assert float(progress["data"]) == 100
    assert progress["description"].startswith("3 of 3 examined in ")


def test_a_server_that_is_away_costs_a_warning(
    root: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, api: Api
) -> None:
    assert api
    label_run("outside of any run", [])  # does nothing

    def away(**_: Any) -> Any:
        raise httpx.ConnectError("no")

    monkeypatch.setattr("prefect_mutagen.flows.run_labels.get_client", away)
    state: Any = scan_models(root, return_state=True)
    assert state.name == "Refused"
    assert "the run is not named after its outcome" in caplog.text
