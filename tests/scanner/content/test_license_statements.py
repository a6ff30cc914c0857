"""All statements about a licence count: in headers, configurations, cards and licence files."""

import json
from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.scanner import Policy, ScanResult, scan
from prefect_mutagen.scanner.content.license_statements import licenses_in, model_license
from tests.builders import STRING, gguf, safetensors, tensor


def _model(folder: Path, license_text: str | None = None, **files: str) -> ScanResult:
    entries: list[Any] = [("general.architecture", STRING, "llama")]
    if license_text is not None:
        entries.append(("general.license", STRING, license_text))
    (folder / "m.gguf").write_bytes(gguf(entries, [("t", (32, 2), 0)]).data)
    for name, text in files.items():
        ending = ".md" if name == "README" else ".json"
        (folder / f"{name}{ending}").write_text(text)
    (result,) = scan(str(folder), policy=Policy(denied_licenses=("cc-by-nc-*",)))
    return result


CARD = "---\nlicense: {}\n---\n"


@pytest.mark.parametrize(
    ("header", "files", "source"),
    [
        ("apache-2.0", {"README": CARD.format("cc-by-nc-4.0")}, "README.md:license"),
        ("CC BY-NC 4.0", {"README": CARD.format("apache-2.0")}, "gguf:general.license"),
        ("mit", {"config": '{"license": "cc-by-nc-4.0"}'}, "config.json:license"),
        ("mit", {"adapter_config": '{"license": "cc-by-nc"}'}, "adapter_config.json:license"),
        ("mit", {"README": "---\nLicence: cc-by-nc\n---\n"}, "README.md:Licence"),
    ],
)
def test_the_forbidden_one_of_two_statements_decides(
    tmp_path: Path, header: str, files: dict[str, str], source: str
) -> None:
    result = _model(tmp_path, header, **files)
    assert "sbom/license-conflict" in {finding.code for finding in result.findings}
    (reason,) = result.verdict.reasons
    assert reason.code == "policy/license"
    assert source in reason.message
    assert [one["source"] for one in result.facts["licenses"]].count(source) == 1


def test_an_allow_list_needs_every_statement(tmp_path: Path) -> None:
    _model(tmp_path, "apache-2.0", README=CARD.format("gemma"))
    (result,) = scan(str(tmp_path), policy=Policy(allowed_licenses=("apache-2.0",)))
    assert result.license_spdx == "LicenseRef-gemma AND Apache-2.0"
    assert result.verdict.status == "failed"


@pytest.mark.parametrize(
    ("header", "card", "expression"),
    [
        ("mit", "MIT License", "MIT"),
        ("Apache 2.0", "apache-2.0", "Apache-2.0"),
        ("CC-BY-4.0", "cc-by", "CC-BY-4.0"),
        ("llama3.1", "Llama 3.1 Community License", "LicenseRef-llama3.1"),
    ],
)
def test_one_licence_in_two_spellings_is_no_conflict(
    tmp_path: Path, header: str, card: str, expression: str
) -> None:
    result = _model(tmp_path, header, README=CARD.format(card))
    assert not result.findings
    assert result.license_spdx == expression


@pytest.mark.parametrize(
    "card",
    [
        "\n---\nlicense: cc-by-nc-4.0\n---\n# x\n",
        "\n \r\n---\r\nlicense: cc-by-nc-4.0\r\n---\r\n# x\r\n",
        "---\nlicense: cc-by-nc-4.0\n...\n# x\n",
        "---\nlicense: [apache-2.0, cc-by-nc-4.0]\n---\n",
        "---\nlicense:\n- apache-2.0 or mit\n- CC BY-NC\n---\n",
        "---\nlicense:\n  name: cc-by-nc-4.0\n---\n",
        "---\nlicense: other\nlicense_name: CC BY-NC 4.0\n---\n",
        "---\nlicense: other\nlicense_link: https://creativecommons.org/licenses/by-nc/4.0\n---\n",
        "---\nlicense: mit\nlicense_name: cc-by-nc-4.0\n---\n",
        "---\nlicense_name: cc-by-nc-4.0\n---\n",
    ],
)
def test_a_card_states_its_licence_in_many_ways(tmp_path: Path, card: str) -> None:
    result = _model(tmp_path, README=card)
    assert [reason.code for reason in result.verdict.reasons] == ["policy/license"]


def test_a_licence_that_is_not_known_is_named(tmp_path: Path) -> None:
    result = _model(tmp_path, "Acme Model Terms")
    (finding,) = result.findings
    assert (finding.code, finding.severity) == ("sbom/license-unknown", "info")
    assert "Acme Model Terms" in finding.message
    assert result.license_spdx == "LicenseRef-acme-model-terms"
    assert result.passed


def test_a_text_beyond_the_limit_is_told_as_the_tools(tmp_path: Path) -> None:
    result = _model(tmp_path, "words " * 20_000)
    assert "sbom/unexamined" in {finding.code for finding in result.findings}
    assert not result.passed


def test_every_shard_states_licences_and_base_models(tmp_path: Path) -> None:
    for number, metadata in (
        (1, {"license": "mit", "base_model": "acme/one"}),
        (2, {"license": "cc-by-nc-4.0", "modelspec.merged_from": "acme/two, acme/three"}),
    ):
        content: dict[str, Any] = {"__metadata__": metadata, f"t{number}": tensor("F32", [2], 0, 8)}
        name = f"model-0000{number}-of-00002.safetensors"
        (tmp_path / name).write_bytes(safetensors(content, 8))
    index = {"t1": "model-00001-of-00002.safetensors", "t2": "model-00002-of-00002.safetensors"}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    (result,) = scan(str(tmp_path), policy=Policy(denied_licenses=("cc-by-nc-4.0",)))
    assert result.license_spdx == "MIT AND CC-BY-NC-4.0"
    assert result.verdict.status == "failed"
    names = {one["name"] for one in result.facts["base_models"]}
    assert names == {"acme/one", "acme/two", "acme/three"}


def test_keys_of_others_are_not_the_models() -> None:
    values = {"general.base_model.0.license": "gpl-3.0", "general.dataset.0.license": "odbl"}
    assert licenses_in(values, "gguf:") == []
    assert model_license([]) is None
