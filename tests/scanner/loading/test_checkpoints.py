"""Which weights transformers takes from a folder."""

from typing import Any

import pytest

from prefect_mutagen.scanner.loading.checkpoints import checkpoint, chosen_checkpoint
from prefect_mutagen.scanner.loading.folder import Folder
from prefect_mutagen.scanner.loading.plan import ModelFiles

WHOLE = "model.safetensors"
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
INDEX = "model.safetensors.index.json"
MAP = {"weight_map": dict(zip("ab", SHARDS, strict=True))}
FP16 = ("model.fp16-00001-of-00002.safetensors", "model.fp16-00002-of-00002.safetensors")
FP16_INDEX = "model.safetensors.index.fp16.json"
FP16_MAP = {"weight_map": dict(zip("ab", FP16, strict=True))}


def _folder(*names: str, **documents: Any) -> Folder:
    named = {name.replace("__", "."): document for name, document in documents.items()}
    return Folder.of(ModelFiles({*names, *named}, named))


@pytest.mark.parametrize(
    ("folder", "weights"),
    [
        pytest.param(_folder(WHOLE), (WHOLE,), id="whole"),
        pytest.param(
            _folder(WHOLE, *SHARDS, **{INDEX: MAP}), (WHOLE,), id="a stray whole file beside shards"
        ),
        pytest.param(_folder(*SHARDS, **{INDEX: MAP}), SHARDS, id="shards"),
        pytest.param(_folder(*SHARDS), (), id="shards without an index"),
        pytest.param(
            _folder(
                *SHARDS, "pytorch_model-1.bin", **{INDEX: MAP, "pytorch_model.bin.index.json": {}}
            ),
            SHARDS,
            id="two indexes",
        ),
        pytest.param(_folder(WHOLE, "pytorch_model.bin"), (WHOLE,), id="a pickle beside"),
        pytest.param(_folder("pytorch_model.bin"), ("pytorch_model.bin",), id="a pickle alone"),
        pytest.param(_folder("consolidated.safetensors"), (), id="consolidated"),
        pytest.param(
            _folder(WHOLE, "x.safetensors", config__json={"transformers_weights": "x.safetensors"}),
            ("x.safetensors",),
            id="named by the config",
        ),
        pytest.param(
            _folder(WHOLE, "shard-00000-model-00001-of-00001.safetensors", "pytorch_model.bin"),
            (WHOLE, "shard-00000-model-00001-of-00001.safetensors"),
            id="files of ranks win over everything",
        ),
        pytest.param(
            _folder(WHOLE, "head.safetensors", config__json={"model_type": "jev"}),
            (WHOLE, "head.safetensors"),
            id="weights that a class names",
        ),
        pytest.param(
            _folder(WHOLE, config__json={"transformers_weights": 7, "model_type": []}),
            (WHOLE,),
            id="nonsense in the config",
        ),
    ],
)
def test_the_first_in_the_order_of_precedence(folder: Folder, weights: tuple[str, ...]) -> None:
    assert checkpoint(folder).weights == weights


@pytest.mark.parametrize(
    ("own", "weights", "variant"),
    [
        (SHARDS, SHARDS, ""),
        (FP16, FP16, "fp16"),
        ((), SHARDS, ""),
        (("consolidated.safetensors",), SHARDS, ""),
    ],
)
def test_a_variant_is_loaded_for_its_own_sake(
    own: tuple[str, ...], weights: tuple[str, ...], variant: str
) -> None:
    folder = _folder(
        "consolidated.safetensors", *SHARDS, *FP16, **{INDEX: MAP, FP16_INDEX: FP16_MAP}
    )
    plan = chosen_checkpoint(folder, own)
    assert (plan.weights, plan.variants) == (weights, (variant,))


def test_a_variant_alone_is_taken() -> None:
    plan = chosen_checkpoint(_folder("model.fp16.safetensors"), ())
    assert (plan.weights, plan.variants) == (("model.fp16.safetensors",), ("fp16",))


@pytest.mark.parametrize(
    ("name", "missing", "outside"),
    [
        ("gone.safetensors", ("gone.safetensors",), ()),
        ("model.bin", ("model.bin",), ()),
        ("../model.safetensors", (), ("../model.safetensors",)),
        ("/model.safetensors", (), ("/model.safetensors",)),
    ],
)
def test_what_a_config_names_in_vain(
    name: str, missing: tuple[str, ...], outside: tuple[str, ...]
) -> None:
    plan = checkpoint(_folder(WHOLE, "model.bin", config__json={"transformers_weights": name}))
    assert (plan.weights, plan.missing, plan.outside) == ((), missing, outside)
