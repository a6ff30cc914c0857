"""What tools for image models write into ``__metadata__``."""

import json
from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.scanner import Policy, ScanResult, scan
from tests.builders import safetensors, tensor


def _scan(folder: Path, metadata: dict[str, str], **policy: Any) -> ScanResult:
    content = {"__metadata__": metadata, "a.weight": tensor("F16", [2, 2], 0, 8)}
    (folder / "m.safetensors").write_bytes(safetensors(content, 8))
    (result,) = scan(str(folder), policy=Policy(**policy))
    return result


def test_model_spec_fills_the_sbom(tmp_path: Path) -> None:
    result = _scan(
        tmp_path,
        {
            "modelspec.sai_model_spec": "1.0.0",
            "modelspec.architecture": "stable-diffusion-xl-v1-base",
            "modelspec.title": "Demo XL",
            "modelspec.license": "CC BY-NC 4.0",
            "modelspec.thumbnail": "data:image/jpeg;base64,AAAA",
        },
        denied_licenses=("cc-by-nc-*",),
    )
    assert result.sbom.architecture == "stable-diffusion-xl-v1-base"
    assert result.sbom.license == "CC BY-NC 4.0"
    prefix = "safetensors:__metadata__.modelspec"
    assert result.sources["license"] == f"{prefix}.license"
    assert result.sources["architecture"] == f"{prefix}.architecture"
    assert result.facts["modelspec"]["title"] == "Demo XL"
    assert "thumbnail" not in result.facts["modelspec"]
    assert [reason.code for reason in result.verdict.reasons] == ["policy/license"]


@pytest.mark.parametrize(
    ("name", "base_model", "source"),
    [
        ("acme/base-xl", "acme/base-xl", "ss_sd_model_name"),
        ("demo-xl.safetensors", "sdxl_base_v1-0", "ss_base_model_version"),
        ("/home/ana/demo-xl.safetensors", "sdxl_base_v1-0", "ss_base_model_version"),
    ],
)
def test_a_lora_names_its_base(tmp_path: Path, name: str, base_model: str, source: str) -> None:
    metadata = {
        "ss_sd_model_name": name,
        "ss_base_model_version": "sdxl_base_v1-0",
        "ss_network_module": "networks.lora",
        "ss_network_dim": "4",
        "ss_network_alpha": "0.5",
        "ss_output_name": "my-style",
    }
    result = _scan(tmp_path, metadata)
    assert result.sbom.base_model == base_model
    assert result.sources["base_model"] == f"safetensors:__metadata__.{source}"
    adapter = result.facts["adapter"]
    assert (adapter["type"], adapter["rank"], adapter["lora_alpha"]) == ("networks.lora", 4, 0.5)
    assert not any("/home/" in one["name"] for one in result.facts["base_models"])


@pytest.mark.parametrize("rank", ["Dynamic", "nan", "inf", "1e400", ""])
def test_numbers_that_are_none_stay_texts(tmp_path: Path, rank: str) -> None:
    result = _scan(tmp_path, {"ss_network_dim": rank, "ss_network_module": "x"})
    assert result.facts["adapter"].get("rank", "") == rank


@pytest.mark.parametrize(
    ("layers", "quantization"),
    [
        ({"a": {"format": "float8_e4m3fn"}, "b": {"format": "float8_e4m3fn"}}, "float8_e4m3fn"),
        ({"a": {"format": "nvfp4"}, "b": {"format": "nvfp4"}, "c": {"format": "mxfp8"}}, "nvfp4"),
        ({"a": 1}, None),
        ([], None),
    ],
)
def test_quantized_layers_name_the_quantization(
    tmp_path: Path, layers: Any, quantization: str | None
) -> None:
    text = json.dumps({"format_version": "1.0", "layers": layers})
    assert _scan(tmp_path, {"_quantization_metadata": text}).sbom.quantization == quantization


@pytest.mark.parametrize("text", ["{", "[" * 5000, "", "null"])
def test_what_is_not_json_states_nothing(tmp_path: Path, text: str) -> None:
    assert _scan(tmp_path, {"_quantization_metadata": text}).sbom.quantization is None
