"""``prefect-mutagen verify --table``: what a scan passed is accepted by pin, without reading it."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.scanner.commands.cli import main
from tests.builders import gguf, safetensors, tensor
from tests.scanner.commands.asking import Ask
from tests.synthetic_contents import Written
from tests.synthetic_s3 import SyntheticS3

GGUF = gguf().data
MODELS = {
    "a/m.gguf": GGUF,
    "a/config.json": b"{}",
    "b/model.safetensors": safetensors({"w": tensor("F32", [2], 0, 8)}, bytes(8)),
    "b/README.md": b"---\nlicense: mit\n---\n",
    "c/broken.gguf": GGUF[:100],
}


@dataclass
class Bucket:
    server: SyntheticS3
    ask: Ask
    table: str

    def verify(self, *words: str) -> tuple[dict[str, Any], int]:
        """Answers, and the GETs of objects that they cost."""
        before = self.server.counts.requests["GET"]
        said = self.ask(
            *words,
            *("--table", self.table, "--format", "json"),
            *("--storage-options", json.dumps(self.server.options)),
        )
        assert said.err == ""
        return said.json, self.server.counts.requests["GET"] - before


@pytest.fixture
def bucket(ask: Ask, here: Path, capfd: pytest.CaptureFixture[str]) -> Any:
    with SyntheticS3(content=Written(MODELS)) as server:
        options = ["--storage-options", json.dumps(server.options)]
        table = str(here / "table")
        assert main(["scan", "s3://models", "--table", table, *options]) == 1
        capfd.readouterr()
        yield Bucket(server, ask, table)


def _decided(document: dict[str, Any]) -> list[tuple[str, str | None]]:
    return [(answer["verdict"], answer["decided_by"]) for answer in document["answers"]]


@pytest.mark.parametrize(
    "words",
    [["s3://models/a"], ["s3://models/b/model.safetensors"], ["s3://models/a", "s3://models/b"]],
    ids=" ".join,
)
def test_what_the_table_passed_is_accepted_by_its_listing_alone(
    bucket: Bucket, words: list[str]
) -> None:
    bucket.server.counts.requests.clear()
    document, objects = bucket.verify(*words)
    assert _decided(document) == [("passed", "table")] * len(words)
    assert objects == 0
    # Listings of the folder and of those above it, which may mark the model's root.
    assert 1 <= bucket.server.counts.requests.total() <= 4 * len(words), bucket.server.counts
    plain = bucket.ask(
        *words, "--format", "json", "--storage-options", json.dumps(bucket.server.options)
    )
    for known, read in zip(document["answers"], plain.json["answers"], strict=True):
        assert known | {"decided_by": "examination"} == read, "the same as without a table"


def test_only_what_the_table_did_not_pass_is_read(bucket: Bucket) -> None:
    document, objects = bucket.verify("s3://models")
    assert document["exit_status"] == 1
    assert _decided(document) == [("failed", "examination")]
    assert {reason["url"] for reason in document["answers"][0]["reasons"]} == {
        "s3://models/c/broken.gguf"
    }
    assert objects == 1
    assert bucket.server.counts.keys["c/broken.gguf"] == 2


@pytest.mark.parametrize("key", ["a/m.gguf", "a/config.json", "a/tokenizer.json"])
def test_other_bytes_than_the_table_knows_are_read(bucket: Bucket, key: str) -> None:
    content = bucket.server.content
    assert isinstance(content, Written)
    content.put(key, MODELS.get(key, b"{}"))
    document, objects = bucket.verify("s3://models/a/m.gguf")
    assert _decided(document) == [("passed", "examination")]
    assert objects >= 1


def test_replaced_by_a_broken_one_it_is_refused(bucket: Bucket) -> None:
    content = bucket.server.content
    assert isinstance(content, Written)
    content.put("a/m.gguf", GGUF[:100])
    document, _ = bucket.verify("s3://models/a/m.gguf")
    assert (document["exit_status"], _decided(document)) == (1, [("failed", "examination")])


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("require_license: true\n", ("passed", "table")),
        ("denied_licenses: [mit]\n", ("failed", "examination")),
    ],
    ids=["stricter and still passed", "refused"],
)
def test_another_policy_judges_what_the_table_knows(
    bucket: Bucket, policy: str, expected: tuple[str, str]
) -> None:
    Path("other.yaml").write_text(policy)
    document, objects = bucket.verify("s3://models/b", "--policy", "other.yaml")
    assert _decided(document) == [expected]
    assert (objects > 0) == (expected[0] == "failed"), "no refusal is taken from a table"


def test_another_version_of_the_tool_reads_again(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prefect_mutagen.scanner.table.state_index.__version__", "9")
    document, objects = bucket.verify("s3://models/a")
    assert _decided(document) == [("passed", "examination")]
    assert objects >= 1


def test_what_was_examined_too_long_ago_is_read_again(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("aged.yaml").write_text("max_scan_age_hours: 1\n")
    words = ["s3://models/a", "--policy", "aged.yaml"]
    assert _decided(bucket.verify(*words)[0]) == [("passed", "table")]
    monkeypatch.setattr("prefect_mutagen.scanner.table.state.is_too_old", lambda *_: True)
    document, objects = bucket.verify(*words)
    assert (_decided(document), objects > 0) == ([("passed", "examination")], True)


def test_a_pin_goes_with_a_table(bucket: Bucket) -> None:
    (answer,) = bucket.verify("s3://models/a/m.gguf")[0]["answers"]
    same, objects = bucket.verify("s3://models/a/m.gguf", "--pin", answer["pin"])
    assert (_decided(same), objects) == ([("passed", "table")], 0)
    other, _ = bucket.verify("s3://models/a/m.gguf", "--pin", "sha256:0")
    assert other["exit_status"] == 4


def test_what_no_root_of_the_table_holds_is_read(bucket: Bucket) -> None:
    document, objects = bucket.verify("s3://others/a")
    assert (_decided(document), objects > 0) == ([("passed", "examination")], True)


def test_a_local_folder_and_its_table(ask: Ask, here: Path) -> None:
    assert main(["scan", "good", "--table", "table", "--output", "out"]) == 0
    for place in ("good", "good/a.gguf"):
        said = ask(place, "--table", "table", "--format", "json")
        assert _decided(said.json) == [("passed", "table")]
    os.utime(here / "good/a.gguf", ns=(1, 1))
    said = ask("good", "--table", "table", "--format", "json")
    assert _decided(said.json) == [("passed", "examination")]


def test_a_table_that_is_not_there_stops_nobody_and_is_told(ask: Ask, here: Path) -> None:
    said = ask("good", "--table", "gone")
    assert said.status == 0
    assert said.err == (
        f"prefect-mutagen: --table: {here}/gone: there is no table; everything is examined\n"
    )
