"""A scan on its way into the table, and the command that sends it there."""

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.scanner import Policy, scan
from prefect_mutagen.scanner.commands.cli import main
from prefect_mutagen.scanner.examine.scan_info import new_scan
from prefect_mutagen.scanner.listing.listing import list_artifacts
from prefect_mutagen.scanner.results import ObjectResult, Summary
from prefect_mutagen.scanner.storage.opening import open_store
from prefect_mutagen.scanner.table.marks import Mark
from prefect_mutagen.scanner.table.recording import Recording
from prefect_mutagen.scanner.table.row_filters import may_have_passed, not_passed, passed
from prefect_mutagen.scanner.table.spool import spool_results
from prefect_mutagen.scanner.table.state import Comparison, State
from prefect_mutagen.scanner.table.table import Table
from prefect_mutagen.scanner.table.worth_showing import worth_showing
from tests.builders import STRING, gguf
from tests.scanner.storing import put_local

GGUF = gguf().data
OTHER = gguf((("general.architecture", STRING, "mistral"),)).data


@pytest.fixture
def root(tmp_path: Path) -> str:
    files = {f"{n:02}.gguf": GGUF if n % 3 else GGUF[:90] for n in range(10)}
    return put_local(tmp_path / "root", files)


def _table(root: str) -> Table:
    table = Table(f"{root}-table", root)
    table.write(new_scan(root, Policy()), scan(root), Summary())
    return table


def _change(root: str) -> None:
    put_local(Path(root), {"01.gguf": OTHER, "new.gguf": GGUF})
    os.unlink(f"{root}/02.gguf")


@pytest.mark.parametrize("rescan", ["changed", "all"])
def test_batches_from_files_are_the_same_as_results_one_by_one(root: str, rescan: str) -> None:
    table = _table(root)
    _change(root)
    found = []
    for spooled in (False, True):
        known, summary = Comparison(table.open_state()), Summary()
        listed = {item.url: item for item in list_artifacts(open_store(root))}
        if rescan == "changed":
            listed = {url: item for url, item in listed.items() if not known.keep(item, "stored")}
        results = [replace(result, bytes_read=0) for result in scan(root) if result.url in listed]
        with Recording(new_scan(root, Policy()), known) as recording:
            if spooled:
                place = os.path.join(recording.folder, "batch")
                for start in (0, 4):
                    part = results[start:] if start else results[:4]
                    recording.adopt(spool_results(part, recording.scan, place), summary)
                assert not [name for name in os.listdir(recording.folder) if "batch" in name]
            else:
                for result in results:
                    summary.add(recording.add(result))
            recording.close(summary)
            rows = [row for part in recording.tables() for row in part.to_pylist()]
            volatile = {"scan_id": "", "scanned_at": "", "examined_at": ""}
            documents = sorted(
                row["url"] for part in recording._documents.tables() for row in part.to_pylist()
            )
            assert documents == [f"{root}/01.gguf", f"{root}/new.gguf"]
            found.append(
                (
                    [row | volatile for row in rows],
                    recording.drift,
                    recording.differs,
                    summary,
                    recording.addresses(5),
                )
            )
    assert found[0] == found[1]
    rows, drift, differs, summary, addresses = found[0]
    assert drift == {"unchanged": 8, "changed": 1, "added": 1, "removed": 1}
    assert [row["url"] for row in rows] == sorted({row["url"] for row in rows})
    assert differs
    assert (summary.artifacts, summary.passed, summary.failed) == (10, 6, 4)
    assert [len(urls) for urls in addresses.values()] == [5, 4, 0]


def test_results_are_chosen_by_their_rows(root: str) -> None:
    table = _table(root)
    _change(root)
    with Recording(new_scan(root, Policy()), Comparison(table.open_state())) as recording:
        for result in scan(root):
            recording.add(result)
        recording.close(Summary())
        assert len(list(recording.results())) == 10
        assert len(list(recording.results(passed))) == 6
        assert len(list(recording.results(not_passed))) == 4
        fit = {os.path.basename(result.url) for result in recording.results(may_have_passed)}
        assert fit == {"01.gguf", "new.gguf"}
    assert not os.path.exists(recording.folder)


def test_a_second_listing_begins_anew(root: str) -> None:
    state = _table(root).open_state()
    listed = list(list_artifacts(open_store(root)))
    known = Comparison(state)
    assert all(known.keep(item, "stored") for item in [*listed, *listed])
    assert (known.kept, known.marks.count(Mark.MISSING), len(state)) == (10, 0, 10)
    assert Comparison(state).marks.count(Mark.MISSING) == 10


def test_odd_names_that_look_alike_are_two_artifacts(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path / "root")
    os.mkdir(folder)
    for name in (b"\xff.gguf", b"\\udcff.gguf", b"z.gguf"):
        with open(os.path.join(folder, name), "wb") as file:
            file.write(GGUF)
    root = str(tmp_path / "root")
    table = _table(root)
    for _ in range(2):
        known = Comparison(table.open_state())
        fresh = [
            item for item in list_artifacts(open_store(root)) if not known.keep(item, "stored")
        ]
        assert fresh == [], "each is known by a name of its own"
        drift = table.write(new_scan(root, Policy()), [], Summary(), known)
        assert drift == {"unchanged": 3}
        assert len({result.url for result in table.open_state().results()}) == 3


def test_the_documents_of_a_set_come_back(tmp_path: Path, root: str) -> None:
    (one, other) = [result for result in scan(root) if result.passed][:2]
    parts = tuple(
        ObjectResult(item.url, item.size, item.objects[0].pin, item.sbom) for item in (one, other)
    )
    whole = replace(one, kind="set", objects=parts)
    table = Table(str(tmp_path / "table"), root)
    table.write(new_scan(root, Policy()), [whole], Summary())
    known = Comparison(table.open_state())
    known.marks[:] = bytes([Mark.KEPT])
    with Recording(new_scan(root, Policy()), known) as recording:
        recording.close(Summary())
        (back,) = table.documented(recording.unchanged())
    assert back.sbom == one.sbom
    assert [item.sbom for item in back.objects] == [one.sbom, other.sbom]


def test_a_state_of_nothing_is_one() -> None:
    state = State()
    assert (len(state), Comparison(state).marks, state.all_passed) == (0, bytearray(), True)
    assert state.find("x") is None
    assert list(state.results()) == []
    with Recording(new_scan("/x", Policy())) as recording:
        recording.close(Summary())
        assert (list(recording.tables()), recording.differs) == ([], False)


def _command(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    main(["scan", *arguments])
    return json.loads(capsys.readouterr().out)


def test_the_command_reads_only_what_has_changed(
    root: str, capsys: pytest.CaptureFixture[str]
) -> None:
    table = ("--table", f"{root}-table")
    first = _command(capsys, root, *table)
    _change(root)
    report = _command(capsys, root, *table, "--format", "report")
    assert report["summary"]["artifacts"] == 10
    assert report["summary"]["requests"] == 2
    drift = {entry["url"].rpartition("/")[2]: entry["drift"] for entry in report["artifacts"]}
    assert drift["01.gguf"] == "changed"
    assert drift["new.gguf"] == "added"
    assert list(drift.values()).count("unchanged") == 8
    # What was not read is as whole as what was.
    again = _command(capsys, root, *table)
    known = {document["model_path"]: document for document in first}
    assert len(again) == 10
    for document in again:
        name = document["model_path"].rpartition("/")[2]
        if drift[name] == "unchanged":
            assert document == known[document["model_path"]]
    main(["scan", root, *table, "--format", "table"])
    assert "10 artifacts: 6 passed, 4 failed, 0 unknown" in capsys.readouterr().out
    everything = _command(capsys, root, *table, "--format", "report", "--rescan", "all")
    assert everything["summary"]["requests"] == 10
    assert {entry["drift"] for entry in everything["artifacts"]} == {"unchanged"}


def test_the_command_judges_anew_without_reading(
    root: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = ("--table", f"{root}-table")
    (tmp_path / "policy.yaml").write_text("require_license: true\n")
    assert main(["scan", root, *table]) == 1
    capsys.readouterr()
    strict = _command(
        capsys, root, *table, "--format", "report", "--policy", str(tmp_path / "policy.yaml")
    )
    assert (strict["summary"]["failed"], strict["summary"]["requests"]) == (10, 0)
    details = [entry["drift_details"] for entry in strict["artifacts"]]
    assert {"field": "status", "before": "passed", "after": "failed"} in details[1]


def test_the_command_forgets_what_it_is_told_to(
    root: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prefect_mutagen.scanner.table.retention.Retention.__init__", _no_grace)
    for number in range(3):
        put_local(Path(root), {"00.gguf": gguf((("n", STRING, str(number)),)).data})
        _command(capsys, root, "--table", f"{root}-table", "--keep-states", "2")
    assert len(Table(f"{root}-table", root).files.names("artifacts")) == 2


def _no_grace(self: Any, states: int, days: int) -> None:
    for name, value in (("keep_states", states), ("keep_days", days), ("grace_seconds", 0.0)):
        object.__setattr__(self, name, value)


def test_a_listing_that_breaks_off_removes_nothing(root: str) -> None:
    table = _table(root)

    def broken() -> Any:
        yield from list(scan(root))[:3]
        raise OSError("the listing broke off")

    with pytest.raises(OSError, match="broke off"):
        table.write(new_scan(root, Policy()), broken(), Summary())
    assert len(table.files.names("scans")) == 1
    assert len(table.read_state()) == 10


def test_files_beside_a_model_may_have_names_in_no_encoding(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    name = b"caf\xe9.gguf".decode("utf-8", "surrogateescape")
    (root / name).write_bytes(GGUF)
    (root / f"{name}.sha256").write_text(hashlib.sha256(GGUF).hexdigest())
    (root / f"{name}.intoto.jsonl").write_text("x")
    table = _table(str(root))
    (kept,) = table.read_state().values()
    assert kept.verdict.status == "passed"
    assert kept.facts["stated_sha256"][0]["source"] == "file:caf%E9.gguf.sha256"
    with Recording(new_scan(str(root), Policy()), Comparison(table.open_state())) as recording:
        (result,) = scan(str(root))
        assert recording.add(result).drift_details == ()


def test_a_page_shows_first_what_did_not_pass(root: str) -> None:
    with Recording(new_scan(root, Policy())) as recording:
        for result in scan(root):
            recording.add(result)
        recording.close(Summary())
        for most in (0, 3, 5, 20):
            shown = worth_showing(recording.tables(), most)
            verdicts = [result.verdict.status for result in shown]
            assert verdicts == (["failed"] * 4 + ["passed"] * 6)[:most]
            assert len({result.url for result in shown}) == len(shown)
