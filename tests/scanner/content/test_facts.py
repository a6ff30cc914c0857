from typing import Any

import pytest

from prefect_mutagen.parsers import GgufHeader, SafetensorsHeader
from prefect_mutagen.scanner.content.facts import gguf_facts, gguf_type, safetensors_facts
from tests.builders import ARRAY, F32, STRING, U32, U64, gguf, safetensors, tensor
from tests.parsers.reading import read


def _facts(*entries: tuple[str, int, Any], tensors: Any = (("a", (32, 8), 0),)) -> dict[str, Any]:
    header = read(gguf((("general.architecture", STRING, "llama"), *entries), tensors).data, "gguf")
    assert isinstance(header, GgufHeader)
    facts, findings = gguf_facts(header, "/m/x.gguf")
    return {name: tuple(stated) for name, stated in facts.items()} | {
        "findings": [finding.code for finding in findings]
    }


@pytest.mark.parametrize(
    ("entries", "field", "value", "key"),
    [
        ([("llama.context_length", U32, 4096)], "context_length", 4096, "llama.context_length"),
        (
            [("clip.context_length", U32, 77), ("llama.context_length", U32, 4096)],
            "context_length",
            4096,
            "llama.context_length",
        ),
        ([("clip.context_length", U32, 77)], "context_length", 77, "clip.context_length"),
        ([("llama.context_length", F32, 8.0)], "context_length", 8, "llama.context_length"),
        (
            [("tokenizer.ggml.tokens", ARRAY, (STRING, ["a"] * 20)), ("llama.vocab_size", U32, 9)],
            "vocab_size",
            20,
            "tokenizer.ggml.tokens",
        ),
        ([("llama.vocab_size", U32, 9)], "vocab_size", 9, "llama.vocab_size"),
        ([("general.license", STRING, " mit ")], "license", "mit", "general.license"),
    ],
)
def test_gguf_facts_and_their_sources(entries: Any, field: str, value: object, key: str) -> None:
    assert _facts(*entries)[field] == (value, f"gguf:{key}")


@pytest.mark.parametrize(
    ("entries", "name"),
    [
        ([("repo_url", "https://huggingface.co/org/base/")], "org/base"),
        ([("name", "Base"), ("organization", "Org")], "Org/Base"),
        ([("name", "Base")], "Base"),
        ([("repo_url", "https://example.org/x")], "https://example.org/x"),
    ],
)
def test_lineage(entries: list[tuple[str, str]], name: str) -> None:
    stated = [(f"general.base_model.0.{key}", STRING, value) for key, value in entries]
    assert _facts(("general.base_model.count", U32, 1), *stated)["base_model"][0] == name


def test_a_declared_count_of_base_models_is_no_reason_to_loop() -> None:
    assert "base_model" not in _facts(("general.base_model.count", U64, 2**63))


@pytest.mark.parametrize(
    ("file_type", "kind", "quantization", "finding"),
    [
        (7, 8, "Q8_0", []),
        (7 | 1024, 8, "Q8_0", []),
        (15, 12, "Q4_K_M", []),
        (1, 1, "F16", []),
        (2, 8, "Q8_0", ["sbom/quantization-disagrees"]),
        (99, 8, "Q8_0", ["sbom/quantization-unknown"]),
        (None, 8, "Q8_0", []),
    ],
)
def test_where_name_and_tensors_disagree_the_tensors_count(
    file_type: int | None, kind: int, quantization: str, finding: list[str]
) -> None:
    entries = [] if file_type is None else [("general.file_type", U32, file_type)]
    facts = _facts(*entries, tensors=(("a", (256, 8), kind), ("norm", (8,), 0)))
    assert facts["quantization"][0] == quantization
    assert facts["findings"] == finding
    assert ("dtype" in facts) == (quantization == "F16")


EMBEDDING = ("token_embd.weight", (256, 64), 30)


@pytest.mark.parametrize(
    ("file_type", "tensors", "quantization", "finding"),
    [
        (2, [EMBEDDING, ("blk.0.ffn_up.weight", (256, 8), 2)], "Q4_0", []),
        (2, [EMBEDDING, ("blk.0.a.weight", (256, 9), 1), ("b", (256, 8), 2)], "Q4_0", []),
        (15, [("token_embd.weight", (256, 64), 8), ("b", (256, 8), 12)], "Q4_K_M", []),
        (15, [("output.weight", (256, 64), 8), ("b", (256, 8), 12)], "Q4_K_M", []),
        (15, [EMBEDDING, ("b", (32, 9), 6)], "Q4_K_M", []),
        (18, [EMBEDDING, ("b", (32, 9), 8)], "Q6_K", []),
        (38, [("ffn.weight", (64, 8), 39), ("attn.weight", (64, 64), 8)], "MXFP4_MOE", []),
        (39, [("ffn.weight", (64, 8), 40), ("attn.weight", (64, 64), 8)], "NVFP4", []),
        (38, [("attn.weight", (64, 64), 8)], "Q8_0", ["sbom/quantization-disagrees"]),
        (2, [EMBEDDING, ("b", (256, 8), 8)], "BF16", ["sbom/quantization-disagrees"]),
        (2, [EMBEDDING, ("b", (256, 8), 1)], "BF16", ["sbom/quantization-disagrees"]),
        (7, [EMBEDDING, ("norm", (8,), 0)], "BF16", ["sbom/quantization-disagrees"]),
    ],
)
def test_the_name_stands_where_wide_tensors_outweigh_the_layers(
    file_type: int, tensors: Any, quantization: str, finding: list[str]
) -> None:
    facts = _facts(("general.file_type", U32, file_type), tensors=tensors)
    assert facts["quantization"][0] == quantization
    assert facts["findings"] == finding


ARCHITECTURE = ("general.architecture", STRING, "llama")
TOKENS = ("tokenizer.ggml.tokens", ARRAY, (STRING, ["a"]))


@pytest.mark.parametrize(
    ("entries", "names", "kind"),
    [
        ([ARCHITECTURE], ["blk.0.a"], "model"),
        ([ARCHITECTURE, ("general.type", STRING, "MMPROJ")], ["v.a"], "mmproj"),
        ([("general.type", STRING, "imatrix")], ["a.in_sum2"], "imatrix"),
        ([], ["blk.0.attn_q.weight.in_sum2", "blk.0.attn_q.weight.counts"], "imatrix"),
        ([ARCHITECTURE, ("adapter.type", STRING, "lora")], ["a.lora_a"], "adapter"),
        ([("general.architecture", STRING, "clip")], ["v.a"], "mmproj"),
        ([("general.architecture", STRING, "controlvector")], ["direction.1"], "controlvector"),
        ([ARCHITECTURE, TOKENS], [], "vocabulary"),
        ([ARCHITECTURE, TOKENS, ("split.count", U32, 2)], [], "model"),
        ([], ["model.diffusion_model.in.weight"], "diffusion"),
        ([], ["x"], None),
    ],
)
def test_what_a_gguf_file_is(entries: list[Any], names: list[str], kind: str | None) -> None:
    header = read(gguf(entries, [(name, (4, 2), 0) for name in names]).data, "gguf")
    assert isinstance(header, GgufHeader)
    assert gguf_type(header) == kind


def test_an_importance_matrix_has_no_parameters() -> None:
    facts = _facts(("general.type", STRING, "imatrix"), tensors=(("a.in_sum2", (64, 1), 0),))
    assert not {"parameter_count", "quantization", "dtype"} & set(facts)


def test_without_tensors_the_name_is_all_there_is() -> None:
    facts = _facts(("general.file_type", U32, 1), tensors=())
    assert facts["quantization"] == ("F16", "gguf:general.file_type")
    assert "parameter_count" not in facts


def _safetensors(header: dict[str, Any], size: int) -> SafetensorsHeader:
    found = read(safetensors(header, size), "safetensors")
    assert isinstance(found, SafetensorsHeader)
    assert not found.errors
    return found


def test_safetensors_facts() -> None:
    header = _safetensors(
        {
            "__metadata__": {"format": "tf", "license": "mit"},
            "a": tensor("F16", [2, 2], 0, 8),
            "b": tensor("F32", [2], 8, 16),
        },
        16,
    )
    facts = safetensors_facts(header)
    assert facts["parameter_count"].value == 6
    assert facts["dtype"].value == "mixed"
    assert facts["training_framework"].value == "tensorflow"
    assert facts["license"] == ("mit", "safetensors:__metadata__.license")
