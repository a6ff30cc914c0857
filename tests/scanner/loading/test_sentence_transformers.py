"""What sentence-transformers takes: the parts of modules.json."""

from typing import Any

import pytest

from prefect_mutagen.scanner.loading.plan import LoadPlan, ModelFiles
from prefect_mutagen.scanner.loading.transformers import plan

MODELS = "sentence_transformers.models."
TRANSFORMER = {"path": "", "type": f"{MODELS}Transformer"}
POOLING = {"path": "1_Pooling", "type": f"{MODELS}Pooling"}
DENSE = {"path": "2_Dense", "type": "sentence_transformers.base.modules.dense.Dense"}
BASE = ("model.safetensors", "config.json", "1_Pooling/config.json", "2_Dense/config.json")


def _plan(modules: Any, *names: str, folder: str = "", **documents: Any) -> LoadPlan:
    named = {name.replace("__", "/") + ".json": value for name, value in documents.items()}
    named["modules.json"] = modules
    found = plan(ModelFiles({*names, *named}, named, folder), ("model.safetensors",))
    assert found
    return found


@pytest.mark.parametrize(
    ("names", "weights", "missing"),
    [
        (("2_Dense/model.safetensors",), ("2_Dense/model.safetensors",), ()),
        (("2_Dense/pytorch_model.bin",), ("2_Dense/pytorch_model.bin",), ()),
        ((), (), ("2_Dense/model.safetensors",)),
    ],
)
@pytest.mark.parametrize("folder", ["", "2_Dense/"])
def test_parts_with_and_without_weights(
    names: tuple[str, ...], weights: tuple[str, ...], missing: tuple[str, ...], folder: str
) -> None:
    found = _plan([TRANSFORMER, POOLING, DENSE], *BASE, *names, folder=folder)
    assert found.weights == ("model.safetensors", *weights)
    assert found.missing == missing
    assert set(found.files) == {"modules.json", *BASE[1:]}


def test_the_first_part_may_have_a_folder() -> None:
    part = {"path": "0_Transformer", "type": f"{MODELS}Transformer"}
    found = _plan(
        [part], "0_Transformer/pytorch_model.bin", "model.safetensors", "sentence_bert_config.json"
    )
    # The root is a model of transformers besides.
    assert found.weights == ("0_Transformer/pytorch_model.bin", "model.safetensors")


@pytest.mark.parametrize(
    ("names", "missing"),
    [((), ("model.safetensors",)), (("onnx/model.onnx",), ())],
    ids=["nothing", "weights of another backend"],
)
def test_a_transformer_without_weights(names: tuple[str, ...], missing: tuple[str, ...]) -> None:
    named = {"modules.json": [TRANSFORMER, DENSE]}
    files = {*named, "config.json", "2_Dense/model.safetensors", *names}
    found = plan(ModelFiles(files, named), ())
    assert found
    assert found.missing == missing


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("custom_st.Transformer", ("custom_st.py",)),
        ("acme/other--custom_st.Transformer", ()),
        (f"{MODELS}Transformer", ()),
    ],
)
def test_types_of_the_models_own_are_code(kind: str, code: tuple[str, ...]) -> None:
    found = _plan([{"path": "", "type": kind}], *BASE, "custom_st.py")
    assert found.code == code
    assert found.weights == ("model.safetensors",)


@pytest.mark.parametrize("path", [None, 3, "idf.json"])
def test_weights_that_are_a_json_file(path: Any) -> None:
    part = {"path": "s", "type": f"{MODELS}SparseStaticEmbedding"}
    found = _plan([part], *BASE, s__config={"path": path})
    assert bool(found.missing) == (path != "idf.json")


def test_parts_of_a_router() -> None:
    router = {"path": "", "type": f"{MODELS}Router"}
    types = {"query_0": f"{MODELS}StaticEmbedding", "document_0": f"{MODELS}Transformer", ".": 3}
    found = _plan(
        [router],
        "query_0/model.safetensors",
        "query_0/tokenizer.json",
        "document_0/model.safetensors",
        router_config={"types": types},
    )
    assert found.weights == ("query_0/model.safetensors", "document_0/model.safetensors")
    assert "query_0/tokenizer.json" in found.files


def test_a_router_in_itself_ends() -> None:
    router = {"path": "a", "type": f"{MODELS}Router"}
    types = {f"{'./' * n}../a": f"{MODELS}Router" for n in range(50)}
    types |= {f"{'./' * n}.": f"{MODELS}Router" for n in range(50)}
    _plan([router], "model.safetensors", a__router_config={"types": types})


@pytest.mark.parametrize(
    ("path", "outside"), [("../x", ("../x",)), ("/x", ("/x",)), ("a/../b", ("a/../b",))]
)
def test_paths_that_lead_out_are_said(path: str, outside: tuple[str, ...]) -> None:
    assert _plan([{"path": path, "type": f"{MODELS}Dense"}], *BASE).outside == outside


@pytest.mark.parametrize(
    "modules",
    [None, 3, "x", {}, {"0": TRANSFORMER}, [None, 3, [], "x"], [{"path": 3, "type": []}], [{}]],
    ids=str,
)
def test_nonsense_raises_nothing(modules: Any) -> None:
    assert _plan(modules, *BASE).weights == ("model.safetensors",)
