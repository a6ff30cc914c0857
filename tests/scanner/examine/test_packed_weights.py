"""Packed weights in files and sets: the number, its source, and the policy that limits it."""

import json
from pathlib import Path

import pytest

from prefect_mutagen.scanner import Policy, ScanResult, scan
from tests.builders import weights
from tests.scanner.content.packed_cases import KNOWN, WEIGHTS, Row, q
from tests.scanner.storing import put_local

EMBEDDING: Row = ("model.embed_tokens.weight", "BF16", (10, 64))
LIMITED = Policy(max_parameters=20_000)


def _only(root: str, policy: Policy | None = None) -> ScanResult:
    (result,) = scan(root, policy=policy or Policy())
    return result


@pytest.mark.parametrize("case", KNOWN)
def test_the_scales_of_a_layer_may_lie_in_another_shard(tmp_path: Path, case: str) -> None:
    rows, config, _ = KNOWN[case]
    shards = {
        "model-00001-of-00002.safetensors": [EMBEDDING, *rows[1::2]],
        "model-00002-of-00002.safetensors": rows[::2],
    }
    files = {name: weights(held) for name, held in shards.items() if held}
    files["config.json"] = json.dumps(config).encode()
    weight_map = {row[0]: name for name, held in shards.items() for row in held}
    files["model.safetensors.index.json"] = json.dumps({"weight_map": weight_map}).encode()
    result = _only(put_local(tmp_path, files))
    assert result.sbom.parameter_count == WEIGHTS
    assert [finding.code for finding in result.findings] == []


def test_an_unknown_layout_has_no_number_and_a_limit_refuses_it(tmp_path: Path) -> None:
    rows: list[Row] = [EMBEDDING, ("l.weight", "I16", (64, 130))]
    config = json.dumps(q("higgs", bits=4)).encode()
    root = put_local(tmp_path, {"model.safetensors": weights(rows), "config.json": config})
    result = _only(root)
    assert (result.sbom.parameter_count, result.sbom.quantization) == (None, "higgs-4bit")
    (finding,) = result.findings
    assert (finding.code, finding.severity) == ("sbom/parameters-unknown", "info")
    assert "the method 'higgs'" in finding.message
    assert result.passed
    (reason,) = _only(root, LIMITED).verdict.reasons
    assert reason.code == "policy/parameters"


def test_a_limit_is_about_weights_and_not_about_words(tmp_path: Path) -> None:
    rows, config, _ = KNOWN["gpt-oss"]
    files = {
        "model.safetensors": weights([EMBEDDING, *rows]),
        "config.json": json.dumps(config).encode(),
    }
    result = _only(put_local(tmp_path, files), LIMITED)
    assert [reason.code for reason in result.verdict.reasons] == ["policy/parameters"]
    assert result.facts["stored_parameter_count"] == 640 + 64 * 256 + 64 * 16


def test_modelopt_states_it_in_a_file_of_its_own(tmp_path: Path) -> None:
    rows, _, _ = KNOWN["modelopt-experts"]
    stated = {"producer": {"name": "modelopt"}, "quantization": {"quant_algo": "NVFP4"}}
    files = {
        "model.safetensors": weights([EMBEDDING, *rows]),
        "hf_quant_config.json": json.dumps(stated).encode(),
    }
    result = _only(put_local(tmp_path, files))
    assert (result.sbom.parameter_count, result.sbom.quantization) == (WEIGHTS, "modelopt-nvfp4")
    assert result.sources["quantization"] == "hf_quant_config.json:quantization"
