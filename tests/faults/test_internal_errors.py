"""A bug of our own, met inside one artifact, is that artifact's row: N artifacts in, N rows out."""

import asyncio
import logging
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.scanner import ScanResult, scan
from prefect_mutagen.scanner.examine import engine
from prefect_mutagen.scanner.examine import examiner as examining
from prefect_mutagen.scanner.examine import parts as describing
from prefect_mutagen.scanner.examine.engine import examine_artifacts
from prefect_mutagen.scanner.examine.examiner import Examiner
from prefect_mutagen.scanner.examine.workers import Workers
from prefect_mutagen.scanner.listing import folder_group, grouping
from prefect_mutagen.scanner.listing.listing import list_artifacts
from prefect_mutagen.scanner.listing.roles import is_relevant
from prefect_mutagen.scanner.policy import judge
from prefect_mutagen.scanner.storage.opening import open_store
from tests.faults import planting
from tests.faults.planting import (
    ARTIFACTS,
    FILES,
    GGUF,
    MARK,
    SECRET,
    SPOILED,
    VARIABLE,
    assert_one_is_unknown,
    fail_for,
)
from tests.scanner.storing import put_local, put_memory
from tests.servers import S3Server

BUGS = [RuntimeError, RecursionError, KeyError, MemoryError, AssertionError, TimeoutError]


@pytest.fixture(params=["local", "memory", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, dict[str, Any]]:
    if request.param == "local":
        return put_local(tmp_path / "root", FILES), {}
    if request.param == "memory":
        return put_memory(FILES), {}
    server: S3Server = request.getfixturevalue("s3_server")
    return f"s3://{server.bucket(FILES)}", server.options


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return put_local(tmp_path / "root", FILES)


def _scan(root: tuple[str, dict[str, Any]], **options: Any) -> list[ScanResult]:
    return list(scan(root[0], storage_options=root[1], **options))


@pytest.mark.parametrize("bug", BUGS)
def test_examining(
    root: tuple[str, dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    bug: type[Exception],
) -> None:
    expected = _scan(root)
    fail_for(monkeypatch, describing, "describe", lambda _header, _beside, url: url, bug)
    found = _scan(root)
    assert len(found) == ARTIFACTS
    assert_one_is_unknown(found, expected)
    (record,) = [one for one in caplog.records if one.name == "prefect_mutagen"]
    said = record.getMessage()
    assert record.levelno == logging.ERROR
    assert re.search(rf"{bug.__name__} at prefect_mutagen\.scanner\.[\w.]+:[\w.]+:\d+", said)
    assert SPOILED in said
    assert SECRET not in caplog.text


def test_planning_what_loaders_take(
    root: tuple[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = _scan(root)
    fail_for(monkeypatch, examining, "plan_loads", lambda artifact, *_: artifact.url)
    assert_one_is_unknown(_scan(root), expected)


def test_examining_in_threads(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = list(scan(folder, hash="full"))
    fail_for(monkeypatch, describing, "describe", lambda _header, _beside, url: url)
    assert_one_is_unknown(list(scan(folder, hash="full")), expected)


def test_answering_a_request(
    root: tuple[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = _scan(root)
    store = type(open_store(*root))
    name = "stream" if hasattr(store, "stream") and root[0].startswith("s3") else "read"
    fail_for(monkeypatch, store, name, lambda _store, item, *_range: item.url)
    assert_one_is_unknown(_scan(root), expected)


def test_judging_costs_the_verdict_alone(
    root: tuple[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = _scan(root)
    fail_for(monkeypatch, judge, "_from_fields", lambda subject, *_: subject.url)
    found = _scan(root)
    assert_one_is_unknown(found, expected)
    (spoiled,) = [result for result in found if result.url.endswith(SPOILED)]
    assert spoiled.sbom.architecture == "llama"


@pytest.mark.parametrize("level", ["none", "stored"])
@pytest.mark.parametrize("ending", [BaseException, KeyboardInterrupt, SystemExit])
def test_who_ends_a_scan_is_not_answered_with_a_row(
    folder: str, monkeypatch: pytest.MonkeyPatch, level: Any, ending: type[BaseException]
) -> None:
    fail_for(monkeypatch, describing, "describe", lambda _h, _b, url: url, ending)  # type: ignore[arg-type]
    with pytest.raises(ending):
        list(scan(folder, hash=level))


def test_what_is_cancelled_is_no_row(monkeypatch: pytest.MonkeyPatch) -> None:
    root = put_memory(FILES)
    fail_for(monkeypatch, describing, "describe", lambda _h, _b, url: url, asyncio.CancelledError)  # type: ignore[arg-type]
    found = scan(root)
    assert next(found).verdict.status == "passed"
    found.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("held", [1, 5000], ids=["in-a-file", "in-memory"])
@pytest.mark.parametrize("stage", ["listed", "single", "set", "whole"])
def test_grouping_costs_the_folder_alone(
    folder: str, monkeypatch: pytest.MonkeyPatch, stage: str, held: int
) -> None:
    expected = {result.url: result for result in scan(folder)}
    if stage == "set":
        _fail_at_sets(monkeypatch)
    elif stage == "listed":
        fail_for(monkeypatch, folder_group, "role_of", lambda name: name)
    elif stage == "single":
        fail_for(monkeypatch, folder_group.FolderGroup, "single", lambda _folder, item: item.url)
    else:
        _fail_whole(monkeypatch)
    store = open_store(folder)
    listed = list(grouping.group_artifacts(store.list_objects(is_relevant), folder, held))
    urls = [artifact.url for artifact in listed]
    assert len(urls) == len(set(urls))
    spoiled = f"{folder}/{'c' if stage == 'set' else 'b'}/"
    names = {url for url in FILES if f"{folder}/{url}".startswith(spoiled)}
    found = {result.url: result for result in examine_artifacts(store, listed, Examiner())}
    for url, result in expected.items():
        if not url.startswith(spoiled):
            assert found[url].verdict == result.verdict
    unknown = {url for url, one in found.items() if one.verdict.status == "unknown"}
    everything = {item.url for one in found.values() for item in one.objects}
    assert everything == {f"{folder}/{name}" for name in FILES}
    assert unknown
    assert unknown <= {f"{folder}/{name}" for name in names}
    assert f"{folder}/b/{SPOILED}" in unknown or stage == "set"
    for url in unknown:
        assert [finding.code for finding in found[url].findings] == ["scan/internal-error"]


def _fail_at_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise IndexError(SECRET)

    monkeypatch.setattr(folder_group.FolderGroup, "_set", fail)


def _fail_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    original = folder_group.FolderGroup.artifacts

    def fail(folder: folder_group.FolderGroup) -> Iterator[Any]:
        if folder.url.endswith("/b/"):
            raise ZeroDivisionError(SECRET)
        yield from original(folder)

    monkeypatch.setattr(folder_group.FolderGroup, "artifacts", fail)


def test_grouping_what_was_named_by_itself(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_for(monkeypatch, folder_group.FolderGroup, "single", lambda _folder, item: item.url)
    (result,) = scan(f"{folder}/b/{SPOILED}")
    assert result.verdict.status == "unknown"
    assert [finding.code for finding in result.findings] == ["scan/internal-error"]


@pytest.mark.parametrize("how", ["examine", "fail"], ids=["writing", "examining"])
def test_several_processes(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    how: str,
) -> None:
    root = put_local(tmp_path, {f"{n:03}.gguf": GGUF for n in range(60)} | {SPOILED: GGUF})
    monkeypatch.setattr(engine, "_WORTHWHILE", 20)
    monkeypatch.setenv(VARIABLE, how)
    store = open_store(root)
    found = list(
        examine_artifacts(
            store,
            list_artifacts(store),
            Examiner(),
            8,
            make=partial(map, planting.render),
            workers=Workers(2, root),
        )
    )
    assert len(found) == 61
    assert [one.tally.status for one in found].count("unknown") == 1
    (text,) = [text for one in found for _, text in one.texts if MARK.encode() in text]
    said = capfd.readouterr().err
    assert "scan/internal-error" in said
    assert SECRET not in said + text.decode()
