from pathlib import Path

import pytest

from prefect_mutagen.scanner.artifacts import Artifact
from prefect_mutagen.scanner.manifest import Manifest
from prefect_mutagen.scanner.storage import StorageError, StoredObject


def _artifacts(count: int) -> list[Artifact]:
    return [
        Artifact(
            f"/models/{n}\udcff\n.gguf",
            (StoredObject(f"/models/{n}\udcff\n.gguf", n, f"etag:{n}", 1.5, "STANDARD"),),
            (
                StoredObject(
                    "/models/README.md", 3, "", fault=StorageError("storage/denied", "u", "r")
                ),
            ),
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
        assert one.objects == other.objects
        assert one.pin == other.pin
        assert str(one.neighbours[0].fault) == "u: r"
        assert one.neighbours[0].fault is not None
        assert one.neighbours[0].fault.code == "storage/denied"


def test_a_second_listing_takes_the_place_of_the_first(tmp_path: Path) -> None:
    manifest = Manifest(str(tmp_path / "m.jsonl"))
    manifest.write(_artifacts(3))
    manifest.write(_artifacts(1))
    (batch,) = manifest.batches(10)
    assert len(list(batch.read())) == len(manifest) == 1
