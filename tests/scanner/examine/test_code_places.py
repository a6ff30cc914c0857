"""Code that a model's less known configurations name, and code in other folders of the model."""

import json
from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.scanner import ArtifactRejected, Policy, ScanResult, scan, verify
from tests.scanner.examine.shard_builders import Files, shard
from tests.scanner.storing import put_local
from tests.servers import WebServer

MODULE = b"class Model:\n    pass\n"
AUTO_MAP = b'{"auto_map": {"AutoModel": "code.Model"}}'
CARD = b"---\nlicense: mit\n---\n"
PART = "sentence_transformers.models."


def _modules(*parts: tuple[str, str]) -> bytes:
    entries = [
        {"idx": number, "name": str(number), "path": path, "type": PART + name}
        for number, (path, name) in enumerate(parts)
    ]
    return json.dumps(entries).encode()


def _scan(folder: Path, files: Files, **policy: Any) -> ScanResult:
    put_local(folder, files)
    (result,) = scan(str(folder), policy=Policy(**policy))
    return result


def _codes(result: ScanResult) -> set[str]:
    return {one.code for one in result.findings if one.code.startswith("code/")}


_DIFFUSERS = {
    "model_index.json": b'{"_class_name": "P", "unet": ["diffusers", "UNet2DConditionModel"]}',
    "unet/config.json": b"{}",
    "unet/diffusion_pytorch_model.safetensors": shard("a"),
}
_PLAIN = {"config.json": b'{"model_type": "llama"}', "model.safetensors": shard("a")}


@pytest.mark.parametrize(
    ("files", "code"),
    [
        pytest.param(
            {
                **_PLAIN,
                "config.json": b'{"configuration_files": ["config.4.40.0.json"]}',
                "config.4.40.0.json": AUTO_MAP,
                "code.py": MODULE,
            },
            "code/remote",
            id="a config for a version",
        ),
        pytest.param(
            {**_PLAIN, "audio_tokenizer_config.json": AUTO_MAP, "code.py": MODULE},
            "code/remote",
            id="an audio tokenizer",
        ),
        pytest.param(
            {
                **_DIFFUSERS,
                "scheduler/scheduler_config.json": AUTO_MAP,
                "scheduler/code.py": MODULE,
            },
            "code/remote",
            id="a scheduler",
        ),
        pytest.param(
            {
                **_PLAIN,
                "modules.json": _modules(("", "Router")),
                "router_config.json": b'{"types": {"q": "some_package.Part"}, "structure": {}}',
            },
            "code/imported-name",
            id="parts of a router",
        ),
        pytest.param(
            {
                "modules.json": _modules(("0_Words", "WordEmbeddings")),
                "0_Words/wordembedding_config.json": b'{"tokenizer_class": "some_package.Words"}',
                "0_Words/model.safetensors": shard("a"),
            },
            "code/imported-name",
            id="a tokenizer of words",
        ),
        pytest.param(
            {
                **_PLAIN,
                "modules.json": _modules(("", "Transformer")),
                "sentence_bert_config.json": b'{"model_args": {"attn_implementation": "o/kernel"}}',
            },
            "code/hub-kernel",
            id="arguments of a part",
        ),
    ],
)
def test_every_configuration_that_loaders_read_is_read(
    files: Files, code: str, tmp_path: Path
) -> None:
    result = _scan(tmp_path, files, remote_code="refuse")
    assert code in _codes(result)
    assert result.verdict.status == "failed"


@pytest.mark.parametrize(
    ("files", "modules"),
    [
        pytest.param(
            {
                "README.md": CARD,
                "part/config.json": AUTO_MAP,
                "part/model.safetensors": shard("a"),
                "code.py": MODULE,
            },
            {"code.py"},
            id="in the root",
        ),
        pytest.param(
            {
                "README.md": CARD,
                "config.json": AUTO_MAP,
                "part/model.safetensors": shard("a"),
                "code.py": MODULE,
            },
            {"code.py"},
            id="in the root, named there",
        ),
        pytest.param(
            {
                **_PLAIN,
                "config.json": AUTO_MAP,
                "code.py": b"from .layers.norm import Norm\nfrom .heads import y\n",
                "layers/norm.py": MODULE,
                "heads/__init__.py": b"",
                "heads/y.py": MODULE,
            },
            {"code.py", "layers/norm.py", "heads/__init__.py", "heads/y.py"},
            id="imported from folders below",
        ),
        pytest.param(
            {
                **_PLAIN,
                "config.json": b'{"auto_map": {"AutoModel": "layers.norm.Norm"}}',
                "layers/norm.py": MODULE,
            },
            {"layers/norm.py"},
            id="named in a folder below",
        ),
    ],
)
def test_code_in_other_folders_of_the_model_is_found_and_pinned(
    files: Files, modules: set[str], tmp_path: Path
) -> None:
    result = _scan(tmp_path, files)
    assert _codes(result) == {"code/remote"}
    assert {one["path"] for one in result.facts["code"] if one["sha256"]} == modules
    assert verify(result.url, result.pin).pin == result.pin
    put_local(tmp_path, {max(modules): b"import os\n"})
    with pytest.raises(ArtifactRejected, match="its bytes differ from the pinned ones"):
        verify(result.url, result.pin)


def test_a_configuration_is_asked_for_where_a_folder_cannot_be_listed(tmp_path: Path) -> None:
    put_local(tmp_path, {"m/audio_tokenizer_config.json": AUTO_MAP, "m/code.py": MODULE})
    put_local(tmp_path, {"m/model.safetensors": shard("a")})
    with WebServer(tmp_path) as site:
        site.status["/m/"] = 403
        (result,) = scan(f"{site.url}/m/model.safetensors")
    assert _codes(result) == {"code/remote"}


def test_what_lies_beside_the_weights_costs_no_request_more(tmp_path: Path) -> None:
    own = {**_PLAIN, "config.json": AUTO_MAP, "code.py": b"from .layers import Norm\n"}
    result = _scan(tmp_path, {**own, "layers.py": b"import torch\nclass Norm: pass\n"})
    assert _codes(result) == {"code/remote"}
    assert result.requests == len(own) + 1
