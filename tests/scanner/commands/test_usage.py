"""What the command says of a command line that it cannot follow: the whole text, in one line."""

import subprocess
import sys
from collections.abc import Callable

import pytest

from prefect_mutagen import __version__
from prefect_mutagen.scanner.commands.cli import main

pytestmark = pytest.mark.usefixtures("here")

Say = Callable[[list[str]], tuple[int, str]]

FORMATS = (
    "cyclonedx, hf-readme, html, intoto, json, jsonl, model-card, report, sarif, spdx, spdx-json, "
    "spdx3, summary or table"
)
UNSET = "is empty; a variable that it comes from may not be set"
EXEC_FORM = "prefect-mutagen exec URL -- COMMAND"
USAGE = {
    "unknown command": (
        ["frobnicate"],
        (
            "there is no command 'frobnicate'; the commands are scan, verify, exec, query, report, "
            "digest, used, waive, release, deployments, completion, version and demo"
        ),
    ),
    "misspelt command": (["scna", "good"], "there is no command 'scna'; did you mean scan?"),
    "model in place of a command": (
        ["good"],
        "'good' is not a command; to examine it: prefect-mutagen scan good",
    ),
    "option before the command": (
        ["--format", "json"],
        "prefect-mutagen has no option --format; see prefect-mutagen --help",
    ),
    "no root": (["scan"], "scan needs URL; see prefect-mutagen scan --help"),
    "waiving nothing": (
        ["waive"],
        (
            "waive needs URL, CODE, --owner, --until, --reason and --policy; see prefect-mutagen "
            "waive --help"
        ),
    ),
    "waiving without an end": (
        ["waive", "/a", "gguf/truncated", "--owner", "a", "--reason", "b", "--policy", "c"],
        "waive needs --until; see prefect-mutagen waive --help",
    ),
    "an empty owner": (
        ["waive", "/a", "gguf/truncated", "--owner", " "],
        f"--owner {UNSET}",
    ),
    "used by nothing": (
        ["used"],
        "used needs URL|PIN and --table; see prefect-mutagen used --help",
    ),
    "an empty pin to ask for": (["used", " ", "--table", "t"], f"URL|PIN {UNSET}"),
    "digest without a table": (
        ["digest"],
        "digest needs --table; see prefect-mutagen digest --help",
    ),
    "an unknown format of a digest": (
        ["digest", "--table", "t", "--format", "xml"],
        "--format has no choice 'xml'; choose html, json or markdown",
    ),
    "no SQL, no table": (
        ["query"],
        "query needs --table; see prefect-mutagen query --help",
    ),
    "misspelt option": (
        ["scan", "good", "--formt", "json"],
        "scan has no option --formt; did you mean --format?",
    ),
    "misspelt option with its value": (
        ["scan", "good", "--formt=json"],
        "scan has no option --formt; did you mean --format?",
    ),
    "unknown option": (
        ["verify", "good", "--zzz"],
        "verify has no option --zzz; see prefect-mutagen verify --help",
    ),
    "word too many": (
        ["version", "bad"],
        "version takes no argument 'bad'; see prefect-mutagen version --help",
    ),
    "option without its value": (["verify", "good", "--pin"], "--pin needs a value"),
    "value of a switch": (["scan", "good", "--no-hash=x"], "--no-hash takes no value"),
    "misspelt format": (
        ["scan", "good", "--format", "jsno"],
        "--format has no choice 'jsno'; did you mean json?",
    ),
    "unknown format": (
        ["scan", "good", "--format", "zzz"],
        f"--format has no choice 'zzz'; choose {FORMATS}",
    ),
    "unknown hash": (
        ["scan", "good", "--hash", "md5"],
        "--hash has no choice 'md5'; choose full, lookup, none or stored",
    ),
    "no number": (
        ["scan", "good", "--concurrency", "many"],
        "--concurrency takes a whole number above 0, not 'many'",
    ),
    "no date": (
        ["scan", "good", "--modified-since", "monday"],
        "--modified-since takes a date, or an age such as 7d or 36h, not 'monday'",
    ),
    "rescan without a table": (
        ["scan", "good", "--rescan", "all"],
        "--rescan does nothing without --table; name the table with it",
    ),
    "states without a table": (
        ["scan", "good", "--keep-states", "3"],
        "--keep-states does nothing without --table; name the table with it",
    ),
    "days without a table": (
        ["scan", "good", "--keep-days", "3"],
        "--keep-days does nothing without --table; name the table with it",
    ),
    "inventory and versions": (
        ["scan", "s3://b", "--all-versions", "--inventory", "s3://i/manifest.json"],
        "an inventory gives the newest versions; leave one of the two out",
    ),
    "keys of versions": (
        ["scan", "s3://b", "--all-versions", "--keys", "m.gguf"],
        "keys name the newest versions of objects, and all versions are for whole roots",
    ),
    "keys of several roots": (
        ["scan", "good", "bad", "--keys", "m.gguf"],
        "--keys goes with one URL, which the keys are below; name that root alone",
    ),
    "key outside of the root": (
        ["scan", "good", "--keys", "../bad/m.gguf"],
        "the key '../bad/m.gguf' has '.' or '..' in its path: name the object itself",
    ),
    "no file of keys": (
        ["scan", "good", "--keys", "@none.txt"],
        "--keys @none.txt: there is no such file or folder",
    ),
    "metrics into a folder": (
        ["scan", "good", "--metrics", "."],
        "--metrics .: it is a folder; name a file in it",
    ),
    "empty metrics": (["scan", "good", "--metrics", ""], f"--metrics {UNSET}"),
    "empty key": (["scan", "good", "--keys", ""], f"--keys {UNSET}"),
    "exec without a command": (["exec", "good"], f"exec needs a command after --: {EXEC_FORM}"),
    "exec with nothing after --": (
        ["exec", "good", "--"],
        f"exec needs a command after --: {EXEC_FORM}",
    ),
    "exec with an empty command": (
        ["exec", "good", "--", ""],
        f"exec needs a command after --: {EXEC_FORM}",
    ),
    "exec without --": (
        ["exec", "good", "python", "-c", "pass"],
        f"exec needs -- before the command: {EXEC_FORM}",
    ),
    "exec with a time that is none": (
        ["exec", "good", "--timeout", "soon", "--", "true"],
        "--timeout takes a number of seconds above 0, not 'soon'",
    ),
    "exec with a size that is none": (
        ["exec", "good", "--memory", "1.5G", "--", "true"],
        "--memory takes a number of bytes such as 512M or 8G, not '1.5G'",
    ),
    "exec with a variable that is not set": (
        ["exec", "good", "--env", "NO_SUCH_VARIABLE", "--", "true"],
        "--env: not set in the environment: NO_SUCH_VARIABLE",
    ),
    "empty root": (["scan", ""], f"URL {UNSET}"),
    "one of two roots empty": (["scan", "good", " "], f"URL {UNSET}"),
    "empty address": (["verify", ""], f"URL {UNSET}"),
    "one of two addresses empty": (["verify", "good", " "], f"URL {UNSET}"),
    "no address": (["verify"], "verify needs URL; see prefect-mutagen verify --help"),
    "a pin of two": (
        ["verify", "good", "bad", "--pin", "x"],
        "--pin goes with one address; verify the others on their own",
    ),
    "empty table of passes": (["verify", "good", "--table", ""], f"--table {UNSET}"),
    "empty message": (["verify", "good", "--output", ""], f"--output {UNSET}"),
    "unknown format of answers": (
        ["verify", "good", "--format", "yaml"],
        "--format has no choice 'yaml'; choose json or text",
    ),
    "grace of no server": (
        ["exec", "good", "--grace", "3", "--", "true"],
        "--grace does nothing without --as-server",
    ),
    "empty address for exec": (["exec", "", "--", "true"], f"URL {UNSET}"),
    "empty pin": (["verify", "good", "--pin", ""], f"--pin {UNSET}"),
    "empty pin for exec": (["exec", "good", "--pin", "", "--", "true"], f"--pin {UNSET}"),
    "empty policy": (["verify", "good", "--policy", ""], f"--policy {UNSET}"),
    "empty table": (["scan", "good", "--table", ""], f"--table {UNSET}"),
    "empty table to ask": (["query", "FROM scans", "--table", " "], f"--table {UNSET}"),
    "empty SQL": (["query", "", "--table", "t"], f"SQL {UNSET}"),
    "empty pattern": (["scan", "good", "--include", ""], f"--include {UNSET}"),
    "empty pattern to leave out": (["scan", "good", "--exclude", ""], f"--exclude {UNSET}"),
    "empty output": (["scan", "good", "--output", ""], f"--output {UNSET}"),
    "empty inventory": (["scan", "s3://b", "--inventory", ""], f"--inventory {UNSET}"),
    "empty options": (["scan", "good", "--storage-options", ""], f"--storage-options {UNSET}"),
    "empty folder for the demo": (["demo", ""], f"DIR {UNSET}"),
}


@pytest.mark.parametrize(("words", "message"), USAGE.values(), ids=USAGE)
def test_wrong_usage(say: Say, words: list[str], message: str) -> None:
    assert say(words) == (2, f"prefect-mutagen: {message}\n")


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]], ids=["bare", "--help", "-h"])
def test_help(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    try:
        status = main(words)
    except SystemExit as end:  # argparse ends the process after its help
        status = int(end.code or 0)
    seen = capsys.readouterr()
    assert (status, seen.err) == (0, "")
    for command in ("scan", "verify", "exec", "query", "demo", "version"):
        assert f"\n    {command} " in seen.out


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"prefect-mutagen {__version__}\n"


@pytest.mark.parametrize(
    ("words", "status", "out", "err"),
    [
        (["--version"], 0, f"prefect-mutagen {__version__}\n", ""),
        (["scna"], 2, "", "prefect-mutagen: there is no command 'scna'; did you mean scan?\n"),
    ],
    ids=["version", "misspelt"],
)
def test_the_package_is_a_program(words: list[str], status: int, out: str, err: str) -> None:
    command = [sys.executable, "-m", "prefect_mutagen", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (status, out, err)
