"""Which pickles and other weights are artifacts, and which lie beside one."""

from collections.abc import Iterable

import pytest

from prefect_mutagen.scanner.listing.grouping import artifact_of, group_artifacts
from prefect_mutagen.scanner.listing.loose_weights import MOST_BESIDE, is_looked_for
from prefect_mutagen.scanner.storage.store import StoredObject

ROOT = "s3://b/r/"
MANY = [f"x{number:03}.pt" for number in range(MOST_BESIDE + 1)]


def _listed(paths: Iterable[str]) -> list[StoredObject]:
    ordered = sorted(f"{ROOT}{path}" for path in paths)
    return [StoredObject(url, 100, f"etag:{url}") for url in ordered]


def _found(paths: Iterable[str]) -> dict[str, set[str]]:
    """Return artifacts with what lies beside them, or is part of them, by path."""
    found: dict[str, set[str]] = {}
    for one in group_artifacts(_listed(paths), ROOT.rstrip("/")):
        beside = {
            item.url.removeprefix(ROOT)
            for part in (one, *one.parts)
            for item in (*part.beside.pickles.items, *part.beside.other_weights.items)
        }
        parts = {item.url.removeprefix(ROOT) for part in one.parts for item in part.objects}
        found[one.url.removeprefix(ROOT)] = beside | parts
    return found


CASES: dict[str, tuple[list[str], dict[str, set[str]]]] = {
    "nothing but pickles": (["a.pkl", "b.pt"], {"a.pkl": set(), "b.pt": set()}),
    "nothing but other weights": (["m.onnx"], {"m.onnx": set()}),
    "numbers of a described model": (
        ["m.onnx", "m.onnx_data", "openvino_model.bin", "openvino_model.xml"],
        {"m.onnx": set(), "openvino_model.xml": set()},
    ),
    "numbers alone": (["m.onnx_data"], {"m.onnx_data": set()}),
    "beside a model": (
        ["model.safetensors", "config.json", "x.pkl", "tf_model.h5"],
        {"model.safetensors": {"x.pkl", "tf_model.h5"}},
    ),
    "of a trainer, without a configuration": (
        ["model.safetensors", "training_args.bin", "optimizer.pt", "rng_state_0.pth"],
        {"model.safetensors": {"training_args.bin", "optimizer.pt", "rng_state_0.pth"}},
    ),
    "under a name of its own, in a pile of files": (
        ["m.gguf", "x.pkl", "optimizer.pt"],
        {"m.gguf": {"optimizer.pt"}, "x.pkl": set()},
    ),
    "that loaders look for": (
        ["pytorch_model.bin", "config.json", "training_args.bin", "tf_model.h5"],
        {"pytorch_model.bin": {"training_args.bin", "tf_model.h5"}},
    ),
    "that loaders look for, beside safetensors": (
        ["pytorch_model.bin", "model.safetensors"],
        {"model.safetensors": {"pytorch_model.bin"}},
    ),
    "shards that loaders look for": (
        ["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin", "config.json"],
        {"pytorch_model-00001-of-00002.bin": set()},
    ),
    "below the root of a model": (
        ["README.md", "model.safetensors", "checkpoint-5/x.pt", "onnx/model.onnx"],
        {"model.safetensors": {"checkpoint-5/x.pt", "onnx/model.onnx"}},
    ),
    "below a folder that is no root": (
        ["m.gguf", "sub/x.pt"],
        {"m.gguf": set(), "sub/x.pt": set()},
    ),
    "a part of a pipeline": (
        ["model_index.json", "unet/diffusion_pytorch_model.bin", "vae/model.safetensors"],
        {"model_index.json": {"unet/diffusion_pytorch_model.bin", "vae/model.safetensors"}},
    ),
    "beside the parts of a pipeline": (
        ["model_index.json", "vae/model.safetensors", "runs/x.pt"],
        {"model_index.json": {"vae/model.safetensors", "runs/x.pt"}},
    ),
    "beside a mark of an unfinished download": (
        ["model.safetensors.aria2", "x.pt"],
        {"model.safetensors.aria2": set(), "x.pt": set()},
    ),
    "very many beside a model": (
        ["model.safetensors", "config.json", *MANY],
        {name: set[str]() for name in ["model.safetensors", *MANY]},
    ),
}


@pytest.mark.parametrize(("paths", "expected"), CASES.values(), ids=CASES)
def test_what_is_an_artifact_and_what_lies_beside(
    paths: list[str], expected: dict[str, set[str]]
) -> None:
    assert _found(paths) == expected


def test_what_lies_beside_is_part_of_the_pin() -> None:
    names = ["model.safetensors", "config.json", "x.pkl", "m.onnx"]
    (one,) = group_artifacts(_listed(names), ROOT.rstrip("/"))
    for name in ("x.pkl", "m.onnx"):
        changed = [
            item._replace(pin="etag:other") if item.name == name else item
            for item in _listed(names)
        ]
        (other,) = group_artifacts(changed, ROOT.rstrip("/"))
        assert other.pin != one.pin


def test_an_address_alone_is_found_as_its_folder_is() -> None:
    for names in (["m.gguf", "x.pkl"], ["pytorch_model.bin", "config.json", "training_args.bin"]):
        listed = _listed(names)
        for artifact in group_artifacts(listed, ROOT.rstrip("/")):
            item = next(one for one in listed if one.url == artifact.url)
            assert artifact_of(item, listed).pin == artifact.pin


@pytest.mark.parametrize(
    ("name", "looked_for"),
    [
        ("pytorch_model.bin", True),
        ("pytorch_model.fp16.bin", True),
        ("pytorch_model-00001-of-00002.bin", True),
        ("diffusion_pytorch_model.bin", True),
        ("adapter_model.bin", True),
        ("consolidated.00.pth", True),
        ("model.bin", False),
        ("optimizer.bin", False),
        ("my_pytorch_model.bin", False),
    ],
)
def test_names_that_loaders_look_for(name: str, looked_for: bool) -> None:  # noqa: FBT001
    assert is_looked_for(name) == looked_for
