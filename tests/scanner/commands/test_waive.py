"""A waiver from the command line: what is refused passes, and the file keeps its text."""

import json
import os
import stat
from pathlib import Path

import pytest

from prefect_mutagen.scanner.commands import waive
from prefect_mutagen.scanner.commands.cli import main
from prefect_mutagen.scanner.policy.policy import load_policy
from prefect_mutagen.scanner.policy.waiver_file import with_waiver
from tests.builders import gguf
from tests.dates import SOON
from tests.scanner.storing import put_local

GGUF = gguf().data
POLICY = "# What we run.\nfail_on: error  # as ever\n\nseverities: []\n# The end.\n"


def _words(url: str, policy: Path, *more: str, code: str = "gguf/truncated") -> list[str]:
    said = ["--owner", "ana: the 1st", "--until", SOON, "--reason", "it's a #test"]
    return ["waive", url, code, *said, "--policy", str(policy), *more]


@pytest.mark.parametrize("name", ["cut.gguf", "größe [v1]*?: #1 'x' \"y\".gguf", "a b/-.gguf"])
def test_what_is_refused_passes_afterwards(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = put_local(tmp_path / "root", {name: GGUF[:99]})
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    policy.chmod(0o640)
    url = f"{root}/{name}"
    command = ["verify", url, "--policy", str(policy)]
    assert main(command) == 1
    capsys.readouterr()
    assert main(_words(url, policy)) == 0
    assert capsys.readouterr() == (f"gguf/truncated is waived for {url} until {SOON}\n", "")
    assert main(command) == 0
    text = policy.read_text()
    assert text.startswith("# What we run.\nfail_on: error  # as ever\n\nseverities: []\n")
    assert text.endswith("# The end.\n")
    (waiver,) = load_policy(text).waivers
    assert (waiver.owner, waiver.reason) == ("ana: the 1st", "it's a #test")
    assert stat.S_IMODE(policy.stat().st_mode) == 0o640
    assert sorted(path.name for path in tmp_path.iterdir()) == ["policy.yaml", "root"]


def test_a_pattern_a_new_file_and_a_link(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy, link = tmp_path / "new.yaml", tmp_path / "link.yaml"
    link.symlink_to(policy)
    assert main(_words("s3://models/*", link, "--pattern")) == 2
    assert "there is no such file; --create makes one" in capsys.readouterr().err
    assert not policy.exists()
    assert main(_words("s3://models/*", link, "--pattern", "--create")) == 0
    (waiver,) = load_policy(policy.read_text()).waivers
    assert waiver.url == "s3://models/*"
    assert policy.read_text().startswith("waivers:\n  - code: gguf/truncated\n")
    assert link.is_symlink()
    assert main(_words("s3://models/a*.gguf", policy, code="template/escape")) == 0
    assert load_policy(policy.read_text()).waivers[1].url == "s3://models/a[*].gguf"


def test_an_address_is_written_as_scans_name_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = tmp_path / "policy.yaml"
    monkeypatch.chdir(tmp_path)
    assert main(_words("a.gguf", policy, "--create")) == 0
    assert main(_words("https://me:secret@h/b.gguf", policy)) == 0
    urls = [waiver.url for waiver in load_policy(policy.read_text()).waivers]
    assert urls == [f"{tmp_path}/a.gguf", "https://h/b.gguf"]


def test_json_and_a_byte_order_mark(tmp_path: Path) -> None:
    policy = tmp_path / "policy.json"
    policy.write_text('{"fail_on": "warning"}')
    assert main(_words("/a.gguf", policy)) == 0
    assert list(json.loads(policy.read_text())) == ["fail_on", "waivers"]
    policy.write_bytes(b"\xef\xbb\xbffail_on: warning\r\n")
    assert main(_words("/a.gguf", policy)) == 0
    assert policy.read_bytes().startswith(b"\xef\xbb\xbffail_on: warning\r\nwaivers:\r\n")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--until": "2020-01-01"}, "2020-01-01 is past"),
        ({"--until": "tomorrow"}, "not a date such as"),
        ({"--until": "9999-01-01"}, "more than five years"),
        ({"--owner": "."}, "no letter"),
        ({"code": "gguf/truncatd"}, "did you mean gguf/truncated?"),
        ({"code": "storage/other-pin"}, "cannot be waived"),
        ({"code": "policy/waiver-expired"}, "there is no finding"),
        ({"url": "s3://m/../a.gguf"}, "another file"),
        ({"url": "/known.gguf"}, "already"),
        ({"--policy": "{broken}"}, "max_sise_bytes"),
        ({"--policy": "{folder}"}, "--policy {folder}: "),
        ({"--policy": "{latin}"}, "it is not UTF-8 at byte 2"),
        ({"--policy": "{braces}"}, "without writing the file anew"),
        ({"--policy": "{blank}"}, "the policy is empty"),
    ],
)
def test_each_mistake_is_one_sentence_and_writes_nothing(
    change: dict[str, str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {
        "policy.yaml": POLICY.encode(),
        "broken": b"max_sise_bytes: 1",
        "latin": b"# \xfc",
        "braces": b"{fail_on: error}",
        "blank": b"\n",
    }
    put_local(tmp_path, files)
    policy = tmp_path / "policy.yaml"
    assert main(_words("/known.gguf", policy)) == 0
    capsys.readouterr()
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    places = {name: str(tmp_path / name) for name in files} | {"folder": str(tmp_path)}
    words = _words(change.get("url", "/a.gguf"), policy)
    words[2] = change.get("code", words[2])
    for option, value in change.items():
        if option in words:
            words[words.index(option) + 1] = value.format(**places)
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("prefect-mutagen: ")
    assert err.count("\n") == 1
    assert message.format(**places) in err
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_what_somebody_else_wrote_meanwhile_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)

    def slowly(*given: object) -> str:
        policy.write_text("fail_on: warning\n")
        return with_waiver(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(waive, "with_waiver", slowly)
    assert main(_words("/a.gguf", policy)) == 2
    assert "somebody else has changed it" in capsys.readouterr().err
    assert policy.read_text() == "fail_on: warning\n"
    assert [path.name for path in tmp_path.iterdir()] == ["policy.yaml"]


def test_on_a_terminal_a_refusal_comes_with_its_waiver(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = put_local(tmp_path, {"a.gguf": GGUF, "cut.gguf": GGUF[:99]})
    assert main(["verify", f"{root}/cut.gguf"]) == 1
    assert capsys.readouterr().err.count("\n") == 1, "a log gets a sentence for each reason"
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert main(["verify", f"{root}/cut.gguf"]) == 1
    said = capsys.readouterr().err
    assert f'waivers:\n  - code: gguf/truncated\n    url: "{root}/cut.gguf"\n' in said
    assert main(["verify", f"{root}/a.gguf", "--pin", "sha256:0"]) == 4
    assert "waivers:" not in capsys.readouterr().err, "other bytes are another model"


def test_on_a_terminal_the_table_names_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = put_local(tmp_path, {"cut.gguf": GGUF[:99]})
    command = ["scan", root, "--format", "table"]
    assert main(command) == 1
    assert "waive" not in capsys.readouterr().out
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr("sys.stdout.fileno", lambda: 1)
    monkeypatch.setattr("os.get_terminal_size", lambda _: os.terminal_size((100, 24)))
    assert main(command) == 1
    assert "prefect-mutagen waive URL CODE" in capsys.readouterr().out
