"""deployments/prefect.yaml for real: deploy, a process worker, a run started as the UI does."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.scanner.commands.cli import main
from tests.builders import gguf
from tests.deployments.deployed import Client, Worker, run_prefect
from tests.scanner.storing import put_local
from tests.servers import PrefectServer

pytestmark = [pytest.mark.server, pytest.mark.slow]
ROOT = Path(__file__).parent.parent.parent
GGUF = gguf().data
SCANS = ("scan-models/scheduled-scan", "scan-models/on-demand-scan")
AGENT_MODULE = """
from pathlib import Path
from prefect import flow

@flow(name="eval-agent")
def evaluate(url: str, pin: str, folder: str = ""):
    Path(folder, "ran").write_text(url + " " + pin)
"""


@pytest.fixture(scope="module")
def client(
    prefect_server: PrefectServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("deployments")
    shutil.copy(ROOT / "deployments/prefect.yaml", folder)
    agents = tmp_path_factory.mktemp("agents")  # somebody else's project
    (agents / "eval_agent.py").write_text(AGENT_MODULE)
    run_prefect(prefect_server, "work-pool", "create", "models", "--type", "process", cwd=folder)
    run_prefect(prefect_server, "--no-prompt", "deploy", "--all", cwd=folder)
    agent = ["--no-prompt", "deploy", "eval_agent.py:evaluate", "-n", "eval", "-p", "models"]
    run_prefect(prefect_server, *agent, cwd=agents)
    with (
        Worker(prefect_server, folder),
        prefect_server.connect() as http,
    ):
        yield Client(http)


def test_a_run_started_as_the_ui_does(client: Client, tmp_path: Path) -> None:
    root = put_local(tmp_path / "root", {"a.gguf": GGUF, "cut.gguf": GGUF[:100]})
    (tmp_path / "out").mkdir()
    started = client.start(
        "scan-models/on-demand-scan",
        {
            "source": root,
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
        ({"max_task_runs": -1}, "less than the minimum of 0"),
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


def test_a_form_that_is_filled_in_no_further_than_it_must_be(
    client: Client, tmp_path: Path
) -> None:
    """The form leaves an emptied text out, and the server puts the deployment's value back."""
    root = put_local(tmp_path / "root", {"a.gguf": GGUF})
    runs = [client.start(name, {"source": root}) for name in SCANS]
    for run in [client.finish(started.json()["id"]) for started in runs]:
        assert run["parameters"].keys() <= {"source", "rescan"}
        assert run["state_type"] == "COMPLETED", run["state"]


@pytest.mark.parametrize("name", [*SCANS, "run-agent/agent"])
def test_nothing_is_set_that_a_form_cannot_empty(client: Client, name: str) -> None:
    found = client.deployment(name)
    form = found["parameter_openapi_schema"]["properties"]
    for parameter in found["parameters"]:
        field = form[parameter]
        kept = field.get("type") in ("boolean", "integer") or "enum" in field
        assert kept, f"{parameter} can be emptied in the form, and comes back"


def test_the_schedule_is_paused_until_a_deployment_with_a_source(
    client: Client, prefect_server: PrefectServer, tmp_path: Path
) -> None:
    name = "scan-models/scheduled-scan"
    assert [entry["active"] for entry in client.deployment(name)["schedules"]] == [False]
    assert main(["deployments", str(tmp_path), "--source", str(tmp_path / "root")]) == 0
    run_prefect(prefect_server, "--no-prompt", "deploy", "--all", cwd=tmp_path)
    (schedule,) = client.deployment(name)["schedules"]
    assert schedule["active"]
    assert schedule["schedule"]["cron"] == "0 * * * *"
    client.pause_schedules(name)


def test_the_form(client: Client) -> None:
    scheduled = client.deployment("scan-models/scheduled-scan")
    assert scheduled["entrypoint"] == "prefect_mutagen.flows.scan.scan_models"
    form = scheduled["parameter_openapi_schema"]
    for name, field in form["properties"].items():
        assert field.get("description"), name
        assert "anyOf" not in field, name
        assert name == "source" or "default" in field, name
    assert form["required"] == ["source"]
