"""No agent outlives its flow run: a real server, a process worker, and six ways to end."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from tests.builders import gguf
from tests.deployments.deployed import deploy
from tests.processes import harness_of, marked, may_make_namespaces, refusing, seconds_until_gone
from tests.servers import PrefectServer

pytestmark = [pytest.mark.server, pytest.mark.slow]
AGENT = str(Path(__file__).with_name("stray_agent.py"))
FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
SCAN = "cancellation of the scan"
# What the run ends as; the worker's end comes last, for it is one worker.
ENDINGS = {
    "exit": "COMPLETED",
    "time limit": "FAILED",
    "cancellation": "CANCELLED",
    SCAN: "CANCELLED",
    "SIGTERM of the flow": "CRASHED",
    "SIGKILL of the flow": "CRASHED",
    "SIGKILL of the worker": "COMPLETED",
}
# On exec the fallback goes through all of them; here it does where there is nothing else.
SWEPT = ("exit", "cancellation", "SIGKILL of the flow")
CASES = [
    *(("kernel", ending) for ending in ENDINGS),
    *(("sweep", ending) for ending in (SWEPT if may_make_namespaces() else ENDINGS)),
]
PREFIXES = {"sweep": refusing()} | ({"kernel": ()} if may_make_namespaces() else {})
BY_ITSELF = {"exit": "exit", "SIGKILL of the worker": "told"}


@dataclass
class Run:
    """One flow run with its agent."""

    identity: str
    mark: str
    ready: Path


class Pool:
    """A work pool with a process worker, and deployments of both flows."""

    def __init__(self, server: PrefectServer, prefix: tuple[str, ...], folder: Path) -> None:
        self.name = f"strays-{uuid.uuid4().hex[:6]}"
        self.folder = folder
        self.started: list[Run] = []
        self.model = folder / "a.gguf"
        self.model.write_bytes(gguf().data)
        self.http = server.connect()
        empty = folder / "empty"
        empty.mkdir()
        with temporary_settings({PREFECT_API_URL: server.api}):
            self.agent, self.scan = (
                deploy(server, entrypoint, self.name, empty, self.name)
                for entrypoint in (
                    "prefect_mutagen.flows.agent.run_agent",
                    "prefect_mutagen.flows.scan.scan_models",
                )
            )
        (folder / "temporary").mkdir()
        self.log = folder / "worker.log"
        with self.log.open("wb") as log:
            self.worker = subprocess.Popen(
                [*prefix, sys.executable, "-m", "prefect", "worker", "start", "--pool", self.name],
                env=os.environ
                | {
                    "PREFECT_API_URL": server.api,
                    "PREFECT_WORKER_QUERY_SECONDS": "1",
                    "TMPDIR": str(folder / "temporary"),
                },
                cwd=folder,
                stdout=log,
                stderr=log,
            )

    def start(self, ending: str) -> Run:
        mark = uuid.uuid4().hex
        ready = self.folder / mark
        words = ["daemonizes", BY_ITSELF.get(ending, "stay"), str(ready), mark]
        agent: dict[str, Any] = {
            "command": [sys.executable, "-I", "-S", AGENT, *words],
            "timeout_seconds": 3 if ending == "time limit" else 200,
        }
        deployment, parameters = self.agent, agent | {"url": str(self.model)}
        if ending == SCAN:
            deployment, parameters = self.scan, {"source": str(self.model), "agents": [agent]}
        body = {"parameters": parameters, "state": {"type": "SCHEDULED"}}
        made = self._post(f"/deployments/{deployment}/create_flow_run", body)
        run = Run(made["id"], mark, ready)
        self.started.append(run)
        return run

    def read(self, run: Run) -> dict[str, Any]:
        found: dict[str, Any] = self.http.get(f"/flow_runs/{run.identity}").json()
        return found

    def finish(self, run: Run) -> dict[str, Any]:
        _wait(lambda: self.has_ended(run), tell=partial(self.tell, run))
        return self.read(run)

    def is_under_way(self, run: Run) -> bool:
        """Say whether its agent runs, or never will."""
        return run.ready.exists() or self.has_ended(run)

    def has_ended(self, run: Run) -> bool:
        return self.read(run)["state_type"] in FINAL

    def tell(self, run: Run) -> str:
        """Say how far it came, and what its worker and its engine wrote."""
        state = self.read(run)["state"]
        written = self.log.read_text(errors="replace")[-8_000:]
        return f"{run.identity} is {state['name']} ({state['message']}) after\n{written}"

    def cancel(self, run: Run) -> None:
        body = {"state": {"type": "CANCELLING"}}
        self._post(f"/flow_runs/{run.identity}/set_state", body)

    def pages(self, run: Run) -> list[str]:
        body = {"artifacts": {"flow_run_id": {"any_": [run.identity]}}}
        return [page["data"] for page in self._post("/artifacts/filter", body)]

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        while True:
            answer = self.http.post(path, json=body)
            if answer.status_code != 503:  # the server has more to do than it can
                break
            time.sleep(0.5)
        assert answer.is_success, answer.text
        return answer.json()

    def close(self) -> None:
        self.http.close()
        self.worker.terminate()
        try:
            self.worker.wait(40)
        except subprocess.TimeoutExpired:
            self.worker.kill()
            self.worker.wait()


def _wait(ready: Callable[[], bool], tell: Callable[[], str] = str) -> None:
    deadline = time.monotonic() + 200
    while not ready():
        assert time.monotonic() < deadline, f"it takes too long {tell()}"
        time.sleep(0.2)


@dataclass
class Ended:
    """What became of a run."""

    state: str
    message: str
    gone_after: float
    pages: list[str]


def _gone(pid: int) -> bool:
    try:
        return not Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return True


def _start(pool: Pool, ending: str) -> Run:
    """Start a run, and wait for its agent; a server with too much to do may lose a run or two."""
    for _ in range(3):
        run = pool.start(ending)
        _wait(partial(pool.is_under_way, run), tell=partial(pool.tell, run))
        if run.ready.exists():
            return run
    raise AssertionError(pool.read(run)["state"]["message"])


def _end(pool: Pool, ending: str, before: list[Future[Ended]]) -> Ended:
    """End a run, and look for what is left of it."""
    if ending == "SIGKILL of the worker":
        wait(before)  # it is their worker too; and its own agent's time does not run meanwhile
    run = _start(pool, ending)
    engine = 0
    if ending not in {"exit", "time limit"}:
        engine = harness_of(min(marked(run.mark)))
    if ending in {"cancellation", SCAN}:
        pool.cancel(run)
    elif ending.endswith("of the flow"):
        os.kill(engine, getattr(signal, ending.partition(" ")[0]))
    elif ending == "SIGKILL of the worker":
        pool.worker.kill()
        pool.worker.wait()
        assert marked(run.mark), "the engine lives on, and so does its agent"
        Path(f"{run.ready}.end").touch()
    if engine:
        _wait(lambda: _gone(engine))
    else:
        pool.finish(run)
    gone_after = seconds_until_gone(run.mark, engine)
    state = pool.finish(run)["state"]
    return Ended(state["type"], state["message"], gone_after, pool.pages(run))


@pytest.fixture(scope="module")
def runs(
    prefect_server: PrefectServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[tuple[str, str], Future[Ended]]]:
    """A worker for each guarantee, and one run for each ending, all at the same time."""
    pools: list[Pool] = []
    futures: dict[tuple[str, str], Future[Ended]] = {}
    try:
        with ThreadPoolExecutor(len(CASES)) as threads:
            for guarantee, prefix in PREFIXES.items():
                pool = Pool(prefect_server, prefix, tmp_path_factory.mktemp("strays"))
                pools.append(pool)
                before: list[Future[Ended]] = []
                for ending in (ending for each, ending in CASES if each == guarantee):
                    ended = threads.submit(_end, pool, ending, list(before))
                    futures[guarantee, ending] = ended
                    before.append(ended)
            yield futures
    finally:
        for pool in pools:
            pool.close()
        for run in (run for pool in pools for run in pool.started):
            for pid in marked(run.mark):
                os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize(("guarantee", "ending"), CASES)
def test_nothing_is_left(
    runs: dict[tuple[str, str], Future[Ended]], guarantee: str, ending: str
) -> None:
    if guarantee not in PREFIXES:
        pytest.skip("this machine refuses namespaces")
    run = runs[guarantee, ending].result()
    assert run.gone_after < 5
    assert run.state == ENDINGS[ending], run.message
    if ending == "time limit":
        assert "did not end within 3 seconds" in run.message
    if ending == "exit":
        (page,) = run.pages
        assert "status 0" in page
        assert ("the kernel ended" in page) == (guarantee == "kernel")
