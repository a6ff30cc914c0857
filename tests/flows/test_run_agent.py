import sys
from pathlib import Path

import pytest

from prefect_mutagen.flows import run_agent
from prefect_mutagen.flows.agent import AgentFailed
from prefect_mutagen.scanner import ArtifactRejected, Policy, verify
from tests.builders import gguf
from tests.scanner.storing import put_local
from tests.servers import PrefectServer

pytestmark = pytest.mark.server
GGUF = gguf().data


@pytest.fixture
def model(tmp_path: Path) -> str:
    return put_local(tmp_path / "m", {"a.gguf": GGUF}) + "/a.gguf"


def _touch(tmp_path: Path) -> list[str]:
    return [sys.executable, "-c", f"open({str(tmp_path / 'ran')!r}, 'w')"]


def test_a_command_runs_for_what_passes(model: str, tmp_path: Path, prefect: PrefectServer) -> None:
    done = run_agent(_touch(tmp_path), model, verify(model).pin)
    assert done == {"status": 0, "truncated": False}
    assert (tmp_path / "ran").exists()
    assert prefect.process is not None


def test_a_changed_object_starts_nothing(
    model: str, tmp_path: Path, prefect: PrefectServer
) -> None:
    pin = verify(model).pin
    Path(model).write_bytes(GGUF + b"x")
    with pytest.raises(ArtifactRejected, match="pin differs"):
        run_agent(_touch(tmp_path), model, pin)
    with pytest.raises(ArtifactRejected, match="no licence"):
        run_agent(_touch(tmp_path), model, policy=Policy(require_license=True))
    assert not (tmp_path / "ran").exists()
    assert prefect.process is not None


@pytest.mark.parametrize(
    ("code", "limit", "message"),
    [
        ("raise SystemExit(7)", 60, "status 7"),
        ("import time; time.sleep(60)", 1, "within 1 seconds"),
    ],
)
def test_the_end_of_the_command_is_the_state_of_the_run(
    model: str, prefect: PrefectServer, code: str, limit: int, message: str
) -> None:
    with pytest.raises(AgentFailed, match=message):
        run_agent([sys.executable, "-c", code], model, timeout_seconds=limit)
    assert prefect.process is not None
