"""What becomes of a shard when its run ends, or does not say that it has ended."""

import uuid
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any, Self

import pytest
from prefect.client.schemas.objects import State
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled, Completed, Crashed, Failed, Running

from prefect_mutagen.flows import shard_runs
from prefect_mutagen.flows.fan_out import Examined
from prefect_mutagen.flows.shard_runs import ShardRuns
from prefect_mutagen.scanner.listing.manifest import Batch

RUNS = ShardRuns("scan-shard/shard", 2, {"source": "s3://b"}, 60)


class Server:
    """What `ShardRuns` asks of a server and of the table."""

    def __init__(self) -> None:
        self.state: State[Any] | None = Running()
        self.lost = self.complete = False
        self.given: list[dict[str, Any]] = []
        self.keys: list[str] = []

    def run_deployment(self, name: str, *, parameters: Any, idempotency_key: str, **_: Any) -> Any:
        assert name == "scan-shard/shard"
        self.given.append(parameters)
        self.keys.append(idempotency_key)
        self.state, self.lost = Running(), False
        run = type("Run", (), {"id": uuid.uuid4(), "name": "quick-run", "parent_task_run_id": None})
        return run()

    def read_flow_run(self, identity: uuid.UUID) -> Any:
        if self.state is None:
            raise ObjectNotFound(Exception(str(identity)))
        return type("Run", (), {"state": self.state})

    def set_flow_run_state(self, _identity: Any, state: State[Any], **_: Any) -> None:
        self.state = state

    @contextmanager
    def client(self, **_: Any) -> Any:
        yield self

    def is_lost(self, *_: Any) -> bool:
        return self.lost

    def is_complete(self, _name: str) -> bool:
        return self.complete


class Watched:
    """A shard whose run has been started."""

    def __init__(self, server: Server) -> None:
        self.server, self.shard = server, shard_runs._Shard("part-0000", Batch("", 0, 1))
        RUNS._start(self.shard, Examined())

    def look(self) -> Self:
        """Look after it, as is done every other second."""
        if RUNS._has_ended(self.shard, self.server):  # type: ignore[arg-type]
            RUNS._start(self.shard, Examined())
        return self


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    server = Server()
    monkeypatch.setattr(shard_runs, "run_deployment", server.run_deployment)
    monkeypatch.setattr(shard_runs, "get_client", server.client)
    monkeypatch.setattr(shard_runs, "flow_logger", _Silent)
    return Watched(server)


class _Silent:
    def warning(self, *_: object) -> None:
        """Say nothing."""


def test_a_run_that_is_at_work_is_left_alone(watched: Watched) -> None:
    assert watched.look().shard.is_open
    assert len(watched.server.given) == 1
    assert watched.server.given[0] == {"source": "s3://b", "shard": "part-0000", "attempt": 1}


def _lose(server: Server) -> None:
    server.lost = True


def _crash(server: Server) -> None:
    server.state = Crashed(message="exit code -9")


@pytest.mark.parametrize("end", [_lose, _crash])
def test_a_part_is_given_to_three_machines_at_most(
    watched: Watched, end: Callable[[Server], None]
) -> None:
    for attempt in (2, 3):
        end(watched.server)
        assert watched.look().shard.is_open
        assert watched.server.given[-1]["attempt"] == attempt
        assert watched.server.keys[-1] == f"part-0000-{attempt}"
    end(watched.server)
    assert not watched.look().shard.is_open
    assert "ended as Crashed: " in watched.shard.trouble
    assert len(watched.server.given) == 3


def test_what_a_lost_run_had_completed_counts(watched: Watched) -> None:
    watched.server.lost = watched.server.complete = True
    assert watched.look().shard.is_complete
    assert len(watched.server.given) == 1


@pytest.mark.parametrize(
    ("state", "trouble"),
    [
        (Failed(message="no access"), "ended as Failed: no access"),
        (Cancelled(), "ended as Cancelled"),
        (Completed(), "completed, and its results are not in the table"),
        (None, "was deleted"),
    ],
)
def test_a_run_that_has_ended_without_results_is_not_repeated(
    watched: Watched, state: State[Any] | None, trouble: str
) -> None:
    watched.server.state = state
    assert not watched.look().shard.is_open
    assert (watched.shard.trouble, len(watched.server.given)) == (trouble, 1)
    sentence = shard_runs._describe([watched.shard], 2)
    assert sentence.startswith("1 of 2 shards did not complete, and nothing was published; ")
    assert f"the run of the first, 'quick-run', {trouble}." in sentence


def test_nobody_waits_for_runs_of_a_scan_that_ended(watched: Watched) -> None:
    shard_runs._cancel([watched.shard])
    assert watched.server.state is not None
    assert watched.server.state.name == "Cancelling"
    watched.server.state = Failed()
    shard_runs._cancel([watched.shard])
    assert watched.server.state.name == "Failed"
