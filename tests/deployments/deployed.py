"""A Prefect server with deployments and a worker, and its REST API as tests ask it."""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
from prefect.deployments.runner import RunnerDeployment

from tests.processes import kill_tree
from tests.servers import PrefectServer

__all__ = ["Client", "Worker", "deploy", "run_prefect"]

_FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


class Client:
    """The REST API of a server with a deployed project and a worker."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def deployment(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self._client.get(f"/deployments/name/{name}").json()
        return found

    def start(self, name: str, parameters: dict[str, Any]) -> httpx.Response:
        body = {"parameters": parameters, "state": {"type": "SCHEDULED"}}
        identity = self.deployment(name)["id"]
        return self._client.post(f"/deployments/{identity}/create_flow_run", json=body)

    def finish(self, identity: str, patience: float = 150) -> dict[str, Any]:
        deadline = time.monotonic() + patience
        while True:
            run: dict[str, Any] = self._client.get(f"/flow_runs/{identity}").json()
            if run["state_type"] in _FINAL or time.monotonic() > deadline:
                return run
            time.sleep(0.5)

    def runs_of(self, flow: str) -> list[dict[str, Any]]:
        return self._runs({"flows": {"name": {"any_": [flow]}}})

    def runs_of_deployment(self, name: str) -> list[dict[str, Any]]:
        return self._runs({"deployments": {"id": {"any_": [self.deployment(name)["id"]]}}})

    def _runs(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._client.post("/flow_runs/filter", json=body).json()
        return found

    def logs(self, identity: str) -> list[str]:
        body = {"logs": {"flow_run_id": {"any_": [identity]}}, "sort": "TIMESTAMP_ASC"}
        return [entry["message"] for entry in self._client.post("/logs/filter", json=body).json()]

    def pause_schedules(self, name: str) -> None:
        """Pause the schedules of a deployment; runs that have not started go away."""
        found = self.deployment(name)
        for schedule in found["schedules"]:
            path = f"/deployments/{found['id']}/schedules/{schedule['id']}"
            self._client.patch(path, json={"active": False}).raise_for_status()


def run_prefect(server: PrefectServer, *words: str, cwd: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "prefect", *words],
        cwd=cwd,
        env=os.environ | server.client_environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def deploy(
    server: PrefectServer, entrypoint: str, name: str, folder: Path, pool: str = "models"
) -> str:
    """Deploy a flow of the package to a pool, which is made where it is not there; its identity.

    The server is the one in use. Each run begins with a copy of the folder: an empty one costs
    nothing, a checkout with its virtual environment gigabytes.
    """
    with server.connect() as http:
        http.post("/work_pools/", json={"name": pool, "type": "process"})  # or it is there
    with contextlib.chdir(folder):
        deployment: Any = RunnerDeployment.from_entrypoint(
            entrypoint, name=name, work_pool_name=pool
        )
        return str(deployment.apply())


class Worker:
    """A process worker of the pool ``models``."""

    def __init__(
        self, server: PrefectServer, folder: Path, *words: str, **environment: str
    ) -> None:
        self._words = words
        self._environment = os.environ | server.client_environment | environment
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "prefect", "worker", "start", "--pool", "models", *self._words],
            env=self._environment,
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        return self

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def lose(self) -> None:
        """Kill it and all that it runs, as when its machine is lost."""
        kill_tree(self.pid)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
