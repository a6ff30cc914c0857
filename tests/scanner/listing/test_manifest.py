from pathlib import Path

import pytest

from prefect_mutagen.scanner.listing.artifacts import Artifact, Beside, LooseFiles, Rivals
from prefect_mutagen.scanner.listing.manifest import Manifest
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.store import StoredObject


def _artifacts(count: int) -> list[Artifact]:
    return [
        Artifact(
            f"/models/{n}\udcff\n.gguf",
            (StoredObject(f"/models/{n}\udcff\n.gguf", n, f"etag:{n}", 1.5, "STANDARD"),),
            Beside(
                (
                    StoredObject(
                        "/models/README.md", 3, "", fault=StorageError("storage/x", "u", "r")
                    ),
                ),
                (StoredObject("/models/SHA256SUMS", 3, "etag:1"),),
                (StoredObject("/models/model.sig", 3, "etag:2", sha256="ab", sha256_source="s"),),
                LooseFiles(("a.pt", "b.pt"), 7, "cd"),
            ),
            "set",
            StoredObject("/models/model.safetensors.index.json", 9, "etag:3"),
            listed=False,
            rivals=Rivals(("model.safetensors",), ("model.fp16.safetensors",)),
            packed_index="eJwDAAAAAAE=",
        )
        for n in range(count)
    ]


@pytest.mark.parametrize(("count", "most"), [(0, 5), (1, 5), (5, 5), (23, 4), (100, 7)])
def test_what_is_written_is_read_in_ranges(tmp_path: Path, count: int, most: int) -> None:
    artifacts = _artifacts(count)
    manifest = Manifest(str(tmp_path / "m.jsonl"))
    manifest.write(iter(artifacts))
    assert len(manifest) == count
    batches = list(manifest.batches(most))
    assert len(batches) == min(most, count)
    assert max((len(batch) for batch in batches), default=0) <= -(-count // most)
    found = [artifact for batch in batches for artifact in batch.read()]
    assert [artifact.url for artifact in found] == [artifact.url for artifact in artifacts]
    for one, other in zip(found, artifacts, strict=True):
        fault = one.beside.neighbours[0].fault
        assert fault is not None
        assert (fault.code, fault.url, fault.reason) == ("storage/x", "u", "r")
        told = other.beside.neighbours[0]._replace(fault=fault)  # two errors are never equal
        assert one == other._replace(beside=other.beside._replace(neighbours=(told,)))


def test_a_second_listing_takes_the_place_of_the_first(tmp_path: Path) -> None:
    manifest = Manifest(str(tmp_path / "m.jsonl"))
    manifest.write(_artifacts(3))
    manifest.write(_artifacts(1))
    (batch,) = manifest.batches(10)
    assert len(list(batch.read())) == len(manifest) == 1
