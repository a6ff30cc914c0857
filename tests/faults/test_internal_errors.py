"""A bug of our own, met inside one artifact, is that artifact's row: N artifacts in, N rows out."""

import asyncio
import json
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.scanner import Policy, ScanResult, grouping, judge, processes, scan
from prefect_mutagen.scanner import examine as examining
from prefect_mutagen.scanner.artifacts import is_relevant
from prefect_mutagen.scanner.cli import main
from prefect_mutagen.scanner.examine import Examiner
from prefect_mutagen.scanner.outputs import FORMATS, sarif
from prefect_mutagen.scanner.processes import examine_in_processes
from prefect_mutagen.scanner.results import Summary
from prefect_mutagen.scanner.scan import examine_artifacts, list_artifacts, new_scan
from prefect_mutagen.scanner.storage import open_store
from prefect_mutagen.scanner.table import Table
from prefect_mutagen.scanner.tables import recording, spool
from prefect_mutagen.tasks import showing
from tests.builders import gguf, safetensors, tensor
from tests.faults import planting
from tests.faults.planting import SECRET, SPOILED, VARIABLE
from tests.scanner.storing import put_local, put_memory
from tests.servers import S3Server

GGUF = gguf().data
SHARD = safetensors({"a": tensor("F32", [1], 0, 4)}, 4)
FILES = {
    "a/1.gguf": GGUF,
    "a/cut.gguf": GGUF[:90],
    f"b/{SPOILED}": GGUF,
    "b/2.gguf": GGUF,
    "c/m-00001-of-00002.safetensors": SHARD,
    "c/m-00002-of-00002.safetensors": SHARD,
    "c/z.gguf": GGUF,
}
ARTIFACTS = 6
BUGS = [RuntimeError, RecursionError, KeyError, MemoryError, AssertionError, TimeoutError]
ONE_MODEL = ("hf-readme", "model-card")
MARK = "the scanner itself failed while"


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


def _fail_for(
    monkeypatch: pytest.MonkeyPatch,
    module: Any,
    name: str,
    about: Callable[..., str],
    bug: type[Exception] = RuntimeError,
) -> None:
    """Let a function fail over the planted file; ``about`` finds an address in its arguments."""
    original = getattr(module, name)

    def planted(*given: Any, **named: Any) -> Any:
        if about(*given, **named).endswith(SPOILED):
            raise bug(SECRET)
        return original(*given, **named)

    monkeypatch.setattr(module, name, planted)


def _assert_one_is_unknown(results: list[ScanResult], expected: list[ScanResult]) -> None:
    wholes = {result.url: result for result in expected}
    assert sorted(result.url for result in results) == sorted(wholes)
    for result in results:
        whole = wholes[result.url]
        if not result.url.endswith(SPOILED):
            assert result.verdict == whole.verdict
            continue
        assert result.verdict.status == "unknown"
        assert {reason.code for reason in result.verdict.reasons} == {"scan/internal-error"}
        assert SECRET not in repr(result)


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
    _fail_for(monkeypatch, examining, "describe", lambda _header, _beside, url: url, bug)
    found = _scan(root)
    assert len(found) == ARTIFACTS
    _assert_one_is_unknown(found, expected)
    (record,) = [one for one in caplog.records if one.name == "prefect_mutagen"]
    said = record.getMessage()
    assert record.levelno == logging.ERROR
    assert re.search(rf"{bug.__name__} at prefect_mutagen\.scanner\.[\w.]+:[\w.]+:\d+", said)
    assert SPOILED in said
    assert SECRET not in caplog.text


def test_examining_in_threads(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = list(scan(folder, hash="full"))
    _fail_for(monkeypatch, examining, "describe", lambda _header, _beside, url: url)
    _assert_one_is_unknown(list(scan(folder, hash="full")), expected)


def test_answering_a_request(
    root: tuple[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = _scan(root)
    store = type(open_store(*root))
    name = "stream" if hasattr(store, "stream") and root[0].startswith("s3") else "read"
    _fail_for(monkeypatch, store, name, lambda _store, item, *_range: item.url)
    _assert_one_is_unknown(_scan(root), expected)


def test_judging_costs_the_verdict_alone(
    root: tuple[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = _scan(root)
    _fail_for(monkeypatch, judge, "_from_fields", lambda subject, *_: subject.url)
    found = _scan(root)
    _assert_one_is_unknown(found, expected)
    (spoiled,) = [result for result in found if result.url.endswith(SPOILED)]
    assert spoiled.sbom.architecture == "llama"


@pytest.mark.parametrize("level", ["none", "stored"])
@pytest.mark.parametrize("ending", [BaseException, KeyboardInterrupt, SystemExit])
def test_who_ends_a_scan_is_not_answered_with_a_row(
    folder: str, monkeypatch: pytest.MonkeyPatch, level: Any, ending: type[BaseException]
) -> None:
    _fail_for(monkeypatch, examining, "describe", lambda _h, _b, url: url, ending)  # type: ignore[arg-type]
    with pytest.raises(ending):
        list(scan(folder, hash=level))


def test_what_is_cancelled_is_no_row(monkeypatch: pytest.MonkeyPatch) -> None:
    root = put_memory(FILES)
    _fail_for(monkeypatch, examining, "describe", lambda _h, _b, url: url, asyncio.CancelledError)  # type: ignore[arg-type]
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
        _fail_for(monkeypatch, grouping, "role_of", lambda name: name)
    elif stage == "single":
        _fail_for(monkeypatch, grouping._Folder, "single", lambda _folder, item: item.url)
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

    monkeypatch.setattr(grouping._Folder, "_set", fail)


def _fail_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    original = grouping._Folder.artifacts

    def fail(folder: grouping._Folder) -> Iterator[Any]:
        if folder.url.endswith("/b/"):
            raise ZeroDivisionError(SECRET)
        yield from original(folder)

    monkeypatch.setattr(grouping._Folder, "artifacts", fail)


def test_grouping_what_was_named_by_itself(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _fail_for(monkeypatch, grouping._Folder, "single", lambda _folder, item: item.url)
    (result,) = scan(f"{folder}/b/{SPOILED}")
    assert result.verdict.status == "unknown"
    assert [finding.code for finding in result.findings] == ["scan/internal-error"]


def _count(form: str, text: str) -> int:
    """Count the artifacts that a document describes, those of a set as its files."""
    if form == "spdx":
        return len(re.findall(r"^Relationship: SPDXRef-DOCUMENT DESCRIBES", text, re.MULTILINE))
    if form == "table":
        return len(re.findall(r"^(?:passed|failed|unknown) ", text, re.MULTILINE))
    if form in ONE_MODEL:
        return len(re.findall("^# ", text, re.MULTILINE))
    if form == "jsonl":
        return len([json.loads(line) for line in text.splitlines()])
    found: Any = json.loads(text)
    if form == "json":
        return len(found) if isinstance(found, list) else 1
    if form == "sarif":
        return len(found["runs"][0]["artifacts"])
    if form == "spdx3":
        return len([one for one in found["@graph"] if one.get("spdxId", "").endswith("/contains")])
    if form == "intoto":
        return len(found["subject"])
    return len(found[{"report": "artifacts", "cyclonedx": "components"}.get(form, "packages")])


@pytest.mark.parametrize("table", [False, True], ids=["", "table"])
@pytest.mark.parametrize("form", FORMATS)
def test_writing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    form: str,
    table: bool,  # noqa: FBT001 - a column of the table
) -> None:
    files = {f"b/{SPOILED}": GGUF} if form in ONE_MODEL else FILES
    root = put_local(tmp_path / "root", files)
    words = ["scan", root, "--format", form, "--hash", "full"]
    words += ["--table", str(tmp_path / "table")] if table else []
    main(words)
    count = _count(form, capfd.readouterr().out)
    shutil.rmtree(tmp_path / "table", ignore_errors=True)
    monkeypatch.setattr(Examiner, "examine", planting.examine)
    output = tmp_path / "out"
    assert main([*words, "--output", str(output)]) == 1
    said = capfd.readouterr()
    text = output.read_text()
    if form == "intoto":
        count -= 1  # nothing is attested of what nobody has seen
    assert _count(form, text) == count
    if form != "intoto":
        assert text.count(MARK) >= 1
    assert not os.path.exists(f"{output}.partial")
    assert said.out == ""
    assert "scan/internal-error" in said.err
    assert re.search(r"(Runtime|Attribute)Error at prefect_mutagen\.[\w.]+:[\w.<>]+:\d+", said.err)
    assert SECRET not in said.err + text


def test_writing_what_fails_over_an_address(
    folder: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    main(["scan", folder, "--format", "sarif"])
    expected = _count("sarif", capfd.readouterr().out)
    os.rename(f"{folder}/b/{SPOILED}", f"{folder}/b/a {SPOILED}")
    _fail_for(monkeypatch, sarif, "as_uri", lambda url: url if " " in url else "")
    assert main(["scan", folder, "--format", "sarif"]) == 1
    log = json.loads(capfd.readouterr().out)
    codes = [result["ruleId"] for result in log["runs"][0]["results"]]
    assert "scan/internal-error" in codes
    assert len(log["runs"][0]["artifacts"]) == expected - 1
    (met,) = [one for one in log["runs"][0]["results"] if one["ruleId"] == "scan/internal-error"]
    assert "20spoiled" in json.dumps(met["locations"])


@pytest.mark.parametrize(
    ("module", "name"),
    [(recording, "to_row"), (recording, "sbom_rows"), (recording, "compare")],
    ids=["row", "documents", "drift"],
)
def test_recording(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: Any, name: str
) -> None:
    table = str(tmp_path / "table")
    words = ["scan", folder, "--table", table, "--format", "report", "--rescan", "all"]
    first = tmp_path / "first.json"
    assert main([*words, "--output", str(first)]) == 1
    before = Table(table, folder).read_state()
    calls: list[str] = []
    original = getattr(module, name)

    def planted(*given: Any) -> Any:
        result = given[-1] if name == "compare" else given[0]
        if result.url.endswith(SPOILED) and not calls:
            calls.append(result.url)
            raise RuntimeError(SECRET)
        return original(*given)

    monkeypatch.setattr(module, name, planted)
    put_local(Path(folder), {f"b/{SPOILED}": gguf(version=2).data})
    second = tmp_path / "second.json"
    assert main([*words, "--output", str(second)]) == 1
    assert calls
    after = Table(table, folder).read_state()
    assert after.keys() == before.keys()
    for url, result in after.items():
        expected = "unknown" if url.endswith(SPOILED) else before[url].verdict.status
        assert result.verdict.status == expected
    report = json.loads(second.read_text())
    assert report["summary"]["artifacts"] == ARTIFACTS
    assert report["summary"]["unknown"] == 1
    monkeypatch.undo()
    assert main([*words, "--output", str(second)]) == 1
    assert json.loads(second.read_text())["summary"]["unknown"] == 0


def test_recording_what_no_column_holds(folder: str, tmp_path: Path) -> None:
    table, info, summary = Table(str(tmp_path / "t"), folder), new_scan(folder, Policy()), Summary()
    results = list(scan(folder))
    with recording.Recording(info) as recorded:
        for result in results:
            odd: Any = result
            if result.url.endswith(SPOILED):
                odd = replace(odd, license_spdx=7)
            summary.add(recorded.add(odd))
        recorded.close(summary)
        table.publish(recorded, summary)
        assert list(recorded.internal_errors())
    assert (summary.artifacts, summary.unknown) == (ARTIFACTS, 1)
    _assert_one_is_unknown(list(table.read_state().values()), results)


def test_recording_in_batches(folder: str, tmp_path: Path) -> None:
    results, info, summary = list(scan(folder)), new_scan(folder, Policy()), Summary()
    spoiled = [planting.spoil(one) if one.url.endswith(SPOILED) else one for one in results]
    with recording.Recording(info) as recorded:
        recorded.adopt(spool.spool_results(spoiled, info, str(tmp_path / "batch")), summary)
        recorded.close(summary)
        _assert_one_is_unknown(list(recorded.results()), results)
    assert (summary.artifacts, summary.unknown) == (ARTIFACTS, 1)


def test_judging_again(folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = str(tmp_path / "table")
    policy = tmp_path / "policy.yaml"
    policy.write_text("max_size_bytes: 1000000")
    main(["scan", folder, "--table", table])
    before = list(Table(table, folder).read_state().values())
    _fail_for(monkeypatch, judge, "_from_fields", lambda subject, *_: subject.url)
    assert main(["scan", folder, "--table", table, "--policy", str(policy)]) == 1
    _assert_one_is_unknown(list(Table(table, folder).read_state().values()), before)


@pytest.mark.parametrize("name", ["_row", "_refused"])
def test_showing(folder: str, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    results = list(scan(folder, policy=Policy(max_size_bytes=1)))
    shown: dict[str, Any] = {}
    monkeypatch.setattr(showing, "create_table_artifact", lambda **given: shown.update(given))
    monkeypatch.setattr(showing, "create_markdown_artifact", lambda **given: shown.update(given))
    original = getattr(showing, name)

    def planted(result: ScanResult, *more: Any) -> Any:
        if result.url.endswith(SPOILED) and result.pin:
            raise RuntimeError(SECRET)
        return original(result, *more)

    monkeypatch.setattr(showing, name, planted)
    summary = Summary()
    for result in results:
        summary.add(result)
    showing.show_scan(new_scan(folder, Policy()), summary, results, [])
    assert len(shown["table"]) == ARTIFACTS
    assert shown["markdown"].count("\n* **") == ARTIFACTS
    met = [row for row in shown["table"] if row["reason"] == "scan/internal-error"]
    assert len(met) == (name == "_row")
    assert (MARK in shown["markdown"]) == (name == "_refused")


@pytest.mark.parametrize("how", ["examine", "fail"], ids=["writing", "examining"])
def test_several_processes(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    how: str,
) -> None:
    root = put_local(tmp_path, {f"{n:03}.gguf": GGUF for n in range(60)} | {SPOILED: GGUF})
    monkeypatch.setattr(processes, "_WORTH_IT", 20)
    monkeypatch.setenv(VARIABLE, how)
    store = open_store(root)
    found = list(
        examine_in_processes(
            store,
            (root, {}),
            list_artifacts(store),
            Examiner(),
            planting.render,
            concurrency=8,
            processes=2,
        )
    )
    assert len(found) == 61
    assert [one.tally.status for one in found].count("unknown") == 1
    (text,) = [text for one in found for _, text in one.texts if MARK.encode() in text]
    said = capfd.readouterr().err
    assert "scan/internal-error" in said
    assert SECRET not in said + text.decode()
