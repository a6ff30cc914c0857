"""The page on a table, from the command line."""

import base64
import gzip
import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.scanner.commands.cli import main
from prefect_mutagen.scanner.outputs.page import entries
from prefect_mutagen.scanner.policy.publishers import Publisher
from tests.builders import gguf
from tests.scanner.storing import put_local
from tests.servers import S3Server

GGUF = gguf().data


def _rows(html: str) -> dict[str, dict[str, Any]]:
    found = re.search(r'id="packed">([^<]*)<', html)
    assert found is not None
    rows = json.loads(gzip.decompress(base64.b64decode(found[1])))["rows"]
    return {row["path"]: row for row in rows}


@pytest.fixture
def table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """A table of two scans, of which the second finds one model cut and one gone."""
    files = {"a.gguf": GGUF, "b.gguf": GGUF, "cut.gguf": GGUF}
    root, table = put_local(tmp_path / "root", files), str(tmp_path / "table")
    assert main(["scan", root, "--table", table]) == 0
    put_local(tmp_path / "root", {"cut.gguf": GGUF[:99], "new.gguf": GGUF})
    (tmp_path / "root/b.gguf").unlink()
    assert main(["scan", root, "--table", table]) == 1
    capsys.readouterr()
    return table


def test_the_page_of_a_table(
    table: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "made" / "page.html"
    assert main(["report", "--table", table, "--output", str(out)]) == 0
    assert capsys.readouterr() == ("", "")
    assert list(out.parent.iterdir()) == [out]
    assert "1 model newly refused" in out.read_text()
    rows = _rows(out.read_text())
    assert {path: row.get("kind", "") for path, row in rows.items()} == {
        "cut.gguf": "newly-refused",
        "a.gguf": "added",
        "new.gguf": "added",
    }, "within a day of the first scan, all is new"


def test_the_page_since_a_moment(table: str, capsys: pytest.CaptureFixture[str]) -> None:
    (folder,) = Path(table, "scans").iterdir()
    first = min(path.name for path in folder.iterdir())
    moment = datetime.strptime(first[:22], "%Y%m%dT%H%M%S%f%z").isoformat()
    assert main(["report", "--table", table, "--since", moment]) == 0
    rows = _rows(capsys.readouterr().out)
    kinds = {path: (row.get("kind", ""), row["before"]) for path, row in rows.items()}
    assert kinds["cut.gguf"] == ("newly-refused", "passed")
    assert kinds["b.gguf"] == ("removed", "passed")
    assert kinds["new.gguf"] == ("added", "absent")
    assert rows["cut.gguf"]["cause"] == "its files changed"
    fields = [change[0] for change in rows["cut.gguf"]["changes"]]
    assert {"status", "reasons", "object:cut.gguf"} <= set(fields)


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        (["--since", "yesterday"], "takes a date, or an age such as 7d or 36h"),
        (["--table", "/nowhere/table"], "there is no table"),
        (["--format", "html"], "has no option --format"),
    ],
)
def test_wrong_usage(
    table: str, capsys: pytest.CaptureFixture[str], more: list[str], complaint: str
) -> None:
    assert main(["report", "--table", table, *more]) == 2
    caught = capsys.readouterr()
    assert complaint in caught.err
    assert caught.out == ""


def test_several_roots_in_a_bucket(
    s3_server: S3Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_MUTAGEN_STORAGE_OPTIONS", json.dumps(s3_server.options))
    bucket = s3_server.bucket({"one/a.gguf": GGUF, "two/b.gguf": GGUF[:99]})
    roots, table = [f"s3://{bucket}/{name}" for name in ("one", "two")], f"s3://{bucket}/table"
    assert main(["scan", *roots, "--table", table]) == 1
    capsys.readouterr()
    assert main(["report", "--table", table]) == 0
    html = capsys.readouterr().out
    assert "in 2 roots" in " ".join(html.split())
    assert sorted(_rows(html)) == ["a.gguf", "b.gguf"]


def test_a_model_that_cannot_be_shown_is_unknown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: Iterator[RuntimeError | Publisher] = iter([RuntimeError("a bug"), Publisher()])

    def broken(*_: object) -> Publisher:
        answer = next(answers)
        if isinstance(answer, RuntimeError):
            raise answer
        return answer

    monkeypatch.setattr(entries, "publisher_of", broken)
    root = put_local(tmp_path, {"a.gguf": GGUF})
    assert main(["scan", root, "--format", "html"]) == 1
    assert _rows(capsys.readouterr().out)["a.gguf"]["status"] == "unknown"


def test_a_scan_with_a_table_as_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = put_local(tmp_path / "root", {"a.gguf": GGUF, "cut.gguf": GGUF})
    command = ["scan", root, "--table", str(tmp_path / "table"), "--format", "html"]
    assert main(command) == 0
    put_local(tmp_path / "root", {"cut.gguf": GGUF[:99]})
    capsys.readouterr()
    assert main(command) == 1
    rows = _rows(capsys.readouterr().out)
    assert (rows["cut.gguf"]["kind"], rows["cut.gguf"]["before"]) == ("newly-refused", "passed")
    assert "kind" not in rows["a.gguf"]
    assert main([*command, "--only", "failed"]) == 1
    html = capsys.readouterr().out
    assert list(_rows(html)) == ["cut.gguf"]
    assert "<b>1</b> passed" in html, "counts are those of all"
