"""A model card: what the hub reads of it, and that it says only what a source says."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from prefect_mutagen.scanner import scan
from prefect_mutagen.scanner.commands.cli import main
from prefect_mutagen.scanner.outputs.hub_licenses import HUB_LICENSES
from prefect_mutagen.scanner.outputs.markdown import LONGEST
from prefect_mutagen.scanner.outputs.visible import visible
from prefect_mutagen.scanner.results import ObjectResult
from tests.builders import STRING, gguf, safetensors
from tests.scanner.outputs.pages import front, structure, texts
from tests.scanner.outputs.writing import HUGE, NASTY, SCAN, made_of, write
from tests.scanner.storing import put_local

README = """---
license: other
license_name: My Licence, v1
license_link: LICENSE
base_model: org/base
base_model_relation: finetune
library_name: mlx-lm
pipeline_tag: text-generation
tags: [chat, no]
language: [en, zh-Hans, Klingon of the third age, "no"]
---
"""
SAFETENSORS = safetensors({"a": {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]}}, 4)
CONFIG = {"model_type": "mistral", "transformers_version": "4.40.1", "vocab_size": 32000}
NAMED = CONFIG | {"_name_or_path": "o/b"}


def _card(folder: Path, files: Mapping[str, str | bytes]) -> dict[str, Any]:
    root = put_local(
        folder,
        {name: data.encode() if isinstance(data, str) else data for name, data in files.items()},
    )
    page = write("model-card", scan(root))
    fields = front(page)
    assert ModelCard(page).data.to_dict() == fields, "the hub reads the same"
    return fields


def _gguf(*stated: tuple[str, str]) -> bytes:
    texts_of = [(key, STRING, value) for key, value in stated]
    return gguf((("general.architecture", STRING, "llama"), *texts_of), (("a", (32, 2), 8),)).data


def test_front_matter_as_the_card_beside_the_model_states_it(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"m.safetensors": SAFETENSORS, "README.md": README}
    assert _card(tmp_path, files) == {
        "license": "other",
        "license_name": "my-licence-v1",
        "license_link": "LICENSE",
        "base_model": "org/base",
        "base_model_relation": "finetune",
        "library_name": "mlx-lm",
        "pipeline_tag": "text-generation",
        "tags": ["chat", "no", "safetensors"],
        "language": ["en", "zh-Hans", "no"],
    }


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ((), {}),
        ((("general.license", "Apache-2.0"),), {"license": "apache-2.0"}),
        ((("general.license", "llama3.1"),), {"license": "llama3.1"}),
        ((("general.license", "unknown"),), {"license": "unknown"}),
        ((("general.license", "none"),), {}),
        ((("general.license", "other"),), {"license": "other"}),
        (
            (("general.license", "My Terms!"),),
            {"license": "other", "license_name": "my-terms"},
        ),
        (
            (("general.license", "MIT OR Apache-2.0"),),
            {"license": "other", "license_name": "mit-or-apache-2.0"},
        ),
        (
            (
                ("general.license", "other"),
                ("general.license.name", "Terms"),
                ("general.license.link", "https://example.org/terms"),
            ),
            {
                "license": "other",
                "license_name": "terms",
                "license_link": "https://example.org/terms",
            },
        ),
        (
            (("general.license", "x"), ("general.license.link", "javascript:alert(1)")),
            {"license": "other", "license_name": "x"},
        ),
    ],
)
def test_licences_as_the_hub_knows_them(
    tmp_path: Path, stated: tuple[tuple[str, str], ...], expected: dict[str, Any]
) -> None:
    fields = _card(tmp_path, {"m.gguf": _gguf(*stated)})
    assert fields == expected | {"tags": ["gguf", "llama", "q8_0"]}


def test_the_hubs_licences_are_slugs() -> None:
    assert {"apache-2.0", "llama3.1", "gemma", "openrail++", "other"} <= HUB_LICENSES
    assert len(HUB_LICENSES) == 82
    assert all(slug == slug.lower().strip() for slug in HUB_LICENSES)


@pytest.mark.parametrize(
    ("files", "base", "relation", "library"),
    [
        (
            {"a.safetensors": "", "adapter_config.json": {"peft_type": "LORA", "r": 8}},
            *(None, None, "peft"),
        ),
        (
            {
                "a.safetensors": "",
                "adapter_config.json": {"peft_type": "LORA", "base_model_name_or_path": "o/b"},
            },
            *("o/b", "adapter", "peft"),
        ),
        ({"m.safetensors": "", "config.json": CONFIG}, None, None, "transformers"),
        (
            {"m.safetensors": "", "config.json": NAMED},
            *("o/b", None, "transformers"),
        ),
        (
            {"m.gguf": "", "config.json": NAMED},
            "o/b",
            "quantized",
            None,
        ),
        ({"m.gguf": "base"}, "o/b", None, None),
        ({"m.gguf": "", "README.md": "---\nbase_model: A base\n---\n"}, None, None, None),
    ],
    ids=["adapter", "adapter-base", "config", "named", "quantized", "gguf-base", "no-repository"],
)
def test_only_what_is_stated(
    tmp_path: Path,
    files: dict[str, Any],
    base: str | None,
    relation: str | None,
    library: str | None,
) -> None:
    lineage = gguf(
        (
            ("general.base_model.count", 4, 1),
            ("general.base_model.0.repo_url", STRING, "https://huggingface.co/o/b"),
        ),
        (("a", (32, 2), 8),),
    ).data
    written: dict[str, str | bytes] = {}
    for name, content in files.items():
        if name.endswith(".gguf"):
            written[name] = lineage if content else _gguf()
        elif name.endswith(".safetensors"):
            written[name] = SAFETENSORS
        else:
            written[name] = content if isinstance(content, str) else json.dumps(content)
    fields = _card(tmp_path, written)
    assert fields.get("base_model") == base
    assert fields.get("base_model_relation") == relation
    assert fields.get("library_name") == library


def test_the_body_has_facts_sources_findings_and_what_is_not_known(golden_inputs: Path) -> None:
    page = write("model-card", scan(str(golden_inputs / "cut-kv"), hash="none"))
    assert "| Quantization | Q8\\_0 |" not in page
    assert "| Quantization | Q8_0 | gguf:general.file_type |" in page
    assert "| error | gguf/truncated | GGUF: key 14 at byte 697:" in page
    assert "\nFailed, because:\n\n* gguf/truncated: " in page
    unknown = "Parameters, Data type, Vocabulary size, Training framework, SHA-256"
    assert page.endswith(f"\n\n{unknown}: no source states it.\n")
    assert str(golden_inputs) not in page


def test_a_set_names_its_files(one_model: str) -> None:
    (result,) = scan(one_model, hash="full")
    sizes = {"1.gguf": 1, "2.gguf": -1}
    shards = tuple(ObjectResult(f"/models/{n}", size, "", result.sbom) for n, size in sizes.items())
    page = write("model-card", [replace(result, kind="set", objects=shards)])
    assert f"| 1.gguf | 1 | {result.sbom.sha256} |\n| 2.gguf |  | {result.sbom.sha256} |" in page
    assert "/models" not in page


@pytest.mark.parametrize("value", NASTY.values(), ids=NASTY)
def test_hostile_values_forge_nothing(one_model: str, value: str) -> None:
    page = write("model-card", [made_of(value, one_model, "model.gguf")])
    tame = write("model-card", [made_of("tame", one_model, "model.gguf")])
    assert [odd for odd in page if not odd.isprintable() and odd != "\n"] == []
    assert structure(page) == structure(tame)
    fields = front(page)
    assert ModelCard(page).data.to_dict() == fields
    assert fields["tags"][0] == visible(value)
    assert set(fields) <= {
        *("license", "license_name", "license_link", "library_name", "pipeline_tag"),
        *("tags", "language"),
    }
    assert texts(page)[0] == visible(value.strip(), LONGEST)
    shown = visible(value, LONGEST).strip()
    assert texts(page).count(shown) >= 8
    assert "/home/" not in page


@pytest.mark.parametrize("value", HUGE.values(), ids=HUGE)
def test_huge_values_are_cut(one_model: str, value: str) -> None:
    page = write("model-card", [made_of(value, one_model)])
    assert len(page) < 100_000
    tame = write("model-card", [made_of("tame", one_model)])
    assert set(structure(page)) <= set(structure(tame))
    assert ModelCard(page).data.to_dict() == front(page)


def test_every_golden_input_and_every_real_header(golden_inputs: Path, real_models: Path) -> None:
    results = [*scan(str(golden_inputs)), *scan(str(real_models))]
    for result in results:
        page = write("model-card", [result])
        assert ModelCard(page).data.to_dict() == front(page)
        assert str(golden_inputs) not in page
        assert SCAN.tool_version in page


@pytest.mark.parametrize("form", ["model-card", "hf-readme"])
@pytest.mark.parametrize("count", [0, 2])
def test_one_model_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str, count: int
) -> None:
    root = put_local(tmp_path / "models", {f"{n}.gguf": gguf().data for n in range(count)})
    (tmp_path / "models").mkdir(exist_ok=True)
    out = tmp_path / "new" / "page.md"
    assert main(["scan", root, "--format", form, "--output", str(out)]) == 2
    found = "there is none" if count == 0 else "there are several"
    assert f"{form} describes one model, and {found}" in capsys.readouterr().err
    assert list(out.parent.iterdir()) == []
    assert main(["scan", root, "--output", str(out)]) == 0
    assert out.exists()
