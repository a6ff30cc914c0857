"""Every place of a model's files that has a loader run code, and the places that look like one."""

from typing import Any

import pytest

from prefect_mutagen.scanner.content.code import (
    REFERENCE_LIMIT,
    code_references,
    may_name_code,
)

_Case = tuple[str, Any, set[str], list[tuple[str, str, str]]]


def _auto_map(value: Any, name: str = "config.json", *names: str) -> tuple[str, Any, set[str]]:
    return name, {"auto_map": value}, set(names)


# Document, content, files of the model; kind, key, and path or repository or module of each.
CASES: dict[str, _Case] = {
    "own": (
        *_auto_map({"AutoModel": "m.C"}, "config.json", "m.py"),
        [("own", "auto_map.AutoModel", "m.py")],
    ),
    "own and missing": (
        *_auto_map({"AutoModel": "m.C"}),
        [("own", "auto_map.AutoModel", "m.py")],
    ),
    "slow and fast": (
        *_auto_map({"AutoTokenizer": ["s.T", "f.F"]}, "tokenizer_config.json"),
        [("own", "auto_map.AutoTokenizer", "s.py"), ("own", "auto_map.AutoTokenizer", "f.py")],
    ),
    "null in a list": (
        *_auto_map({"AutoTokenizer": [None, "f.F"]}, "tokenizer_config.json"),
        [("own", "auto_map.AutoTokenizer", "f.py")],
    ),
    "legacy list": (
        *_auto_map(["s.T", None], "tokenizer_config.json"),
        [("own", "auto_map", "s.py")],
    ),
    "text": (*_auto_map("m.AutoModel"), [("own", "auto_map", "m.py")]),
    "by backend": (
        *_auto_map({"AutoImageProcessor": {"torchvision": "t.P"}}, "preprocessor_config.json"),
        [("own", "auto_map.AutoImageProcessor.torchvision", "t.py")],
    ),
    "null": (*_auto_map(None), []),
    "numbers": (*_auto_map({"AutoModel": 1, "b": True}), []),
    "class only": (*_auto_map({"AutoModel": "m"}), [("own", "auto_map.AutoModel", "m.py")]),
    "other repository": (
        *_auto_map({"AutoModel": "some/other--m.C"}),
        [("other-repository", "auto_map.AutoModel", "some/other")],
    ),
    "other repository without owner": (
        *_auto_map({"AutoModel": "other--m.C"}),
        [("other-repository", "auto_map.AutoModel", "other")],
    ),
    "folder as repository": (
        *_auto_map({"AutoModel": "/srv/x--m.C"}),
        [("outside", "auto_map.AutoModel", "m")],
    ),
    "parent as repository": (
        *_auto_map({"AutoModel": "../x--m.C"}),
        [("outside", "auto_map.AutoModel", "m")],
    ),
    "package": (
        *_auto_map({"AutoModel": "pkg.mod.C"}, "config.json", "pkg/mod.py"),
        [("own", "auto_map.AutoModel", "pkg/mod.py")],
    ),
    "sub-folder": (
        *_auto_map({"AutoModel": "pkg/mod.C"}, "config.json", "pkg/mod.py"),
        [("own", "auto_map.AutoModel", "pkg/mod.py")],
    ),
    "absolute": (
        *_auto_map({"AutoModel": "/etc/evil.C"}),
        [("outside", "auto_map.AutoModel", "/etc/evil")],
    ),
    "parent": (
        *_auto_map({"AutoModel": "../evil.C"}),
        [("outside", "auto_map.AutoModel", "../evil")],
    ),
    "through the model and out": (
        *_auto_map({"AutoModel": "a/../../evil.C"}),
        [("outside", "auto_map.AutoModel", "a/../../evil")],
    ),
    "dots": (*_auto_map({"AutoModel": "..evil.C"}), [("outside", "auto_map.AutoModel", "..evil")]),
    "backslashes": (
        *_auto_map({"AutoModel": "..\\evil.C"}),
        [("outside", "auto_map.AutoModel", "..\\evil")],
    ),
    "drive": (
        *_auto_map({"AutoModel": "C:\\evil.C"}),
        [("outside", "auto_map.AutoModel", "C:\\evil")],
    ),
    "part, code in its folder": (
        *_auto_map({"AutoModel": "m.C"}, "unet/config.json", "unet/m.py", "x/m.py"),
        [("own", "auto_map.AutoModel", "unet/m.py")],
    ),
    "part, code in the root and its folder": (
        *_auto_map({"AutoModel": "m.C"}, "unet/config.json", "unet/m.py", "m.py"),
        [("own", "auto_map.AutoModel", "unet/m.py"), ("own", "auto_map.AutoModel", "m.py")],
    ),
    "part, up to the root": (
        *_auto_map({"AutoModel": "../m.C"}, "unet/config.json", "m.py"),
        [("outside", "auto_map.AutoModel", "../m")],
    ),
    "nested": (
        "config.json",
        {"text_config": {"auto_map": {"A": "t.C"}}, "parts": [{"auto_map": {"B": "u.C"}}]},
        set(),
        [("own", "parts.0.auto_map.B", "u.py"), ("own", "text_config.auto_map.A", "t.py")],
    ),
    "processor": (
        "processor_config.json",
        {"image_processor": {"auto_map": {"AutoImageProcessor": "i.P"}}, "auto_map": {"A": "p.P"}},
        set(),
        [
            ("own", "auto_map.A", "p.py"),
            ("own", "image_processor.auto_map.AutoImageProcessor", "i.py"),
        ],
    ),
    "video processor": (
        *_auto_map({"AutoVideoProcessor": "v.P"}, "video_preprocessor_config.json"),
        [("own", "auto_map.AutoVideoProcessor", "v.py")],
    ),
    "another version's config": (
        *_auto_map({"AutoConfig": "old.C"}, "config.4.0.0.json"),
        [("own", "auto_map.AutoConfig", "old.py")],
    ),
    "derived image processor": (
        *_auto_map(
            {"AutoFeatureExtractor": "FeatureExtractor.F"},
            "preprocessor_config.json",
            "FeatureExtractor.py",
            "ImageProcessor.py",
        ),
        [
            ("own", "auto_map.AutoFeatureExtractor", "FeatureExtractor.py"),
            ("own", "auto_map.AutoFeatureExtractor", "ImageProcessor.py"),
        ],
    ),
    "custom pipelines": (
        "config.json",
        {"custom_pipelines": {"pair": {"impl": "pair.Pipe", "pt": ["AutoModel"]}}},
        set(),
        [("own", "custom_pipelines.pair.impl", "pair.py")],
    ),
    "kernel": (
        "config.json",
        {"_attn_implementation": "kernels-community/flash-attn2"},
        set(),
        [("kernel", "_attn_implementation", "kernels-community/flash-attn2")],
    ),
    "kernel with revision and function": (
        "config.json",
        {"attn_implementation": "paged|me/k@v2:run"},
        set(),
        [("kernel", "attn_implementation", "me/k")],
    ),
    "kernels of parts": (
        "config.json",
        {"experts_implementation": {"": "eager", "text_config": "me/moe"}},
        set(),
        [("kernel", "experts_implementation.text_config", "me/moe")],
    ),
    "kernel in a part": (
        "config.json",
        {"vision_config": {"_attn_implementation_internal": "me/k"}},
        set(),
        [("kernel", "vision_config._attn_implementation_internal", "me/k")],
    ),
    "known attention": ("config.json", {"attn_implementation": "flash_attention_2"}, set(), []),
    "mlx": (
        "config.json",
        {"model_file": "arch.py"},
        {"arch.py"},
        [("own", "model_file", "arch.py"), ("imported-name", "model_file", "arch.py")],
    ),
    "mlx outside": (
        "config.json",
        {"model_file": "../arch.py"},
        set(),
        [("outside", "model_file", "../arch.py")],
    ),
    "mlx hidden": (
        "config.json",
        {"model_file": ".arch.so"},
        {".arch.so"},
        [("own", "model_file", ".arch.so"), ("imported-name", "model_file", ".arch.so")],
    ),
    "peft megatron": (
        "adapter_config.json",
        {"megatron_core": "evil", "megatron_config": {}},
        set(),
        [("imported-name", "megatron_core", "evil")],
    ),
    "peft as written": (
        "adapter_config.json",
        {
            "megatron_core": "megatron.core",
            "auto_mapping": {"base_model_class": "X", "parent_library": "transformers.models.x"},
        },
        set(),
        [],
    ),
    "peft null": ("adapter_config.json", {"megatron_core": None, "auto_mapping": None}, set(), []),
    "peft mapping": (
        "adapter_config.json",
        {"auto_mapping": {"base_model_class": "X", "parent_library": "transformers_modules.x"}},
        set(),
        [("imported-name", "auto_mapping.parent_library", "transformers_modules.x")],
    ),
    "modules": (
        "modules.json",
        {
            "": [
                {"idx": 0, "type": "sentence_transformers.models.Transformer"},
                {"idx": 1, "type": "custom_st.Part"},
                {"idx": 2, "type": "me/other--part.Part"},
                {"idx": 3, "type": "pylate.models.Dense.Dense"},
                {"idx": 4, "type": "../evil.Part"},
                {"idx": 5, "type": 5},
                "text",
            ]
        },
        {"custom_st.py"},
        [
            ("own", "[1].type", "custom_st.py"),
            ("other-repository", "[2].type", "me/other"),
            ("imported-name", "[3].type", "pylate.models.Dense"),
            ("outside", "[4].type", "../evil"),
        ],
    ),
    "modules that look like": (
        "modules.json",
        {"": [{"type": "sentence_transformers_evil.X"}]},
        set(),
        [("imported-name", "[0].type", "sentence_transformers_evil")],
    ),
    "modules is no list": ("modules.json", {"type": "x.Y"}, set(), []),
    "router": (
        "0_Router/router_config.json",
        {"types": {"q": "sentence_transformers.models.X", "d": "mine.D"}, "structure": {}},
        {"mine.py"},
        [("own", "types.d", "mine.py")],
    ),
    "activations": (
        "2_Dense/config.json",
        {
            "activation_function": "torch.nn.modules.activation.Tanh",
            "x": {"activation_fn": "a.b.C"},
        },
        set(),
        [("imported-name", "x.activation_fn", "a.b")],
    ),
    "plain activation": ("config.json", {"activation_function": "gelu_new"}, set(), []),
    "torch beside nn": (
        "config.json",
        {"sbert_ce_default_activation_function": "torch.hub.load"},
        set(),
        [("imported-name", "sbert_ce_default_activation_function", "torch.hub")],
    ),
    "word embeddings": (
        "0_WordEmbeddings/wordembedding_config.json",
        {"tokenizer_class": "mine.Tokenizer"},
        set(),
        [("imported-name", "tokenizer_class", "mine")],
    ),
    "tokenizer class": ("tokenizer_config.json", {"tokenizer_class": "LlamaTokenizer"}, set(), []),
    "pipeline": (
        "model_index.json",
        {
            "_class_name": "StableDiffusionPipeline",
            "unet": ["diffusers", "UNet2DConditionModel"],
            "safety_checker": [None, None],
            "checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
            "size": [512, 512],
        },
        set(),
        [],
    ),
    "own pipeline": (
        "model_index.json",
        {"_class_name": ["my_pipe", "MyPipe"]},
        {"my_pipe.py"},
        [("own", "_class_name", "my_pipe.py")],
    ),
    "community pipeline": (
        "model_index.json",
        {"_class_name": ["my_pipe", "MyPipe"]},
        set(),
        [("other-repository", "_class_name", "diffusers/community-pipelines-mirror")],
    ),
    "pipeline elsewhere": (
        "model_index.json",
        {"custom_pipeline": "me/pipes"},
        set(),
        [("other-repository", "custom_pipeline", "me/pipes")],
    ),
    "pipeline outside": (
        "model_index.json",
        {"_class_name": ["../../evil", "X"]},
        set(),
        [("outside", "_class_name", "pipeline")],
    ),
    "own component": (
        "model_index.json",
        {"unet": ["my_unet", "MyUNet"], "vae": ["os", "X"]},
        {"unet/my_unet.py", "my_unet.py"},
        [("own", "unet", "unet/my_unet.py"), ("imported-name", "vae", "os")],
    ),
    "component outside": (
        "model_index.json",
        {"unet": ["../../evil", "X"]},
        set(),
        [("outside", "unet", "../../evil")],
    ),
    "modular": (
        "modular_model_index.json",
        {"vae": [None, None, {"type_hint": ["evil_lib", "V"]}], "x": ["diffusers", "X", {}]},
        set(),
        [("imported-name", "vae.type_hint", "evil_lib")],
    ),
    "blocks": (
        *_auto_map({"ModularPipelineBlocks": "block.B"}, "modular_config.json"),
        [("own", "auto_map.ModularPipelineBlocks", "block.py")],
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_references(case: _Case) -> None:
    path, document, names, expected = case
    found = code_references({path: document}, names | {path})
    assert [
        (one.kind, one.place.removeprefix(f"{path}:"), one.path or one.repository or one.module)
        for one in found
    ] == expected
    assert all(one.file == path for one in found)


def test_files_that_are_taken_because_of_their_names() -> None:
    names = {
        "custom_generate/generate.py",
        "custom_generate/requirements.txt",
        "part/custom_generate/generate.py",
        "generate.py",
        "pipeline.py",
        "pipe/pipeline.py",
        "pipe/model_index.json",
    }
    found = sorted(code_references({}, names))
    assert [(one.kind, one.path, one.text) for one in found] == [
        (
            "own",
            "custom_generate/generate.py",
            "needs the packages of custom_generate/requirements.txt",
        ),
        ("own", "part/custom_generate/generate.py", ""),
        ("own", "pipe/pipeline.py", ""),
    ]


def test_a_place_is_named_once_and_their_number_is_bounded() -> None:
    many = {f"A{number}": f"m{number}.C" for number in range(5_000)}
    assert len(code_references({"config.json": {"auto_map": many}}, set())) == REFERENCE_LIMIT + 1
    same = {"auto_map": {"A": ["m.C"] * 5_000}}
    assert len(code_references({"config.json": same}, set())) == 1


def test_hostile_texts_and_depths_stay_within_bounds() -> None:
    deep: dict[str, Any] = {"auto_map": {"A": "m.C"}}
    for _ in range(2_000):
        deep = {"k" * 100: deep}
    (one,) = code_references({"config.json": deep}, set())
    assert one.path == "m.py"
    assert len(one.place) < 400
    text = "x" * 10_000 + "\ud800\x1b[31m/y--m.C"
    (other,) = code_references({"config.json": {"auto_map": text}}, set())
    assert other.kind == "outside"
    assert len(other.text) <= 200
    other.text.encode()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("config.json", True),
        ("config.4.0.0.json", True),
        ("tokenizer_config.json", True),
        ("video_preprocessor_config.json", True),
        ("0_WordEmbeddings/wordembedding_config.json", True),
        ("modules.json", True),
        ("tokenizer.json", False),
        ("model.safetensors.index.json", False),
    ],
)
def test_files_that_may_name_code(path: str, *, expected: bool) -> None:
    assert may_name_code(path) is expected
