"""llama.cpp's load plan, against what its loader does as it was read."""

import pytest

from prefect_mutagen.scanner.loading.llama_cpp import RULES, plan
from prefect_mutagen.scanner.loading.plan import LoadPlan, ModelFiles

KEY = "tokenizer.chat_template"


def _plan(names: set[str], *weights: str) -> LoadPlan | None:
    return plan(ModelFiles(names), weights)


def test_one_file_and_nothing_beside_it() -> None:
    beside = {"mmproj-m.gguf", "m.gguf", "n.gguf", "config.json", "chat_template.jinja", "x.py"}
    found = _plan(beside, "m.gguf")
    assert found == LoadPlan("llama.cpp", ("m.gguf",), templates=(f"m.gguf:{KEY}",))


@pytest.mark.parametrize(
    ("weights", "opened", "missing"),
    [
        (["a-00001-of-00002.gguf"], ["a-00001-of-00002.gguf"], ["a-00002-of-00002.gguf"]),
        (["a-00002-of-00002.gguf"], ["a-00002-of-00002.gguf"], ["a-00001-of-00002.gguf"]),
        (["q/a-00001-of-00001.gguf"], ["q/a-00001-of-00001.gguf"], []),
        (["a-001-of-002.gguf"], ["a-001-of-002.gguf"], []),
        (["a-00001-of-00002.GGUF"], ["a-00001-of-00002.GGUF"], []),
        (["a-00001-of-65536.gguf"], ["a-00001-of-65536.gguf"], []),
    ],
    ids=["second-missing", "first-missing", "one-of-one", "digits", "ending", "count"],
)
def test_the_names_of_sets(weights: list[str], opened: list[str], missing: list[str]) -> None:
    found = _plan(set(weights), *weights)
    assert found is not None
    assert (list(found.weights), list(found.missing)) == (opened, missing)


def test_a_whole_set_is_opened_in_order_and_its_keys_come_from_the_first() -> None:
    names = {f"q4/m-{number:05}-of-00003.gguf" for number in (3, 1, 2)}
    found = _plan(names | {"q8/m-00001-of-00003.gguf"}, *names)
    assert found is not None
    assert found.weights == tuple(sorted(names))
    assert found.templates == (f"q4/m-00001-of-00003.gguf:{KEY}",)
    assert not found.missing


def test_templates_where_the_keys_are_known() -> None:
    keys = {f"{KEY}.rag": "", f"{KEY}.tool_use": "", KEY: "", "tokenizer.chat_templates": [], 1: 2}
    files = ModelFiles({"m.gguf"}, {"m.gguf": keys})
    found = plan(files, ("m.gguf",))
    assert found is not None
    assert found.templates == tuple(
        f"m.gguf:{key}" for key in (KEY, f"{KEY}.tool_use", f"{KEY}.rag")
    )
    without = plan(ModelFiles({"m.gguf"}, {"m.gguf": {}}), ("m.gguf",))
    assert without is not None
    assert without.templates == ()


def test_nothing_for_other_weights() -> None:
    assert _plan({"model.safetensors"}, "model.safetensors") is None
    assert _plan(set()) is None


def test_every_rule_names_its_source() -> None:
    assert all(rule.takes and rule.source.startswith(("llama.cpp ", "llama-cpp")) for rule in RULES)
