"""Split GGUF files, and indexes beyond the limits."""

from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.scanner import Policy, scan
from prefect_mutagen.scanner.content import shard_index
from prefect_mutagen.scanner.examine import fetch
from tests.builders import STRING, U16, U32, gguf, safetensors
from tests.scanner.examine.shard_builders import (
    INDEX,
    Files,
    codes_of,
    index,
    model,
    results_of,
    shard,
)
from tests.scanner.storing import put_local
from tests.servers import WebServer

SHARDS = model("model-%05d-of-00002.safetensors")

# Split GGUF.

KEYS: list[tuple[str, int, Any]] = [("general.architecture", STRING, "llama")]


def split(
    number: int, total: int, names: tuple[str, ...], *, keys: Any = (), all_: int = 3
) -> bytes:
    stated = [("split.no", U16, number - 1), ("split.count", U16, total)]
    stated.append(("split.tensors.count", U32, all_))
    return gguf([*keys, *stated], [(name, (4, 2), 0) for name in names]).data


def pad(data: bytes) -> bytes:
    return data + bytes(-len(data) % 32)


@pytest.mark.parametrize(
    "files",
    [
        {
            "m-00001-of-00002.gguf": split(1, 2, ("a", "b"), keys=KEYS),
            "m-00002-of-00002.gguf": split(2, 2, ("c",)),
        },
        {
            "m-00001-of-00003.gguf": pad(split(1, 3, (), keys=KEYS)),
            "m-00002-of-00003.gguf": split(2, 3, ("a", "b")),
            "m-00003-of-00003.gguf": split(3, 3, ("c",)),
        },
    ],
    ids=["ordinary", "no-tensors-in-the-first"],
)
def test_rules_for_a_whole_file_are_not_applied_to_a_part(tmp_path: Path, files: Files) -> None:
    (result,) = results_of(tmp_path, files, policy=Policy(fail_on="warning")).values()
    assert (result.findings, result.passed) == ((), True)
    assert result.sbom.architecture == "llama"
    assert all(item.sbom is not None and item.sbom.warnings == () for item in result.objects)


def test_the_first_shard_has_to_say_what_the_model_is(tmp_path: Path) -> None:
    files = {
        "m-00001-of-00002.gguf": split(1, 2, ("a", "b")),
        "m-00002-of-00002.gguf": split(2, 2, ("c",), keys=KEYS),
    }
    (result,) = results_of(tmp_path, files).values()
    assert codes_of(result) == ["gguf/missing-architecture"]


def test_a_set_without_any_tensors_says_so(tmp_path: Path) -> None:
    files = {
        "m-00001-of-00002.gguf": split(1, 2, (), keys=KEYS, all_=0),
        "m-00002-of-00002.gguf": split(2, 2, (), all_=0),
    }
    (result,) = results_of(tmp_path, files).values()
    assert codes_of(result) == ["gguf/no-tensors", "gguf/no-tensors"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [("m-%03d-of-002.gguf", "m-00001-of-00002.gguf"), ("m_%05d-of-00002.gguf", "m-00001-of")],
)
def test_llama_finds_shards_by_five_digits(tmp_path: Path, pattern: str, expected: str) -> None:
    files = {
        pattern % 1: split(1, 2, ("a", "b"), keys=KEYS),
        pattern % 2: split(2, 2, ("c",)),
    }
    (result,) = results_of(tmp_path, files).values()
    assert (result.kind, codes_of(result), result.passed) == ("set", ["set/split-name"], False)
    assert expected in result.findings[0].message


# Limits of this tool.


def test_an_index_beyond_the_limits_is_not_held_against_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_index, "_VALUE_LIMIT", 1)
    (result,) = results_of(tmp_path, SHARDS).values()
    (finding,) = result.findings
    assert (finding.code, result.verdict.status) == ("set/unexamined", "unknown")
    assert "this tool reads at most" in finding.message
    assert len(result.objects) == 2


def test_an_index_of_too_many_bytes_is_not_held_against_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (shard_index, fetch):
        monkeypatch.setattr(module, "INDEX_LIMIT", 100)
    (result,) = results_of(tmp_path, SHARDS).values()
    (finding,) = result.findings
    assert (finding.code, result.verdict.status) == ("set/unexamined", "unknown")
    assert "this tool reads at most 100" in finding.message


def test_shards_that_are_too_many_to_be_looked_up_are_not_called_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "_MAX_SHARD_LOOKUPS", 1)
    put_local(tmp_path, SHARDS)
    with WebServer(tmp_path) as site:
        (result,) = scan(f"{site.url}/{INDEX}")
    assert (codes_of(result), result.verdict.status) == (["set/unexamined"], "unknown")


def test_an_index_of_many_tensors_is_read(tmp_path: Path) -> None:
    names = [f"model.layers.{number}.experts.down_proj.weight_scale" for number in range(300_000)]
    content = {
        name: {"dtype": "U8", "shape": [1], "data_offsets": [n, n + 1]}
        for n, name in enumerate(names)
    }
    path = "model-00001-of-000001.safetensors"
    files = {path: safetensors(content, len(names)), INDEX: index(dict.fromkeys(names, path))}
    (result,) = results_of(tmp_path, files).values()
    assert (result.findings, result.passed) == ((), True)
    assert result.sbom.metadata["tensor_count"] == len(names)


def test_brackets_in_names_are_no_values(tmp_path: Path) -> None:
    names = [f"layers[{number}]{{w}}" for number in range(2_000)]
    files = {"model-1.safetensors": shard(*names)}
    files[INDEX] = index(dict.fromkeys(names, "model-1.safetensors"))
    (result,) = results_of(tmp_path, files).values()
    assert result.findings == ()
