"""Load plans of examined models: what they name, what is missing, and what the pin covers."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.scanner import ArtifactRejected, Policy, ScanResult, scan, verify
from prefect_mutagen.scanner.loading.plan import Loader
from prefect_mutagen.scanner.table.rows import from_row, to_row
from tests.builders import STRING, gguf
from tests.scanner.examine.shard_builders import Files, index, model, results_of, shard
from tests.scanner.outputs.validating import INFO
from tests.scanner.storing import put_local
from tests.servers import WebServer

CONFIG = b'{"model_type": "llama"}'
NAMED = {
    "_class_name": "DemoPipeline",
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
    "text_encoder": ["transformers", "CLIPTextModel"],
}
WEIGHTS = {
    "unet": "diffusion_pytorch_model.safetensors",
    "vae": "diffusion_pytorch_model.safetensors",
    "text_encoder": "model.safetensors",
}
MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "2_Dense", "type": "sentence_transformers.models.Dense"},
]
AUTO_MAP = json.dumps({"auto_map": {"AutoModel": "modeling_x.X"}}).encode()


def pipeline() -> Files:
    files = {"model_index.json": json.dumps(NAMED).encode()}
    for part, name in WEIGHTS.items():
        files |= {f"{part}/config.json": b"{}", f"{part}/{name}": shard(part)}
    return files


def sentences() -> Files:
    return {
        "modules.json": json.dumps(MODULES).encode(),
        "config.json": CONFIG,
        "model.safetensors": shard("a"),
        "2_Dense/config.json": b"{}",
        "2_Dense/model.safetensors": shard("b"),
    }


def found(result: ScanResult) -> set[tuple[str, str]]:
    """Codes and fields of the findings about load plans."""
    return {(one.code, one.field) for one in result.findings if one.field.startswith("loads.")}


def test_a_plain_model(tmp_path: Path) -> None:
    files = {"config.json": CONFIG, "model.safetensors": shard("a"), "notes.txt": b"x"}
    (result,) = results_of(tmp_path, files).values()
    taken = ("config.json", "model.safetensors")
    assert result.loads == dict.fromkeys(("transformers", "ollama", "vllm", "mlx"), taken)
    assert result.to_report()["loads"]["mlx"] == list(taken)
    assert from_row(to_row(result, INFO)).loads == result.loads


def test_loaders_that_take_other_weights_have_no_plan(tmp_path: Path) -> None:
    files = model("model-%05d-of-00002.safetensors") | {"config.json": CONFIG}
    results = results_of(tmp_path, files | {"model.safetensors": shard("a")})
    whole, sharded = results["model.safetensors"], results["model.safetensors.index.json"]
    assert "transformers" in whole.loads
    assert "transformers" not in sharded.loads
    assert {"vllm", "mlx"} <= set(sharded.loads)


def test_a_gguf_of_a_subfolder(tmp_path: Path) -> None:
    keys = [
        ("general.architecture", STRING, "llama"),
        ("tokenizer.chat_template", STRING, "{{ m }}"),
    ]
    results = results_of(tmp_path, {"README.md": b"# x", "Q8_0/m.gguf": gguf(keys).data})
    assert results["Q8_0/m.gguf"].loads["llama.cpp"] == ("Q8_0/m.gguf",)


def _without(*names: str, files: Files) -> Files:
    return {name: data for name, data in files.items() if name not in names}


def _as_variant(part: str, variant: str, files: Files) -> Files:
    name = f"{part}/{WEIGHTS[part]}"
    renamed = name.replace(".safetensors", f".{variant}.safetensors")
    return {renamed if path == name else path: data for path, data in files.items()}


CASES: dict[str, tuple[Files, set[tuple[str, str]]]] = {
    "pipeline": (pipeline(), set()),
    "part without weights": (
        _without("text_encoder/model.safetensors", files=pipeline()),
        {("set/missing-part", "loads.diffusers")},
    ),
    "part without a folder": (
        _without("vae/config.json", f"vae/{WEIGHTS['vae']}", files=pipeline()),
        {("set/missing-part", "loads.diffusers")},
    ),
    "part that is a pickle": (
        _without("text_encoder/model.safetensors", files=pipeline())
        | {"text_encoder/pytorch_model.bin": b"\x80\x02}."},
        set(),
    ),
    "one part of a variant": (
        _as_variant("unet", "fp16", _as_variant("vae", "fp16", pipeline())),
        {("set/mixed-variants", "loads.diffusers")},
    ),
    "sentences": (sentences(), set()),
    "sentences without a layer": (
        _without("2_Dense/model.safetensors", files=sentences()),
        {("set/missing-part", "loads.transformers")},
    ),
    "adapter that is not there": (
        {"model.safetensors": shard("a"), "config.json": CONFIG}
        | {"adapter_config.json": b'{"peft_type": "LORA"}'},
        {("set/incomplete-load", "loads.transformers")},
    ),
    "named weights outside": (
        {"model.safetensors": shard("a")}
        | {"config.json": b'{"transformers_weights": "../other.safetensors"}'},
        {("set/outside-model", "loads.transformers")},
    ),
    "named weights instead": (
        {"model.safetensors": shard("a"), "other.safetensors": shard("a")}
        | {"config.json": b'{"transformers_weights": "other.safetensors"}'},
        {("set/ambiguous-weights", f"loads.{loader}") for loader in ("transformers", "vllm")},
    ),
    "named pickle instead": (
        {"model.safetensors": shard("a"), "adapter_model.bin": b"\x80\x02."}
        | {"config.json": b'{"transformers_weights": "adapter_model.bin"}'},
        {("set/ambiguous-weights", "loads.transformers")},
    ),
    "weights of another name, without an index": (
        {"model.safetensors": shard("a"), "more.safetensors": shard("b"), "config.json": CONFIG},
        {("set/ambiguous-weights", "loads.vllm")},
    ),
    "weights that begin with the same word": (
        {"model.safetensors": shard("a"), "model-x.safetensors": shard("b"), "config.json": CONFIG},
        {("set/ambiguous-weights", f"loads.{loader}") for loader in ("mlx", "ollama", "vllm")},
    ),
    "the same beside an index": (
        model("model-%05d-of-00002.safetensors")
        | {
            "model_x.safetensors": shard("b"),
            "more.safetensors": shard("b"),
            "config.json": CONFIG,
        },
        {("set/ambiguous-weights", f"loads.{loader}") for loader in ("mlx", "ollama")},
    ),
    "other models where nothing is loaded as a folder": (
        {"model.safetensors": shard("a"), "more.safetensors": shard("b")},
        set(),
    ),
    "component outside": (
        pipeline()
        | {"model_index.json": json.dumps({**NAMED, "../x": ["diffusers", "VAE"]}).encode()},
        {("set/outside-model", "loads.diffusers")},
    ),
}


@pytest.mark.parametrize(("files", "expected"), CASES.values(), ids=CASES)
def test_what_plans_find(files: Files, expected: set[tuple[str, str]], tmp_path: Path) -> None:
    results = results_of(tmp_path, files)
    assert {one for result in results.values() for one in found(result)} == expected
    for result in results.values():
        failing = {code for code, _ in found(result)} & {"set/missing-part", "set/outside-model"}
        assert result.verdict.status == ("failed" if failing else "passed")


def test_nothing_is_missing_where_a_folder_has_too_many_files(tmp_path: Path) -> None:
    files = _without("2_Dense/model.safetensors", files=sentences())
    files |= {f"x{number}.py": b"" for number in range(2100)}
    (result,) = results_of(tmp_path, files).values()
    assert not found(result)
    assert result.verdict.status == "unknown"


@pytest.mark.parametrize(
    "change",
    [
        {"modeling_x.py": b"import os\n"},
        {"layers.py": b"x = 2\n"},
        {"chat_template.jinja": b"{{ messages }}"},
        {"model.safetensors": shard("a", "b")},
        {"custom_generate/generate.py": b"x = 1\n"},
        {"pytorch_model.bin": b"\x80\x02."},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_appears_or_changes_is_another_pin(change: Files, tmp_path: Path) -> None:
    files: Files = {
        "config.json": AUTO_MAP,
        "model.safetensors": shard("a"),
        "modeling_x.py": b"from .layers import x\n",
        "layers.py": b"x = 1\n",
    }
    root = put_local(tmp_path, files)
    (first,) = scan(root)
    assert verify(first.url, first.pin).passed
    put_local(tmp_path, change)
    with pytest.raises(ArtifactRejected, match="its bytes differ from the pinned ones"):
        verify(first.url, first.pin)


def test_code_of_a_part_is_the_pipelines(tmp_path: Path) -> None:
    files = pipeline() | {
        "model_index.json": json.dumps({**NAMED, "unet": ["my_unet", "MyUnet"]}).encode(),
        "unet/my_unet.py": b"x = 1\n",
    }
    (result,) = results_of(tmp_path, files).values()
    assert [module["path"] for module in result.facts["code"]] == ["unet/my_unet.py"]
    assert "code/unreached" not in {one.code for one in result.findings}
    assert "unet/my_unet.py" in result.loads["diffusers"]
    refused = results_of(tmp_path, {}, policy=Policy(remote_code="refuse"))
    assert {one.verdict.status for one in refused.values()} == {"failed"}


LOADERS: list[tuple[Files, dict[str, Any], str, str]] = [
    (
        {"model.safetensors": shard("a"), "consolidated.safetensors": shard("a")},
        {"fail_on": "warning", "loaders": ("mlx",)},
        "model.safetensors",
        "passed",
    ),
    (
        {"model.safetensors": shard("a"), "consolidated.safetensors": shard("a")},
        {"fail_on": "warning"},
        "model.safetensors",
        "failed",
    ),
    (
        {"model.safetensors": shard("a"), "modeling_x.py": b"x = 1\n", "config.json": AUTO_MAP},
        {"remote_code": "refuse", "loaders": ("ollama",)},
        "model.safetensors",
        "passed",
    ),
    (
        {"model.safetensors": shard("a"), "modeling_x.py": b"x = 1\n", "config.json": AUTO_MAP},
        {"remote_code": "refuse", "loaders": ("transformers", "ollama")},
        "model.safetensors",
        "failed",
    ),
    (
        {"model.safetensors": shard("a"), "modeling_x.py": b"x = 1\n", "config.json": AUTO_MAP},
        {"remote_code": "refuse", "loaders": ("llama.cpp",)},  # which takes none of it
        "model.safetensors",
        "failed",
    ),
    (
        {"model.safetensors": shard("a"), "adapter_config.json": b'{"peft_type": "LORA"}'},
        {"fail_on": "warning", "loaders": ("mlx", "vllm")},
        "model.safetensors",
        "passed",
    ),
    (
        {"m.gguf": gguf(tensors=[("a.weight", (32, 6), 0)]).data, "config.json": b"{"},
        {"loaders": ("llama.cpp",)},
        "m.gguf",
        "passed",
    ),
    (
        {"m.gguf": gguf(tensors=[("a.weight", (32, 6), 0)]).data, "config.json": b"{"},
        {"loaders": ("vllm",)},
        "m.gguf",
        "failed",
    ),
]


@pytest.mark.parametrize(("files", "policy", "name", "status"), LOADERS)
def test_only_loaders_in_use_decide(
    files: Files, policy: dict[str, Any], name: str, status: str, tmp_path: Path
) -> None:
    files = {"config.json": CONFIG, **files}
    everyone = results_of(tmp_path, files)[name]
    limited = results_of(tmp_path, {}, policy=Policy(**policy))[name]
    assert limited.verdict.status == status
    assert limited.pin == everyone.pin


def test_an_index_whose_names_lead_out_is_refused(tmp_path: Path) -> None:
    files = {"model.safetensors.index.json": index({"a": "../../x.safetensors"})}
    (result,) = results_of(tmp_path / "deep" / "er", files).values()
    assert result.verdict.status == "failed"


def test_a_loader_that_is_misspelt() -> None:
    with pytest.raises(ValueError, match="there is no loader 'transformer'; did you mean transfor"):
        Policy(loaders=("transformer",))  # type: ignore[arg-type]


def test_code_is_looked_up_where_a_folder_cannot_be_listed(tmp_path: Path) -> None:
    files: Files = {
        "m/config.json": AUTO_MAP,
        "m/model.safetensors": shard("a"),
        "m/modeling_x.py": b"from .layers import x\nfrom .absent import y\n",
        "m/layers.py": b"x = 1\n",
    }
    put_local(tmp_path, files)
    with WebServer(tmp_path) as site:
        site.status["/m/"] = 403
        address = f"{site.url}/m/model.safetensors"
        (first,) = scan(address)
        assert {module["path"] for module in first.facts["code"]} == {"modeling_x.py", "layers.py"}
        (missing,) = (one for one in first.findings if one.code == "code/missing")
        assert "absent" in missing.message
        assert verify(address, first.pin).passed
        put_local(tmp_path, {"m/layers.py": b"import os\n"})
        with pytest.raises(ArtifactRejected, match="its bytes differ from the pinned ones"):
            verify(address, first.pin)


def test_allowed_templates_are_asked_of_what_the_loaders_in_use_render(tmp_path: Path) -> None:
    own, beside = "{{ messages }}", "{{ messages[0] }}"
    keys = [("general.architecture", STRING, "llama"), ("tokenizer.chat_template", STRING, own)]
    files = {"m.gguf": gguf(keys).data, "chat_template.jinja": beside.encode()}
    (result,) = results_of(tmp_path, files).values()
    rendered = {one["place"]: one["rendered_by"] for one in result.facts["chat_templates"]}
    assert "llama.cpp" in rendered["tokenizer.chat_template"]
    assert "llama.cpp" not in rendered["chat_template.jinja"]
    digest = hashlib.sha256(own.encode()).hexdigest()
    in_use: list[tuple[Loader, str]] = [("llama.cpp", "passed"), ("vllm", "failed")]
    for loader, status in in_use:
        policy = Policy(allowed_templates=(digest,), loaders=(loader,))
        (judged,) = results_of(tmp_path, {}, policy=policy).values()
        assert (loader, judged.verdict.status) == (loader, status)


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ({"custom_generate/generate.py": b"x = 1\n"}, "code/remote"),
        ({"special_tokens_map.json": b'{"chat_template": "{{ x.__class__ }}"}'}, "template/escape"),
        ({"preprocessor_config.json": AUTO_MAP}, "code/missing"),
    ],
)
def test_what_is_asked_for_where_a_folder_cannot_be_listed(
    files: Files, code: str, tmp_path: Path
) -> None:
    put_local(tmp_path, {f"m/{name}": data for name, data in files.items()})
    put_local(tmp_path, {"m/model.safetensors": shard("a")})
    with WebServer(tmp_path) as site:
        site.status["/m/"] = 403
        (result,) = scan(f"{site.url}/m/model.safetensors")
    assert code in {one.code for one in result.findings}


def test_a_pickle_that_an_index_names_is_not_called_missing(tmp_path: Path) -> None:
    files = {
        "model.safetensors.index.json": index(
            {"a": "model-00001-of-00002.safetensors", "b": "x.bin"}
        ),
        "model-00001-of-00002.safetensors": shard("a"),
        "x.bin": b"\x80\x02}q\0.",
    }
    (result,) = results_of(tmp_path, files).values()
    codes = {one.code: one for one in result.findings}
    assert "set/missing-shard" not in codes
    assert "set/pickle-beside" not in codes  # it is a shard
    assert "'b'" in codes["set/index-mismatch"].message
    assert result.verdict.status == "failed"
    (tmp_path / "x.bin").unlink()
    (result,) = results_of(tmp_path, {}).values()
    assert "set/missing-shard" in {one.code for one in result.findings}
