"""What the flow says it asked for, and how wide it says it asks, counted at the storage server."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from prefect import flow, unmapped

from prefect_mutagen.flows import ScanSummary, scan_models
from prefect_mutagen.tasks import list_artifacts, scan_artifact
from tests.builders import safetensors
from tests.parsers.safetensors_cases import GOOD
from tests.synthetic_contents import Written
from tests.synthetic_s3 import SyntheticS3

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect")]

SMALL = safetensors('{"a":%s}' % GOOD, 4)
BESIDE = {
    "m/config.json": b'{"model_type": "llama"}',
    "m/SHA256SUMS": b"0" * 64 + b"  other",
}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[SyntheticS3]:
    with SyntheticS3(latency=0.06) as started:
        options = json.dumps(started.options)
        monkeypatch.setenv("PREFECT_MUTAGEN_STORAGE_OPTIONS", options)
        yield started


def _fill(server: SyntheticS3, models: int) -> None:
    server.content = Written({f"m/{n:03}.safetensors": SMALL for n in range(models)} | BESIDE)


def _seen(server: SyntheticS3) -> int:
    return server.counts.keys.total()


def _found(summary: ScanSummary) -> dict[str, Any]:
    return summary.model_dump(exclude={"scan_id"})


@pytest.mark.parametrize("models", [12, 200, 400])
def test_what_is_said_is_what_was_sent_at_any_width(server: SyntheticS3, models: int) -> None:
    _fill(server, models)
    found = []
    for most in (0, 1, 5, 250):
        server.counts.keys.clear()
        summary = scan_models("s3://b/m/", max_task_runs=most)
        assert summary.requests == _seen(server) == models + 2
        found.append(_found(summary))
    assert found == [found[0]] * 4
    assert found[0]["counts"] == {"passed": models, "failed": 0, "unknown": 0}


@pytest.mark.parametrize("concurrency", [1, 5, 16, 40, 100])
@pytest.mark.parametrize("most", [4, 0], ids=["few", "adaptive"])
def test_so_many_requests_are_under_way_as_are_allowed(
    server: SyntheticS3, concurrency: int, most: int
) -> None:
    _fill(server, 40 if concurrency == 1 else 240)
    server.latency = 0.06 if concurrency < 16 else 0.2
    summary = scan_models("s3://b/m/", max_task_runs=most, concurrency=concurrency)
    assert len(summary.unknown) == 0
    assert server.counts.most_at_once <= concurrency
    assert server.counts.most_at_once >= 0.9 * concurrency


def test_task_runs_of_other_flows_share_what_folders_have(server: SyntheticS3) -> None:
    @flow
    def own() -> int:
        listed: Any = list_artifacts("s3://b/m/")
        results: Any = scan_artifact.map(listed, unmapped("s3://b/m/")).result()
        return sum(result.requests for result in results)

    _fill(server, 30)
    assert own() == _seen(server) == 32


def test_a_folder_that_changes_between_scans_is_read_anew(server: SyntheticS3) -> None:
    _fill(server, 20)
    scan_models("s3://b/m/")
    assert isinstance(server.content, Written)
    server.content.put("m/config.json", b'{"model_type": "qwen2", "license": "mit"}')
    server.counts.keys.clear()
    assert scan_models("s3://b/m/").requests == _seen(server) == 22
