"""A scan on two machines: two workers of a pool, which share the storage of the table alone."""

import json
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
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
Runs = Callable[[], list[dict[str, Any]]]
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


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """A server of its own with the shipped deployments; this process talks to it."""
    folder = tmp_path_factory.mktemp("deployments")
    shipped = Path(__file__).parents[2] / "deployments/prefect.yaml"
    (folder / "prefect.yaml").write_text(shipped.read_text())
    with PrefectServer(str(tmp_path_factory.mktemp("home"))) as server:
        run_prefect(server, "work-pool", "create", "models", "--type", "process", cwd=folder)
        run_prefect(server, "--no-prompt", "deploy", "--name", "shard", cwd=folder)
        with temporary_settings({PREFECT_API_URL: server.api}):
            yield server


@pytest.fixture
def start(
    server: PrefectServer, storage: SyntheticS3, tmp_path: Path
) -> Iterator[Callable[[str], Worker]]:
    """Start a worker with a folder of its own for temporary files, for one run at a time."""
    assert storage.options  # workers take them from the environment
    with ExitStack() as stack:

        def start_one(name: str) -> Worker:
            place = tmp_path / name
            place.mkdir()
            environment = {"TMPDIR": str(place), **QUICK}
            return stack.enter_context(Worker(server, place, "--limit", "1", **environment))

        yield start_one


@pytest.fixture
def workers(start: Callable[[str], Worker]) -> tuple[Worker, Worker]:
    return start("a"), start("b")


@pytest.fixture
def runs(server: PrefectServer) -> Iterator[Runs]:
    """Give the runs that a test makes for shards."""
    with server.connect() as http:
        client = Client(http)
        before = {run["id"] for run in client.runs_of("scan-shard")}
        yield lambda: [run for run in client.runs_of("scan-shard") if run["id"] not in before]


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
        # The card of a folder that lies in two shards is read twice.
        apart = {"scan_id", "requests", "bytes_read"}
        assert found.model_dump(exclude=apart) == expected.model_dump(exclude=apart)
        assert found.requests == storage.counts.keys.total()
        for part in ("artifacts", "sboms"):
            assert table_rows(shared, part) == table_rows(alone, part)
    assert not list((tmp_path / "shared/shards").rglob("*.*"))


def test_what_a_lost_machine_has_not_examined_another_one_examines(
    runs: Runs, storage: SyntheticS3, start: Callable[[str], Worker], tmp_path: Path
) -> None:
    table = str(tmp_path / "table")
    storage.latency = 1
    first, ended = start("a"), threading.Event()

    def lose_one() -> None:
        while len(_seen(storage)) < MODELS / 4:
            if ended.wait(0.2):
                return
        first.lose()
        storage.latency = 0.01
        start("b")

    killer = threading.Thread(target=lose_one)
    killer.start()
    try:
        summary = scan_shards("s3://b/m/", table, shards=2, concurrency=1)
    finally:
        ended.set()
        killer.join()
    assert summary.drift == {"added": MODELS}
    states = Counter(run["state_type"] for run in runs())
    assert states == {"COMPLETED": 2, "CRASHED": 1}
    twice = sum(count - 1 for key, count in storage.counts.keys.items() if key.endswith(".gguf"))
    assert twice <= MODELS / 10, "the second attempt takes over what the first one kept"
    alone = str(tmp_path / "alone")
    scan_models("s3://b/m/", table=alone)
    assert table_rows(table, "artifacts") == table_rows(alone, "artifacts")


def test_a_shard_that_cannot_be_examined_leaves_the_table_as_it_was(
    runs: Runs,
    server: PrefectServer,
    storage: SyntheticS3,
    workers: tuple[Worker, Worker],
    tmp_path: Path,
) -> None:
    assert workers
    table = str(tmp_path / "table")
    storage.latency = 2
    with pytest.raises(ScanBroken, match="2 of 2 shards did not complete") as caught:
        scan_shards("s3://b/m/", table, shards=2, concurrency=1, timeout_seconds=1)
    assert "has not ended within 1 s" in str(caught.value)
    assert not os.path.exists(f"{table}/scans")
    assert not os.path.exists(f"{table}/artifacts")
    with server.connect() as http:
        client = Client(http)
        ends = [client.finish(run["id"])["state_type"] for run in runs()]
    assert ends == ["CANCELLED", "CANCELLED"], "nobody waits for them any more"
    storage.latency = 0.01
    assert scan_shards("s3://b/m/", table, shards=2).drift == {"added": MODELS}


@pytest.mark.usefixtures("server", "storage")
def test_a_deployment_that_does_not_exist_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no deployment 'scan-shard/other'"):
        scan_shards("s3://b/m/", str(tmp_path / "table"), deployment="scan-shard/other")
