import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TextIO

import pyarrow.parquet as pq
import pytest

from prefect_mutagen import __version__
from prefect_mutagen.scanner.commands.cli import main
from tests.builders import gguf
from tests.scanner.storing import put_local
from tests.servers import S3Server

GGUF = gguf().data


def _run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "prefect_mutagen.scanner.commands.cli", *arguments],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        check=False,
        timeout=60,
    )


@pytest.fixture
def good(tmp_path: Path) -> str:
    return put_local(tmp_path / "good", {"a.gguf": GGUF})


@pytest.fixture
def bad(tmp_path: Path) -> str:
    return put_local(tmp_path / "bad", {"a.gguf": GGUF, "b.gguf": GGUF[:100]})


def test_exit_statuses(
    good: str, bad: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert main(["scan", good]) == 0
    assert main(["scan", str(tmp_path / "empty")]) == 0
    assert main(["scan", bad]) == 1
    assert main(["scan", str(tmp_path / "nowhere")]) == 2
    capsys.readouterr()


@pytest.mark.parametrize(
    "arguments",
    [
        ["scan"],
        ["scan", "x", "--format", "nonsense"],
        ["scan", "x", "--hash", "some"],
        ["scan", "x", "--concurrency", "0"],
        ["nonsense"],
        ["verify"],
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--policy", "{}/missing.yaml"], "there is no such file"),
        (["--policy", "{}/bad.yaml"], "did you mean denied_licenses"),
        (["--storage-options", "{{"], "storage options are not JSON"),
        (["--storage-options", "@{}/missing.json"], "there is no such file"),
        (["--output", "{}/bad.yaml/no/out.json"], "not a directory"),
    ],
    ids=["no-policy", "bad-policy", "bad-options", "no-options", "no-output"],
)
def test_what_cannot_be_read_is_one_sentence(
    good: str,
    tmp_path: Path,
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "bad.yaml").write_text("denied_license: [mit]")
    filled = [argument.format(tmp_path) for argument in arguments]
    assert main(["scan", good, *filled]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert said.startswith("prefect-mutagen: ")


def test_one_of_several_roots_unreachable_costs_only_itself(
    good: str, bad: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = str(tmp_path / "nowhere")
    assert main(["scan", good, missing, bad, "--format", "jsonl"]) == 2
    seen = capsys.readouterr()
    assert len(seen.out.splitlines()) == 3
    assert seen.err == f"prefect-mutagen: {missing}: there is no such file or folder. {_LOOK}\n"


_LOOK = "Check the address."


def test_storage_trouble_is_one_sentence_without_secrets(
    strict_s3_server: S3Server, capsys: pytest.CaptureFixture[str]
) -> None:
    options = json.dumps(strict_s3_server.options | {"secret": "hunter2hunter2"})
    assert main(["scan", "s3://bucket/models", "--storage-options", options]) == 2
    said = capsys.readouterr().err
    assert "the credentials are not accepted" in said
    assert "hunter2" not in said
    assert said.count("\n") == 1


def test_storage_options_from_a_file_and_the_environment(
    s3_server: S3Server, tmp_path: Path
) -> None:
    bucket = s3_server.bucket({"a.gguf": GGUF})
    path = tmp_path / "options.json"
    path.write_text(json.dumps(s3_server.options))
    given = _run("scan", f"s3://{bucket}", "--storage-options", f"@{path}")
    assert given.returncode == 0, given.stderr
    found = _run("scan", f"s3://{bucket}", PREFECT_MUTAGEN_STORAGE_OPTIONS=f"@{path}")
    assert json.loads(found.stdout)["model_path"] == f"s3://{bucket}/a.gguf"


def test_results_go_to_stdout_or_a_file_that_appears_when_it_is_complete(
    bad: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "out.json"
    assert main(["scan", bad, "--output", str(path)]) == 1
    assert capsys.readouterr() == ("", "")
    assert len(json.loads(path.read_text())) == 2
    assert {each.name for each in tmp_path.iterdir()} == {"bad", "out.json"}
    before = path.read_text()

    def break_off(_: object, out: TextIO, **__: object) -> None:
        out.write("half")
        out.flush()
        assert path.read_text() == before
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("prefect_mutagen.scanner.commands.scan.join_json", break_off)
    assert main(["scan", bad, "--output", str(path)]) == 2
    assert "no space left on device" in capsys.readouterr().err
    assert path.read_text() == before
    assert {each.name for each in tmp_path.iterdir()} == {"bad", "out.json"}


def test_policy_decides(good: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("require_license: true\n")
    assert main(["scan", good, "--policy", str(policy), "--format", "table"]) == 1
    assert "no licence is stated" in capsys.readouterr().out


def test_the_table_is_written_and_says_what_changed(
    good: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "table"
    for drift in ("added", "unchanged"):
        assert main(["scan", good, "--table", str(table), "--format", "report"]) == 0
        report = json.loads(capsys.readouterr().out)
        assert report["artifacts"][0]["drift"] == drift
    (path,) = (table / "artifacts").glob("*/*.parquet")
    assert pq.read_table(path).num_rows == 1


def test_a_table_that_cannot_be_written_costs_no_results(
    good: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main(["scan", good, "--table", str(tmp_path / "file/table"), "--format", "jsonl"]) == 2
    seen = capsys.readouterr()
    assert "table cannot be" in seen.err
    assert "Traceback" not in seen.err


def test_verify(good: str, bad: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", f"{good}/a.gguf"]) == 0
    said = capsys.readouterr().out
    pin = re.fullmatch(r"passed \S+/a.gguf (sha256:[0-9a-f]{64})\n", said)
    assert pin is not None
    assert main(["verify", f"{good}/a.gguf", "--pin", pin[1]]) == 0
    assert main(["verify", f"{good}/a.gguf", "--pin", "sha256:other"]) == 4
    assert main(["verify", bad]) == 1
    assert main(["verify", f"{good}/missing.gguf"]) == 2
    assert "gguf/truncated" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    assert capsys.readouterr().out.startswith(f"prefect-mutagen {__version__}\n")


def test_output_is_utf_8_whatever_the_locale(tmp_path: Path) -> None:
    put_local(tmp_path, {"größe.gguf": GGUF})
    done = _run("scan", str(tmp_path), LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def test_the_command_starts_without_heavy_libraries(good: str) -> None:
    code = (
        "import sys; from prefect_mutagen.scanner.commands.cli import main; main(sys.argv[1:]);"
        "heavy = {'prefect', 'pydantic', 'pyarrow', 's3fs', 'fsspec', 'yaml', 'rich', 'aiohttp',"
        "'cryptography', 'sigstore'};"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    for arguments in (["version"], ["scan", good], ["verify", good]):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
