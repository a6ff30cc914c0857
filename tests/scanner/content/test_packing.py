"""The number of weights in every layout that is known, and none where it is not."""

import json
import math
from typing import Any

import pytest

from prefect_mutagen.parsers import TensorInfo
from prefect_mutagen.scanner.content.packing import Count, count_parameters, may_be_packed
from prefect_mutagen.scanner.content.quantization import (
    Quantization,
    find_quantization,
    header_quantization,
)
from tests.scanner.content.packed_cases import (
    KNOWN,
    WEIGHTS,
    E,
    L,
    Row,
    affine,
    ct,
    gptq,
    mlx,
    q,
    tensors,
)


def info(name: str, dtype: str, shape: tuple[int, ...]) -> TensorInfo:
    return TensorInfo(name, shape, dtype, 0, 0, math.prod(shape))


def count(layer: list[Row], config: dict[str, Any], **modelopt: Any) -> Count:
    embedding: Row = ("model.embed_tokens.weight", "BF16", (10, 64))
    rows = [info(*row) for row in (embedding, *layer)]
    scheme = find_quantization(config, modelopt)
    assert may_be_packed((one.dtype for one in rows), scheme)
    return count_parameters(rows, scheme)


def named(config: dict[str, Any]) -> str | None:
    scheme = find_quantization(config)
    assert scheme is not None
    return scheme.named.value if scheme.named else None


@pytest.mark.parametrize("case", KNOWN)
def test_packed_weights_are_counted_as_the_model_has_them(case: str) -> None:
    rows, config, name = KNOWN[case]
    found = count(rows, config)
    assert (found.parameters, found.problem) == (WEIGHTS, "")
    if config:
        assert named(config) == name


def test_modelopt_may_state_it_in_a_file_of_its_own() -> None:
    rows: list[Row] = [(f"{E}.gate_up_proj", "U8", (2, 32, 256))]
    stated = {"quant_algo": "NVFP4", "group_size": 16}
    assert count(rows, {}, quantization=stated).parameters == WEIGHTS
    scheme = find_quantization({}, {"quantization": stated})
    assert scheme is not None
    assert scheme.named == ("modelopt-nvfp4", "hf_quant_config.json:quantization")


UNKNOWN: dict[str, tuple[list[Row], dict[str, Any]]] = {
    "a-method-nobody-knows": (tensors("L.weight BF16 64x512"), q("quip-lattice")),
    "spqr": (tensors("L.dense_weights I64 2048"), q("spqr", bits=3)),
    "higgs": (tensors("L.weight I16 64x130"), q("higgs", bits=4, p=2)),
    "words-without-a-statement": (tensors("L.weight U32 64x64"), {}),
    "mlx-without-a-statement": (affine(4), {}),
    "bytes-without-a-statement": (tensors("L.weight U8 64x256"), {}),
    "a-vector-of-weights": (tensors("L.weight U8 16384"), {}),
    "vptq-without-config": (tensors("L.indices I32 1x8x400"), {}),
    "mlx-a-statement-that-does-not-fit": (affine(8), mlx()),
    "bits-that-do-not-fill-words": (tensors("L.qweight I32 62x61"), q("gptq", bits=7)),
    "bits-of-zero": (gptq(4, zeros=False), q("gptq", bits=0)),
    "bits-as-text": (gptq(4, zeros=False), q("gptq", bits="x")),
    "hqq-layers-that-differ": (
        tensors("L.W_q U8 256x64"),
        q(
            "hqq",
            quant_config={
                "a": {"weight_quant_params": {"nbits": 4, "group_size": 64}},
                "b": {"weight_quant_params": {"nbits": 2, "group_size": 16}},
            },
        ),
    ),
    "exl2-without-rows": (tensors("L.q_weight I32 77x64"), q("exl2")),
    "ct-2-of-4-sparse": (tensors("L.weight_packed I32 16x128, L.meta I16 64x32"), ct((4, 128))),
    "torchao-of-any-width": (
        tensors("l._weight_qdata I8 64x512"),
        q("torchao", quant_type={"default": {"_type": "IntxWeightOnlyConfig"}}),
    ),
    "dense-int8-of-an-fp8-model": (tensors("L.weight I8 64x512"), q("fp8")),
    "svdquant": (
        tensors("L.qweight I8 64x256, L.wscales BF16 8x64"),
        {},
    ),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_a_layout_that_is_not_known_has_no_number(case: str) -> None:
    found = count(*UNKNOWN[case])
    assert found.parameters is None
    assert "not known" in found.problem


@pytest.mark.parametrize(
    "buffer",
    [
        ("embeddings.position_ids", "I64", (1, 512)),
        ("embeddings.position_ids", "I32", (1, 512)),
        ("h.0.attn.bias", "U8", (1, 1, 1024, 1024)),
        ("h.0.attn.masked_bias", "F32", ()),
        ("layers.0.attn.relative_position_index", "I32", (49, 49)),
        ("model.layers.0.ffn.gate.tid2eid", "I32", (129280, 6)),
        ("spiece_model", "U8", (4_000_000,)),
        ("bn1.num_batches_tracked", "I64", ()),
        ("router.table", "I32", (3, 3)),
    ],
)
def test_masks_and_tables_of_an_unquantized_model_do_not_hide_its_number(buffer: Row) -> None:
    rows = [info(*buffer), info(f"{L}.weight", "F32", (64, 512))]
    assert count_parameters(rows, None).parameters == 64 * 512 + math.prod(buffer[2])


def test_an_adapter_beside_the_config_of_a_quantized_model_is_not_quantized() -> None:
    names = ("lora_A.weight", "lora_B.weight", "lora_magnitude_vector")
    rows = [info(f"base_model.model.{L}.{name}", "F32", (8, 8)) for name in names]
    for method in ("bitsandbytes", "gptq", "quip-lattice"):
        scheme = Quantization(method, {"quant_method": method}, "config.json")
        assert count_parameters(rows, scheme).parameters == 3 * 64


def test_comfyui_states_the_formats_of_layers_in_the_header() -> None:
    stated = {
        "format_version": "1.0",
        "layers": {
            "a": {"format": "nvfp4"},
            "b": {"format": "float8_e4m3fn"},
            "c": {"format": "x"},
        },
    }
    scheme = header_quantization((("_quantization_metadata", json.dumps(stated)),))
    rows = [
        info("a.weight", "U8", (8, 8)),
        info("a.weight_scale", "F8_E4M3", (8, 1)),
        info("a.comfy_quant", "U8", (20,)),
        info("b.weight", "F8_E4M3", (8, 8)),
        info("b.scale_weight", "F32", ()),
    ]
    assert count_parameters(rows, scheme).parameters == 128 + 64
    assert scheme is not None
    assert scheme.named == ("float8_e4m3fn", "safetensors:__metadata__._quantization_metadata")
    assert count_parameters([*rows, info("c.weight", "I8", (8, 8))], scheme).parameters is None


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"quantization_config": None},
        {"quantization_config": [1]},
        {"quantization": "Q4"},
        {"quantization": {"qformat": "fp8"}},
        {"text_config": {"text_config": {"hidden_size": 1}}},
    ],
)
def test_no_statement(config: dict[str, Any]) -> None:
    assert find_quantization(config) is None


@pytest.mark.parametrize(
    "stated",
    [
        {"bits": 1e400, "quant_method": 3},
        {"quant_method": "gptq", "bits": [4]},
        {"quant_method": "hqq", "quant_config": {"weight_quant_params": {"nbits": {}}}},
        {"quant_method": "compressed-tensors", "config_groups": {"a": 1, "b": {"weights": []}}},
        {"quant_method": "torchao", "quant_type": {"default": []}},
        {"quant_method": "quark", "layer_quant_config": 4, "global_quant_config": {"weight": 1}},
        {"quant_method": "vptq", "config_for_layers": {L: {"in_features": -1, "out_features": 64}}},
        {"quant_method": "aqlm", "in_group_size": 0, "num_codebooks": -1},
    ],
)
def test_statements_of_strangers_raise_nothing(stated: dict[str, Any]) -> None:
    scheme = find_quantization({"quantization_config": stated})
    assert scheme is not None
    for rows, _, _ in KNOWN.values():
        found = count_parameters([info(*row) for row in rows], scheme).parameters
        assert found is None or found >= 0
    assert scheme.named is None or scheme.named.value
