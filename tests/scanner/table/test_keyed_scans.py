"""Scans of keys into a table: the same root, everything else as it was, drift that is right."""

from pathlib import Path

import pytest

from prefect_mutagen.scanner.commands.cli import main
from prefect_mutagen.scanner.listing.keyed import FoundKeys
from prefect_mutagen.scanner.listing.listing import list_selected
from prefect_mutagen.scanner.listing.selection import Selection
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.opening import open_store
from tests.builders import STRING, gguf
from tests.scanner.examine.shard_builders import index, model, shard
from tests.scanner.storing import put_local
from tests.scanner.table.test_selection import Scans
from tests.synthetic_contents import Written
from tests.synthetic_s3 import SyntheticS3

GGUF = gguf().data
OTHER = gguf((("general.architecture", STRING, "mistral"),)).data
SHARDS = model("model-%05d-of-00002.safetensors")
FILES = {
    "one/m.gguf": GGUF,
    "one/config.json": b"{}",
    "two/m.gguf": GGUF,
    "two/n.gguf": GGUF,
    **{f"set/{name}": data for name, data in SHARDS.items()},
}


@pytest.fixture
def scans(tmp_path: Path) -> Scans:
    return Scans(put_local(tmp_path / "root", FILES), str(tmp_path / "table"))


def _keys(*keys: str) -> Selection:
    return Selection(keys=keys)


def _change(scans: Scans, files: dict[str, bytes | None]) -> None:
    put_local(Path(scans.root), {name: data for name, data in files.items() if data is not None})
    for name, data in files.items():
        if data is None:
            (Path(scans.root) / name).unlink()


def test_a_root_can_begin_with_keys(scans: Scans) -> None:
    assert scans(_keys("two/m.gguf")) == {"added": 1}
    assert scans.urls == ["two/m.gguf"]
    assert scans() == {"added": 3, "unchanged": 1}, "the whole root later: the same model"


def test_the_others_stay_as_they_are(scans: Scans) -> None:
    scans()
    _change(scans, {"one/m.gguf": OTHER, "two/m.gguf": OTHER, "two/n.gguf": None})
    assert scans(_keys("two/m.gguf")) == {"changed": 1, "left-out": 3}
    assert scans.urls == ["two/m.gguf"]
    assert scans(_keys("one/m.gguf")) == {"changed": 1, "left-out": 3}
    assert scans() == {"unchanged": 3, "removed": 1}


@pytest.mark.parametrize(
    ("changed", "key", "drift"),
    [
        ({"one/m.gguf": GGUF}, "one/config.json", {"changed": 1, "left-out": 3}),
        ({"one/config.json": b'{"a": 1}'}, "one/config.json", {"changed": 1, "left-out": 3}),
        ({"one/config.json": None}, "one/config.json", {"changed": 1, "left-out": 3}),
        ({"one/tokenizer_config.json": b"{}"}, "one/tokenizer_config.json", {"changed": 1}),
        ({"two/m.gguf": None}, "two/m.gguf", {"removed": 1, "left-out": 3}),
        ({"new/m.gguf": GGUF}, "new/m.gguf", {"added": 1, "left-out": 4}),
        ({}, "two/m.gguf", {"unchanged": 1, "left-out": 3}),
        ({}, "none/m.gguf", {"left-out": 4}),
        ({"set/model-00002-of-00002.safetensors": None}, "", {"changed": 1, "left-out": 3}),
        ({"set/model.safetensors.index.json": None}, "", {"removed": 1}),
    ],
)
def test_what_a_key_changes(
    scans: Scans, changed: dict[str, bytes | None], key: str, drift: dict[str, int]
) -> None:
    scans()
    _change(scans, changed)
    found = scans(_keys(key or next(iter(changed))))
    assert found.items() >= drift.items()
    assert sum(found.values()) == 4 + found.get("added", 0)


def test_a_model_of_parts_takes_the_place_of_its_parts(scans: Scans) -> None:
    loose = {"x/one.safetensors": shard("a"), "x/two.safetensors": shard("b")}
    _change(scans, dict(loose))
    assert scans() == {"added": 6}
    named = index({"a": "one.safetensors", "b": "two.safetensors"})
    _change(scans, {"x/model.safetensors.index.json": named})
    found = scans(_keys("x/model.safetensors.index.json"))
    assert found == {"added": 1, "removed": 2, "left-out": 4}
    assert scans() == {"unchanged": 5}


def test_other_criteria_hold_for_keys_too(scans: Scans) -> None:
    scans()
    _change(scans, {"one/m.gguf": OTHER, "two/m.gguf": OTHER})
    both = Selection(exclude=("one/**",), keys=("one/m.gguf", "two/m.gguf"))
    assert scans(both) == {"changed": 1, "left-out": 3}
    assert scans.urls == ["two/m.gguf"]


def test_the_command_names_what_is_not_there(
    scans: Scans, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put_local(Path(scans.root), {"a b.gguf": GGUF, "notes.log": b"x"})
    listed = tmp_path / "keys.txt"
    listed.write_text("two/m.gguf\r\n\na+b.gguf\nnotes.log\nm.gguf/x\n")
    words = ["scan", scans.root, "--format", "jsonl", "--keys", f"@{listed}", "two/m.gguf"]
    assert main(words) == 2
    seen = capsys.readouterr()
    assert seen.out.count("\n") == 1
    assert seen.err.splitlines() == [
        (
            f"prefect-mutagen: {scans.root}/a+b.gguf: not found: there is no such object; it looks "
            f"URL-encoded, as in S3's notifications: {scans.root}/a b.gguf?"
        ),
        f"prefect-mutagen: {scans.root}/m.gguf/x: not found: there is no such object",
        f"prefect-mutagen: {scans.root}/notes.log: it belongs to no model",
    ]
    assert main(["scan", scans.root, "--format", "jsonl", "--keys", "notes.log"]) == 0
    assert main(["scan", scans.root, "--format", "jsonl", "--keys", "two/m.gguf"]) == 0
    missing = [f"gone/{number}.gguf" for number in range(1000)]
    capsys.readouterr()
    assert main(["scan", scans.root, "--format", "jsonl", "--keys", *missing]) == 2
    seen = capsys.readouterr()
    assert (seen.out, len(seen.err.splitlines())) == ("", 21)
    assert seen.err.endswith("980 more keys are not there either\n")


def test_the_command_records_what_is_gone(scans: Scans, capsys: pytest.CaptureFixture[str]) -> None:
    scans()
    _change(scans, {"two/m.gguf": None})
    table = str(Path(scans.root).parent / "table")
    words = ["scan", scans.root, "--format", "summary", "--table", table]
    assert main([*words, "--keys", "two/m.gguf"]) == 2
    assert "two/m.gguf: not found" in capsys.readouterr().err
    assert "two/m.gguf" not in scans.state()
    assert scans.state()["two/n.gguf"] == ("left-out", "passed")


def test_without_permission_to_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_MUTAGEN_ENGINE", "fsspec")
    files = {"a/m.gguf": GGUF, "a/config.json": b"{}"}
    with SyntheticS3(content=Written(files)) as server:
        server.faults[""].extend(["denied"] * 50)
        store = open_store("s3://b", server.options)
        (artifact,) = list_selected(store, Selection(keys=("a/m.gguf",)), {})
        beside = [item.name for item in artifact.beside.neighbours]
        assert (artifact.url, beside) == ("s3://b/a/m.gguf", ["config.json"])
        found = FoundKeys()
        assert not list(list_selected(store, Selection(keys=("a/x.gguf",)), {}, found=found))
        assert found.not_found == ["s3://b/a/x.gguf"]
        with pytest.raises(StorageError, match="the model that it belongs to is not known"):
            list(list_selected(store, Selection(keys=("a/config.json",)), {}))


def test_a_thousand_keys_cost_a_few_requests_each() -> None:
    card = {f"m{n:04}/README.md": b"# x" for n in range(500)}
    weights = {f"m{n:04}/m.gguf": GGUF for n in range(1000)}
    others = {f"z{n:04}/m.gguf": GGUF for n in range(5000)}
    with SyntheticS3(content=Written(card | weights | others)) as server:
        store = open_store("s3://b", server.options)
        found = list(list_selected(store, Selection(keys=tuple(weights)), {}))
        counts = server.counts.requests
        assert len(found) == 1000
        # Four names are asked for in each folder, seven in the root, possibly by 32 threads; where
        # no card says that all below belongs to a model, two folders below are listed, too.
        assert 4 * 1000 + 7 <= counts["HEAD"] <= 4 * 1000 + 7 * 32
        assert counts["LIST"] == 500 + 3 * 500
