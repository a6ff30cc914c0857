"""From an upload to a verdict in the table: the notification, the receiver, a worker's run."""

import json
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from prefect_mutagen.flows.receiver import Starter, flush
from prefect_mutagen.scanner.storage.address import Address
from prefect_mutagen.scanner.table.table import Table
from tests.builders import gguf
from tests.deployments.deployed import Client, Worker, deploy
from tests.flows.test_notifications import AWS
from tests.servers import PrefectServer, S3Server

pytestmark = [pytest.mark.server, pytest.mark.slow]

GGUF = gguf().data


def test_an_upload_is_judged(
    prefect_server: PrefectServer, s3_server: S3Server, tmp_path: Path
) -> None:
    name = "my model ü.gguf"
    bucket = s3_server.bucket({f"m/{name}": GGUF, "m/other.gguf": GGUF, "n/cut.gguf": GGUF[:90]})
    item = {**AWS["s3"]["object"], "key": "m/my+model+%C3%BC.gguf"}
    about = {**AWS["s3"], "bucket": {"name": bucket}, "object": item}
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "1.json").write_text(json.dumps({"Records": [AWS | {"s3": about}]}))
    (tmp_path / "empty").mkdir()
    table = str(tmp_path / "table")
    options = json.dumps(s3_server.options)
    with (
        temporary_settings({PREFECT_API_URL: prefect_server.api}),
        prefect_server.connect() as http,
    ):
        client = Client(http)
        deploy(
            prefect_server, "prefect_mutagen.flows.scan.scan_models", "uploaded", tmp_path / "empty"
        )
        starter = Starter("scan-models/uploaded", [f"s3://{bucket}"], {"table": table})
        assert flush(kept, starter) == 1
        (run,) = client.runs_of_deployment("scan-models/uploaded")
        with Worker(prefect_server, tmp_path / "empty", PREFECT_MUTAGEN_STORAGE_OPTIONS=options):
            ended = client.finish(run["id"])
    assert (ended["state_name"], ended["state"]["message"]) == ("Passed", "1 passed")
    root = Address.parse(f"s3://{bucket}")
    state = Table(Address.parse(table), root, {}).read_state()
    assert [(url, one.passed) for url, one in state.items()] == [(f"s3://{bucket}/m/{name}", True)]
