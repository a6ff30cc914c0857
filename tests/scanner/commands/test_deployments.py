"""``prefect-mutagen deployments``: what it writes, and what it refuses."""

import compileall
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from prefect_mutagen.scanner.commands import deployments
from prefect_mutagen.scanner.commands.cli import main

ROOT = Path(__file__).parents[3]
SHIPPED = ROOT / "deployments"


def _written(folder: Path, name: str = "scheduled-scan") -> dict[str, Any]:
    """A deployment that was written."""
    (found,) = [
        deployment
        for deployment in yaml.safe_load((folder / "prefect.yaml").read_text())["deployments"]
        if deployment["name"] == name
    ]
    for always_set in ("rescan", "since"):
        found["parameters"].pop(always_set, None)
    return dict(found)


def test_all_that_is_shipped_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "new/deployments"
    assert main(["deployments", str(folder)]) == 0
    files = (path for path in SHIPPED.rglob("*") if path.is_file())
    shipped = {path.relative_to(SHIPPED): path for path in files if path.suffix != ".pyc"}
    written = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}
    assert shipped.keys() == written.keys()
    for name, path in shipped.items():
        assert written[name].read_bytes() == path.read_bytes()
    said = capsys.readouterr()
    assert str(folder / "prefect.yaml") in said.out.splitlines()
    assert "The scan's schedule is paused" in said.out
    assert said.err == ""


def test_what_pip_compiles_beside_them_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "prefect_mutagen"
    shutil.copytree(SHIPPED, installed / "deployments")
    compileall.compile_dir(installed / "deployments", quiet=2)
    assert list(installed.rglob("*.pyc"))
    monkeypatch.setattr(deployments, "files", lambda _: installed)
    assert main(["deployments", str(tmp_path / "new")]) == 0
    assert not list((tmp_path / "new").rglob("*.pyc"))


def test_the_schedule_is_paused_until_there_is_a_source(tmp_path: Path) -> None:
    assert main(["deployments", str(tmp_path / "a"), "--table", "s3://m/t"]) == 0
    paused = _written(tmp_path / "a")
    assert [schedule["active"] for schedule in paused["schedules"]] == [False]
    assert paused["parameters"] == {"table": "s3://m/t"}
    digest = _written(tmp_path / "a", "daily-digest")
    assert [schedule["active"] for schedule in digest["schedules"]] == [True]
    assert digest["parameters"] == {"table": "s3://m/t"}
    assert main(["deployments", str(tmp_path / "b"), "--source", "s3://m"]) == 0
    active = _written(tmp_path / "b")
    assert [schedule["active"] for schedule in active["schedules"]] == [True]
    assert active["parameters"] == {"source": "s3://m"}
    digest = _written(tmp_path / "b", "daily-digest")
    assert [schedule["active"] for schedule in digest["schedules"]] == [False]
    assert digest["parameters"] == {}


@pytest.mark.parametrize(
    "source",
    ["s3://models", "s3://mödels/#1", 's3://a"b\\c', "s3://m/: {x}", "s3://m/{{ x }}", "/m/\1 \n"],
)
def test_what_is_given_stands_there(source: str, tmp_path: Path) -> None:
    options = ["--source", source, "--table", "s3://t", "--storage", "aws-credentials/models"]
    assert main(["deployments", str(tmp_path), *options]) == 0
    parameters = {"source": source, "table": "s3://t", "storage": "aws-credentials/models"}
    assert _written(tmp_path)["parameters"] == parameters
    del parameters["source"]
    assert _written(tmp_path, "daily-digest")["parameters"] == parameters


def test_a_local_path_is_one_for_a_worker_in_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/ana")
    options = ["--source", "models", "--table", "~/table"]
    assert main(["deployments", "out", *options]) == 0
    parameters = {"source": str(tmp_path / "models"), "table": "/home/ana/table"}
    assert _written(tmp_path / "out")["parameters"] == parameters


def test_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "prefect.yaml").write_text("mine")
    assert main(["deployments", str(tmp_path)]) == 2
    sentence = f"{tmp_path}/prefect.yaml exists and is not overwritten: name another folder"
    assert capsys.readouterr() == ("", f"prefect-mutagen: {sentence}\n")
    assert [path.name for path in tmp_path.iterdir()] == ["prefect.yaml"]
    assert (tmp_path / "prefect.yaml").read_text() == "mine"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--source", ""], "--source is empty; a variable that it comes from may not be set"),
        (["--table", " "], "--table is empty; a variable that it comes from may not be set"),
        (["--storage", ""], "--storage is empty; a variable that it comes from may not be set"),
        (["--source", "https://ana:hunter2@m/x"], "--source contains a user, a password or"),
        (["--table", "https://m/x?sig=hunter2"], "--table contains a user, a password or"),
    ],
    ids=["no source", "blank table", "no storage", "password", "signature"],
)
def test_wrong_options(
    options: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["deployments", str(tmp_path / "out"), *options]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"prefect-mutagen: {sentence}")
    assert said.count("\n") == 1
    assert "hunter2" not in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_folder_that_cannot_be(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main(["deployments", str(tmp_path / name)]) == 2
    said = capsys.readouterr().err
    assert str(tmp_path / "file") in said
    assert said.count("\n") == 1
    assert "Errno" not in said
