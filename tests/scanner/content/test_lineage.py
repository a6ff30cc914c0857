"""Every statement about base models is read, and asked for."""

import json
from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.scanner import Policy, scan
from prefect_mutagen.scanner.content.lineage import (
    file_lineage,
    gguf_lineage,
    metadata_lineage,
    repository_of,
)
from prefect_mutagen.scanner.policy.policy import BaseLicense
from tests.builders import STRING, U32, gguf, safetensors, tensor


@pytest.mark.parametrize(
    ("name", "repository"),
    [
        ("acme/base", "acme/base"),
        ("acme/base@main", "acme/base"),
        ("acme/base:Q4_K_M", "acme/base"),
        ("https://huggingface.co/acme/base", "acme/base"),
        ("https://huggingface.co/acme/base/tree/main", "acme/base"),
        ("http://www.hf.co/acme/base?x=1", "acme/base"),
        ("huggingface.co/acme/base", "acme/base"),
        ("hf.co/acme/base:Q8_0", "acme/base"),
        ("hf:acme/base", "acme/base"),
        ("hf://acme/base", "acme/base"),
        ("hf://models/acme/base", "acme/base"),
        ("https://github.com/acme/base.git", "acme/base"),
        ("git@hf.co:acme/base.git", "acme/base"),
        ("/root/.cache/huggingface/hub/models--acme--base/snapshots/0a/", "acme/base"),
        ("/home/ana/models/base", ""),
        ("./base", ""),
        ("../acme/base", ""),
        (r"C:\models\base", ""),
        ("base", ""),
        ("", ""),
    ],
)
def test_repositories_are_written_in_many_ways(name: str, repository: str) -> None:
    assert repository_of(name) == repository


@pytest.mark.parametrize(
    "stated",
    [
        *("META-LLAMA/llama-3.1-8b", "https://hf.co/meta-llama/Llama-3.1-8B/tree/main"),
        *("hf:meta-llama/Llama-3.1-8B", "meta-llama/Llama-3.1-8B@main"),
    ],
)
@pytest.mark.parametrize("entry", ["meta-llama/Llama-3.1-*", "https://huggingface.co/Meta-Llama/*"])
def test_base_licences_match_in_any_form(tmp_path: Path, stated: str, entry: str) -> None:
    card = f"---\nlicense: mit\nbase_model:\n- acme/fine\n- {stated}\n---\n"
    (tmp_path / "README.md").write_text(card)
    (tmp_path / "m.safetensors").write_bytes(safetensors({"t": tensor("F32", [2], 0, 8)}, 8))
    policy = Policy(allowed_licenses=("mit",), base_licenses=(BaseLicense(entry, "llama3.1"),))
    (result,) = scan(str(tmp_path), policy=policy)
    assert [reason.code for reason in result.verdict.reasons] == ["policy/base-license"]


def test_numbered_entries_count_whatever_number_is_declared(tmp_path: Path) -> None:
    entries: list[tuple[str, int, Any]] = [
        ("general.architecture", STRING, "llama"),
        ("general.base_model.count", U32, 1),
    ]
    entries += [(f"general.base_model.{n}.name", STRING, f"Base {n}") for n in range(150)]
    entries.append(("general.base_model.149.license", STRING, "cc-by-nc-4.0"))
    (tmp_path / "m.gguf").write_bytes(gguf(entries, [("t", (32, 2), 0)]).data)
    (result,) = scan(str(tmp_path), policy=Policy(denied_licenses=("cc-by-nc-4.0",)))
    assert len(result.facts["base_models"]) == 150
    assert [reason.code for reason in result.verdict.reasons] == ["policy/base-license"]
    assert gguf_lineage({}, "general.base_model") == []


def test_what_trainers_and_mergers_write() -> None:
    merged = json.dumps({"ab12": {"name": "/home/ana/one.safetensors"}, "cd34": {"name": "two"}})
    found = metadata_lineage(
        {
            "ss_sd_model_name": "stabilityai/stable-diffusion-xl-base-1.0",
            "ss_base_model_version": "sdxl_base_v1-0",
            "modelspec.merged_from": "acme/a, B",
            "sd_merge_models": merged,
            "format": "pt",
        }
    )
    assert [entry["name"] for entry in found] == [
        *("stabilityai/stable-diffusion-xl-base-1.0", "sdxl_base_v1-0", "acme/a", "B"),
        *("one.safetensors", "two"),
    ]


def test_configurations_name_repositories_at_any_depth_and_no_paths() -> None:
    config = {"text_config": {"_name_or_path": "acme/text"}, "_name_or_path": "/home/ana/x"}
    (entry,) = file_lineage("config.json", config)
    assert entry == {"name": "acme/text", "source": "config.json:text_config._name_or_path"}


def test_tags_of_a_card_name_base_models() -> None:
    card = {"tags": ["llama", "base_model:quantized:acme/base"], "base_model": "My Base"}
    names = [entry["name"] for entry in file_lineage("README.md", card, is_card=True)]
    assert names == ["My Base", "acme/base"]
