"""Several roots in one run: each by its own settings, and one bad root stops no other."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from prefect_mutagen.flows import AgentLaunch, ModelsRefused, RootsNotScanned, scan_models
from prefect_mutagen.flows.blocks import ModelRoot
from prefect_mutagen.tasks.scan_selection import ScanSelection
from tests.builders import gguf
from tests.scanner.storing import put_local
from tests.servers import PrefectServer

pytestmark = pytest.mark.server
GGUF = gguf().data
CUT = GGUF[:90]


@pytest.fixture
def http(prefect: PrefectServer) -> Iterator[httpx.Client]:
    with prefect.connect() as client:
        yield client


def _run(http: httpx.Client, state: Any) -> dict[str, Any]:
    run: dict[str, Any] = http.get(f"/flow_runs/{state.state_details.flow_run_id}").json()
    return run


def _children(http: httpx.Client, run: dict[str, Any]) -> list[dict[str, Any]]:
    body = {"sort": "START_TIME_ASC", "flow_runs": {"parent_flow_run_id": {"any_": [run["id"]]}}}
    found: list[dict[str, Any]] = http.post("/flow_runs/filter", json=body).json()
    return found


def test_each_root_is_scanned_by_its_own_settings(http: httpx.Client, tmp_path: Path) -> None:
    first = put_local(tmp_path / "a", {"a.gguf": GGUF, "b.gguf": CUT})
    second = put_local(tmp_path / "b", {"c.gguf": GGUF, "skip.gguf": CUT})
    select = ScanSelection(exclude=["skip.gguf"])
    ModelRoot(address=second, select=select).save("second", overwrite=True)
    started = tmp_path / "started"
    agent = AgentLaunch(command=["sh", "-c", f'echo "$MUTAGEN_URL" >> {started}'])
    table = str(tmp_path / "table")
    state: Any = scan_models(
        first,
        more_sources=["model-root/second"],
        table=table,
        agents=[agent],
        return_state=True,
    )
    summary = state.result()
    assert state.name == "Refused"
    assert state.message.startswith(f"1 of 3 refused; {first}: 1 of 2 refused: b.gguf")
    assert "model-root/second: 1 passed" in state.message
    assert (summary.artifacts, summary.counts["failed"]) == (3, 1)
    assert [one.source for one in summary.roots] == [first, second]
    assert [one.artifacts for one in summary.roots] == [2, 1]
    assert sorted(started.read_text().split()) == [f"{first}/a.gguf", f"{second}/c.gguf"]
    assert len(summary.agents) == 2
    run = _run(http, state)
    assert " and 1 more " in run["name"]
    assert run["name"].endswith(": 1 of 3 refused")
    assert set(run["tags"]) == {"refused"}
    assert [child["state_name"] for child in _children(http, run)] == ["Refused", "Passed"]


def test_one_bad_root_does_not_stop_the_others(http: httpx.Client, tmp_path: Path) -> None:
    root = put_local(tmp_path / "a", {"a.gguf": GGUF})
    gone = str(tmp_path / "gone")
    state: Any = scan_models(gone, more_sources=[root], return_state=True)
    assert state.is_failed()
    assert state.name == "RootsNotScanned"
    assert state.message.startswith(f"1 passed, 1 of 2 roots not scanned; {gone}: ")
    with pytest.raises(RootsNotScanned, match="1 of 2 roots not scanned") as caught:
        state.result()
    assert caught.value.summary is not None
    assert caught.value.summary.passed == [f"{root}/a.gguf"]
    run = _run(http, state)
    assert run["name"].endswith("1 of 2 roots not scanned")
    assert [child["state_type"] for child in _children(http, run)] == ["FAILED", "COMPLETED"]
    body = {"artifacts": {"flow_run_id": {"any_": [run["id"]]}}}
    found = http.post("/artifacts/filter", json=body).json()
    (page,) = [one for one in found if (one["key"] or "").startswith("roots-")]
    assert page["data"].count("/runs/flow-run/") == 2


def test_refused_models_of_any_root_fail_the_run_that_asks_for_it(tmp_path: Path) -> None:
    good = put_local(tmp_path / "a", {"a.gguf": GGUF})
    bad = put_local(tmp_path / "b", {"b.gguf": CUT})
    with pytest.raises(ModelsRefused, match="1 of 2 refused") as caught:
        scan_models(good, more_sources=[bad], fail_on_refused=True)
    assert caught.value.summary is not None
    assert caught.value.summary.counts["passed"] == 1


@pytest.mark.usefixtures("prefect")
def test_a_root_is_named_once(tmp_path: Path) -> None:
    root = put_local(tmp_path, {"a.gguf": GGUF})
    with pytest.raises(ValueError, match="is to be scanned twice"):
        scan_models(root, more_sources=[root])


@pytest.mark.usefixtures("prefect")
def test_nothing_anywhere_is_told(tmp_path: Path) -> None:
    empty = [put_local(tmp_path / name, {"readme.txt": b"x"}) for name in "ab"]
    state: Any = scan_models(empty[0], more_sources=empty[1:], return_state=True)
    assert state.name == "Empty"
    assert state.result().roots[1].source == empty[1]
