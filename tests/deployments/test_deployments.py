"""deployments/prefect.yaml for real: deploy, a process worker, a run started as the UI does."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.builders import gguf
from tests.scanner.storing import put_local
from tests.servers import PrefectServer

pytestmark = [pytest.mark.server, pytest.mark.slow]
ROOT = Path(__file__).parent.parent.parent
GGUF = gguf().data
AGENT_MODULE = """
from pathlib import Path
from prefect import flow

@flow(name="eval-agent")
def evaluate(url: str, pin: str, folder: str = ""):
    Path(folder, "ran").write_text(url + " " + pin)
"""


class Client:
    """The REST API of a server with a deployed project and a worker."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def deployment(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self._client.get(f"/deployments/name/{name}").json()
        return found

    def start(self, name: str, parameters: dict[str, Any]) -> httpx.Response:
        body = {"parameters": parameters, "state": {"type": "SCHEDULED"}}
        identity = self.deployment(name)["id"]
        return self._client.post(f"/deployments/{identity}/create_flow_run", json=body)

    def finish(self, identity: str, patience: float = 150) -> dict[str, Any]:
        deadline = time.monotonic() + patience
        while True:
            run: dict[str, Any] = self._client.get(f"/flow_runs/{identity}").json()
            final = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
            if run["state_type"] in final or time.monotonic() > deadline:
                return run
            time.sleep(0.5)

    def runs_of(self, flow: str) -> list[dict[str, Any]]:
        body = {"flows": {"name": {"any_": [flow]}}}
        found: list[dict[str, Any]] = self._client.post("/flow_runs/filter", json=body).json()
        return found


def _prefect(server: PrefectServer, *words: str, cwd: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "prefect", *words],
        cwd=cwd,
        env=os.environ | {"PREFECT_API_URL": server.api},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def client(
    prefect_server: PrefectServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("deployments")
    shutil.copy(ROOT / "deployments/prefect.yaml", folder)
    agents = tmp_path_factory.mktemp("agents")  # somebody else's project
    (agents / "eval_agent.py").write_text(AGENT_MODULE)
    _prefect(prefect_server, "work-pool", "create", "models", "--type", "process", cwd=folder)
    _prefect(prefect_server, "--no-prompt", "deploy", "--all", cwd=folder)
    agent = ["--no-prompt", "deploy", "eval_agent.py:evaluate", "-n", "eval", "-p", "models"]
    _prefect(prefect_server, *agent, cwd=agents)
    worker = subprocess.Popen(
        [sys.executable, "-m", "prefect", "worker", "start", "--pool", "models"],
        env=os.environ | {"PREFECT_API_URL": prefect_server.api},
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with httpx.Client(base_url=prefect_server.api, timeout=30) as http:
        yield Client(http)
    worker.terminate()
    try:
        worker.wait(30)
    except subprocess.TimeoutExpired:
        worker.kill()
        worker.wait()


def test_a_run_started_as_the_ui_does(client: Client, tmp_path: Path) -> None:
    root = put_local(tmp_path / "root", {"a.gguf": GGUF, "cut.gguf": GGUF[:100]})
    (tmp_path / "out").mkdir()
    started = client.start(
        "scan-models/on-demand-scan",
        {
            "source": root,
            "storage": "",
            "table": str(tmp_path / "table"),
            "policy": {"max_size_bytes": 10_000},
            "agents": [
                {"deployment": "eval-agent/eval", "parameters": f'{{"folder": "{tmp_path}/out"}}'}
            ],
        },
    )
    assert started.status_code == 201, started.text
    run = client.finish(started.json()["id"])
    assert run["state_type"] == "COMPLETED", run["state"]
    (agent,) = client.runs_of("eval-agent")
    ended = client.finish(agent["id"])
    assert ended["state_type"] == "COMPLETED", ended["state"]["message"]
    url, pin = (tmp_path / "out/ran").read_text().split()
    assert url == f"{root}/a.gguf"
    assert pin.startswith("sha256:")
    assert agent["parameters"] == {"url": url, "pin": pin, "folder": f"{tmp_path}/out"}
    assert agent["idempotency_key"]


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"max_task_runs": 0}, "less than the minimum of 1"),
        ({"policy": {"denied_license": []}}, "'denied_license' was unexpected"),
        ({"gate": "some"}, "is not one of"),
    ],
)
def test_the_server_refuses_a_wrong_form(
    client: Client, parameters: dict[str, Any], sentence: str
) -> None:
    refused = client.start("scan-models/on-demand-scan", {"source": "/x"} | parameters)
    assert refused.status_code == 409
    assert sentence in refused.text


def test_the_schedule_and_the_form(client: Client) -> None:
    scheduled = client.deployment("scan-models/scheduled-scan")
    assert [entry["schedule"]["cron"] for entry in scheduled["schedules"]] == ["0 * * * *"]
    assert scheduled["entrypoint"] == "prefect_mutagen.flows.scan.scan_models"
    form = scheduled["parameter_openapi_schema"]
    for name, field in form["properties"].items():
        assert field.get("description"), name
        assert "anyOf" not in field, name
        assert name == "source" or "default" in field, name
    assert form["required"] == ["source"]
