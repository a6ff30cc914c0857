"""What a scan says of each listed object: the census of command, report, table and documents."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.scanner import Policy, scan
from prefect_mutagen.scanner.census import Census, CensusRow
from prefect_mutagen.scanner.commands.cli import main
from tests.builders import gguf
from tests.parsers.pickle_builders import PAYLOAD, PROTO2
from tests.scanner.examine.shard_builders import shard
from tests.scanner.storing import put_local

GGUF = gguf(tensors=(("a.weight", (32, 8), 0),)).data
SAFETENSORS = shard("a")
HARMLESS = PROTO2 + b"}."
HOSTILE = PROTO2 + PAYLOAD + b"."
UNKNOWN = b"\x01\xfe\x02\xfd" * 8

BUCKET: dict[str, bytes] = {
    "a/model.safetensors": SAFETENSORS,
    "a/config.json": b"{}",
    "a/README.md": b"---\nlicense: mit\n---\n",
    "a/training_args.bin": HOSTILE,
    "a/checkpoint-5/optimizer.pt": HARMLESS,
    "a/onnx/model.onnx": UNKNOWN,
    "a/run.log": b"step 1",
    "b/m.gguf": GGUF[:100],
    "c/only.pkl": HOSTILE,
    "d/firmware.bin": UNKNOWN,
    "e/notes.xyz": b"?",
    "e/picture.png": b"x",
}
EXPECTED = {
    ("weights", "examined"): ["a/model.safetensors", "b/m.gguf"],
    ("config", "examined"): ["a/config.json"],
    ("card", "examined"): ["a/README.md"],
    ("pickle", "examined"): ["a/training_args.bin", "a/checkpoint-5/optimizer.pt", "c/only.pkl"],
    ("pickle", "named"): ["d/firmware.bin"],
    ("other-weights", "named"): ["a/onnx/model.onnx"],
    ("other", "named"): ["a/run.log", "e/picture.png"],
    ("other", "not-understood"): ["e/notes.xyz"],
}


def _expected(files: Mapping[str, bytes]) -> list[dict[str, Any]]:
    return [
        {
            "role": role,
            "state": state,
            "objects": len(names),
            "bytes": sum(len(files[name]) for name in names),
        }
        for (role, state), names in EXPECTED.items()
    ]


def _scan(*arguments: str) -> None:
    main(["scan", *arguments])


def test_every_object_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _scan(put_local(tmp_path, BUCKET), "--format", "report")
    out, err = capsys.readouterr()
    census = json.loads(out)["summary"]["census"]
    assert census == _expected(BUCKET)
    assert sum(row["objects"] for row in census) == len(BUCKET)
    assert sum(row["bytes"] for row in census) == sum(map(len, BUCKET.values()))
    line = (
        "12 objects: 2 model files, 3 pickles examined; 1 pickle, 1 file of other weights named "
        "only; 1 not understood; 4 other"
    )
    assert line in err


@pytest.mark.parametrize("form", ["table", "json", "jsonl", "cyclonedx", "sarif", "spdx-json"])
def test_it_stands_where_people_look(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _scan(put_local(tmp_path, BUCKET), "--format", form)
    out, err = capsys.readouterr()
    told = out if form == "table" else err
    assert "12 objects: 2 model files, 3 pickles examined" in told
    if form == "cyclonedx":
        properties = {entry["name"]: entry["value"] for entry in json.loads(out)["properties"]}
        assert properties["mutagen:census:other-weights:named:objects"] == "1"
    if form == "sarif":
        (run,) = json.loads(out)["runs"]
        assert run["properties"]["census"] == _expected(BUCKET)


def test_a_scan_into_a_table_counts_what_it_keeps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, table = put_local(tmp_path / "root", BUCKET), str(tmp_path / "table")
    for _ in range(2):
        _scan(root, "--table", table, "--format", "report")
        assert json.loads(capsys.readouterr().out)["summary"]["census"] == _expected(BUCKET)
        assert main(["query", "--census", "--table", table, "--format", "json"]) == 0
        rows = json.loads(capsys.readouterr().out)
        kept = [{key: row[key] for key in _expected(BUCKET)[0]} for row in rows]
        assert sorted(kept, key=str) == sorted(_expected(BUCKET), key=str)


def test_a_table_of_earlier_versions_says_that_nothing_was_counted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = Path(__file__).parent.parent / "golden/table-s3-0.1"
    assert main(["query", "--census", "--table", str(table)]) == 0
    assert "has counted its objects yet; scan again" in capsys.readouterr().err


def test_a_bucket_without_models_says_what_it_holds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _scan(put_local(tmp_path, {"a.png": b"x", "b.xyz": b"x"}), "--format", "table")
    out, err = capsys.readouterr()
    assert "2 objects: 1 not understood; 1 other" in out
    assert "there is no model file (2 objects: 1 not understood; 1 other)" in err


def test_what_could_not_be_read_is_named_only(tmp_path: Path) -> None:
    put_local(tmp_path, {"a/m.gguf": GGUF})
    (tmp_path / "b.gguf").symlink_to(tmp_path / "nowhere")
    (tmp_path / "c").mkdir()
    results = list(scan(str(tmp_path)))
    states = {Path(one.url).name: [row["state"] for row in one.facts["census"]] for one in results}
    assert states == {"m.gguf": ["examined"], "b.gguf": ["named"]}


def test_a_model_says_what_lies_around_it(tmp_path: Path) -> None:
    put_local(tmp_path, BUCKET)
    by_name = {Path(one.url).name: one for one in scan(str(tmp_path))}
    census = by_name["model.safetensors"].facts["census"]
    assert {(row["role"], row["state"]): row["objects"] for row in census} == {
        ("weights", "examined"): 1,
        ("config", "examined"): 1,
        ("card", "examined"): 1,
        ("pickle", "examined"): 2,
        ("other-weights", "named"): 1,
    }


def test_what_many_share_counts_once() -> None:
    census = Census()
    census.count("config", "named", 5)
    for _ in range(3):
        census.examine("config", "s3://b/config.json", 5)
    assert census.rows == (CensusRow("config", "examined", 1, 5),)


def test_what_is_passed_over_may_be_told_before_it_is_listed() -> None:
    census = Census()
    census.pass_over("weights", 1, 7)
    census.count("weights", "examined", 9, objects=2)
    assert census.rows == (
        CensusRow("weights", "examined", 1, 2),
        CensusRow("weights", "named", 1, 7),
    )
    assert census.listed == (CensusRow("weights", "examined", 2, 9),)


POLICIES = {
    "alone": ("alone", "unknown", "passed"),
    "fail": ("fail", "failed", "failed"),
    "warn": ("warn", "passed", "passed"),
    "allow": ("allow", "passed", "passed"),
}


@pytest.mark.parametrize(("value", "alone", "beside"), POLICIES.values(), ids=POLICIES)
def test_a_policy_says_what_counts_of_other_weights(
    value: Any, alone: str, beside: str, tmp_path: Path
) -> None:
    files = {"a/model.onnx": UNKNOWN, "b/model.safetensors": SAFETENSORS, "b/tf_model.h5": UNKNOWN}
    results = scan(put_local(tmp_path, files), policy=Policy(unexamined_weights=value))
    statuses = {Path(one.url).name: one.verdict.status for one in results}
    assert statuses == {"model.onnx": alone, "model.safetensors": beside}


def test_an_allowance_is_silent_and_a_warning_is_not(tmp_path: Path) -> None:
    root = put_local(tmp_path, {"m.safetensors": SAFETENSORS, "tf_model.h5": UNKNOWN})
    for value, status in (("warn", "failed"), ("allow", "passed")):
        policy = Policy(unexamined_weights=value, fail_on="warning")  # type: ignore[arg-type]
        (result,) = scan(root, policy=policy)
        assert result.verdict.status == status
        assert "weights/named-only" in {one.code for one in result.findings}


def test_output_of_a_root_that_was_examined_whole_is_quiet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _scan(put_local(tmp_path, {"m.gguf": GGUF, "README.md": b"x"}), "--format", "jsonl")
    assert not capsys.readouterr().err
