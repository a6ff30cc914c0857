"""Roots that are named twice, lie inside each other, or are written in a person's shorthand."""

import json
from pathlib import Path

import pytest

from prefect_mutagen.scanner.commands.cli import main

pytestmark = pytest.mark.usefixtures("here")


@pytest.mark.parametrize(
    ("words", "rows"),
    [
        (["good", "good"], ["good/a.gguf"]),
        (["good", "./good/../good/", "{here}/good"], ["good/a.gguf"]),
        (["good/a.gguf", "good"], ["good/a.gguf"]),
        ([".", "several"], ["dangling/a.gguf", "good/a.gguf", "several/a.gguf", "several/b.gguf"]),
        (["several", "."], ["several/a.gguf", "several/b.gguf", "dangling/a.gguf", "good/a.gguf"]),
        (["~/good"], ["good/a.gguf"]),
    ],
    ids=["twice", "three spellings", "a file and its folder", "inside", "around", "home"],
)
def test_what_is_named_twice_is_listed_once(
    here: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    rows: list[str],
) -> None:
    monkeypatch.setenv("HOME", str(here))
    roots = [word.format(here=here) for word in words]
    (here / "dangling/x.gguf").unlink()
    left_out = ["--exclude", "bad/**", "--exclude", "c/**"]
    assert main(["scan", *roots, *left_out, "--format", "jsonl"]) == 0
    listed = [json.loads(line)["model_path"] for line in capsys.readouterr().out.splitlines()]
    assert [path.removeprefix(f"{here}/") for path in listed] == rows


@pytest.mark.parametrize(
    ("root", "count"),
    [("good", "1 artifact: 1 passed"), ("several", "2 artifacts: 2 passed")],
    ids=["one", "two"],
)
def test_one_is_no_plural(root: str, count: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scan", root, "--format", "table"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"{count}, 0 failed, 0 unknown"


def test_the_home_folder_is_known_everywhere(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(here))
    (here / "policy.yaml").write_text("require_license: false\n")
    (here / "options.json").write_text("{}")
    options = ["--policy", "~/policy.yaml", "--storage-options", "@~/options.json"]
    assert main(["scan", "~/good", *options, "--table", "~/t", "--output", "~/o/x.json"]) == 0
    assert (here / "o/x.json").exists()
    assert main(["query", "SELECT source FROM scans", "--table", "~/t", "--format", "csv"]) == 0
    assert capsys.readouterr().out.split() == ["source", f"{here}/good"]
    assert main(["verify", "~/good/a.gguf", *options]) == 0
    assert not (here / "~").exists()
