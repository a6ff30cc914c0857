"""What transformers takes from a model, with PEFT on top of it."""

from typing import Any

import pytest

from prefect_mutagen.scanner.loading.plan import LoadPlan, ModelFiles
from prefect_mutagen.scanner.loading.transformers import plan

WHOLE = "model.safetensors"


def _plan(
    *names: str, own: tuple[str, ...] = (WHOLE,), folder: str = "", **documents: Any
) -> LoadPlan | None:
    named = {name.replace("__", "/") + ".json": value for name, value in documents.items()}
    return plan(ModelFiles({*names, *named}, named, folder), own)


def test_everything_beside_the_weights() -> None:
    found = _plan(
        WHOLE,
        "tokenizer.json",
        "vocab.json",
        "merges.txt",
        "README.md",
        "chat_template.jinja",
        "custom_generate/generate.py",
        "custom_generate/requirements.txt",
        "modeling_x.py",
        "other.py",
        config={"auto_map": {"AutoModel": "modeling_x.X", "AutoConfig": "acme/y--other.Y"}},
        generation_config={},
        preprocessor_config={},
        tokenizer_config={"chat_template": "T"},
    )
    assert found
    assert found.weights == (WHOLE,)
    assert found.files == (
        "config.json",
        "generation_config.json",
        "preprocessor_config.json",
        "tokenizer_config.json",
        "tokenizer.json",
        "merges.txt",
        "vocab.json",
        "chat_template.jinja",
        "custom_generate/requirements.txt",
    )
    assert found.templates == ("chat_template.jinja",)
    assert found.code == ("modeling_x.py", "custom_generate/generate.py")
    assert (found.missing, found.outside, found.variants) == ((), (), ("",))


@pytest.mark.parametrize("base", [False, True], ids=["base elsewhere", "base here"])
@pytest.mark.parametrize(
    ("there", "taken", "missing"),
    [
        (("adapter_model.safetensors",), "adapter_model.safetensors", ()),
        (("adapter_model.bin",), "adapter_model.bin", ()),
        (("adapter_model.bin", "adapter_model.safetensors"), "adapter_model.safetensors", ()),
        ((), None, ("adapter_model.safetensors",)),
    ],
)
def test_adapters(
    there: tuple[str, ...], taken: str | None, missing: tuple[str, ...], *, base: bool
) -> None:
    config: dict[str, Any] = {"config": {}} if base else {}
    found = _plan(WHOLE, *there, own=there, adapter_config={}, **config)
    assert found
    assert found.weights == (*((WHOLE,) if base else ()), *((taken,) if taken else ()))
    assert found.missing == missing


@pytest.mark.parametrize(
    ("names", "own"),
    [
        (("consolidated.safetensors",), ("consolidated.safetensors",)),
        (("m-00001-of-00002.gguf", "m-00002-of-00002.gguf"), None),
        (("onnx/model.onnx",), ("onnx/model.onnx",)),
        ((), ()),
    ],
    ids=["consolidated", "a split GGUF", "ONNX", "nothing"],
)
def test_what_it_takes_nothing_of(names: tuple[str, ...], own: tuple[str, ...] | None) -> None:
    assert _plan(*names, own=names if own is None else own, config={}) is None


@pytest.mark.parametrize("beside", [False, True])
def test_a_gguf_by_itself(*, beside: bool) -> None:
    more = ("tokenizer.json",) if beside else ()
    found = _plan("q4.gguf", "q8.gguf", WHOLE, *more, own=("q8.gguf",), config={})
    assert found
    assert found.weights == ("q8.gguf",)
    assert found.files == more
    assert found.templates == (() if beside else ("q8.gguf:tokenizer.chat_template",))


def test_code_of_a_subfolder_may_stand_above_it() -> None:
    config = {"auto_map": {"AutoModel": "x.X"}}
    found = _plan(
        f"sub/{WHOLE}", "x.py", "sub/x.py", own=(f"sub/{WHOLE}",), folder="sub/", sub__config=config
    )
    assert found
    assert found.weights == (f"sub/{WHOLE}",)
    assert found.code == ("sub/x.py", "x.py")


def test_versions_of_a_config_are_all_named() -> None:
    names = ["config/4/0/0.json", "config.9.0.0.json", "gone.json", "../up.json", 3]
    found = _plan(
        WHOLE,
        "config.9.0.0.json",
        "y.py",
        config={"configuration_files": names},
        config__4__0__0={"auto_map": {"AutoModel": "y.Y"}},
    )
    assert found
    assert found.files == ("config.json", "config/4/0/0.json", "config.9.0.0.json")
    assert found.outside == ("../up.json",)
    assert found.code == ("y.py",)


@pytest.mark.parametrize(
    "auto_map",
    [
        None,
        3,
        "x.X",
        ["x.X", None],
        {"AutoTokenizer": ["x.X", None, 4]},
        {"A": {"b": "x.X"}},
        {"A": "../../x.X"},
        {"A": ""},
        [[["x.X"]]],
    ],
    ids=str,
)
def test_hostile_maps_of_code_raise_nothing(auto_map: Any) -> None:
    found = _plan(
        WHOLE, "x.py", config={"auto_map": auto_map}, processor_config={"image_processor": 3}
    )
    assert found
    assert set(found.code) <= {"x.py"}
