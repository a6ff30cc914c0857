"""What diffusers takes: pipelines with their components, single models, what is loaded into one."""

from typing import Any

import pytest

from prefect_mutagen.scanner.loading.diffusers import plan
from prefect_mutagen.scanner.loading.plan import LoadPlan, ModelFiles

UNET = "unet/diffusion_pytorch_model"
VAE = "vae/diffusion_pytorch_model"
TEXT = "text_encoder/model"
INDEX = {
    "_class_name": "DemoPipeline",
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "scheduler": ["diffusers", "EulerDiscreteScheduler"],
    "safety_checker": [None, None],
    "requires_safety_checker": False,
}


def _plan(
    *names: str,
    index: Any = INDEX,
    own: tuple[str, ...] = (),
    documents: dict[str, Any] | None = None,
) -> LoadPlan:
    named = {"model_index.json": index, **(documents or {})}
    found = plan(ModelFiles({*names, *named}, named), own)
    assert found
    return found


@pytest.mark.parametrize(
    ("names", "missing", "variants"),
    [
        pytest.param(
            (f"{UNET}.safetensors", f"{VAE}.safetensors", f"{TEXT}.safetensors"),
            (),
            ("",),
            id="whole",
        ),
        pytest.param(
            (f"{UNET}.safetensors", f"{VAE}.safetensors"),
            (f"{TEXT}.safetensors",),
            ("",),
            id="a part without weights",
        ),
        pytest.param(
            (f"{UNET}.fp16.safetensors", f"{VAE}.fp16.safetensors", f"{TEXT}.fp16.safetensors"),
            (),
            ("fp16",),
            id="a variant",
        ),
        pytest.param(
            (f"{UNET}.fp16.safetensors", f"{VAE}.fp16.safetensors", f"{TEXT}.safetensors"),
            (),
            ("fp16", ""),
            id="mixed variants",
        ),
        pytest.param(
            (f"{UNET}.fp16.safetensors", f"{VAE}.fp16.safetensors"),
            (f"{TEXT}.safetensors",),
            ("fp16",),
            id="a variant, and a part without weights",
        ),
        pytest.param(
            (f"{UNET}.fp16.safetensors", f"{VAE}.bf16.safetensors", f"{TEXT}.safetensors"),
            (f"{UNET}.safetensors", f"{VAE}.safetensors"),
            ("",),
            id="two variants, neither of which all parts have",
        ),
    ],
)
def test_components(
    names: tuple[str, ...], missing: tuple[str, ...], variants: tuple[str, ...]
) -> None:
    found = _plan(*names, "unet/config.json", "scheduler/scheduler_config.json")
    assert (found.missing, found.variants) == (missing, variants)
    assert set(found.weights) <= set(names)
    assert len(found.weights) == len(names) or missing
    assert {"model_index.json", "unet/config.json", "scheduler/scheduler_config.json"} == {
        *found.files
    }


@pytest.mark.parametrize(
    ("own", "variant"),
    [
        ((f"{UNET}.fp16.safetensors",), "fp16"),
        ((f"{UNET}.safetensors",), ""),
        ((f"{UNET}.safetensors", f"{UNET}.fp16.safetensors"), ""),
        ((), ""),
    ],
)
def test_of_two_whole_variants_the_one_that_is_judged(own: tuple[str, ...], variant: str) -> None:
    stems = (UNET, VAE, TEXT)
    names = [f"{stem}{before}.safetensors" for stem in stems for before in ("", ".fp16")]
    assert _plan(*names, own=own).variants == (variant,)


def test_shards_win_over_a_whole_file() -> None:
    shards = [f"{UNET}-0000{i}-of-00002.safetensors" for i in (1, 2)]
    index = {"weight_map": {"a": shards[0][5:], "b": shards[1][5:], "c": "sub/x.safetensors"}}
    found = _plan(
        f"{UNET}.safetensors",
        *shards,
        "unet/sub/x.safetensors",
        index={"unet": INDEX["unet"]},
        documents={f"{UNET}.safetensors.index.json": index},
    )
    assert found.weights == tuple(shards)
    assert found.missing == ("unet/sub/x.safetensors",)  # refused: not a plain name


@pytest.mark.parametrize("text", [f"{TEXT}.safetensors", "text_encoder/pytorch_model.bin"])
def test_pickles_are_named_unless_every_part_has_safetensors(text: str) -> None:
    names = (f"{UNET}.safetensors", f"{UNET}.bin", f"{VAE}.safetensors", text)
    found = _plan(*names)
    pickles = {name for name in found.weights if name.endswith(".bin")}
    assert pickles == (set() if text == f"{TEXT}.safetensors" else {f"{UNET}.bin", text})


def test_what_a_component_of_transformers_takes() -> None:
    found = _plan(
        f"{TEXT}.safetensors",
        "text_encoder/modeling_x.py",
        "tokenizer/vocab.json",
        "tokenizer/chat_template.jinja",
        index={name: INDEX[name] for name in ("text_encoder", "tokenizer")},
        documents={"text_encoder/config.json": {"auto_map": {"AutoModel": "modeling_x.X"}}},
    )
    assert found.templates == ("tokenizer/chat_template.jinja",)
    assert "tokenizer/vocab.json" in found.files
    assert not found.code  # its class is named, not looked up in auto_map


def test_a_component_without_a_folder_is_in_the_pipelines() -> None:
    found = _plan("diffusion_pytorch_model.bin", index={"unet": INDEX["unet"]})
    assert found.weights == ("diffusion_pytorch_model.bin",)


@pytest.mark.parametrize(
    ("value", "missing"),
    [
        (["stable_diffusion", "StableDiffusionSafetyChecker"], True),
        (["diffusers", "OnnxRuntimeModel"], True),
        (["diffusers", "Cosmos3AVAEAudioTokenizer"], True),
        (["somewhere.else", "Thing"], False),
        (["diffusers", "MelodyScheduler"], False),
        (["transformers", "SiglipImageProcessor"], False),
        (["marigold", "MarigoldImageProcessor"], False),
        ([None, None], False),
        ([None, "X"], False),
        (["diffusers"], False),
        ([["diffusers"], ["X"]], False),
        ("text", False),
        (3, False),
        ({}, False),
    ],
    ids=str,
)
def test_which_components_need_weights(value: Any, *, missing: bool) -> None:
    assert bool(_plan(index={"part": value}).missing) == missing


def test_code_of_a_pipeline() -> None:
    names = ("own.py", "None.py", "pipeline.py", "unet/my_unet.py", "vae/other.py", "x.py")
    index = {"_class_name": ["own", "Own"], "unet": ["my_unet", "U"], "vae": ["diffusers", "V"]}
    found = _plan(*names, f"{VAE}.safetensors", index=index)
    assert found.code == ("own.py", "pipeline.py", "None.py", "unet/my_unet.py")
    assert not found.missing


def test_a_modular_pipeline() -> None:
    names = {"block.py", f"{UNET}.safetensors"}
    documents = {
        "modular_config.json": {"auto_map": {"ModularPipelineBlocks": "block.B"}},
        "modular_model_index.json": {
            "unet": [None, None, {"type_hint": INDEX["unet"], "subfolder": "unet"}],
            "vae": [None, None, {"type_hint": INDEX["vae"], "subfolder": "vae"}],
            "text": [None, None, {"type_hint": 3, "subfolder": []}],
        },
    }
    found = plan(ModelFiles({*names, *documents}, documents), ())
    assert found
    assert (found.weights, found.code) == ((f"{UNET}.safetensors",), ("block.py",))
    assert not found.missing


@pytest.mark.parametrize(
    ("names", "own", "weights"),
    [
        (("diffusion_pytorch_model.safetensors", "config.json"), None, 1),
        (("diffusion_pytorch_model.fp16.safetensors",), None, 1),
        (("pytorch_lora_weights.safetensors", "pytorch_lora_weights.bin"), None, 1),
        (("learned_embeds.bin",), None, 1),
        (("model.safetensors", "config.json"), None, 0),
        (("sdxl.safetensors",), None, 0),
        ((), None, 0),
    ],
    ids=str,
)
def test_without_a_pipeline(names: tuple[str, ...], own: None, weights: int) -> None:
    found = plan(ModelFiles(set(names)), own or names)
    assert (found.weights if found else ()) == names[:weights]


@pytest.mark.parametrize(
    "index",
    [
        {"unet": [[["diffusers"]], {}], "vae": [1, 2], "_class_name": [3]},
        {"_class_name": [], "": ["diffusers", "X"], ".": ["diffusers", "X"]},
        {"../up": ["diffusers", "X"], "/etc": ["diffusers", "X"], "a/..": ["diffusers", "X"]},
        {"x" * 5000: ["diffusers", "X" * 5000], "unet": ["../../x", "Y"]},
        {str(number): ["diffusers", "X"] for number in range(2000)},
        [],
        None,
        "text",
    ],
    ids=["types", "names", "paths", "long", "many", "list", "null", "text"],
)
def test_hostile_indexes_raise_nothing(index: Any) -> None:
    found = _plan(f"{UNET}.safetensors", index=index)
    assert all(not name.startswith(("/", "..")) for name in found.opened())


def test_names_that_lead_out_are_said() -> None:
    index = {"../up": ["diffusers", "X"], "/etc": ["diffusers", "X"]}
    assert _plan(index=index).outside == ("../up", "/etc")
