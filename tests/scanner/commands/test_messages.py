"""What the command says where it cannot go on: the whole text, and the exit status.

A message says what is wrong, where, and what to do, in one line. ``{here}`` is the working folder.
"""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from prefect_mutagen.scanner.commands.cli import main
from prefect_mutagen.scanner.commands.remedies import complaint
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.options import load_options
from tests.builders import gguf

pytestmark = pytest.mark.usefixtures("here")

GGUF = gguf().data
Say = Callable[[list[str]], tuple[int, str]]
CUT = (
    "gguf/truncated: GGUF: tensor 0, dimension 1 at byte 97: the file ends at byte 100; expected a "
    "file of at least 105 bytes"
)


FILES = {
    "no policy": (
        ["scan", "good", "--policy", "no.yaml"],
        "--policy no.yaml: there is no such file or folder",
    ),
    "folder as policy": (["scan", "good", "--policy", "good"], "--policy good: it is a folder"),
    "policy that is no text": (
        ["scan", "good", "--policy", "latin-1"],
        "--policy latin-1: it is not UTF-8 at byte 19",
    ),
    "policy that was cut off": (
        ["scan", "good", "--policy", "blank"],
        "--policy blank: the policy is empty; write {{}} for the default policy",
    ),
    "misspelt field of a policy": (
        ["scan", "good", "--policy", "misspelt.yaml"],
        (
            "--policy misspelt.yaml: the policy has no field 'denied_license'; did you mean "
            "denied_licenses?"
        ),
    ),
    "no options": (
        ["scan", "good", "--storage-options", "@no.json"],
        "the storage options are to be read from no.json: there is no such file or folder",
    ),
    "no name of a file of options": (
        ["scan", "good", "--storage-options", "@"],
        "the storage options are to be read from @: there is no such file or folder",
    ),
    "options that are no JSON": (
        ["scan", "good", "--storage-options", '{{"key": hunter2}}'],
        "the storage options are not JSON: expecting value at line 1, column 9",
    ),
    "file of options that is no JSON": (
        ["scan", "good", "--storage-options", "@broken.json"],
        (
            "the storage options in broken.json are not JSON: expecting ',' delimiter at line 2, "
            "column 2"
        ),
    ),
    "options that are a list": (
        ["scan", "good", "--storage-options", "[]"],
        'the storage options are not a JSON object such as {{"anon": true}}',
    ),
    "output below a file": (
        ["scan", "good", "--output", "blank/out/x.json"],
        "--output blank/out/x.json: its folder cannot be created: not a directory",
    ),
    "output in a file": (
        ["scan", "good", "--output", "blank/x.json"],
        "--output blank/x.json: its folder cannot be created: file exists",
    ),
    "folder as output": (
        ["scan", "good", "--output", "good"],
        "--output good: it is a folder; name a file in it",
    ),
    "pipe as output": (
        ["scan", "good", "--output", "pipe"],
        "--output pipe: it is not a regular file; redirect the output instead",
    ),
}

PLACES = {
    "nothing there": (
        ["scan", "nowhere"],
        2,
        "{here}/nowhere: there is no such file or folder. Check the address.",
    ),
    "nothing to verify": (
        ["verify", "nowhere"],
        2,
        "{here}/nowhere: there is no such file or folder. Check the address.",
    ),
    "model of the hub": (
        ["verify", "owner/name"],
        2,
        (
            "{here}/owner/name: there is no such file or folder; for the model on the Hugging Face "
            "hub write hf://owner/name"
        ),
    ),
    "model of the hub to scan": (
        ["scan", "owner/name-7B.v1"],
        2,
        (
            "{here}/owner/name-7B.v1: there is no such file or folder; for the model on the "
            "Hugging Face hub write hf://owner/name-7B.v1"
        ),
    ),
    "no model to verify": (
        ["verify", "empty"],
        2,
        "{here}/empty: there is no model in this folder",
    ),
    "no model to run for": (
        ["exec", "empty", "--", "touch", "{here}/ran"],
        2,
        "{here}/empty: there is no model in this folder",
    ),
    "empty folder": (["scan", "empty"], 0, "{here}/empty: there is no model file"),
    "all left out": (
        ["scan", "good", "--exclude", "*"],
        0,
        "{here}/good: there is no model file that is selected (1 object: 1 model file named only)",
    ),
    "pattern of nothing": (
        ["scan", "good", "--include", "*.safetensor"],
        2,
        "{here}/good: no model fits the patterns to include (*.safetensor)",
    ),
    "pattern of one root of two": (
        ["scan", "good", "several", "--include", "b.*"],
        0,
        "{here}/good: no model fits the patterns to include (b.*)",
    ),
    "pattern of no root of two": (
        ["scan", "good", "several", "--include", "c.*"],
        2,
        (
            "{here}/good: no model fits the patterns to include (c.*)\n"
            "prefect-mutagen: {here}/several: no model fits the patterns to include (c.*)"
        ),
    ),
    "name that is misspelt in a folder": (
        ["scan", "good/b.gguf"],
        2,
        "{here}/good/b.gguf: there is no such file or folder. Check the address.",
    ),
    "each fault with its file": (
        ["verify", "bad"],
        1,
        (
            "{here}/bad/c/config.json: sbom/neighbour-invalid: config.json: it is not JSON at "
            "character 1: Expecting property name enclosed in double quotes\n"
            f"prefect-mutagen: {{here}}/bad/b.gguf: {CUT}"
        ),
    ),
    "what the policy refuses, with its file": (
        ["verify", "several", "--policy", "strict.yaml"],
        1,
        (
            "{here}/several/a.gguf: policy/size: 384 bytes are more than the allowed 1\n"
            "prefect-mutagen: {here}/several/b.gguf: policy/size: 384 bytes are more than the "
            "allowed 1"
        ),
    ),
    "what could not be examined": (
        ["verify", "dangling"],
        3,
        "{here}/dangling/x.gguf: storage/not-found: the file that it links to is missing ('gone')",
    ),
    "not examined, not started": (
        ["exec", "dangling", "--", "touch", "{here}/ran"],
        3,
        "{here}/dangling/x.gguf: storage/not-found: the file that it links to is missing ('gone')",
    ),
    "unknown program": (
        ["exec", "good/a.gguf", "--", "no-such-program"],
        127,
        "no-such-program: there is no such command",
    ),
    "program at a path that is not there": (
        ["exec", "good/a.gguf", "--", "./no/such"],
        127,
        "./no/such: there is no such command",
    ),
    "folder as program": (
        ["exec", "good/a.gguf", "--", "./good"],
        126,
        "./good: it cannot be run: permission denied",
    ),
    "script without its interpreter": (
        ["exec", "good/a.gguf", "--", "./script"],
        126,
        "./script: it cannot be run: the interpreter that its first line names is missing",
    ),
    "kind of storage": (["scan", "foo://x"], 2, "foo://x: unknown kind of storage"),
    "no bucket": (["verify", "s3://"], 2, "s3://: the address names no bucket. Check the address."),
    "no server": (
        ["scan", "http:///m"],
        2,
        "http:///m: the address names no server. Check the address.",
    ),
    "versions of files": (
        ["scan", "good", "--all-versions"],
        2,
        "{here}/good: versions can only be listed on S3",
    ),
    "no table": (
        ["query", "FROM scans", "--table", "none"],
        2,
        "{here}/none: there is no table. Check the address.",
    ),
}


@pytest.mark.parametrize(("words", "message"), FILES.values(), ids=FILES)
def test_files_that_are_not_what_they_should_be(
    say: Say, here: Path, words: list[str], message: str
) -> None:
    expected = message.replace("{{", "{").replace("}}", "}")
    assert say(words) == (2, f"prefect-mutagen: {expected}\n")
    assert not list(here.rglob("*.partial"))


@pytest.mark.parametrize(("words", "status", "message"), PLACES.values(), ids=PLACES)
def test_addresses_and_artifacts(
    say: Say, here: Path, words: list[str], status: int, message: str
) -> None:
    assert say(words) == (status, f"prefect-mutagen: {message}\n")
    assert not (here / "ran").exists()


def test_other_bytes_than_pinned(say: Say, here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "good/a.gguf"]) == 0
    pin = capfd.readouterr().out.split()[-1]
    os.utime("good/a.gguf", (0, 0))
    command = ["exec", "good/a.gguf", "--pin", pin, "--", "touch", f"{here}/ran"]
    for words in (["verify", "good/a.gguf", "--pin", pin], command):
        status, said = say(words)
        now = said.split()[-1]
        assert now.startswith("sha256:")
        assert now != pin
        assert (status, said) == (
            4,
            (
                "prefect-mutagen: {here}/good/a.gguf: storage/other-pin: its bytes differ from the "
                "pinned ones, or their change times do (chmod, chown, link and rename change "
                f"them); their pin is {now}\n"
            ),
        )
    assert not (here / "ran").exists()


GCS = importlib.util.find_spec("gcsfs") is not None
ADLS = importlib.util.find_spec("adlfs") is not None


@pytest.mark.parametrize(
    ("url", "fast", "message"),
    [
        pytest.param(
            "gs://bucket/m",
            "",
            "gs:// needs a package (pip install 'prefect-mutagen[fast]', or gcsfs)",
            marks=pytest.mark.skipif(GCS, reason="gcsfs is installed"),
        ),
        pytest.param(
            "az://container/m",
            "",
            "az:// needs a package (pip install 'prefect-mutagen[fast]', or adlfs)",
            marks=pytest.mark.skipif(ADLS, reason="adlfs is installed"),
        ),
        pytest.param(
            "az://container/m",
            "obstore",
            "the storage account is missing; set AZURE_STORAGE_ACCOUNT_NAME, or account_name in "
            "the storage options",
            marks=pytest.mark.skipif(ADLS, reason="adlfs is installed"),
        ),
        pytest.param(
            "abfs://container/m",
            "obstore",
            "abfs:// needs the package adlfs (pip install adlfs)",
            marks=pytest.mark.skipif(ADLS, reason="adlfs is installed"),
        ),
    ],
)
def test_packages_that_are_missing(
    say: Say,
    monkeypatch: pytest.MonkeyPatch,
    url: str,
    fast: str,
    message: str,
) -> None:
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    if fast:
        pytest.importorskip(fast)
    else:
        monkeypatch.setitem(sys.modules, "obstore", None)
    assert say(["verify", url]) == (2, f"prefect-mutagen: {url}: {message}\n")


@pytest.mark.parametrize(
    ("code", "url", "remedy"),
    [
        ("denied", "/m", "Give the user of this process permission to read it."),
        ("denied", "s3://b/m", "Allow the identity s3:ListBucket and s3:GetObject."),
        ("denied", "gs://b/m", "Give the identity the role Storage Object Viewer."),
        ("denied", "az://c/m", "Give the identity the role Storage Blob Data Reader."),
        ("denied", "https://h/m", "Check the credentials, and what they may read."),
        (
            "credentials",
            "gs://b/m",
            "Check GOOGLE_APPLICATION_CREDENTIALS, or token in the storage options.",
        ),
        ("unreachable", "https://h/m", "Check the address and the network."),
        ("throttled", "gs://b/m", "Scan again with less concurrency."),
    ],
)
def test_remedies_are_those_of_the_storage(code: str, url: str, remedy: str) -> None:
    problem = StorageError(f"storage/{code}", url, "it is so")
    assert complaint(problem) == f"{url}: it is so. {remedy}"


def test_the_environments_options_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_MUTAGEN_STORAGE_OPTIONS", "{")
    with pytest.raises(ValueError, match=r"^PREFECT_MUTAGEN_STORAGE_OPTIONS are not JSON: .* at"):
        load_options()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no full device here")
def test_an_output_that_is_full() -> None:
    command = [sys.executable, "-m", "prefect_mutagen", "scan", "good"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60
        )
    said = "prefect-mutagen: the output cannot be written: no space left on device\n"
    assert (done.returncode, done.stderr) == (2, said)
