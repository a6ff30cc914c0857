"""A scan on two machines: two workers of a pool, which share the storage of the table alone."""

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from prefect_mutagen.flows import ScanBroken, ScanSummary, scan_models, scan_shards
from prefect_mutagen.scanner import Policy
from tests.builders import STRING, gguf
from tests.deployments.deployed import Client, Worker, run_prefect
from tests.servers import PrefectServer
from tests.synthetic_contents import Written
from tests.synthetic_s3 import SyntheticS3
from tests.table_rows import table_rows

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.timeout(600)]

GGUF = gguf().data
OTHER = gguf((("general.architecture", STRING, "mistral"),)).data
MODELS = 20
QUICK = {"PREFECT_WORKER_QUERY_SECONDS": "1"}
STRICT = Policy(denied_licenses=("mit",))


def _content() -> Written:
    files = {f"m/{n % 5}/{n:02}.gguf": GGUF if n % 7 else GGUF[:90] for n in range(MODELS)}
    return Written(files | {"m/3/README.md": b"---\nlicense: mit\n---\n"})


@pytest.fixture
def storage(monkeypatch: pytest.MonkeyPatch) -> Iterator[SyntheticS3]:
    with SyntheticS3(latency=0.01) as started:
        options = json.dumps(started.options)
        monkeypatch.setenv("PREFECT_MUTAGEN_STORAGE_OPTIONS", options)
        started.content = _content()
        yield started


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PrefectServer]:
    """A server of its own with the shipped deployments; this process talks to it."""
    folder = tmp_path / "deployments"
    folder.mkdir()
    shipped = Path(__file__).parents[2] / "deployments/prefect.yaml"
    (folder / "prefect.yaml").write_text(shipped.read_text())
    with PrefectServer(str(tmp_path / "home")) as server:
        run_prefect(server, "work-pool", "create", "models", "--type", "process", cwd=folder)
        run_prefect(server, "--no-prompt", "deploy", "--name", "shard", cwd=folder)
        with temporary_settings({PREFECT_API_URL: server.api}):
            yield server


@pytest.fixture
def workers(
    server: PrefectServer, storage: SyntheticS3, tmp_path: Path
) -> Iterator[tuple[Worker, Worker]]:
    """Two workers with folders of their own for temporary files, each for one run at a time."""
    assert storage.options
    with ExitStack() as stack:

        def start(name: str) -> Worker:
            place = tmp_path / name
            place.mkdir()
            environment = {"TMPDIR": str(place), **QUICK}
            return stack.enter_context(Worker(server, place, "--limit", "1", **environment))

        yield start("a"), start("b")


def _seen(storage: SyntheticS3) -> set[str]:
    return {key for key in storage.counts.keys if key.endswith(".gguf")}


@pytest.mark.usefixtures("workers")
def test_the_rows_are_those_of_one_scan(storage: SyntheticS3, tmp_path: Path) -> None:
    alone, shared = str(tmp_path / "alone"), str(tmp_path / "shared")
    for change in (None, "m/1/01.gguf"):
        if change is not None:
            assert isinstance(storage.content, Written)
            storage.content.put(change, OTHER)
        expected = scan_models("s3://b/m/", table=alone, policy=STRICT)
        storage.counts.keys.clear()
        found = scan_shards("s3://b/m/", shared, shards=3, policy=STRICT)
        assert isinstance(found, ScanSummary)
        assert found.model_dump(exclude={"scan_id"}) == expected.model_dump(exclude={"scan_id"})
        assert found.requests == storage.counts.keys.total()
        for part in ("artifacts", "sboms"):
            assert table_rows(shared, part) == table_rows(alone, part)
        (left, right) = table_rows(shared, "scans"), table_rows(alone, "scans")
        assert [row | {"state_scan_id": ""} for row in left] == [
            row | {"state_scan_id": ""} for row in right
        ]
    assert not list((tmp_path / "shared/shards").rglob("*.parquet"))


def test_a_machine_that_is_lost_costs_its_part_alone(
    server: PrefectServer, storage: SyntheticS3, workers: tuple[Worker, Worker], tmp_path: Path
) -> None:
    table = str(tmp_path / "table")
    storage.latency = 4
    lost: list[Any] = []

    def lose_one() -> None:
        with server.connect() as http:
            while len(lost) < 2:
                time.sleep(0.5)
                lost[:] = [
                    run
                    for run in Client(http).runs_of("scan-shard")
                    if run["state_type"] == "RUNNING" and _seen(storage)
                ]
        workers[0].lose()
        storage.latency = 0.01

    killer = threading.Thread(target=lose_one)
    killer.start()
    with pytest.raises(ScanBroken, match="1 of 2 shards did not complete") as caught:
        scan_shards("s3://b/m/", table, shards=2, concurrency=2, timeout_seconds=60)
    killer.join()
    assert "has not ended" in str(caught.value)
    assert not os.path.exists(f"{table}/scans")
    assert not os.path.exists(f"{table}/artifacts")
    storage.counts.keys.clear()
    summary = scan_shards("s3://b/m/", table, shards=2)
    assert len(_seen(storage)) == MODELS / 2, "the other half was examined before"
    assert summary.drift == {"added": MODELS}
    alone = str(tmp_path / "alone")
    scan_models("s3://b/m/", table=alone)
    assert table_rows(table, "artifacts") == table_rows(alone, "artifacts")


@pytest.mark.usefixtures("server", "storage")
def test_a_deployment_that_does_not_exist_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no deployment 'scan-shard/other'"):
        scan_shards("s3://b/m/", str(tmp_path / "table"), deployment="scan-shard/other")
