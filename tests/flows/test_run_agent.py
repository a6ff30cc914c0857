import json
import sys
from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.flows import AgentLaunch, run_agent, scan_models
from prefect_mutagen.flows.agent import AgentFailed
from prefect_mutagen.flows.scan import AgentsNotStarted
from prefect_mutagen.scanner import ArtifactRejected, Policy, verify
from tests.builders import gguf
from tests.scanner.storing import put_local
from tests.servers import WebServer

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect")]
GGUF = gguf().data


@pytest.fixture
def model(tmp_path: Path) -> str:
    return put_local(tmp_path / "m", {"a.gguf": GGUF}) + "/a.gguf"


def _touch(tmp_path: Path) -> list[str]:
    return [sys.executable, "-c", f"open({str(tmp_path / 'ran')!r}, 'w')"]


def test_a_command_runs_for_what_passes(model: str, tmp_path: Path) -> None:
    done = run_agent(_touch(tmp_path), model, verify(model).pin)
    assert (done["status"], done["truncated"]) == (0, False)
    assert done["guarantee"] in {"kernel", "sweep", "group"}
    assert (tmp_path / "ran").exists()


def test_a_changed_object_starts_nothing(model: str, tmp_path: Path) -> None:
    pin = verify(model).pin
    Path(model).write_bytes(GGUF + b"x")
    with pytest.raises(ArtifactRejected, match="bytes differ from the pinned ones"):
        run_agent(_touch(tmp_path), model, pin)
    with pytest.raises(ArtifactRejected, match="no licence"):
        run_agent(_touch(tmp_path), model, policy=Policy(require_license=True))
    assert not (tmp_path / "ran").exists()


def test_a_size_is_no_pin(tmp_path: Path) -> None:
    put_local(tmp_path / "site", {"a.gguf": GGUF})
    with WebServer(tmp_path / "site", etags=False) as site:
        url = f"{site.url}/a.gguf"
        pin = verify(url).pin
        with pytest.raises(ArtifactRejected, match="serve them with ETag or Last-Modified"):
            run_agent(_touch(tmp_path), url, pin)
        assert not (tmp_path / "ran").exists()
        with pytest.raises(AgentsNotStarted, match="serve them with ETag or Last-Modified"):
            scan_models(f"{site.url}/", agents=[AgentLaunch(command=_touch(tmp_path))])
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("code", "limit", "message"),
    [
        ("raise SystemExit(7)", 60, "status 7"),
        ("import time; time.sleep(60)", 1, "within 1 seconds"),
    ],
)
def test_the_end_of_the_command_is_the_state_of_the_run(
    model: str, code: str, limit: int, message: str
) -> None:
    with pytest.raises(AgentFailed, match=message):
        run_agent([sys.executable, "-c", code], model, timeout_seconds=limit)


def test_an_address_with_secrets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="put the credentials into a storage block") as caught:
        run_agent(_touch(tmp_path), "https://127.0.0.1/a.gguf?sig=hunter2")
    assert "hunter2" not in str(caught.value)
    assert not (tmp_path / "ran").exists()


def test_it_gets_what_was_asked_for(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_TOKEN", "hunter2")
    code = (
        "import json, os, resource, sys\n"
        "given = json.load(open(os.environ['MUTAGEN_HANDOFF']))\n"
        "kept = [sys.stdin.read(), given['parameters'], os.environ['SOME_TOKEN'],\n"
        "        resource.getrlimit(resource.RLIMIT_AS)[0] >> 20]\n"
        f"json.dump(kept, open({str(tmp_path / 'kept')!r}, 'w'))"
    )
    run_agent(
        [sys.executable, "-c", code],
        model,
        parameters='{"task": "evaluate"}',
        memory_mb=4096,
        environment=["SOME_TOKEN"],
        stdin="empty",
    )
    assert json.loads((tmp_path / "kept").read_text()) == [
        "",
        {"task": "evaluate"},
        "hunter2",
        4096,
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"command": []}, "command is empty"),
        ({"parameters": "[]"}, "must be a JSON object"),
        ({"environment": ["NO_SUCH_VARIABLE"]}, "not set in the environment: NO_SUCH_VARIABLE"),
    ],
)
def test_what_makes_no_sense_starts_nothing(
    model: str, tmp_path: Path, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        run_agent(**({"command": _touch(tmp_path), "url": model} | arguments))
    assert not (tmp_path / "ran").exists()
