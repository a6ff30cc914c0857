"""config.json against the weights: no alarm for what loads, a finding for what does not."""

import math
from typing import Any

import pytest

from prefect_mutagen.parsers import SafetensorsHeader
from prefect_mutagen.parsers.tensor import TensorTable
from prefect_mutagen.scanner.content.config_shapes import check_config, is_loaded_by_config
from prefect_mutagen.scanner.content.quantization import find_quantization
from tests.builders import safetensors, tensor
from tests.parsers.reading import read
from tests.scanner.content.real_configs import REAL, Shapes, decoder, stack, text


def table(shapes: Shapes, dtypes: dict[str, str] | None = None) -> TensorTable:
    """A table of tensors, F32 unless said otherwise."""
    entries, end = {}, 0
    for name, shape in shapes.items():
        dtype = (dtypes or {}).get(name, "F32")
        begin, end = end, end + math.prod(shape) * (2 if dtype == "BF16" else 4)
        entries[name] = tensor(dtype, shape, begin, end)
    # The data is missing; the header is whole.
    header = read(safetensors(entries, 0), "safetensors")
    assert isinstance(header, SafetensorsHeader)
    assert header.complete
    return header.tensors


def codes(config: dict[str, Any], shapes: Shapes, *, complete: bool = True) -> list[str]:
    return [one.code for one in check_config(config, [table(shapes)], complete=complete)]


@pytest.mark.parametrize("name", REAL)
def test_what_loads_is_no_mismatch(name: str) -> None:
    config, shapes = REAL[name]
    assert list(check_config(config, [table(shapes)])) == []


SHAPE = ["safetensors/config-mismatch"]
MISSING = ["safetensors/weights-missing"]
UNUSED = ["safetensors/weights-unused"]
GPT2 = REAL["gpt2"]
T5 = REAL["t5"]
GEMMA3 = REAL["gemma3-text-part-without-a-vocabulary"]
UNTIED: dict[str, Any] = {"tie_word_embeddings": False, "architectures": ["LlamaForCausalLM"]}

WRONG: dict[str, tuple[dict[str, Any], Shapes, list[str]]] = {
    "vocabulary-of-embeddings-and-head": (text("llama", vocab_size=32064), decoder(), SHAPE * 2),
    "vocabulary-of-embeddings": (text("llama", vocab_size=32064), decoder(head=False), SHAPE),
    "vocabulary-of-the-head-alone": (
        text("llama"),
        decoder() | {"lm_head.weight": (32001, 4096)},
        SHAPE,
    ),
    "a-token-was-added": (
        text("qwen2", vocab_size=32001),
        decoder(head=False),
        SHAPE,
    ),
    "feed-forward": (
        text("llama", intermediate_size=14336, num_hidden_layers=1),
        decoder(layers=1),
        SHAPE * 3,
    ),
    "heads": (
        text("llama", num_key_value_heads=8, num_hidden_layers=1),
        decoder(layers=1),
        SHAPE * 2,
    ),
    "head-size": (
        text("mistral", head_dim=64, num_hidden_layers=1),
        decoder(layers=1),
        SHAPE * 3,
    ),
    "gpt2-vocabulary": (GPT2[0] | {"vocab_size": 50258}, GPT2[1], SHAPE),
    "gpt2-positions": (GPT2[0] | {"n_positions": 2048, "n_ctx": 2048}, GPT2[1], SHAPE),
    "bert-positions": (
        REAL["bert"][0] | {"max_position_embeddings": 1024},
        REAL["bert"][1],
        SHAPE,
    ),
    "t5-vocabulary": (T5[0] | {"vocab_size": 32100}, T5[1], SHAPE * 2),
    "text-part": (
        {"model_type": "gemma3", "text_config": GEMMA3[0]["text_config"] | {"hidden_size": 3840}},
        {"language_model.model.embed_tokens.weight": (262208, 2560)},
        SHAPE,
    ),
    "layers-missing-at-the-end": (text("llama", num_hidden_layers=32), decoder(), MISSING),
    "a-layer-missing-in-the-middle": (
        text("llama", num_hidden_layers=3),
        {name: shape for name, shape in decoder(layers=3).items() if ".layers.1." not in name},
        MISSING,
    ),
    "layers-missing-of-a-text-part": (
        {"text_config": text("qwen2", num_hidden_layers=4)},
        decoder(prefix="language_model.model.", head=False),
        MISSING,
    ),
    "gpt2-layers": (GPT2[0] | {"n_layer": 12}, GPT2[1], MISSING),
    "layers-that-are-not-used": (text("llama", num_hidden_layers=1), decoder(), UNUSED),
    "more-predictors-than-stated": (
        text("deepseek_v3", num_nextn_predict_layers=1, num_hidden_layers=1),
        decoder(layers=3, inner=0),
        UNUSED,
    ),
    "no-head-although-untied": (text("llama", **UNTIED), decoder(head=False), MISSING),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_the_loader_refuses_or_fills_at_random_is_found(name: str) -> None:
    config, shapes, expected = WRONG[name]
    assert codes(config, shapes) == expected


def test_hidden_size_concerns_every_matrix() -> None:
    found = set(codes(text("llama", hidden_size=2048, head_dim=128), decoder()))
    assert found == {"safetensors/config-mismatch"}


def test_the_sentence_says_what_is_stated_and_what_is_held() -> None:
    shapes: Shapes = {"model.embed_tokens.weight": (32064, 4096)}
    (found,) = check_config(text("llama"), [table(shapes)])
    assert found.message == (
        "config.json states vocab_size 32000, hidden_size 4096; "
        "the shape of 'model.embed_tokens.weight' is 32064 x 4096"
    )
    assert found.field == "vocab_size"


def test_what_is_absent_from_a_part_proves_nothing() -> None:
    assert codes(text("llama", num_hidden_layers=32, **UNTIED), decoder(), complete=False) == []
    assert codes(text("llama", vocab_size=9), decoder(head=False), complete=False) == SHAPE


def test_shards_are_looked_at_together() -> None:
    shapes = decoder()
    names = list(shapes)
    tables = [table({name: shapes[name] for name in part}) for part in (names[:5], names[5:])]
    assert list(check_config(text("llama"), tables)) == []


def packed(vocabulary: int, bits: int) -> tuple[Shapes, dict[str, str]]:
    name = "model.embed_tokens"
    shapes: Shapes = {
        f"{name}.weight": (vocabulary, 4096 * bits // 32),
        f"{name}.scales": (vocabulary, 64),
        f"{name}.biases": (vocabulary, 64),
    }
    return shapes, {f"{name}.weight": "U32", f"{name}.scales": "BF16", f"{name}.biases": "BF16"}


@pytest.mark.parametrize("bits", [2, 3, 4, 6, 8])
@pytest.mark.parametrize(
    ("change", "expected"),
    [({}, []), ({"vocab_size": 32064}, SHAPE), ({"hidden_size": 2048}, SHAPE)],
)
def test_packed_embeddings_have_the_shape_of_their_weights(
    bits: int, change: dict[str, int], expected: list[str]
) -> None:
    config = text("llama", quantization={"group_size": 64, "bits": bits}, **change)
    tables = [table(*packed(32000, bits))]
    found = check_config(config, tables, find_quantization(config), complete=False)
    assert [one.code for one in found] == expected


@pytest.mark.parametrize("kind", ["qweight", "weight_packed"])
def test_packed_layers_are_not_compared_by_their_words(kind: str) -> None:
    shapes = decoder(inner=0) | stack("model.layers", 2, **{f"mlp__up_proj__{kind}": (11, 22)})
    assert codes(text("llama"), shapes) == []


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"vocab_size": True, "hidden_size": "4096"},
        {"hidden_size": None, "text_config": None},
        {"text_config": {"text_config": {"thinker_config": []}}},
        {"text_config": {"text_config": {"text_config": {"text_config": {"dim": 3}}}}},
        {"hidden_size": 1 << 70, "num_hidden_layers": -1},
        {"hidden_size": 4096, "num_attention_heads": 0, "model_type": "llama"},
        {"hidden_size": 4096, "model_type": [], "architectures": [{}]},
        {"hidden_size": 4096, "vocab_size": 32000, "pad_vocab_size_multiple": 0},
        {"hidden_size": 4096, "vocab_size": 32000, "num_nextn_predict_layers": -(1 << 70)},
    ],
)
def test_configurations_of_strangers_raise_nothing(config: dict[str, Any]) -> None:
    for shapes in ({}, decoder(), {"model.layers.999999.x": (1,), "wte.weight": (1, 1)}):
        list(check_config(config, [table(shapes)]))


def test_a_huge_number_of_layers_costs_nothing() -> None:
    (found,) = check_config(text("llama", num_hidden_layers=10**18), [table(decoder())])
    assert len(found.message) < 200


@pytest.mark.parametrize("name", ["model.safetensors", "model.fp16.safetensors"])
def test_a_file_that_transformers_loads_is_compared(name: str) -> None:
    assert is_loaded_by_config(name)


@pytest.mark.parametrize(
    "name",
    [
        "model.safetensors.index.json",
        "model.safetensors.index.fp16.json",
        "model-00001-of-00002.safetensors",
    ],
)
def test_a_set_that_transformers_loads_is_compared_as_a_whole(name: str) -> None:
    assert is_loaded_by_config(name, of_set=True)
    assert not is_loaded_by_config(name)


@pytest.mark.parametrize("of_set", [False, True])
@pytest.mark.parametrize(
    "name",
    [
        "adapter_model.safetensors",
        "consolidated.safetensors",
        "model-rank-0-part-0.safetensors",
        "diffusion_pytorch_model.safetensors",
        "optimizer.safetensors",
        "mp_rank_00_model.safetensors",
    ],
)
def test_what_has_another_loader_is_not_compared(name: str, *, of_set: bool) -> None:
    assert not is_loaded_by_config(name, of_set=of_set)
