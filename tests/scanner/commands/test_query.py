"""Asking a table in SQL."""

import builtins
import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.scanner.commands.cli import main
from tests.builders import STRING, gguf
from tests.scanner.storing import put_local
from tests.servers import S3Server

GGUF = gguf().data


@pytest.fixture
def table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    root = put_local(tmp_path / "root", {"a.gguf": GGUF, "b.gguf": GGUF, "cut.gguf": GGUF[:99]})
    table = str(tmp_path / "it's a [table] of *")
    assert main(["scan", root, "--table", table]) == 1
    (tmp_path / "root/cut.gguf").unlink()
    assert main(["scan", root, "--table", table]) == 0
    assert main(["scan", root, "--table", table]) == 0
    capsys.readouterr()
    return table


def _ask(capsys: pytest.CaptureFixture[str], sql: str, table: str, *more: str) -> Any:
    assert main(["query", sql, "--table", table, "--format", "json", *more]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("view", "rows"), [("artifacts", 2), ("history", 6), ("sboms", 3), ("scans", 3)]
)
def test_the_views(table: str, capsys: pytest.CaptureFixture[str], view: str, rows: int) -> None:
    assert _ask(capsys, f"SELECT count(*) AS n FROM {view}", table) == [{"n": rows}]  # noqa: S608 - of this test
    if view == "sboms":
        key = "metadata['general.architecture'] AS a"
        sql = f"SELECT {key} FROM artifacts JOIN sboms USING (sbom_id)"  # noqa: S608 - of this test
        assert [row["a"] for row in _ask(capsys, sql, table)] == ['"llama"', '"llama"']


def test_what_no_scan_names_counts_for_nothing(
    table: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder,) = Path(table, "scans").iterdir()
    for path in sorted(folder.iterdir())[1:]:
        path.rename(f"{path}.tmp")  # as if the writer of the second state had been killed
    assert _ask(capsys, "SELECT count(*) AS n FROM artifacts", table) == [{"n": 3}]
    assert _ask(capsys, "SELECT count(*) AS n FROM history", table) == [{"n": 3}]


def test_a_table_in_a_bucket(
    s3_server: S3Server,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PREFECT_MUTAGEN_STORAGE_OPTIONS", json.dumps(s3_server.options))
    bucket = s3_server.bucket({"m/a.gguf": GGUF})
    assert main(["scan", f"s3://{bucket}/m", "--table", f"s3://{bucket}/table"]) == 0
    capsys.readouterr()
    found = _ask(capsys, "SELECT url, status FROM artifacts", f"s3://{bucket}/table")
    assert found == [{"url": f"s3://{bucket}/m/a.gguf", "status": "passed"}]


def test_all_kinds_of_values_are_written(table: str, capsys: pytest.CaptureFixture[str]) -> None:
    sql = (
        "SELECT *, NULL AS nothing, 1.5::DOUBLE AS half, TIMESTAMP '2026-01-01' AS t FROM artifacts"
    )
    (row, _) = _ask(capsys, sql, table)
    assert (row["nothing"], row["half"], row["t"]) == (None, 1.5, "2026-01-01 00:00:00")
    assert row["objects"][0]["size"] == len(GGUF)
    assert main(["query", sql, "--table", table, "--format", "csv"]) == 0
    (first, *_) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert json.loads(first["objects"]) == row["objects"]
    assert first["nothing"] == ""
    assert main(["query", sql, "--table", table]) == 0
    assert row["sbom_id"] in capsys.readouterr().out


def test_values_of_files_do_nothing_to_terminals_and_spreadsheets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = gguf((("general.architecture", STRING, "=cmd|' /C calc'!A0\x1b[31m[red]"),)).data
    root, table = put_local(tmp_path / "root", {"a.gguf": bad}), str(tmp_path / "table")
    main(["scan", root, "--table", table])
    capsys.readouterr()
    for kind in ("table", "json", "csv"):
        sql = "SELECT architecture FROM artifacts"
        assert main(["query", sql, "--table", table, "--format", kind]) == 0
        out = capsys.readouterr().out
        assert "calc" in out
        assert "\x1b" not in out
        assert kind != "csv" or out.splitlines()[1].startswith("'=")


@pytest.mark.parametrize(
    ("sql", "complaint"),
    [
        ("SELECT nothing FROM artifacts", "nothing"),
        ("SELEC", "syntax error"),
        ("SELECT 'nan'::DOUBLE FROM artifacts", "not JSON compliant"),
    ],
)
def test_a_bad_question_gets_one_sentence(
    table: str, capsys: pytest.CaptureFixture[str], sql: str, complaint: str
) -> None:
    assert main(["query", sql, "--table", table, "--format", "json"]) == 2
    caught = capsys.readouterr()
    assert complaint in caught.err
    assert caught.err.count("\n") == 1
    assert caught.out == ""


@pytest.mark.parametrize(
    "address", ["nowhere", "nosuch://x/y", "https://user:hunter2@127.0.0.1:1/t"]
)
def test_a_table_that_is_not_there_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], address: str
) -> None:
    place = address if "://" in address else str(tmp_path / address)
    assert main(["query", "SELECT 1", "--table", place]) == 2
    caught = capsys.readouterr().err
    assert caught.count("\n") == 1
    assert "hunter2" not in caught


def test_without_duckdb_it_says_what_to_install(
    table: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def missing(name: str, *rest: Any) -> Any:
        if name == "duckdb":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    assert main(["query", "SELECT 1", "--table", table]) == 2
    assert "prefect-mutagen[query]" in capsys.readouterr().err
