"""Who used a model: the scans that let it pass, the agents that took it, and how it stands."""

import json
from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.scanner.agents.start_record import Claim, Start, StartRecord
from prefect_mutagen.scanner.commands.cli import main
from prefect_mutagen.scanner.table.table import Table
from tests.builders import gguf
from tests.scanner.storing import put_local

GGUF = gguf().data
FLOW_RUN = "5f0c3a52-2c1b-4a86-9d0e-6f6a5f7f1c11"


@pytest.fixture
def asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[str, str, str]:
    """A table in which a model passed, went to an agent, and is refused since: url, pin, table."""
    root, table = put_local(tmp_path / "root", {"a.gguf": GGUF}), str(tmp_path / "table")
    policy = tmp_path / "policy.yaml"
    policy.write_text("owners: [{prefix: ., owner: ana}]")
    words = ["scan", root, "--table", table, "--policy", str(policy)]
    assert main(words) == 0
    (known,) = Table(table, root).read_state().values()
    record = StartRecord(table, flow_run=FLOW_RUN)
    about = {"agent": "index", "url": known.url, "pin": known.pin, "source": root}
    claim = record.claim(Start("0000abcd", about))
    assert isinstance(claim, Claim)
    record.finish(claim, "completed")
    put_local(tmp_path / "root", {"a.gguf": GGUF[:99]})
    assert main(words) == 1
    capsys.readouterr()
    return known.url, known.pin, table


def test_by_address_and_by_pin(
    asked: tuple[str, str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    url, pin, table = asked
    found: list[Any] = []
    for word in (url, pin):
        assert main(["used", word, "--table", table, "--format", "json"]) == 0
        found.append(json.loads(capsys.readouterr().out))
    assert found[0] == found[1]
    (use,) = found[0]
    assert (use["url"], use["status"], use["refused"]) == (url, "failed", True)
    assert (use["codes"], use["owner"]) == (["gguf/truncated"], "ana")
    (passed,) = use["passed"]
    assert passed["pin"] == pin
    assert passed["until"] == use["since"]
    (start,) = use["starts"]
    assert (start["agent"], start["state"], start["flow_run"]) == ("index", "completed", FLOW_RUN)
    assert (start["pin"], start["is_current"]) == (pin, False)
    assert start["at"] <= start["ended_at"]


def test_for_people(
    asked: tuple[str, str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url, pin, table = asked
    monkeypatch.chdir(tmp_path)
    assert main(["used", "root/a.gguf", "--table", table]) == 0
    model, passed, start = capsys.readouterr().out.splitlines()
    assert model.startswith(f"{url} is refused since ")
    assert model.endswith(" UTC (gguf/truncated); owner: ana")
    assert passed.startswith("  passed from ")
    assert f", pin {pin}" in passed
    assert start.startswith("  index took it ")
    assert "completed, ended " in start
    assert f"flow run {FLOW_RUN}, pin {pin} (other bytes than today's)" in start


def test_a_model_that_nobody_took(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, table = put_local(tmp_path / "root", {"a\nb.gguf": GGUF}), str(tmp_path / "table")
    assert main(["scan", root, "--table", table]) == 0
    capsys.readouterr()
    assert main(["used", f"{root}/a\nb.gguf", "--table", table]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "a\\nb.gguf passes since" in lines[0]
    assert "until now" in lines[1]
    assert lines[2:] == ["  no agent was started for it"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["used", "/m/x.gguf", "--table", "{table}"], "no scan and no agent of this table knows"),
        (["used", "sha256:0", "--table", "{table}"], "no scan and no agent of this table knows"),
        (["used", "/m/x.gguf", "--table", "/nowhere"], "there is no table"),
    ],
)
def test_what_the_table_does_not_know(
    asked: tuple[str, str, str], words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([word.format(table=asked[2]) for word in words]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert message in err
