"""mlx-lm's load plan. The loader needs MLX; it finds weights with glob, the oracle here."""

import glob
import random
from pathlib import Path

import pytest

from prefect_mutagen.scanner.loading.mlx import RULES, plan
from prefect_mutagen.scanner.loading.plan import ModelFiles

NAMES = (
    "model.safetensors",
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
    "model.fp16.safetensors",
    "models.safetensors",
    "Model.safetensors",
    "model.SAFETENSORS",
    ".model.safetensors",
    "model.safetensors.index.json",
    "model-rank-0-part-0.safetensors",
    "consolidated.safetensors",
    "adapters.safetensors",
    "model.bin",
    "sub/model.safetensors",
)


def test_the_weights_are_those_that_glob_finds(tmp_path: Path) -> None:
    chosen = random.Random(13)
    seen = set()
    for number in range(100):
        root = tmp_path / str(number)
        names = {"config.json", *chosen.sample(NAMES, chosen.randrange(1, len(NAMES)))}
        for name in names:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        expected = {Path(found).name for found in glob.glob(str(root / "model*.safetensors"))}
        found = plan(ModelFiles(names), ("x",))
        assert set(found.weights if found else ()) == expected
        seen.add(frozenset(expected))
    assert len(seen) > 10


def test_what_is_taken_beside_weights_in_a_folder() -> None:
    config = {"model_file": "arch/custom.py", "auto_map": {"AutoTokenizer": ["tok.T", None]}}
    inside = (
        "config.json",
        "generation_config.json",
        "hf_quant_config.json",
        "processor_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "model.safetensors",
        "model-00001-of-00001.safetensors",
        "model.safetensors.index.json",
        "arch/custom.py",
        "tok.py",
        "chat_template.jinja",
    )
    names = {f"q4/{name}" for name in inside} | {"config.json", "model.safetensors", "README.md"}
    files = ModelFiles(names, {"q4/config.json": config}, "q4/")
    found = plan(files, ("q4/model.safetensors",))
    assert found is not None
    assert set(found.weights) == {"q4/model.safetensors", "q4/model-00001-of-00001.safetensors"}
    assert found.files[:3] == tuple(f"q4/{name}" for name in inside[:3])
    assert {"q4/tokenizer.json", "q4/tokenizer_config.json"} < set(found.files)
    assert not {"q4/processor_config.json", "q4/model.safetensors.index.json"} & set(found.files)
    assert found.templates == ("q4/chat_template.jinja",)
    assert found.code == ("q4/arch/custom.py", "q4/tok.py")


@pytest.mark.parametrize("where", ["config", "text_config"])
def test_a_quantization_in_the_config_replaces_that_of_its_own_file(where: str) -> None:
    stated: dict[str, object] = {"quantization_config": {}}
    config = stated if where == "config" else {"text_config": stated}
    names = {"config.json", "hf_quant_config.json", "model.safetensors"}
    found = plan(ModelFiles(names, {"config.json": config}), ("model.safetensors",))
    assert found is not None
    assert found.files == ("config.json",)


def test_code_that_leads_out_of_the_model_is_told() -> None:
    names = {"config.json", "model.safetensors"}
    files = ModelFiles(names, {"config.json": {"model_file": "../other/evil.py"}})
    found = plan(files, ("model.safetensors",))
    assert found is not None
    assert (found.code, found.outside) == ((), ("../other/evil.py",))


def test_an_adapter_of_its_own_kind() -> None:
    names = {"adapter_config.json", "adapters.safetensors"}
    found = plan(ModelFiles(names), ("adapters.safetensors",))
    assert found is not None
    assert (found.weights, found.files) == (("adapters.safetensors",), ("adapter_config.json",))


@pytest.mark.parametrize(
    "names",
    [set(), {"model.safetensors"}, {"config.json", "weights.safetensors"}, {"m.gguf"}],
    ids=["nothing", "no-config", "other-names", "gguf"],
)
def test_nothing_where_it_would_fail_at_once(names: set[str]) -> None:
    assert plan(ModelFiles(names), tuple(names)) is None


@pytest.mark.parametrize("config", [{"model_file": 3}, {"model_file": ""}, {"text_config": []}, []])
def test_hostile_configs_raise_nothing(config: object) -> None:
    names = {"config.json", "model.safetensors"}
    assert plan(ModelFiles(names, {"config.json": config}), ("model.safetensors",)) is not None


def test_every_rule_names_its_source() -> None:
    assert all(rule.takes and rule.source.startswith("mlx-lm 0.32.2, ") for rule in RULES)
