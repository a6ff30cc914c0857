"""The main job: a deployed schedule scans a bucket, again and again, and nobody starts anything.

Everything is real: what the command writes, a server, a worker, a block of prefect-aws, a bucket.
``python -m tests.versions.try_versions`` runs this with other versions of what it stands on.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from s3fs import S3FileSystem

from tests.builders import gguf
from tests.deployments.deployed import Client, Worker, run_prefect
from tests.servers import PrefectServer, S3Server

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.timeout(600)]
GGUF = gguf().data
NAME = "scan-models/scheduled-scan"
PATIENCE = 300
SOON = {
    "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "2",
    "PREFECT_WORKER_QUERY_SECONDS": "2",
}
BLOCK = """
import sys
from prefect_aws import AwsClientParameters, AwsCredentials

url, key, secret = sys.argv[1:]
AwsCredentials(
    aws_access_key_id=key,
    aws_secret_access_key=secret,
    region_name="us-east-1",
    aws_client_parameters=AwsClientParameters(endpoint_url=url),
).save("models")
"""
AGENT = """
import json, sys

url = json.load(sys.stdin)["url"]
with open(sys.argv[1], "a") as file:
    file.write(url + "\\n")
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PrefectServer]:
    """A server of its own, whose loops run more often than they do by default."""
    with PrefectServer(str(tmp_path / "home"), **SOON) as server:
        yield server


def _python(server: PrefectServer, *words: str, cwd: Path) -> None:
    done = subprocess.run(
        [sys.executable, *words],
        env=os.environ | server.client_environment,
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _deploy(server: PrefectServer, folder: Path, bucket: str, agent: list[str]) -> None:
    """Deploy as the README says, with a schedule of seconds and an agent."""
    options = {"source": bucket, "table": f"{bucket}-table", "storage": "aws-credentials/models"}
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    command = ["-m", "prefect_mutagen.scanner.commands.cli", "deployments", "."]
    _python(server, *command, *words, cwd=folder)
    written = yaml.safe_load((folder / "prefect.yaml").read_text())
    scheduled = written["deployments"][0]
    del scheduled["schedules"][0]["cron"], scheduled["schedules"][0]["timezone"]
    scheduled["schedules"][0]["interval"] = 10
    scheduled["parameters"]["agents"] = [{"command": agent}]
    (folder / "prefect.yaml").write_text(json.dumps(written))
    run_prefect(server, "work-pool", "create", "models", "--type", "process", cwd=folder)
    run_prefect(server, "--no-prompt", "deploy", "--all", cwd=folder)


def _completed(client: Client, *, least: int) -> list[str]:
    """Wait until so many runs have completed; then until none is under way any more."""
    deadline = time.monotonic() + PATIENCE
    while True:
        runs = client.runs_of_deployment(NAME)
        done = [run for run in runs if run["state_type"] == "COMPLETED"]
        broken = [run["state"] for run in runs if run["state_type"] in ("FAILED", "CRASHED")]
        assert not broken, broken
        if len(done) >= least:
            break
        states = sorted(run["state_type"] for run in runs)
        assert time.monotonic() < deadline, f"the runs after {PATIENCE} s: {states}"
        time.sleep(0.5)
    client.pause_schedules(NAME)
    runs = [client.finish(run["id"]) for run in client.runs_of_deployment(NAME)]
    assert {run["state_type"] for run in runs} <= {"COMPLETED", "CANCELLED"}
    assert all(run["auto_scheduled"] for run in runs)
    return [run["id"] for run in runs if run["state_type"] == "COMPLETED"]


def test_the_schedule_scans_and_starts_an_agent_once(
    server: PrefectServer, s3_server: S3Server, tmp_path: Path
) -> None:
    bucket = s3_server.bucket({"a.gguf": GGUF, "cut.gguf": GGUF[:100]})
    s3_server.client().create_bucket(Bucket=f"{bucket}-table")
    (tmp_path / "agent.py").write_text(AGENT)
    folder = tmp_path / "deployments"
    folder.mkdir()
    access = [s3_server.url, s3_server.key, s3_server.secret]
    _python(server, "-c", BLOCK, *access, cwd=folder)
    agent = [sys.executable, str(tmp_path / "agent.py"), str(tmp_path / "started")]
    _deploy(server, folder, f"s3://{bucket}", agent)
    with (
        server.connect() as http,
        Worker(server, folder, **SOON),
    ):
        runs = _completed(Client(http), least=2)
    files = S3FileSystem(**s3_server.options)
    scans = files.glob(f"{bucket}-table/scans/*/*.parquet")
    assert len(scans) == len(runs)
    rows = [pq.read_table(files.open(path)).to_pylist() for path in scans]
    assert [row[0]["passed"] for row in rows] == [1] * len(runs)
    assert [row[0]["failed"] for row in rows] == [1] * len(runs)
    assert (tmp_path / "started").read_text() == f"s3://{bucket}/a.gguf\n"
