"""The result of a scan is the same whatever runs its task runs, and however many they are."""

import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from prefect.task_runners import ProcessPoolTaskRunner, ThreadPoolTaskRunner

from prefect_mutagen.flows import AgentLaunch, ScanAdvanced, ScanSummary, scan_models
from tests.builders import STRING, gguf, safetensors
from tests.parsers.safetensors_cases import GOOD
from tests.scanner.storing import put_local
from tests.servers import PrefectServer
from tests.synthetic_contents import Written
from tests.synthetic_s3 import SyntheticS3
from tests.table_rows import table_rows

pytestmark = [pytest.mark.server, pytest.mark.slow]

GGUF = gguf().data
OTHER = gguf((("general.architecture", STRING, "mistral"),)).data
MODELS = 23
_PATIENCE = 3
Runner = Callable[[], Any]


def _dask() -> Any:
    prefect_dask = pytest.importorskip("prefect_dask")
    cluster = {"n_workers": 2, "threads_per_worker": 2, "dashboard_address": None}
    return prefect_dask.DaskTaskRunner(cluster_kwargs=cluster)


@pytest.fixture(autouse=True)
def _patience() -> Iterator[None]:
    """Let Dask keep workers that are busy importing, for longer than half a minute."""
    if find_spec("distributed") is None:
        yield
        return
    import_module("distributed")  # fills in the rest of the settings
    names = [f"distributed.comm.timeouts.{name}" for name in ("connect", "tcp")]
    with import_module("dask.config").set(dict.fromkeys(names, f"{_PATIENCE * 100} s")):
        yield


@pytest.fixture(scope="module")
def ray_runner() -> Iterator[Runner]:
    """One Ray for all: it allows its own processes 30 seconds to start, busy machine or not."""
    prefect_ray = pytest.importorskip("prefect_ray")
    ray = pytest.importorskip("ray")
    for attempt in range(_PATIENCE):
        try:
            ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
            break
        except Exception as problem:  # noqa: BLE001 - Ray raises no other
            ray.shutdown()
            if attempt == _PATIENCE - 1:
                pytest.skip(f"Ray did not start: {problem}")
    yield prefect_ray.RayTaskRunner
    ray.shutdown()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it does not wait for the processes that it has ended
        gc.collect()


CLUSTERS = ("processes", "dask", "ray")
RUNNERS: dict[str, Runner] = {
    "threads": lambda: ThreadPoolTaskRunner(max_workers=16),
    "two-threads": lambda: ThreadPoolTaskRunner(max_workers=2),
    "processes": lambda: ProcessPoolTaskRunner(max_workers=2),
    "dask": _dask,
}


def _files() -> dict[str, bytes]:
    files = {f"g/{number:02}.gguf": GGUF if number % 5 else GGUF[:90] for number in range(MODELS)}
    model = {
        "m/model.safetensors": safetensors('{"a":%s}' % GOOD, 4),
        "m/config.json": b'{"model_type": "llama"}',
        "m/README.md": b"---\nlicense: mit\n---\n",
    }
    return files | model


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    return put_local(tmp_path_factory.mktemp("root"), _files())


@pytest.fixture(scope="module")
def expected(root: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the command line finds, in this process alone."""
    table = str(tmp_path_factory.mktemp("table"))
    command = [sys.executable, "-m", "prefect_mutagen", "scan", root, "--format", "jsonl"]
    done = subprocess.run([*command, "--table", table], capture_output=True, check=False)
    assert done.returncode == 1, done.stderr
    return {part: table_rows(table, part) for part in ("artifacts", "sboms")}


@pytest.fixture
def runner(request: pytest.FixtureRequest, prefect: PrefectServer) -> Any:
    assert prefect.api
    if request.param == "ray":
        return request.getfixturevalue("ray_runner")()
    return RUNNERS[request.param]()


@pytest.mark.parametrize(
    ("runner", "width"),
    [
        (name, width)
        for name in (*RUNNERS, "ray")
        for width in (0, 1, 16, 250)
        if name not in CLUSTERS or width in (0, 250)  # they take their time to start
    ],
    indirect=["runner"],
)
@pytest.mark.filterwarnings("ignore")
def test_each_row_is_the_same(
    runner: Any, width: int, root: str, expected: dict[str, Any], tmp_path: Path
) -> None:
    table = str(tmp_path / "table")
    summary = scan_models.with_options(task_runner=runner)(root, table=table, max_task_runs=width)
    assert isinstance(summary, ScanSummary)
    assert (summary.examined, summary.drift) == (MODELS + 1, {"added": MODELS + 1})
    assert table_rows(table, "artifacts") == expected["artifacts"]
    assert table_rows(table, "sboms") == expected["sboms"]


@pytest.mark.parametrize("runner", RUNNERS, indirect=True)
@pytest.mark.filterwarnings("ignore")
def test_the_state_of_each_task_run_says_what_it_found(
    runner: Any, prefect: PrefectServer, tmp_path: Path
) -> None:
    files = {f"g/{number}.gguf": GGUF if number else GGUF[:90] for number in range(3)}
    root = put_local(tmp_path / "root", files)
    flow = scan_models.with_options(task_runner=runner)
    state: Any = flow(root, max_task_runs=3, return_state=True)
    assert (state.name, state.result().counts["failed"]) == ("Refused", 1)
    with prefect.connect() as client:
        runs = _task_runs(client, str(state.state_details.flow_run_id), 3)
    assert {(run["name"], run["state_name"], run["state"]["message"]) for run in runs} == {
        ("scan 0.gguf", "Refused", "1 of 1 refused: g/0.gguf: gguf/truncated"),
        ("scan 1.gguf", "Passed", "1 passed"),
        ("scan 2.gguf", "Passed", "1 passed"),
    }


def _task_runs(client: Any, flow_run: str, expected: int) -> list[dict[str, Any]]:
    """Return the task runs that scan, once so many are recorded as ended."""
    body = {"flow_runs": {"id": {"any_": [flow_run]}}}
    deadline = time.monotonic() + 60
    while True:
        found: list[dict[str, Any]] = client.post("/task_runs/filter", json=body).json()
        ended = [run for run in found if run["state_type"] == "COMPLETED"]
        ended = [run for run in ended if run["name"].startswith("scan ")]
        if len(ended) >= expected or time.monotonic() > deadline:
            return ended
        time.sleep(0.2)


AGENT = """
import json, os, sys
given = json.load(sys.stdin)
open(os.path.join(sys.argv[1], given["sbom"]["model_filename"]), "w").close()
"""


@pytest.mark.parametrize("runner", [*RUNNERS, "ray"], indirect=True)
@pytest.mark.filterwarnings("ignore")
def test_agents_start_and_a_second_scan_reads_what_changed(runner: Any, tmp_path: Path) -> None:
    files = {f"g/{number}.gguf": GGUF if number else GGUF[:90] for number in range(4)}
    root, table = put_local(tmp_path / "root", files), str(tmp_path / "table")
    (tmp_path / "seen").mkdir()
    command = [sys.executable, "-c", AGENT, str(tmp_path / "seen")]
    flow = scan_models.with_options(task_runner=runner)
    agents = [AgentLaunch(command=command)]
    first = flow(root, table=table, agents=agents, advanced=ScanAdvanced(max_agent_runs=2))
    assert sorted(run.state for run in first.agents) == ["completed", "completed", "waiting"]
    put_local(tmp_path / "root", {"g/1.gguf": OTHER})
    second = flow(root, table=table, agents=agents)
    assert (second.examined, second.drift) == (1, {"changed": 1, "unchanged": 3})
    assert {path.name for path in (tmp_path / "seen").iterdir()} == {"1.gguf", "2.gguf", "3.gguf"}


@pytest.mark.usefixtures("prefect")
@pytest.mark.filterwarnings("ignore")
def test_a_dask_worker_that_is_killed_costs_its_own_batches_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefect_dask = pytest.importorskip("prefect_dask")
    distributed = pytest.importorskip("distributed")
    files = {f"m/{number:02}.gguf": GGUF for number in range(4 * MODELS)}
    with SyntheticS3(Written(files), latency=0.5) as storage:
        monkeypatch.setenv("PREFECT_MUTAGEN_STORAGE_OPTIONS", json.dumps(storage.options))
        workers = {"n_workers": 2, "threads_per_worker": 2, "dashboard_address": None}
        with distributed.LocalCluster(**workers) as cluster, distributed.Client(cluster) as client:
            lost, *_ = client.run(os.getpid).values()

            def kill() -> None:
                while storage.counts.keys.total() < MODELS:
                    time.sleep(0.05)
                os.kill(lost, signal.SIGKILL)

            killer = threading.Thread(target=kill)
            killer.start()
            runner = prefect_dask.DaskTaskRunner(address=cluster.scheduler_address)
            flow = scan_models.with_options(task_runner=runner)
            table = str(tmp_path / "table")
            summary = flow("s3://b/m/", table=table, concurrency=2)
            killer.join()
    assert summary.drift == {"added": len(files)}
    assert (summary.not_examined, summary.counts["passed"]) == (0, len(files))
    assert len(table_rows(table, "artifacts")) == len(files)
    read_twice = sum(storage.counts.keys[key] > 1 for key in files)
    assert read_twice < len(files) / 2, "what it was at work on, and had not handed over"
