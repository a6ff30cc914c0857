"""Roots of models: which files above, beside and below the weights belong to them."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_mutagen.scanner.listing import roots
from prefect_mutagen.scanner.listing.artifacts import Artifact
from prefect_mutagen.scanner.listing.grouping import group_artifacts
from prefect_mutagen.scanner.storage.store import StoredObject

ROOT = "s3://b/"


def _items(*paths: str) -> list[StoredObject]:
    return [StoredObject(ROOT + path, 10, f"etag:{path}") for path in sorted(paths)]


def _group(*paths: str, root: str = "s3://b") -> dict[str, Artifact]:
    found = list(group_artifacts(_items(*paths), root))
    assert len(found) == len({artifact.url for artifact in found})
    return {artifact.url.removeprefix(ROOT): artifact for artifact in found}


def _beside(artifact: Artifact) -> list[str]:
    return sorted(item.url.removeprefix(ROOT) for item in artifact.beside.neighbours)


@pytest.mark.parametrize(
    ("paths", "root", "beside"),
    [
        (["m/README.md", "m/BF16/x.gguf"], "m/", ["m/README.md"]),
        (["m/README.md", "m/a/b/c/x.gguf"], "m/", ["m/README.md"]),
        (["m/README.md", "m/1/2/3/4/x.gguf"], "m/", ["m/README.md"]),
        (["m/README.md", "m/1/2/3/4/5/x.gguf"], "m/1/2/3/4/5/", []),
        (["m/README.md", "m/q/README.md", "m/q/x.gguf"], "m/q/", ["m/q/README.md"]),
        (["m/LICENSE", "m/README.md", "m/q/x.gguf"], "m/", ["m/LICENSE", "m/README.md"]),
        (
            ["m/README.md", "m/config.json", "m/q/config.json", "m/q/x.gguf"],
            "m/",
            ["m/README.md", "m/q/config.json"],
        ),
        (
            ["m/README.md", "m/q/COPYING", "m/q/r/x.gguf"],
            "m/",
            ["m/README.md", "m/q/COPYING"],
        ),
        (["m/LICENSE", "m/q/x.gguf"], "m/q/", []),
        (["README.md", "m/x.gguf"], "", ["README.md"]),
        (
            ["models--o--n/snapshots/abc/q/x.gguf", "models--o--n/README.md"],
            "models--o--n/snapshots/abc/",
            [],
        ),
        (["m/readme.md", "m/q/x.gguf"], "m/", ["m/readme.md"]),
        (["m/README.md", "m/generation_config.json", "m/q/x.gguf"], "m/", ["m/README.md"]),
        (
            ["m/README.md", "m/tokenizer_config.json", "m/q/x.gguf"],
            "m/",
            ["m/README.md", "m/tokenizer_config.json"],
        ),
    ],
    ids=[
        "card-above",
        "three-above",
        "four-above",
        "too-far",
        "nearer-card",
        "licence",
        "nearer-config",
        "between",
        "no-mark",
        "scanned-root",
        "snapshot",
        "other-case",
        "not-inherited",
        "template",
    ],
)
def test_files_of_the_root_count_for_weights_below_it(
    paths: list[str], root: str, beside: list[str]
) -> None:
    (artifact,) = _group(*paths).values()
    assert artifact.root == ROOT + root
    assert _beside(artifact) == beside
    assert artifact.folder == artifact.url.removeprefix(ROOT + root).rpartition("/")[0] + (
        "/" if artifact.url.removeprefix(ROOT + root).count("/") else ""
    )


def test_a_pipeline_is_one_artifact() -> None:
    found = _group(
        "p/README.md",
        "p/model_index.json",
        "p/scheduler/scheduler_config.json",
        "p/text_encoder/config.json",
        "p/text_encoder/model.safetensors",
        "p/transformer/config.json",
        "p/transformer/diffusion_pytorch_model-00001-of-00002.safetensors",
        "p/transformer/diffusion_pytorch_model-00002-of-00002.safetensors",
        "p/transformer/diffusion_pytorch_model.safetensors.index.json",
        "p/whole.safetensors",
    )
    assert set(found) == {"p/model_index.json", "p/whole.safetensors"}
    pipeline = found["p/model_index.json"]
    assert (pipeline.kind, len(pipeline.objects), len(pipeline.parts)) == ("set", 3, 2)
    encoder, transformer = pipeline.parts
    assert _beside(encoder) == ["p/README.md", "p/text_encoder/config.json"]
    assert transformer.kind == "set"
    assert transformer.folder == "transformer/"
    assert "p/scheduler/scheduler_config.json" in _beside(pipeline)


def test_the_first_part_of_a_sentence_transformer_lies_in_the_root() -> None:
    found = _group(
        "s/1_Pooling/config.json",
        "s/2_Dense/config.json",
        "s/2_Dense/model.safetensors",
        "s/model.safetensors",
        "s/modules.json",
        "s/onnx-less.gguf",
    )
    assert set(found) == {"s/modules.json", "s/onnx-less.gguf"}
    assert [part.folder for part in found["s/modules.json"].parts] == ["2_Dense/", ""]


def test_a_part_with_a_card_of_its_own_stays_a_part() -> None:
    found = _group("p/model_index.json", "p/README.md", "p/unet/README.md", "p/unet/x.safetensors")
    (pipeline,) = found.values()
    assert _beside(pipeline.parts[0]) == ["p/unet/README.md"]


PIPELINE = ("p/README.md", "p/model_index.json", "p/unet/config.json", "p/unet/x.safetensors")


@pytest.mark.parametrize("path", PIPELINE)
def test_the_pin_of_a_pipeline_covers_every_file(path: str) -> None:
    items = _items(*PIPELINE)
    changed = [item._replace(pin="etag:new") if item.url == ROOT + path else item for item in items]
    pins = [next(group_artifacts(listed, "s3://b")).pin for listed in (items, changed)]
    assert pins[0]
    assert pins[0] != pins[1]


@pytest.mark.parametrize(
    ("path", "counts"),
    [
        ("m/chat_template.jinja", True),
        ("m/additional_chat_templates/tool.jinja", True),
        ("m/modeling.py", True),
        ("m/custom_generate/generate.py", True),
        ("m/tokenizer.json", True),
        ("m/LICENSE.txt", True),
        ("m/pytorch_model.bin", True),
        ("m/notes.txt", False),
        ("m/scripts/train.py", False),
    ],
)
def test_what_a_loader_takes_is_pinned(path: str, *, counts: bool) -> None:
    before = _group("m/README.md", "m/x.safetensors")["m/x.safetensors"]
    after = _group("m/README.md", "m/x.safetensors", path)["m/x.safetensors"]
    assert (before.pin != after.pin) == counts


def test_many_folders_do_not_wait_for_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roots, "_WAITING_FOLDERS", 3)
    taken = 0
    looked: list[str] = []

    def listed() -> Iterator[StoredObject]:
        nonlocal taken
        for number in range(100):
            taken += 1
            yield StoredObject(f"{ROOT}{number:03}/x.gguf", 10, "etag:1")
        yield StoredObject(f"{ROOT}README.md", 10, "etag:1")

    def look(folder: str) -> tuple[StoredObject, ...]:
        looked.append(folder)
        return (StoredObject(f"{folder}README.md", 10, "etag:1"),)

    waiting = []
    for artifact in group_artifacts(listed(), "s3://b", look=look):
        waiting.append(taken)
        assert _beside(artifact) == ["README.md"]
    assert len(waiting) == 100
    assert waiting[0] < 10
    assert looked == [ROOT], "once, not for each folder"


def test_folders_that_climbed_wait_within_the_same_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roots, "_WAITING_OBJECTS", 30)
    taken = 0

    def listed() -> Iterator[StoredObject]:
        nonlocal taken
        for number in range(40):
            taken += 1
            for name in range(10):
                yield StoredObject(f"{ROOT}{number:02}/m/{name}.gguf", 10, "etag:1")

    first = next(group_artifacts(listed(), "s3://b"))
    assert first.root == f"{ROOT}00/m/"
    assert taken < 10


def test_a_collection_is_no_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roots, "_WAITING_FOLDERS", 3)
    listed = _items("model_index.json", *(f"{number}/x.gguf" for number in range(9)))
    found = list(group_artifacts(listed, "s3://b", look=lambda _: (listed[-1],)))
    assert len(found) == 9
    assert {artifact.root for artifact in found} == {ROOT}


_PATHS = st.lists(st.sampled_from("abc").map(lambda name: f"{name}/"), max_size=4).flatmap(
    lambda folders: st.sampled_from(
        ["x.gguf", "y.safetensors", "README.md", "model_index.json", "modules.json", "config.json"]
    ).map(lambda name: "".join(folders) + name)
)


@given(st.sets(_PATHS, min_size=1, max_size=25), st.integers(1, 4))
def test_every_file_with_weights_is_in_one_artifact(paths: set[str], most: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(roots, "_WAITING_FOLDERS", most)
        found = list(group_artifacts(_items(*paths), "s3://b"))
    weights = sorted(item.url for artifact in found for item in artifact.objects)
    expected = sorted(ROOT + path for path in paths if path.endswith((".gguf", ".safetensors")))
    assert weights == expected
    for artifact in found:
        assert artifact.url.startswith(artifact.root)
        marks = [item for item in artifact.beside.neighbours if item.name == "README.md"]
        nearest = _nearest_card(
            artifact.objects[0].folder if not artifact.parts else artifact.root, paths
        )
        if marks and not artifact.parts:
            assert marks[0].url == nearest


def _nearest_card(folder: str, paths: set[str]) -> str:
    while folder.startswith(ROOT):
        if f"{folder}README.md".removeprefix(ROOT) in paths:
            return f"{folder}README.md"
        folder = folder.rstrip("/").rpartition("/")[0] + "/"
    return ""
