"""vLLM's load plan. Its loaders need torch, so the tables come from reading them, as RULES does."""

from typing import Any

import pytest

from prefect_mutagen.scanner.loading.plan import LoadPlan, ModelFiles
from prefect_mutagen.scanner.loading.vllm import RULES, plan

INDEX = "model.safetensors.index.json"
MISTRAL_INDEX = "consolidated.safetensors.index.json"
S1, S2 = (f"model-0000{number}-of-00002.safetensors" for number in (1, 2))


def _index(*values: Any) -> dict[str, Any]:
    return {"weight_map": {f"t{number}": value for number, value in enumerate(values)}}


def _plan(
    names: set[str], documents: dict[str, Any] | None = None, weights: tuple[str, ...] = ("x",)
) -> LoadPlan | None:
    return plan(ModelFiles(names | {"config.json"}, documents or {}), weights)


@pytest.mark.parametrize(
    ("names", "documents", "weights", "missing"),
    [
        ({"model.safetensors"}, {}, ["model.safetensors"], []),
        ({S1, S2, "model.safetensors"}, {}, [S1, S2, "model.safetensors"], []),
        ({S1, S2, "model.safetensors", INDEX}, {INDEX: _index(S1, S2)}, [S1, S2], []),
        ({S1, INDEX}, {INDEX: _index(S1, S2)}, [S1], [S2]),
        ({"model.safetensors", INDEX}, {INDEX: _index(S1, S2)}, [], [S1, S2]),
        ({"x.safetensors", INDEX}, {INDEX: _index("./x.safetensors")}, [], ["./x.safetensors"]),
        ({"w/1.safetensors", "a.bin", INDEX}, {INDEX: _index("w/1.safetensors")}, ["a.bin"], []),
        ({S1, "a.bin", INDEX}, {INDEX: {}}, [S1], []),
        ({S1, S2, INDEX}, {}, [S1, S2], []),
        ({S1, INDEX}, {INDEX: {"weight_map": {"a": 1, "b": S1, "c": None}}}, [S1], []),
        ({"a.bin", "b.pt", "training_args.bin"}, {}, ["a.bin"], []),
        ({"b.pt", "x.optimizer.pt", "scheduler.pt"}, {}, ["b.pt"], []),
        ({"a.bin", "sub/model.safetensors"}, {}, ["a.bin"], []),
        ({"m10.safetensors", "m9.safetensors"}, {}, ["m9.safetensors", "m10.safetensors"], []),
        ({".x.safetensors", "y.safetensors"}, {}, ["y.safetensors"], []),
        (
            {"consolidated.safetensors", S1, S2, INDEX},
            {INDEX: _index(S1, S2)},
            ["consolidated.safetensors"],
            [],
        ),
        (
            {"consolidated-1.safetensors", "consolidated-2.safetensors", MISTRAL_INDEX},
            {MISTRAL_INDEX: _index("consolidated-2.safetensors")},
            ["consolidated-2.safetensors"],
            [],
        ),
        (
            {"model.safetensors", "original/consolidated.safetensors"},
            {},
            [],
            ["consolidated.safetensors"],
        ),
    ],
    ids=[
        "whole",
        "stray-without-index",
        "stray-with-index",
        "missing-shard",
        "stale-index",
        "dot-slash",
        "subfolder",
        "index-without-map",
        "index-not-read",
        "index-of-odd-values",
        "pickles",
        "pt",
        "nested-not-seen",
        "natural-order",
        "hidden",
        "mistral-preferred",
        "mistral-index",
        "mistral-below",
    ],
)
def test_weights(
    names: set[str], documents: dict[str, Any], weights: list[str], missing: list[str]
) -> None:
    found = _plan(names, documents)
    assert found is not None
    assert (list(found.weights), list(found.missing)) == (weights, missing)
    used = {INDEX, MISTRAL_INDEX} & set(found.files)
    assert used <= names
    assert found.loader == "vllm"


@pytest.mark.parametrize("prefix", ["", "deep/"])
def test_ranks_and_parts_that_are_missing(prefix: str) -> None:
    names = {f"{prefix}model-rank-{rank}-part-0.safetensors" for rank in (0, 1, 3)}
    names |= {f"{prefix}model-rank-1-part-2.safetensors", f"{prefix}config.json"}
    found = plan(ModelFiles(names, folder=prefix), (f"{prefix}model-rank-0-part-0.safetensors",))
    assert found is not None
    assert found.weights == tuple(sorted(names - {f"{prefix}config.json"}))
    assert found.missing == tuple(
        f"{prefix}model-rank-{rank}-part-{part}.safetensors" for rank, part in ((1, 1), (2, 0))
    )


def test_ranks_of_pipeline_stages_and_a_missing_config() -> None:
    names = {f"model-pp-{p}-tp-{t}-part-0.safetensors" for p, t in ((0, 0), (1, 0), (1, 1))}
    found = plan(ModelFiles(names), tuple(names))
    assert found is not None
    assert found.missing == ("config.json", "model-pp-0-tp-1-part-0.safetensors")


def test_numbers_in_names_do_not_decide_how_much_is_done() -> None:
    names = {f"model-rank-{rank}-part-{rank}.safetensors" for rank in (0, 999_999_999)}
    found = plan(ModelFiles(names), tuple(names))
    assert found is not None
    assert len(found.missing) == 1001


def test_mistral_takes_its_own_config_and_tokenizer_and_renders_nothing() -> None:
    names = {"params.json", "tekken.json", "consolidated.safetensors", "chat_template.jinja"}
    found = plan(ModelFiles(names), ("consolidated.safetensors",))
    assert found is not None
    assert found.files[:2] == ("params.json", "tekken.json")
    assert (found.templates, found.missing) == ((), ())
    beside = _plan(names)
    assert beside is not None
    assert beside.files[:2] == ("params.json", "config.json")


def test_configs_code_and_templates_as_transformers_takes_them() -> None:
    config = {"auto_map": {"AutoModel": "modeling_x.M"}}
    modules = [{"path": "1_Pooling", "type": "x"}, {"path": "../up"}, {"path": 1}, 2]
    names = {
        "model.safetensors",
        "generation_config.json",
        "hf_quant_config.json",
        "tokenizer.json",
        "modeling_x.py",
        "modules.json",
        "1_Pooling/config.json",
        "sentence_bert_config.json",
        "chat_template.jinja",
    }
    found = _plan(names, {"config.json": config, "modules.json": modules})
    assert found is not None
    assert set(found.files) >= names - {"model.safetensors", "modeling_x.py", "chat_template.jinja"}
    assert found.code == ("modeling_x.py",)
    assert found.templates == ("chat_template.jinja",)
    stated = _plan(names, {"config.json": {"quantization_config": {}}})
    assert stated is not None
    assert "hf_quant_config.json" not in stated.files


@pytest.mark.parametrize(
    ("names", "weights"),
    [
        ({"adapter_model.safetensors", "adapter_model.bin"}, ("adapter_model.safetensors",)),
        ({"adapter_model.pt", "adapter_model.bin"}, ("adapter_model.bin",)),
        ({"adapter_model.pt"}, ("adapter_model.pt",)),
    ],
)
def test_adapters(names: set[str], weights: tuple[str, ...]) -> None:
    found = plan(ModelFiles(names | {"adapter_config.json"}), weights)
    assert found == LoadPlan("vllm", weights, ("adapter_config.json",))


def test_a_gguf_set_is_opened_with_what_is_there_of_it() -> None:
    names = {"q/m-001-of-003.gguf", "q/m-003-of-003.gguf", "q/m-00002-of-003.gguf", "q/n.gguf"}
    found = plan(ModelFiles(names, folder="q/"), ("q/m-001-of-003.gguf",))
    assert found is not None
    assert found.weights == ("q/m-001-of-003.gguf", "q/m-003-of-003.gguf")
    assert found.templates == ("q/m-001-of-003.gguf:tokenizer.chat_template",)
    single = plan(ModelFiles({"m.gguf", "config.json", "tokenizer.json"}), ("m.gguf",))
    assert single is not None
    assert (single.weights, single.files) == (("m.gguf",), ("config.json", "tokenizer.json"))


@pytest.mark.parametrize(
    "names",
    [set(), {"model.safetensors"}, {"params.json", "model.safetensors"}, {"config.json", "x.onnx"}],
    ids=["nothing", "no-config", "params-alone", "no-weights"],
)
def test_nothing_where_it_would_fail_at_once(names: set[str]) -> None:
    assert plan(ModelFiles(names), ("model.safetensors",)) is None


def test_a_name_of_thousands_of_digits_in_an_index() -> None:
    name = "9" * 5000
    found = _plan({S1, INDEX}, {INDEX: _index(S1, name)})
    assert found is not None
    assert found.missing == (name,)


def test_every_rule_names_its_source() -> None:
    assert all(rule.takes and rule.source.startswith(("vLLM 0.33.0, ", "vllm-")) for rule in RULES)
