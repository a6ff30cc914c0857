"""Notifications start runs on a real server: each upload one, the same ones never two."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect.exceptions import ObjectNotFound

from prefect_mutagen.flows.notifications import Notice
from prefect_mutagen.flows.receiver import Starter, Webhook, flush, take_from_queue
from tests.deployments.deployed import Client, deploy
from tests.flows.test_notifications import AWS, MINIO
from tests.servers import HOST, PrefectServer, S3Server, free_port

DEPLOYMENT = "scan-models/uploads"


@pytest.fixture
def hook(tmp_path: Path) -> Iterator[Webhook]:
    with Webhook((HOST, 0), tmp_path / "kept", "secret") as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def _send(hook: Webhook, content: Any, token: str = "Bearer secret") -> int:  # noqa: S107 - of this test
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    url = f"http://{HOST}:{hook.server_port}/minio"
    return httpx.post(url, content=body, headers={"Authorization": token}).status_code


def test_what_a_webhook_takes(hook: Webhook, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    assert _send(hook, MINIO) == 204
    assert _send(hook, MINIO, "secret") == 204
    assert len(list(kept.iterdir())) == 2
    assert _send(hook, {"Event": "s3:TestEvent"}) == 204, "nothing to do is no error"
    assert _send(hook, MINIO, "Bearer other") == 401
    assert _send(hook, b"{") == 400
    assert _send(hook, b" " * (1 << 20) + b"{}") == 413
    assert len(list(kept.iterdir())) == 2
    for number in range(10_000):
        (kept / f"{number}.json").touch()
    assert _send(hook, MINIO) == 503
    assert httpx.get(f"http://{HOST}:{hook.server_port}/").status_code == 200


@pytest.fixture
def deployed(prefect: PrefectServer, tmp_path: Path) -> Iterator[Client]:
    (tmp_path / "empty").mkdir()
    deploy(prefect, "prefect_mutagen.flows.scan.scan_models", "uploads", tmp_path / "empty")
    with prefect.connect() as http:
        yield Client(http)


def _runs(deployed: Client) -> list[dict[str, Any]]:
    found = deployed.runs_of_deployment(DEPLOYMENT)
    return sorted((run["parameters"] for run in found), key=json.dumps)


@pytest.mark.server
def test_from_a_webhook_to_a_run(deployed: Client, hook: Webhook, tmp_path: Path) -> None:
    before = _runs(deployed)
    starter = Starter(DEPLOYMENT, ["s3://models"], {"table": "s3://table"})
    for _ in range(3):  # senders repeat what they think was lost
        assert _send(hook, MINIO) == 204
    assert _send(hook, {"Records": [AWS]}) == 204
    assert flush(tmp_path / "kept", starter) == 4
    assert not list((tmp_path / "kept").iterdir())
    keys = ["s3://models/llama/m.gguf", "s3://models/llama/my modelü+1.gguf"]
    run = {"source": "s3://models", "table": "s3://table", "keys": keys}
    assert [one for one in _runs(deployed) if one not in before] == [run]
    for content in ({"Records": [AWS]}, MINIO):
        _send(hook, content)
    flush(tmp_path / "kept", starter)
    assert len(_runs(deployed)) == len(before) + 1, "the same notifications, the same run"


@pytest.mark.server
def test_what_cannot_be_started_stays(deployed: Client, hook: Webhook, tmp_path: Path) -> None:
    assert _send(hook, MINIO) == 204
    with pytest.raises(ObjectNotFound):
        flush(tmp_path / "kept", Starter("scan-models/none", ["s3://models"]))
    assert len(list((tmp_path / "kept").iterdir())) == 1
    assert deployed.deployment(DEPLOYMENT)["name"] == "uploads"


@pytest.mark.server
def test_a_hostile_name_keeps_nothing_from_being_scanned(
    deployed: Client, caplog: pytest.LogCaptureFixture
) -> None:
    urls = [f"s3://odd/{name}" for name in ("a/../b.gguf", "x?token=hunter2", "\ud800", "a.gguf")]
    Starter(DEPLOYMENT, ["s3://odd"]).start(Notice(url, "1") for url in urls)
    (run,) = [one for one in _runs(deployed) if one["source"] == "s3://odd"]
    assert run["keys"] == ["s3://odd/a.gguf"]
    assert len(caplog.records) == 3
    assert "hunter2" not in caplog.text


@pytest.mark.server
def test_large_uploads_are_dealt_out(deployed: Client) -> None:
    many = [Notice(f"s3://large/{number:04}.gguf", "") for number in range(1500)]
    long = [Notice(f"s3://long/{'x' * 1000}{number}.gguf", "") for number in range(400)]
    starter = Starter(DEPLOYMENT, ["s3://large", "s3://long"])
    assert starter.start([*many, *long]) == 4
    runs = [one["keys"] for one in _runs(deployed) if one["source"] == "s3://large"]
    assert sorted(map(len, runs)) == [500, 1000]


@pytest.mark.server
def test_from_a_queue_to_a_run(deployed: Client, s3_server: S3Server) -> None:
    client = s3_server.client("sqs")
    queue = client.create_queue(QueueName="uploads")["QueueUrl"]
    for number in range(25):
        item = {**AWS["s3"]["object"], "key": f"q/{number}.gguf"}
        record = AWS | {"s3": {**AWS["s3"], "bucket": {"name": "queued"}, "object": item}}
        client.send_message(QueueUrl=queue, MessageBody=json.dumps({"Records": [record]}))
    client.send_message(QueueUrl=queue, MessageBody="no JSON")
    assert take_from_queue(client, queue, Starter(DEPLOYMENT, ["s3://queued"])) == 26
    (run,) = [one for one in _runs(deployed) if one["source"] == "s3://queued"]
    assert len(run["keys"]) == 25
    attributes = client.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
    assert attributes["ApproximateNumberOfMessages"] == "0"
    assert attributes["ApproximateNumberOfMessagesNotVisible"] == "0"


@pytest.mark.server
def test_the_program(deployed: Client, prefect: PrefectServer, tmp_path: Path) -> None:
    port = free_port()
    words = ["-m", "prefect_mutagen.flows.receiver", "--source", "s3://program", "--wait", "0.2"]
    more = ["--deployment", DEPLOYMENT, "--port", str(port), "--folder", str(tmp_path / "kept")]
    process = subprocess.Popen(
        [sys.executable, *words, *more], env=os.environ | prefect.client_environment
    )
    try:
        record = AWS | {"s3": {**AWS["s3"], "bucket": {"name": "program"}}}
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                httpx.post(f"http://{HOST}:{port}/", json={"Records": [record]})
                break
            except httpx.ConnectError:
                assert process.poll() is None
                time.sleep(0.3)
        while time.monotonic() < deadline:
            found = [one for one in _runs(deployed) if one["source"] == "s3://program"]
            if found:
                break
            time.sleep(0.3)
        assert found[0]["keys"] == ["s3://program/llama/my modelü+1.gguf"]
    finally:
        process.terminate()
        process.wait(20)
