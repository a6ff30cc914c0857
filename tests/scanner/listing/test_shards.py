"""Names of parts: what they say, and which of them are parts of one model."""

import pytest

from prefect_mutagen.scanner.listing.shards import (
    index_stem,
    is_named_for_llama,
    numbered_set,
    rank_name,
    shard_name,
    siblings,
)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("model-00001-of-00002.safetensors", ("model", 1, 2)),
        ("m-00001-of-00002.gguf", ("m", 1, 2)),
        ("m-00001-of-00002.GGUF", ("m", 1, 2)),
        ("model-0001-of-0002.safetensors", ("model", 1, 2)),
        ("model-000001-of-000002.safetensors", ("model", 1, 2)),
        ("model-00001-of-000064.safetensors", ("model", 1, 64)),
        ("m-001-of-002.gguf", ("m", 1, 2)),
        ("model-1-of-12.safetensors", ("model", 1, 12)),
        ("model_00001-of-00002.safetensors", ("model", 1, 2)),
        ("model_00001_of_00002.safetensors", ("model", 1, 2)),
        ("model.00001-of-00002.safetensors", ("model", 1, 2)),
        ("00001-of-00002.safetensors", ("", 1, 2)),
        ("model-00001-of-00002.fp16.safetensors", ("model.fp16", 1, 2)),
        ("model-00001-of-00002.bf16-ema.safetensors", ("model.bf16-ema", 1, 2)),
        ("model.fp16-00001-of-00002.safetensors", ("model.fp16", 1, 2)),
        ("state-of-the-art.safetensors", None),
        ("best-of-3.safetensors", None),
        ("pytorch_model-00001-of-00002.bin", ("pytorch_model", 1, 2)),
        ("model-00001-of-00002.onnx", None),
        ("model-0000001-of-0000002.safetensors", None),
        ("model-1of2.safetensors", None),
        ("m-\u0661-of-\u0662.gguf", None),
    ],
)
def test_numbered_shards(name: str, parts: tuple[str, int, int] | None) -> None:
    assert shard_name(name) == parts
    assert bool(numbered_set(name)) == (parts is not None)
    if parts is not None:
        assert name in set(siblings(name))


@pytest.mark.parametrize(
    "other",
    [
        "model-00001-of-00003.safetensors",
        "model-0001-of-0002.safetensors",
        "model-00001-of-000002.safetensors",
        "model_00001_of_00002.safetensors",
        "model_00001-of-00002.safetensors",
        "model-00001-of-00002.fp16.safetensors",
        "model-00001-of-00002.gguf",
        "other-00001-of-00002.safetensors",
    ],
)
def test_sets_apart(other: str) -> None:
    assert numbered_set(other) != numbered_set("model-00001-of-00002.safetensors")


def test_the_names_of_a_set() -> None:
    assert list(siblings("m-00002-of-000003.gguf")) == [
        "m-00001-of-000003.gguf",
        "m-00002-of-000003.gguf",
        "m-00003-of-000003.gguf",
    ]
    assert list(siblings("m-9-of-10.gguf"))[8:] == ["m-9-of-10.gguf", "m-10-of-10.gguf"]
    assert next(siblings("m-00000-of-00001.safetensors")) == "m-00000-of-00001.safetensors"
    assert list(siblings("m.gguf")) == []


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("model-rank-2-part-1.safetensors", ("model", 2, 1, 0)),
        ("model3-mp8.safetensors", ("model", 3, 0, 8)),
        ("consolidated.01.safetensors", ("consolidated", 1, 0, 0)),
        ("rank0.safetensors", ("rank", 0, 0, 0)),
        ("rank_12.safetensors", ("rank", 12, 0, 0)),
        ("tp1_sharded_checkpoint.safetensors", ("tp", 1, 0, 0)),
        ("consolidated.safetensors", None),
        ("consolidated.fp16.safetensors", None),
        ("lora-rank-16.safetensors", None),
        ("frank0.safetensors", None),
        ("model-mp8.safetensors", None),
    ],
)
def test_ranks(name: str, parts: tuple[str, int, int, int] | None) -> None:
    rank = rank_name(name)
    assert (None if rank is None else rank[:4]) == parts


def test_ranks_of_one_set() -> None:
    def key(name: str) -> str:
        rank = rank_name(name)
        assert rank is not None
        return rank.set

    assert key("model0-mp4.safetensors") == key("model3-mp4.safetensors")
    assert key("model0-mp4.safetensors") != key("model0-mp8.safetensors")
    assert key("m-rank-0-part-0.safetensors") == key("m-rank-1-part-7.safetensors")


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("model.safetensors.index.json", "model"),
        ("model.safetensors.index.fp16.json", "model.fp16"),
        ("model.fp16.safetensors.index.json", "model.fp16"),
        ("index.json", None),
        ("pytorch_model.bin.index.json", None),
    ],
)
def test_indexes(name: str, stem: str | None) -> None:
    assert index_stem(name) == stem


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("m-00001-of-00002.gguf", True),
        ("m-001-of-002.gguf", False),
        ("m_00001-of-00002.gguf", False),
        ("m-00001-of-000002.gguf", False),
        ("m-00001-of-00002.GGUF", False),
    ],
)
def test_what_llama_finds(name: str, found: bool) -> None:  # noqa: FBT001 - a test's parameter
    assert is_named_for_llama(name) == found
