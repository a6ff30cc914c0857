import pytest

from prefect_mutagen.parsers.detect import format_of
from prefect_mutagen.scanner.listing.artifacts import Artifact, Beside
from prefect_mutagen.scanner.listing.grouping import group_artifacts
from prefect_mutagen.scanner.listing.roles import is_relevant, role_of
from prefect_mutagen.scanner.listing.shards import shard_name
from prefect_mutagen.scanner.storage.store import StoredObject


def _item(url: str, pin: str = "etag:1") -> StoredObject:
    return StoredObject(url, 10, pin)


def test_objects_of_a_folder_share_its_neighbours() -> None:
    listed = [
        _item("s3://b/README.md"),
        _item("s3://b/a/config.json"),
        _item("s3://b/a/m.gguf"),
        _item("s3://b/a/sub/x.safetensors"),
        _item("s3://b/a/z.safetensors"),
        _item("s3://b/m.gguf"),
    ]
    found = {artifact.url: artifact for artifact in group_artifacts(listed)}
    assert set(found) == {
        "s3://b/a/m.gguf",
        "s3://b/a/z.safetensors",
        "s3://b/a/sub/x.safetensors",
        "s3://b/m.gguf",
    }
    assert [item.name for item in found["s3://b/a/z.safetensors"].beside.neighbours] == [
        "config.json",
        "README.md",
    ]
    below = found["s3://b/a/sub/x.safetensors"].beside.neighbours
    assert [item.url for item in below] == ["s3://b/a/config.json", "s3://b/README.md"]
    assert [item.name for item in found["s3://b/m.gguf"].beside.neighbours] == ["README.md"]


def test_a_folder_is_handed_out_as_soon_as_the_listing_has_left_it() -> None:
    listed = (_item(f"s3://b/{folder}/m.gguf") for folder in ("a", "b", "c"))
    groups = group_artifacts(listed)
    assert next(groups).url == "s3://b/a/m.gguf"
    assert next(listed).url == "s3://b/c/m.gguf"


def test_a_folder_whose_name_starts_with_another_is_not_inside_it() -> None:
    listed = [
        _item("/m/a/config.json"),
        _item("/m/a/x.gguf"),
        _item("/m/ab/y.gguf"),
    ]
    found = {artifact.url: len(artifact.beside.neighbours) for artifact in group_artifacts(listed)}
    assert found == {"/m/a/x.gguf": 1, "/m/ab/y.gguf": 0}


@pytest.mark.parametrize(
    "change",
    [
        (_item("/m/x.gguf", "etag:2"), (_item("/m/config.json"),)),
        (_item("/m/x.gguf"), (_item("/m/config.json", "etag:2"),)),
        (_item("/m/x.gguf"), ()),
        (_item("/m/x.gguf"), (_item("/m/config.json"), _item("/m/README.md"))),
        (_item("/m/y.gguf"), (_item("/m/config.json"),)),
    ],
    ids=["file", "neighbour", "neighbour-gone", "neighbour-new", "name"],
)
def test_any_change_changes_the_pin(
    change: tuple[StoredObject, tuple[StoredObject, ...]],
) -> None:
    before = Artifact("/m/x.gguf", (_item("/m/x.gguf"),), Beside((_item("/m/config.json"),)))
    same = Artifact("/n/x.gguf", (_item("/n/x.gguf"),), Beside((_item("/n/config.json"),)))
    item, neighbours = change
    assert before.pin == same.pin  # where it lies does not matter
    assert Artifact(item.url, (item,), Beside(neighbours)).pin != before.pin


def test_the_order_of_a_listing_does_not_change_the_pin() -> None:
    beside = (_item("/m/config.json"), _item("/m/README.md", "etag:9"))
    one = Artifact("/m/x.gguf", (_item("/m/x.gguf"),), Beside(beside))
    other = Artifact("/m/x.gguf", (_item("/m/x.gguf"),), Beside(beside[::-1]))
    assert one.pin == other.pin


def test_without_the_pins_of_its_files_an_artifact_has_none() -> None:
    assert Artifact("/m/x.gguf", (_item("/m/x.gguf", ""),)).pin == ""


@pytest.mark.parametrize(
    ("name", "promised"),
    [
        ("m.gguf", "gguf"),
        ("M.GGUF", "gguf"),
        ("m.Safetensors", "safetensors"),
        ("m.gguf.bak", None),
        ("gguf", None),
        ("a\nb.gguf", "gguf"),
    ],
)
def test_names_promise_formats(name: str, promised: str | None) -> None:
    assert format_of(name) == promised
    assert is_relevant(name) == (promised is not None)


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("m\n.pt", "pickle"),
        ("m\n.safetensors.index.json", "index"),
        ("m.bin", "pickle"),
        ("pytorch_model\n.bin", "pickle"),
        *(
            (name, "pickle")
            for name in [
                "mm_projector.bin",
                "non_lora_trainables.bin",
                "learned_embeds.bin",
                "model.BIN",
                "x.t7",
                "x.pdparams",
                "x.npy",
                "x.npz",
                "x.ckpt",
                "x.dill",
                "x.joblib",
                "x.pickle",
                "rust_model.ot",
            ]
        ),
        *(
            (name, "other-weights")
            for name in [
                "x.h5",
                "m.keras",
                "m.nemo",
                "flax_model.msgpack",
                "p.pt2",
                "a.mar",
                "model.onnx",
                "model.onnx_data",
                "m\n.onnx",
                "m.pb",
                "m.tflite",
                "m.engine",
                "openvino_model.bin",
                "ggml-base.bin",
                "variables.data-00000-of-00001",
            ]
        ),
    ],
)
def test_line_ends_in_a_name_hide_nothing(name: str, role: str | None) -> None:
    assert role_of(name) == role


def test_a_shard_may_have_line_ends_in_its_name() -> None:
    assert shard_name("m\n-00001-of-00002.gguf") == ("m\n", 1, 2)


def test_neighbours_are_relevant() -> None:
    assert is_relevant("config.json")
    assert is_relevant("README.md")
    assert not is_relevant("readme.txt")
