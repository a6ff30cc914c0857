"""Files whose header is valid and that hold no weights, alone and in sets."""

import json
from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.scanner import ScanResult, scan
from tests.builders import ARRAY, STRING, U16, U32, gguf, weights
from tests.scanner.content.packed_cases import KNOWN, Row, q
from tests.scanner.storing import put_local

ADAPTER = "adapter_model.safetensors"
MODEL = "model.safetensors"
LORA = {"peft_type": "LORA", "r": 8, "base_model_name_or_path": "acme/base-7b"}
LLAMA = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 64}
EMPTY: list[Row] = [
    (f"l.{n}.q_proj.lora_{part}.weight", "BF16", (0,)) for n in "01" for part in "AB"
]
NORM: Row = ("model.norm.weight", "BF16", (64,))


def _only(root: str) -> ScanResult:
    (result,) = scan(root)
    return result


def _scan(tmp_path: Path, name: str, rows: list[Row], **beside: dict[str, Any]) -> ScanResult:
    files = {f"{key}.json": json.dumps(value).encode() for key, value in beside.items()}
    return _only(put_local(tmp_path, files | {name: weights(rows)}))


def _found(result: ScanResult) -> list[tuple[str, str]]:
    return [(finding.code, finding.severity) for finding in result.findings]


CASES: dict[str, tuple[str, list[Row], dict[str, Any], list[tuple[str, str]]]] = {
    "no-tensor": (MODEL, [], {}, [("safetensors/no-weights", "warning")]),
    "no-tensor-beside-an-adapter-config": (
        ADAPTER,
        [],
        {"adapter_config": LORA},
        [("safetensors/no-weights", "error")],
    ),
    "empty-adapter": (
        ADAPTER,
        EMPTY,
        {"adapter_config": LORA},
        [("safetensors/no-weights", "error")],
    ),
    "empty-adapter-alone": (ADAPTER, EMPTY, {}, [("safetensors/no-weights", "warning")]),
    "a-dimension-of-zero-is-enough": (
        ADAPTER,
        [("lora_A.weight", "F32", (8, 0, 4))],
        {"adapter_config": {"peft_type": "IA3"}},
        [("safetensors/no-weights", "error")],
    ),
    "empty-model": (
        MODEL,
        [("model.embed_tokens.weight", "BF16", (0,))],
        {"config": LLAMA},
        [("safetensors/no-weights", "error")],
    ),
    "empty-part-of-a-pipeline": (
        "diffusion_pytorch_model.safetensors",
        [],
        {"config": {"_class_name": "UNet2DConditionModel"}},
        [("safetensors/no-weights", "error")],
    ),
    "only-norms-are-whole": (
        MODEL,
        [("model.embed_tokens.weight", "BF16", (0,)), NORM],
        {"config": LLAMA},
        [("safetensors/empty-weights", "error")],
    ),
    "only-norms-are-whole-alone": (
        MODEL,
        [("model.embed_tokens.weight", "BF16", (0,)), NORM],
        {},
        [("safetensors/empty-weights", "warning")],
    ),
    "half-of-an-adapter": (
        ADAPTER,
        [("lora_A.weight", "F32", (8, 64)), ("lora_B.weight", "F32", (0,))],
        {"adapter_config": LORA},
        [("safetensors/empty-weights", "error")],
    ),
    "a-marker-is-no-weight": (MODEL, [NORM, ("scaled_fp8", "F8_E4M3", (0,))], {}, []),
    "a-scalar-is-a-weight": (MODEL, [("logit_scale", "F32", ())], {"config": LLAMA}, []),
    "placeholders-of-a-quantized-model": (
        MODEL,
        [*KNOWN["fp-quant"][0], ("l.weight", "BF16", (0,))],
        {"config": q("fp_quant")},
        [],
    ),
    "a-config-that-promises-nothing": (
        MODEL,
        [],
        {"config": {"note": "x"}},
        [("safetensors/no-weights", "warning")],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_weights_that_are_not_there(tmp_path: Path, case: str) -> None:
    name, rows, beside, expected = CASES[case]
    result = _scan(tmp_path, name, rows, **beside)
    assert _found(result) == expected
    failed = any(severity == "error" for _, severity in expected)
    assert result.verdict.status == ("failed" if failed else "passed")


def test_the_sentence_says_what_was_promised_and_the_usual_cause(tmp_path: Path) -> None:
    (finding,) = _scan(tmp_path, ADAPTER, EMPTY, adapter_config=LORA).findings
    assert finding.message == (
        "all 4 tensors are empty, although adapter_config.json states r 8; training may have saved "
        "empty partitions (ZeRO-3); save it again from the gathered weights"
    )


@pytest.mark.parametrize(
    ("config", "severity", "status"),
    [({}, "warning", "passed"), ({"config.json": json.dumps(LLAMA).encode()}, "error", "failed")],
    ids=["alone", "promised"],
)
@pytest.mark.parametrize("first", [(4, 4), (0,)], ids=["one-shard", "all-shards"])
def test_empty_shards(
    tmp_path: Path, first: tuple[int, ...], config: dict[str, bytes], severity: str, status: str
) -> None:
    one, two = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
    shards = {one: weights([("a.weight", "F32", first)]), two: weights([("b.weight", "F32", (0,))])}
    index = {"metadata": {}, "weight_map": {"a.weight": one, "b.weight": two}}
    files = {"model.safetensors.index.json": json.dumps(index).encode(), **config}
    result = _only(put_local(tmp_path, shards | files))
    count = 1 if first == (4, 4) else 2
    assert _found(result) == [("safetensors/no-weights", severity)] * count
    assert result.verdict.status == status


KEYS = [("general.architecture", STRING, "llama")]
TOKENS = ("tokenizer.ggml.tokens", ARRAY, (STRING, ["a", "b"]))
TYPE = ("general.type", STRING, "model")
SPLIT = [("split.count", U16, 3), ("split.no", U16, 0), ("split.tensors.count", U32, 9)]


@pytest.mark.parametrize(
    ("name", "keys", "tensors", "found"),
    [
        ("m.gguf", [*KEYS, TYPE], (), True),
        ("m.gguf", [*KEYS, TYPE, TOKENS], (), True),
        ("m.gguf", [*KEYS, ("general.type", STRING, "adapter")], (), True),
        ("m.gguf", KEYS, (("a", (0, 4), 0),), True),
        ("m.gguf", KEYS, (("a", (4,), 0), ("b", (0,), 0)), False),
        ("ggml-vocab-m.gguf", [*KEYS, TYPE, TOKENS], (), False),
        ("m.gguf", [*KEYS, TOKENS], (), False),
        ("m.gguf", KEYS, (), False),
        ("m.gguf", [*KEYS, TYPE, *SPLIT], (), False),
    ],
    ids=[
        *("model", "model-with-tokens", "adapter", "empty-tensors", "one-empty-tensor"),
        *("vocabulary-by-name", "vocabulary", "metadata", "first-of-a-split"),
    ],
)
def test_gguf_models_without_weights(
    tmp_path: Path, name: str, keys: list[Any], tensors: Any, *, found: bool
) -> None:
    result = _only(put_local(tmp_path, {name: gguf(keys, tensors).data}))
    codes = [finding.code for finding in result.findings]
    assert ("gguf/no-weights" in codes) == found
