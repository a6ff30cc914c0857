"""The flow against a real Prefect server: fan-out, table, gate, agents, trouble."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect import flow
from prefect.client.schemas.objects import FlowRun

from prefect_mutagen.flows import AgentLaunch, ScanAdvanced, ScanSummary, scan_models
from prefect_mutagen.scanner import Policy, StorageError
from prefect_mutagen.scanner.table.table import Table
from tests.builders import STRING, gguf, safetensors
from tests.parsers.safetensors_cases import GOOD
from tests.scanner.storing import put_local
from tests.servers import PrefectServer, S3Server

pytestmark = pytest.mark.server

GGUF = gguf().data
OTHER = gguf((("general.architecture", STRING, "mistral"),)).data
AGENT = """
import json, os, sys
given = json.load(sys.stdin)
folder = sys.argv[1]
with open(os.path.join(folder, given["sbom"]["model_filename"] + ".json"), "w") as file:
    json.dump(given, file)
print("agent of", given["sbom"]["model_filename"])
"""


class Api:
    """The server's REST API, as the UI uses it."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def last_run(self, name: str) -> dict[str, Any]:
        body = {"sort": "START_TIME_DESC", "limit": 1, "flows": {"name": {"any_": [name]}}}
        runs: list[dict[str, Any]] = self._client.post("/flow_runs/filter", json=body).json()
        return runs[0]

    def artifacts(self, run: dict[str, Any]) -> dict[str, Any]:
        body = {"artifacts": {"flow_run_id": {"any_": [run["id"]]}}}
        found = self._client.post("/artifacts/filter", json=body).json()
        return {entry["type"]: entry for entry in found}


@pytest.fixture
def api(prefect: PrefectServer) -> Iterator[Api]:
    with prefect.connect() as client:
        yield Api(client)


@pytest.fixture
def root(tmp_path: Path) -> str:
    return put_local(
        tmp_path / "root",
        {
            "a.gguf": GGUF,
            "b/model.safetensors": safetensors('{"a":%s}' % GOOD, 4),
            "b/README.md": b"---\nlicense: mit\n---\n",
            "cut.gguf": GGUF[:100],
        },
    )


def _agent(tmp_path: Path) -> AgentLaunch:
    program = tmp_path / "agent.py"
    program.write_text(AGENT)
    (tmp_path / "seen").mkdir(exist_ok=True)
    return AgentLaunch(
        command=[sys.executable, str(program), str(tmp_path / "seen")], parameters='{"k": 1}'
    )


def _seen(tmp_path: Path) -> set[str]:
    return {path.name.removesuffix(".json") for path in (tmp_path / "seen").iterdir()}


def test_the_whole_way(root: str, tmp_path: Path, api: Api) -> None:
    table = str(tmp_path / "table")
    summary = scan_models(root, table=table, agents=[_agent(tmp_path)])
    assert isinstance(summary, ScanSummary)
    assert (len(summary.passed), len(summary.failed), len(summary.unknown)) == (2, 1, 0)
    assert summary.examined == 3
    assert summary.drift == {"added": 3}
    assert {run.state for run in summary.agents} == {"completed"}
    assert _seen(tmp_path) == {"a.gguf", "model.safetensors"}
    given = json.loads((tmp_path / "seen/model.safetensors.json").read_text())
    assert given["url"] == f"{root}/b/model.safetensors"
    assert given["verdict"] == {"status": "passed", "reasons": [], "waived": []}
    assert given["sbom"]["license"] == "mit"
    assert given["parameters"] == {"k": 1}
    state = Table(table, root).read_state()
    assert state[f"{root}/b/model.safetensors"].pin == given["pin"]
    run = api.last_run("scan-models")
    assert (run["state_type"], run["state_name"]) == ("COMPLETED", "Refused")
    shown = api.artifacts(run)
    assert set(shown) == {"table", "markdown"}
    rows = json.loads(shown["table"]["data"])
    assert [row["verdict"] for row in rows] == ["failed", "passed", "passed"]
    assert shown["markdown"]["data"].startswith("# 1 of 3 refused")
    # The same again: nothing is read, nothing is started, and it is on record.
    again = scan_models(root, table=table, agents=[_agent(tmp_path)])
    assert (again.examined, again.bytes_read, again.agents) == (0, 0, [])
    assert again.drift == {"unchanged": 3}
    assert len(again.passed) == 2
    # A new policy judges anew without reading; what becomes passed gets its agent.
    strict = scan_models(root, table=table, policy=Policy(require_license=True))
    assert (len(strict.passed), strict.bytes_read) == (1, 0)
    (tmp_path / "seen/a.gguf.json").unlink()
    other = _agent(tmp_path).model_copy(update={"parameters": '{"k": 2}'})
    loose = scan_models(root, table=table, agents=[_agent(tmp_path), other])
    assert [run.url for run in loose.agents] == [f"{root}/a.gguf"] * 2
    # It ran for these very bytes before, and the other one did not.
    assert [run.state for run in loose.agents] == ["known", "completed"]
    assert json.loads((tmp_path / "seen/a.gguf.json").read_text())["parameters"] == {"k": 2}


def test_batches_give_the_same_as_single_runs(tmp_path: Path, api: Api) -> None:
    files = {f"{number:02}.gguf": GGUF if number % 3 else GGUF[:90] for number in range(23)}
    root = put_local(tmp_path / "many", files)
    single = scan_models(root)
    batched = scan_models(root, max_task_runs=4)
    ignored = {"scan_id"}
    assert single.model_dump(exclude=ignored) == batched.model_dump(exclude=ignored)
    assert len(batched.passed) == 15
    assert api.last_run("scan-models")["state_type"] == "COMPLETED"


def test_batches_keep_what_has_not_changed(tmp_path: Path, api: Api) -> None:
    files = {f"{number:02}.gguf": GGUF if number % 3 else GGUF[:90] for number in range(12)}
    root, table = put_local(tmp_path / "many", files), str(tmp_path / "table")
    scan_models(root, table=table, max_task_runs=4)
    put_local(tmp_path / "many", {f"{n:02}.gguf": OTHER for n in range(1, 7)} | {"new.gguf": GGUF})
    summary = scan_models(root, table=table, max_task_runs=3, advanced=ScanAdvanced(keep_states=1))
    assert summary.examined == 7
    assert summary.drift == {"changed": 6, "unchanged": 6, "added": 1}
    assert len(summary.passed) == 11
    state = Table(table, root).read_state()
    assert len(state) == 13
    details = {change.field for change in state[f"{root}/01.gguf"].drift_details}
    assert {"architecture", "header_sha256", "object:01.gguf"} <= details
    rows = json.loads(api.artifacts(api.last_run("scan-models"))["table"]["data"])
    (shown,) = (row for row in rows if row["model"] == "01.gguf")
    assert shown["verdict"] == "passed, changed"
    assert shown["details"].startswith("changed: architecture")
    everything = scan_models(root, table=table, rescan="all")
    assert (everything.examined, everything.drift) == (13, {"unchanged": 13})


def test_the_gate_over_the_whole_scan(root: str, tmp_path: Path, api: Api) -> None:
    table, agents = str(tmp_path / "table"), [_agent(tmp_path)]
    closed = scan_models(root, table=table, gate="scan", agents=agents)
    assert closed.agents == []
    assert _seen(tmp_path) == set()
    (Path(root) / "cut.gguf").write_bytes(GGUF)
    opened = scan_models(root, table=table, gate="scan", agents=agents)
    assert len(opened.agents) == 3
    assert _seen(tmp_path) == {"a.gguf", "model.safetensors", "cut.gguf"}
    assert scan_models(root, table=table, gate="scan", agents=agents).agents == []
    assert api.last_run("scan-models")["state_type"] == "COMPLETED"


def test_a_bucket_and_a_table_in_another(
    s3_server: S3Server, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = json.dumps(s3_server.options)
    monkeypatch.setenv("PREFECT_MUTAGEN_STORAGE_OPTIONS", options)
    bucket = s3_server.bucket({"m/a.gguf": GGUF, "m/b.gguf": GGUF[:100]})
    table = f"s3://{s3_server.bucket()}/table"
    summary = scan_models(f"s3://{bucket}/m", table=table)
    assert summary.passed == [f"s3://{bucket}/m/a.gguf"]
    assert scan_models(f"s3://{bucket}/m", table=table).examined == 0
    run = api.last_run("scan-models")
    assert s3_server.secret not in json.dumps(run["parameters"])


def test_credentials_come_from_a_block(s3_server: S3Server, api: Api) -> None:
    from prefect.filesystems import RemoteFileSystem

    bucket = s3_server.bucket({"a.gguf": GGUF})
    block = RemoteFileSystem(basepath=f"s3://{bucket}", settings=s3_server.options)
    block.save("models", overwrite=True)
    summary = scan_models(f"s3://{bucket}", storage="remote-file-system/models")
    assert summary.passed == [f"s3://{bucket}/a.gguf"]
    with pytest.raises(ValueError, match="'remote-file-system/nothing' does not exist"):
        scan_models(f"s3://{bucket}", storage="remote-file-system/nothing")
    assert api.last_run("scan-models")["state_type"] == "FAILED"


@pytest.mark.parametrize(
    "address",
    [
        "https://user:hunter2@127.0.0.1/m",
        "https://127.0.0.1/m?sig=hunter2",
        "HTTPS://127.0.0.1/m?sig=hunter2",
        " https://127.0.0.1/m?sig=hunter2",
    ],
)
def test_secrets_in_addresses_are_refused(address: str, api: Api) -> None:
    with pytest.raises(ValueError, match="storage block") as caught:
        scan_models(address)
    assert "hunter2" not in str(caught.value)
    assert api.last_run("scan-models")["state_type"] == "FAILED"


def test_an_empty_root_has_nothing_to_judge(tmp_path: Path, api: Api) -> None:
    (tmp_path / "empty").mkdir()
    summary = scan_models(str(tmp_path / "empty"), agents=[AgentLaunch(command=["false"])])
    assert (summary.artifacts, summary.agents) == (0, [])
    assert "markdown" in api.artifacts(api.last_run("scan-models"))


def test_a_missing_root_fails_with_one_sentence(tmp_path: Path, api: Api) -> None:
    with pytest.raises(StorageError, match="no such file or folder"):
        scan_models(str(tmp_path / "nowhere"))
    message = api.last_run("scan-models")["state"]["message"]
    assert "no such file or folder" in message


def test_an_unwritable_table_shows_the_verdicts_and_starts_nothing(
    root: str, tmp_path: Path, api: Api
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="table cannot be"):
        scan_models(root, table=str(tmp_path / "file/table"), agents=[_agent(tmp_path)])
    assert _seen(tmp_path) == set()
    assert api.last_run("scan-models")["state_type"] == "FAILED"


def test_agents_that_fail_cost_only_themselves(root: str, tmp_path: Path, api: Api) -> None:
    broken = tmp_path / "broken"
    broken.write_text("#!/no/such/interpreter\n")
    broken.chmod(0o755)
    agents = [
        AgentLaunch(command=[sys.executable, "-c", "raise SystemExit(3)"]),
        AgentLaunch(command=[str(broken)]),
        _agent(tmp_path),
    ]
    summary = scan_models(root, agents=agents)
    states = [run.state for run in summary.agents]
    assert states == ["failed", "failed", "completed"] * 2
    assert "ended with status 3" in summary.agents[0].message
    assert _seen(tmp_path) == {"a.gguf", "model.safetensors"}
    assert api.last_run("scan-models")["state_type"] == "COMPLETED"


def test_inside_another_flow(root: str, api: Api) -> None:
    @flow(name="platform")
    def platform() -> int:
        summary = scan_models(root)
        return len(summary.passed)

    assert platform() == 2
    outer = api.last_run("platform")
    assert isinstance(FlowRun.model_validate(outer), FlowRun)
    assert outer["state_type"] == "COMPLETED"
    assert api.last_run("scan-models")["parent_task_run_id"] is not None
