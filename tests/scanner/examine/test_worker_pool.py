import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from prefect_mutagen.scanner.examine import engine
from prefect_mutagen.scanner.examine.engine import examine_artifacts
from prefect_mutagen.scanner.examine.examiner import Examiner
from prefect_mutagen.scanner.examine.workers import Workers
from prefect_mutagen.scanner.listing.listing import list_artifacts
from prefect_mutagen.scanner.outputs.documents import RenderedResult, render_jsonl
from prefect_mutagen.scanner.results import ScanResult
from prefect_mutagen.scanner.scan import scan
from prefect_mutagen.scanner.storage.opening import open_store
from prefect_mutagen.scanner.temporary import owner_mark
from tests.builders import gguf
from tests.scanner.storing import put_local
from tests.servers import S3Server
from tests.synthetic_contents import Written
from tests.synthetic_s3 import SyntheticS3

GGUF = gguf().data
_PARENT = "TEST_PARENT"


def where(result: ScanResult) -> tuple[str, str, int]:
    return result.url, result.verdict.status, os.getpid()


_where = partial(map, where)


def folder(result: ScanResult) -> str:  # noqa: ARG001 - a contract
    return tempfile.gettempdir()


_folder = partial(map, folder)


def _all(root: str, count: int, **options: object) -> list[tuple[str, str, int]]:
    store = open_store(root, options)
    return list(
        examine_artifacts(
            store,
            list_artifacts(store),
            Examiner(),
            8,
            make=_where,
            workers=Workers(count, root, options),
        )
    )


@pytest.fixture(autouse=True)
def _few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_WORTHWHILE", 20)


def _files(count: int) -> dict[str, bytes]:
    return {f"{n:03d}.gguf": GGUF if n % 7 else GGUF[:100] for n in range(count)}


def test_many_artifacts_are_examined_in_several_processes(tmp_path: Path) -> None:
    root = put_local(tmp_path, _files(120))
    expected = [(result.url, result.verdict.status) for result in scan(root)]
    found = _all(root, 2)
    assert [(url, status) for url, status, _ in found] == expected
    workers = {pid for _, _, pid in found}
    assert len(workers) == 2
    assert os.getpid() not in workers


def test_what_workers_leave_when_all_are_killed_says_whose_it_was(tmp_path: Path) -> None:
    root = put_local(tmp_path, _files(30))
    store = open_store(root)
    listed, workers = list_artifacts(store), Workers(2, root)
    found = set(examine_artifacts(store, listed, Examiner(), make=_folder, workers=workers))
    assert {Path(place).name.startswith("mutagen-workers-") for place in found} == {True}
    assert all(owner_mark() in place for place in found)


@pytest.mark.parametrize(("files", "count"), [(19, 2), (120, 1)], ids=["few", "one-process"])
def test_few_artifacts_are_examined_here(tmp_path: Path, files: int, count: int) -> None:
    found = _all(put_local(tmp_path, _files(files)), count)
    assert {pid for _, _, pid in found} == {os.getpid()}
    assert len(found) == files


def test_each_process_opens_the_storage_for_itself(s3_server: S3Server) -> None:
    bucket = s3_server.bucket(_files(30))
    found = _all(f"s3://{bucket}", 2, **s3_server.options)
    assert len(found) == 30
    assert os.getpid() not in {pid for _, _, pid in found}


@pytest.mark.parametrize(
    ("concurrency", "most", "used"),
    [(1, 3, 1), (2, 3, 2), (5, 2, 2)],
    ids=["one process", "fewer processes", "a remainder"],
)
def test_all_processes_together_keep_to_the_concurrency(
    concurrency: int, most: int, used: int
) -> None:
    with SyntheticS3(Written(_files(200)), latency=0.05) as server:
        store = open_store("s3://b", server.options)
        workers = Workers(most, "s3://b", server.options)
        artifacts = list_artifacts(store)
        found = examine_artifacts(
            store, artifacts, Examiner(), concurrency, make=_where, workers=workers
        )
        assert len({pid for _, _, pid in found}) == used
    assert server.counts.most_at_once == concurrency


def test_each_process_reads_old_versions(s3_server: S3Server) -> None:
    bucket = s3_server.bucket()
    client = s3_server.client()
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for _ in range(2):
        for key, data in _files(15).items():
            client.put_object(Bucket=bucket, Key=key, Body=data)
    root = f"s3://{bucket}"
    store = open_store(root, s3_server.options, versions=True)
    workers = Workers(2, root, s3_server.options, versions=True)
    found = list(
        examine_artifacts(store, list_artifacts(store), Examiner(), 8, make=_where, workers=workers)
    )
    assert [status for _, status, _ in found].count("passed") == 2 * 12
    assert len(found) == 2 * 15
    assert os.getpid() not in {pid for *_, pid in found}


def test_a_caller_who_stops_leaves_no_process_behind(tmp_path: Path) -> None:
    root = put_local(tmp_path, _files(400))
    store = open_store(root)
    found = examine_artifacts(
        store,
        list_artifacts(store),
        Examiner(),
        8,
        make=partial(map, where),
        workers=Workers(2, root),
    )
    _, _, pid = next(found)
    found.close()  # type: ignore[attr-defined]
    assert not os.path.exists(f"/proc/{pid}")


def dies_elsewhere(result: ScanResult) -> tuple[str, str, int]:
    if os.environ[_PARENT] != str(os.getpid()) and result.url.endswith("013.gguf"):
        os._exit(9)
    return where(result)


def fails_elsewhere(result: ScanResult) -> tuple[str, str, int]:
    if os.environ[_PARENT] != str(os.getpid()) and result.url.endswith("013.gguf"):
        raise RuntimeError("a bug")
    return where(result)


@pytest.mark.parametrize("make", [dies_elsewhere, fails_elsewhere])
def test_a_process_that_is_lost_costs_no_artifact(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    make: Callable[[ScanResult], tuple[str, str, int]],
) -> None:
    monkeypatch.setenv(_PARENT, str(os.getpid()))
    root = put_local(tmp_path, _files(400))
    store = open_store(root)
    found = examine_artifacts(
        store,
        list_artifacts(store),
        Examiner(),
        8,
        make=partial(map, make),
        workers=Workers(2, root),
    )
    seen = list(found)
    assert [url for url, *_ in seen] == [result.url for result in scan(root)]
    assert os.getpid() in {pid for *_, pid in seen}
    assert capfd.readouterr() == ("", "")


def test_texts_made_elsewhere_are_the_same(tmp_path: Path) -> None:
    root = put_local(tmp_path, _files(40))
    examiner = Examiner()
    made: list[RenderedResult] = list(
        examine_artifacts(
            open_store(root),
            list_artifacts(open_store(root)),
            examiner,
            8,
            make=partial(map, render_jsonl),
            workers=Workers(2, root),
        )
    )
    here = Examiner(generated_at=examiner.generated_at)
    again = examine_artifacts(
        open_store(root), list_artifacts(open_store(root)), here, 8, make=partial(map, render_jsonl)
    )
    assert made == list(again)
