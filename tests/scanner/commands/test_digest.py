"""What changed in a table, from the command line."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.scanner.commands.cli import main
from tests.builders import gguf
from tests.scanner.storing import put_local
from tests.servers import S3Server

GGUF = gguf().data
POLICY = "owners: [{prefix: ., owner: ana@example.org}]"


@pytest.fixture
def scanned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """A table of two scans; the words that ask what the second one changed."""
    files = {"a.gguf": GGUF, "gone.gguf": GGUF, "cut.gguf": GGUF, "mended.gguf": GGUF[:99]}
    root, table = put_local(tmp_path / "root", files), str(tmp_path / "table")
    (tmp_path / "policy.yaml").write_text(POLICY)
    words = ["scan", root, "--table", table, "--policy", str(tmp_path / "policy.yaml")]
    assert main(words) == 1
    put_local(tmp_path / "root", {"cut.gguf": GGUF[:99], "new.gguf": GGUF, "mended.gguf": GGUF})
    (tmp_path / "root/gone.gguf").unlink()
    assert main(words) == 1
    capsys.readouterr()
    (folder,) = Path(table, "scans").iterdir()
    first = min(path.name for path in folder.iterdir())
    moment = datetime.strptime(first[:22], "%Y%m%dT%H%M%S%f%z").isoformat()
    return ["digest", "--table", table, "--since", moment]


def _asked(words: list[str], capsys: pytest.CaptureFixture[str]) -> Any:
    assert main([*words, "--format", "json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_what_changed(scanned: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(scanned) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith("# 1 newly refused, 1 newly passed, 1 added, 1 removed\n")
    assert "### `cut.gguf`" in out
    assert "* owner: ana\\@example.org" in out
    assert "paste this into the policy" in out
    found = _asked(scanned, capsys)
    names = ("newly_refused", "newly_passed", "added", "removed", "changed", "newly_unknown")
    urls = {name: [one["url"].rpartition("/")[2] for one in found[name]] for name in names}
    assert urls == {
        "newly_refused": ["cut.gguf"],
        "newly_passed": ["mended.gguf"],
        "added": ["new.gguf"],
        "removed": ["gone.gguf"],
        "changed": [],
        "newly_unknown": [],
    }
    assert not found["quiet"]


def test_as_a_page_into_a_file(
    scanned: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "made/digest.html"
    assert main([*scanned, "--format", "html", "--output", str(place)]) == 0
    assert capsys.readouterr() == ("", "")
    assert "1 model newly refused" in place.read_text()


def test_a_silent_day(
    scanned: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = scanned[2]
    newest = max(path.name for path in Path(table, "scans").glob("*/*"))
    moment = datetime.strptime(newest[:22], "%Y%m%dT%H%M%S%f%z").isoformat()
    assert main(["scan", str(tmp_path / "root"), "--table", table]) == 1
    capsys.readouterr()
    assert main(["digest", "--table", table, "--since", moment]) == 0
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert out.startswith("Nothing changed since ")
    assert _asked(["digest", "--table", table, "--since", moment], capsys)["quiet"]


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        (["--since", "yesterday"], "takes a date, or an age such as 7d or 36h"),
        (["--table", "/nowhere/table"], "there is no table"),
        (["--format", "xml"], "has no choice 'xml'"),
    ],
)
def test_wrong_usage(
    scanned: list[str], more: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*scanned, *more]) == 2
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
    found = _asked(["digest", "--table", table], capsys)
    assert [root["source"] for root in found["roots"]] == roots
    assert [one["url"] for one in found["newly_refused"]] == [f"{roots[1]}/b.gguf"]
    assert main(["digest", "--table", table]) == 0
    assert f"### `{roots[1]}/b.gguf`" in capsys.readouterr().out
