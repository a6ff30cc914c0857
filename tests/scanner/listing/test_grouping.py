"""Folders of any size: what is put together, and that nothing of a large one is held or left."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from prefect_mutagen.scanner.listing.artifacts import Artifact
from prefect_mutagen.scanner.listing.grouping import artifact_of, group_artifacts
from prefect_mutagen.scanner.listing.object_spool import ObjectSpool
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.store import StoredObject
from tests.scanner.listing.reading import indexes

INDEX = "model.safetensors.index.json"


def _item(name: str, folder: str = "s3://b/m/") -> StoredObject:
    return StoredObject(folder + name, 10, f"etag:{name}")


def _items(*names: str) -> list[StoredObject]:
    return [_item(name) for name in names]


def _names(items: tuple[StoredObject, ...]) -> list[str]:
    return [item.name for item in items]


@pytest.mark.parametrize("threshold", [1, 2, 100], ids=["none", "few", "all"])
def test_what_belongs_together_in_a_folder_of_any_size(threshold: int) -> None:
    listed = _items(
        "README.md",
        "SHA256SUMS",
        "a-00001-of-00002.gguf",
        "a-00002-of-00002.gguf",
        "b.gguf",
        "b.gguf.intoto.jsonl",
        "b.gguf.sha256",
        "c.pt",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00003.safetensors",
        INDEX,
        "odd.safetensors",
        "odd.safetensors.index.json",
        "release.intoto.jsonl",
    )
    reads = indexes(
        **{
            INDEX: [item.name for item in listed[8:10]],
            "odd.safetensors.index.json": ["odd.safetensors"],
        }
    )
    artifacts = list(group_artifacts(listed, threshold=threshold, read_index=reads))
    found = {artifact.url: artifact for artifact in artifacts}
    assert len(found) == len(artifacts)
    sets = {
        "s3://b/m/a-00001-of-00002.gguf": ["a-00001-of-00002.gguf", "a-00002-of-00002.gguf"],
        f"s3://b/m/{INDEX}": _names(tuple(listed[8:10])),
        "s3://b/m/odd.safetensors.index.json": ["odd.safetensors"],
    }
    assert {url: _names(one.objects) for url, one in found.items() if one.kind == "set"} == sets
    assert set(found) == {*sets, "s3://b/m/b.gguf"}
    single = found["s3://b/m/b.gguf"]
    assert _names(single.beside.checksums) == ["SHA256SUMS", "b.gguf.sha256"]
    assert _names(single.beside.signatures) == ["b.gguf.intoto.jsonl", "release.intoto.jsonl"]
    assert single.beside.pickles.names == ("c.pt",)
    odd = found["s3://b/m/odd.safetensors.index.json"]
    assert _names(odd.beside.signatures) == ["release.intoto.jsonl"]
    assert _names(odd.beside.neighbours) == ["README.md"]


def test_a_file_by_its_name_needs_none_of_the_models_beside_it() -> None:
    taken: list[str] = []

    def beside() -> Iterator[StoredObject]:
        for item in _items("a.gguf", "README.md", "m.gguf", "m.gguf.sha256", "z.pt"):
            taken.append(item.name)
            yield item

    artifact = artifact_of(_item("m.gguf"), beside())
    assert _names(artifact.objects) == ["m.gguf"]
    assert (_names(artifact.beside.neighbours), artifact.beside.pickles.total) == (["README.md"], 1)
    assert _names(artifact.beside.checksums) == ["m.gguf.sha256"]
    assert taken[-1] == "z.pt"


def _odd_objects() -> list[StoredObject]:
    fault = StorageError("storage/failed", "/m/c.gguf", "the reply broke off", transient=True)
    return [
        StoredObject("/m/\udcff\ud800.gguf", 10**40, "stat:1", 1.5),
        StoredObject("/m/a\0b\n.gguf", -1, "", None, "GLACIER"),
        StoredObject("/m/c.gguf", 0, "", fault=fault),
        StoredObject("/m/d.gguf?versionId=a", 1, "version:a"),
        StoredObject("/m/e.gguf", 1, "etag:1", 0.0, "", None, "0" * 64, "name of the cache's blob"),
    ]


def test_odd_objects_come_back_from_a_file_as_they_were() -> None:
    spool = ObjectSpool()
    items = _odd_objects()
    spool.add(0, [("model", "\udcff", item) for item in items])
    spool.add(1, [("model", "", items[0])])
    back = [item for _, item in spool.read(0, "model")]
    assert [repr(item) for item in back] == [repr(item) for item in items]
    fault = back[2].fault
    assert fault is not None
    assert fault.transient
    assert [key for key, _ in spool.read(0, "model", "\udcff")] == ["\udcff"] * 5
    spool.drop(0)
    assert list(spool.read(0, "model")) == []
    assert len(list(spool.read(1, "model"))) == 1
    spool.close()
    assert list(spool.read(1, "model")) == []


def test_pages_are_taken_to_their_end() -> None:
    spool = ObjectSpool()
    for key in ("b", "a"):
        spool.add(0, ((key, key, _item(f"{number}.gguf")) for number in range(1200)))
        spool.add(0, (("all", key, _item(f"{key}{number}.gguf")) for number in range(1200)))
    assert [item.name for _, item in spool.read(0, "a", "a")] == [f"{n}.gguf" for n in range(1200)]
    keys = [key for key, _ in spool.read(0, "all")]
    assert keys == ["a"] * 1200 + ["b"] * 1200
    spool.close()


def test_nothing_lies_about_while_a_large_folder_is_grouped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SQLITE_TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    count = 60_000  # more than the cache holds
    groups = group_artifacts(_item(f"{number:06}.gguf") for number in range(count))
    first = next(groups)
    assert list(tmp_path.iterdir()) == []
    assert first.url.endswith("000000.gguf")
    assert sum(1 for _ in groups) == count - 1


def test_a_grouping_that_is_given_up_lets_go_of_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[sqlite3.Connection] = []
    connect = sqlite3.connect

    def noted(*arguments: object, **options: object) -> sqlite3.Connection:
        opened.append(connect(*arguments, **options))  # type: ignore[call-overload]
        return opened[-1]

    monkeypatch.setattr(sqlite3, "connect", noted)
    groups: Iterator[Artifact] = group_artifacts(_items("a.gguf", "b.gguf", "c.gguf"), threshold=1)
    assert next(groups).url == "s3://b/m/a.gguf"
    groups.close()  # type: ignore[attr-defined]
    (table,) = opened
    with pytest.raises(sqlite3.ProgrammingError):
        table.execute("SELECT 1")
