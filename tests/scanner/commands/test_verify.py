"""``prefect-mutagen verify`` as a gate: several addresses, JSON, silence, message, table."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from prefect_mutagen import __version__
from prefect_mutagen.scanner import verify
from prefect_mutagen.scanner.commands import verify as command
from prefect_mutagen.scanner.commands.answers import worst
from prefect_mutagen.scanner.commands.cli import main
from prefect_mutagen.scanner.policy.digest import policy_digest
from prefect_mutagen.scanner.policy.policy import Policy
from tests.builders import gguf
from tests.scanner.commands.asking import Ask, Said
from tests.scanner.storing import put_local

GGUF = gguf().data
MOST = 4096
KEYS = {
    *("asked", "url", "verdict", "exit_status", "pin", "sbom_id", "decided_by", "reasons"),
    *("waived", "error"),
}


def test_several_addresses_have_an_answer_each(ask: Ask, here: Path) -> None:
    said = ask("good", "bad/b.gguf", "gone", "several/a.gguf")
    assert said.status == 1
    passed = [line.split()[1] for line in said.out.splitlines()]
    assert passed == [f"{here}/good/a.gguf", f"{here}/several/a.gguf"]
    assert [line for line in said.err.splitlines() if "bad/b.gguf" in line]
    assert f"{here}/gone" in said.err


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["good", "several"], 0),
        (["good", "gone"], 2),
        (["gone", "empty", "dangling"], 3),
        (["dangling", "bad", "gone"], 1),
        (["good/a.gguf", "--pin", "x"], 4),
    ],
)
def test_the_worst_decides(ask: Ask, words: list[str], status: int, here: Path) -> None:
    (here / "dangling/a.gguf").unlink()
    (here / "dangling/b.gguf").symlink_to("gone")
    assert ask(*words).status == status


def test_the_order_of_the_statuses_is_the_documented_one() -> None:
    order = [4, 1, 3, 2, 0]
    for place, status in enumerate(order):
        assert worst(order[place:][::-1]) == status


def test_json_has_an_answer_for_each_address_in_order(ask: Ask, here: Path) -> None:
    said = ask("good/a.gguf", "bad/b.gguf", "gone", "--format", "json")
    assert said.err == ""
    document = said.json
    assert document | {"answers": []} == {
        "verify": 1,
        "tool_version": __version__,
        "policy_sha256": policy_digest(Policy()),
        "exit_status": said.status,
        "verdict": "failed",
        "answers": [],
    }
    good, bad, gone = document["answers"]
    known = verify(str(here / "good/a.gguf"))
    assert good == {
        "asked": "good/a.gguf",
        "url": f"{here}/good/a.gguf",
        "verdict": "passed",
        "exit_status": 0,
        "pin": known.pin,
        "sbom_id": known.sbom_id,
        "decided_by": "examination",
        "reasons": [],
        "waived": [],
        "error": None,
    }
    assert (bad["verdict"], bad["exit_status"]) == ("failed", 1)
    (reason,) = bad["reasons"]
    assert reason["code"] == "gguf/truncated"
    assert reason["url"] == f"{here}/bad/b.gguf"
    assert (gone["verdict"], gone["exit_status"], gone["url"]) == ("unknown", 2, None)
    assert str(here / "gone") in gone["error"]
    assert all(answer.keys() == KEYS for answer in document["answers"])


def test_json_of_other_bytes_than_pinned(ask: Ask) -> None:
    said = ask("good/a.gguf", "--pin", "sha256:0", "--format", "json")
    (answer,) = said.json["answers"]
    assert said.status == answer["exit_status"] == said.json["exit_status"] == 4
    assert answer["verdict"] == said.json["verdict"] == "failed"
    assert answer["reasons"][0]["code"] == "storage/other-pin"


def test_json_names_what_was_waived(ask: Ask, here: Path) -> None:
    soon = datetime.now(UTC).date() + timedelta(30)
    (here / "waive.yaml").write_text(
        "require_license: true\n"
        "waivers:\n"
        f"- {{code: policy/license-missing, url: '*', reason: asked, owner: me, expires: {soon}}}\n"
    )
    said = ask("good/a.gguf", "--policy", "waive.yaml", "--format", "json")
    (answer,) = said.json["answers"]
    assert (said.status, answer["verdict"]) == (0, "passed"), said
    assert [one["code"] for one in answer["waived"]] == ["policy/license-missing"]


def test_a_folder_of_several_has_no_document_of_its_own(ask: Ask) -> None:
    (answer,) = ask("several", "--format", "json").json["answers"]
    assert (answer["verdict"], answer["sbom_id"]) == ("passed", None)
    assert answer["pin"].startswith("sha256:")


def test_no_secret_of_an_address_is_repeated(ask: Ask) -> None:
    for form in ("text", "json"):
        said = ask("http://me:hunter2@127.0.0.1:9/m.gguf", "--format", form, "--output", "told")
        assert said.status == 2
        assert "hunter2" not in said.out + said.err + Path("told").read_text()


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["good"], 0),
        (["bad"], 1),
        (["gone"], 2),
        (["good", "--policy", "misspelt.yaml"], 2),
        (["good", "--pin", "x"], 4),
    ],
)
def test_quiet_says_nothing(ask: Ask, words: list[str], status: int, form: str) -> None:
    assert ask(*words, "--quiet", "--format", form) == Said(status, "", "")


@pytest.mark.parametrize("words", [["good", "bad"], ["bad"], ["gone"], ["good"]], ids=" ".join)
def test_the_message_has_what_matters_first(ask: Ask, words: list[str]) -> None:
    said = ask(*words, "--output", "told")
    told = Path("told").read_text()
    counts, first, *_ = told.splitlines()
    assert counts.startswith({0: "1 passed", 1: "1 failed", 2: "1 unknown"}[said.status])
    assert first.startswith(counts.split()[1].rstrip(",") + ": ")
    assert len(told.encode()) <= MOST


def test_the_message_is_overwritten_in_place(ask: Ask) -> None:
    Path("told").write_text("x" * 9999)
    before = os.stat("told").st_ino
    ask("good", "--output", "told")
    assert os.stat("told").st_ino == before, "a mounted file cannot be replaced"
    assert "x" * 99 not in Path("told").read_text()


def test_a_message_is_written_for_a_policy_that_cannot_be_read(ask: Ask) -> None:
    assert ask("good", "bad", "--policy", "misspelt.yaml", "--output", "told").status == 2
    assert "did you mean denied_licenses" in Path("told").read_text()


@pytest.mark.parametrize(("words", "status"), [(["good"], 2), (["bad"], 1), (["gone"], 2)])
def test_a_message_that_cannot_be_written_is_told(ask: Ask, words: list[str], status: int) -> None:
    said = ask(*words, "--output", "good/a.gguf/told")
    assert said.status == status, "and never passed"
    assert "--output good/a.gguf/told: it cannot be written" in said.err


@pytest.fixture
def many(here: Path) -> list[str]:
    """Far more refused models than there is room for, with long names of many bytes."""
    names = [f"{'ü' * 100}{number:03}" for number in range(120)]
    put_local(here / "many", {f"{name}.gguf": GGUF[:100] for name in names})
    return [f"many/{name}.gguf" for name in names]


def test_a_long_message_is_cut_at_a_line(ask: Ask, many: list[str]) -> None:
    assert ask("good", *many, "--output", "told").status == 1
    told = Path("told").read_bytes().decode()
    assert MOST - 600 < len(told.encode()) <= MOST
    counts, *lines, last = told.splitlines()
    assert counts == "120 failed, 1 passed"
    assert all(line.startswith("failed: ") for line in lines)
    assert last == f"{121 - len(lines)} more lines"


def test_a_long_message_is_still_json(ask: Ask, many: list[str]) -> None:
    assert ask("good", *many, "--output", "told", "--format", "json").status == 1
    told = Path("told").read_bytes()
    assert len(told) <= MOST
    document = json.loads(told)
    answers = document["answers"]
    assert document["exit_status"] == 1
    assert answers, "some fit"
    assert {answer["verdict"] for answer in answers} == {"failed"}
    assert document["answers_left_out"] == 121 - len(answers)


def test_one_model_with_many_reasons_keeps_some(ask: Ask, here: Path) -> None:
    put_local(here / "folder", {f"{number:03}.gguf": GGUF[:100] for number in range(99)})
    assert ask("folder", "--output", "told", "--format", "json").status == 1
    (answer,) = json.loads(Path("told").read_text())["answers"]
    assert len(answer["reasons"]) + answer["reasons_left_out"] == 99
    assert len(answer["reasons"]) >= 5
    assert len(Path("told").read_bytes()) <= MOST


def test_the_size_of_a_message_is_that_of_kubernetes() -> None:
    assert command._MESSAGE_BYTES == MOST


@pytest.mark.parametrize("name", ["verify", "exec"])
def test_help_explains_the_exit_statuses(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([name, "--help"])
    said = capsys.readouterr().out
    assert "exit status:\n  0  passed" in said
    for status in range(5):
        assert f"\n  {status}  " in said
    assert ("127" in said) == (name == "exec")
