"""Addresses that name nothing end a flow run as failed, and start nothing."""

import sys
from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.flows import AgentLaunch, run_agent, scan_models
from prefect_mutagen.scanner import ArtifactRejected, StorageError
from prefect_mutagen.tasks.listing import list_artifacts
from prefect_mutagen.tasks.scan_selection import ScanSelection
from tests.builders import gguf
from tests.scanner.storing import put_local
from tests.servers import PrefectServer

pytestmark = pytest.mark.server


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder with a model, as the working folder."""
    root = put_local(tmp_path / "root", {"a.gguf": gguf().data})
    monkeypatch.chdir(root)
    return root


def _touch(tmp_path: Path) -> list[str]:
    return [sys.executable, "-c", f"open({str(tmp_path / 'ran')!r}, 'w')"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"source": ""}, "the address is empty"),
        ({"source": " "}, "the address is empty"),
        ({"source": "s3://"}, "the address names no bucket"),
        ({"source": "nowhere"}, "there is no such file or folder"),
        ({"table": " "}, "the address is empty"),
        ({"table": "s3://"}, "the address names no bucket"),
        ({"select": ScanSelection(inventory="s3://")}, "the address names no bucket"),
        ({"select": ScanSelection(include=["*.safetensor"])}, "no model fits the patterns"),
    ],
    ids=str,
)
def test_the_scan_fails(
    root: str, tmp_path: Path, prefect: PrefectServer, given: dict[str, Any], message: str
) -> None:
    assert prefect.process is not None
    agents = [AgentLaunch(command=_touch(tmp_path))]
    parameters: dict[str, Any] = {"source": root, "agents": agents} | given
    state = scan_models(**parameters, return_state=True)
    assert state.is_failed()
    assert message in str(state.message)
    with pytest.raises(StorageError):
        state.result()
    assert not (tmp_path / "ran").exists()


def test_an_empty_folder_is_no_failure(tmp_path: Path, prefect: PrefectServer) -> None:
    assert prefect.process is not None
    summary = scan_models(str(tmp_path))
    assert (summary.artifacts, summary.agents) == (0, [])


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"url": ""}, StorageError),
        ({"url": "\t"}, StorageError),
        ({"url": "nowhere.gguf"}, StorageError),
        ({"url": "../empty"}, ArtifactRejected),
        ({"pin": " "}, ValueError),
    ],
    ids=str,
)
def test_the_agent_does_not_start(
    root: str,
    tmp_path: Path,
    prefect: PrefectServer,
    given: dict[str, str],
    kind: type[Exception],
) -> None:
    assert prefect.process is not None
    (tmp_path / "empty").mkdir()
    parameters: dict[str, Any] = {"url": f"{root}/a.gguf"} | given
    with pytest.raises(kind):
        run_agent(_touch(tmp_path), **parameters)
    assert not (tmp_path / "ran").exists()


def test_a_task_lists_no_blank_address(root: str) -> None:
    assert len(list_artifacts.fn(root)) == 1
    with pytest.raises(StorageError, match="the address is empty"):
        list_artifacts.fn("")
