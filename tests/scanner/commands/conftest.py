"""A working folder, and what the command says in it."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from prefect_mutagen.scanner.commands.cli import main
from tests.builders import gguf
from tests.scanner.commands.asking import Ask, Said
from tests.scanner.storing import put_local

GGUF = gguf().data


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with good and broken models and files."""
    put_local(tmp_path, {"good/a.gguf": GGUF, "several/a.gguf": GGUF, "several/b.gguf": GGUF})
    put_local(tmp_path, {"bad/b.gguf": GGUF[:100], "bad/c/a.gguf": GGUF, "bad/c/config.json": b"{"})
    put_local(tmp_path, {"misspelt.yaml": b"denied_license: [mit]", "blank": b"\n"})
    put_local(tmp_path, {"latin-1": b"allowed_licenses: [\xfc]"})
    put_local(tmp_path, {"strict.yaml": b"max_size_bytes: 1", "broken.json": b'{"a": 1\n "b": 2}'})
    put_local(tmp_path, {"script": b"#!/no/such/interpreter\n", "dangling/a.gguf": GGUF})
    (tmp_path / "script").chmod(0o755)
    (tmp_path / "empty").mkdir()
    (tmp_path / "dangling/x.gguf").symlink_to("gone")
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def say(here: Path, capfd: pytest.CaptureFixture[str]) -> Callable[[list[str]], tuple[int, str]]:
    """Run the command; its exit status and all that it says on stderr."""

    def run(words: list[str]) -> tuple[int, str]:
        status = main([word.format(here=here) for word in words])
        return status, capfd.readouterr().err.replace(str(here), "{here}")

    return run


@pytest.fixture
def ask(here: Path, capfd: pytest.CaptureFixture[str]) -> Ask:
    """Run ``verify`` in the working folder; its exit status, stdout and stderr."""
    assert here.is_dir()

    def run(*words: str) -> Said:
        status = main(["verify", *words])
        return Said(status, *capfd.readouterr())

    return run
