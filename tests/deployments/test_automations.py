"""The shipped automations on a real server: an event is emitted, and a run or a message comes."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.events import emit_event
from prefect.events.worker import EventsWorker
from prefect.settings import PREFECT_API_URL, temporary_settings

from prefect_mutagen.flows import automations, run_agent, scan_models
from prefect_mutagen.flows.automations import NotInstalled, install
from tests.builders import gguf
from tests.deployments.deployed import Client, deploy
from tests.scanner.storing import put_local
from tests.servers import HOST, PrefectServer

pytestmark = pytest.mark.server

SHIPPED = Path(__file__).parents[2] / "deployments/automations"
GGUF = gguf().data
CUT = GGUF[:90]
PATIENCE = 60


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """A server of its own: its automations would start runs for the scans of other tests."""
    home = str(tmp_path_factory.mktemp("automations"))
    with (
        PrefectServer(home) as started,
        temporary_settings({PREFECT_API_URL: started.api}),
    ):
        yield started
        EventsWorker.drain_all(timeout=20)


@pytest.fixture(scope="module")
def client(server: PrefectServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("empty")
    deploy(server, "prefect_mutagen.flows.scan.scan_models", "on-demand-scan", folder)
    deploy(server, "prefect_mutagen.flows.agent.run_agent", "agent", folder)
    with server.connect() as http:
        yield Client(http)


class _Messages(ThreadingHTTPServer):
    """Takes messages of a notification block."""

    def __init__(self) -> None:
        self.taken: list[dict[str, Any]] = []
        super().__init__((HOST, 0), _Message)


class _Message(BaseHTTPRequestHandler):
    server: _Messages

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.taken.append(json.loads(body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def messages(server: PrefectServer) -> Iterator[_Messages]:
    assert server.process is not None
    with _Messages() as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        block = CustomWebhookNotificationBlock(
            name="models",
            url=f"http://{HOST}:{listening.server_port}/",
            headers={},
            cookies={},
            json_data={"subject": "{{subject}}", "body": "{{body}}"},
        )
        block.save("models", overwrite=True)
        yield listening
        listening.shutdown()
        thread.join()


def _wait_for(look: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (found := look()) and time.monotonic() < deadline:
        time.sleep(0.3)
    return found


def _installed(folder: Path, name: str, change: Callable[[str], str] = lambda text: text) -> None:
    """Install a shipped automation that a person has edited, and let the server notice it."""
    path = folder / name
    path.write_text(change((SHIPPED / name).read_text()))
    assert list(install([path])) == [f"{yaml.safe_load(path.read_text())['name']}: created"]
    assert list(install([path])) == [f"{yaml.safe_load(path.read_text())['name']}: updated"]
    time.sleep(2)


@pytest.mark.usefixtures("client")
def test_a_message_for_new_refusals(messages: _Messages, tmp_path: Path) -> None:
    kind = CustomWebhookNotificationBlock.get_block_type_slug()
    edit: Callable[[str], str] = lambda text: text.replace("slack-webhook/", f"{kind}/")  # noqa: E731
    _installed(tmp_path, "notify-new-refusals.yaml", edit)
    files = {"a.gguf": GGUF, "sub/b.gguf": GGUF, "old.gguf": CUT}
    root, table = put_local(tmp_path / "root", files), str(tmp_path / "table")
    scan_models(root, table=table)
    put_local(tmp_path / "root", {"sub/b.gguf": CUT})
    scan_models(root, table=table)
    scan_models(root, table=table)
    EventsWorker.drain_all(timeout=30)
    assert _wait_for(lambda: messages.taken)
    time.sleep(3)
    (message,) = messages.taken
    assert message["subject"] == f"1 newly refused in {root}"
    assert "sub/b.gguf: gguf/truncated" in message["body"]
    assert "2 of 3 are refused now." in message["body"]
    assert "old.gguf" not in message["body"]


def test_a_scan_of_an_upload(client: Client, tmp_path: Path) -> None:
    _installed(tmp_path, "scan-uploads.yaml")
    url = "s3://bucket/models/my {{ 7 * 7 }} m.gguf"
    emit_event("mutagen.object.written", {"prefect.resource.id": url})
    EventsWorker.drain_all(timeout=30)
    (run,) = _wait_for(lambda: client.runs_of_deployment("scan-models/on-demand-scan"))
    assert run["parameters"] == {
        "source": "s3://bucket/models",
        "table": "s3://bucket/models-table",
        "keys": [url],
    }


def test_an_agent_on_a_pass(client: Client, tmp_path: Path) -> None:
    _installed(tmp_path, "agent-on-pass.yaml")
    root = put_local(tmp_path / "root", {"{{ 7 * 7 }}.gguf": GGUF, "bad.gguf": CUT})
    (good,) = scan_models(root, table=str(tmp_path / "table")).passed
    EventsWorker.drain_all(timeout=30)
    (run,) = _wait_for(lambda: client.runs_of_deployment("run-agent/agent"))
    assert run["parameters"]["url"] == good == f"{root}/{{{{ 7 * 7 }}}}.gguf"
    assert run["parameters"]["pin"].startswith("sha256:")
    assert run["parameters"]["command"][0] == "python"


@pytest.mark.usefixtures("client")
def test_events_and_assets_of_a_scan(server: PrefectServer, tmp_path: Path) -> None:
    root, table = put_local(tmp_path / "root", {"good.gguf": GGUF}), str(tmp_path / "table")
    (good,) = scan_models(root, table=table).passed
    run_agent(["true"], good)
    EventsWorker.drain_all(timeout=30)

    def found() -> dict[tuple[str, str], Any]:
        names = ["mutagen.model.passed", "mutagen.scan.finished"]
        names += ["prefect.asset.materialization.succeeded", "prefect.asset.referenced"]
        body = {"filter": {"event": {"name": names}}, "limit": 50}
        with server.connect() as http:
            listed = http.post("/events/filter", json=body).json()["events"]
        by_name = {
            (event["event"], event["resource"]["prefect.resource.id"]): event for event in listed
        }
        return by_name if ("prefect.asset.referenced", model) in by_name else {}

    model = f"file://{root}/good.gguf"
    events = _wait_for(found)
    assert ("mutagen.scan.finished", root) in events
    used = events["prefect.asset.referenced", model]["related"]
    assert "run-agent" in {one.get("prefect.resource.name") for one in used}
    passed = events["mutagen.model.passed", f"{root}/good.gguf"]
    related = {one["prefect.resource.role"] for one in passed["related"]}
    assert {"flow-run", "flow"} <= related
    for key in (model, f"file://{table}"):
        made = events["prefect.asset.materialization.succeeded", key]
        upstream = [one for one in made["related"] if one["prefect.resource.role"] == "asset"]
        assert [one["prefect.resource.id"] for one in upstream] == [f"file://{root}"]
        roles = {one["prefect.resource.role"] for one in made["related"]}
        assert {"task-run", "asset-materialized-by"} <= roles


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "No such file"),
        ("{", "it is no YAML"),
        ("name: x", "it has no actions"),
        (
            "name: x\ntrigger: {type: event}\nactions: [{type: run-deployment, deployment: x}]",
            "slash",
        ),
        (
            "name: x\ntrigger: {type: event}\nactions: [{type: run-deployment, deployment: x/y}]",
            "there is no deployment 'x/y'; prefect deploy, then try again",
        ),
        (
            "name: x\ntrigger: {type: event}\nactions: [{type: call-webhook, block: x/y}]",
            "there is no block 'x/y'",
        ),
        ("name: x\ntrigger: {type: event}\nactions: [{type: nothing}]", "no automation"),
    ],
)
def test_what_cannot_be_installed(
    text: str | None, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(NotInstalled, match=said):
        list(install([path]))
    assert automations.main([str(path)]) == 2
    assert said in capsys.readouterr().err
    path.unlink(missing_ok=True)
    assert automations.main([str(tmp_path)]) == 2
