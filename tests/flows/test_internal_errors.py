"""A bug of our own in one artifact of a flow: its row says so, and so does the run's log."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from prefect_mutagen.flows import scan_models
from prefect_mutagen.scanner.examine.examiner import Examiner
from prefect_mutagen.scanner.table.table import Table
from prefect_mutagen.tasks.markdown import plain
from tests.builders import gguf
from tests.faults import planting
from tests.faults.planting import SECRET, SPOILED
from tests.scanner.storing import put_local
from tests.servers import PrefectServer

pytestmark = pytest.mark.server

GGUF = gguf().data
FILES = {"a.gguf": GGUF, f"b/{SPOILED}": GGUF, "cut.gguf": GGUF[:90], "d.gguf": GGUF}


@pytest.mark.parametrize(
    ("examine", "task_runs"),
    [(planting.fail, 250), (planting.fail, 2), (planting.examine, 2)],
    ids=["examined-alone", "examined-in-batches", "recorded-in-batches"],
)
def test_every_artifact_is_there_and_one_is_unknown(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    prefect: PrefectServer,
    examine: Callable[..., Any],
    task_runs: int,
) -> None:
    root, table = put_local(tmp_path / "root", FILES), str(tmp_path / "table")
    monkeypatch.setattr(Examiner, "examine", examine)
    summary = scan_models(root, table=table, max_task_runs=task_runs)
    assert summary.counts == {"passed": 2, "failed": 1, "unknown": 1}
    assert summary.unknown == [f"{root}/b/{SPOILED}"]
    state = Table(table, root).read_state()
    assert len(state) == len(FILES)
    (reason,) = state[f"{root}/b/{SPOILED}"].verdict.reasons
    assert reason.code == "scan/internal-error"
    with prefect.connect() as client:
        (said,) = _logged(client, reason.message)
        shown = client.post("/artifacts/filter", json={}).json()
    assert SPOILED in said
    assert "prefect_mutagen.scanner" in said
    assert SECRET not in said + json.dumps(shown) + repr(state)
    (rows,) = [
        json.loads(one["data"])
        for one in shown
        if one["type"] == "table" and plain(root) in one["description"]
    ]
    assert [row["verdict"] for row in rows].count("unknown") == 1
    assert len(rows) == len(FILES)


def _logged(client: httpx.Client, message: str) -> list[str]:
    """Wait for what the flow run has logged: it is sent in the background."""
    for _ in range(60):
        body = {"sort": "TIMESTAMP_DESC", "limit": 200, "logs": {"level": {"ge_": 40}}}
        entries = client.post("/logs/filter", json=body).json()
        found = [entry["message"] for entry in entries if message in entry["message"]]
        if found:
            return found[:1]
        time.sleep(0.5)
    return []
