"""Where a licence may stand: cards, licence files, configurations, parts of sets and pipelines."""

from pathlib import Path

import pytest

from prefect_mutagen.scanner import Policy, scan
from prefect_mutagen.scanner.content.license_files import LICENSE_LIMIT
from tests.builders import safetensors, tensor

NON_COMMERCIAL = "Creative Commons Attribution-NonCommercial 4.0 International Public License\n\nBy"
MIT = """MIT License

Permission is hereby granted, free of charge, to any person obtaining a copy of this software, to
deal in it without restriction, including without limitation the rights to use, copy, modify, merge,
publish, distribute, sublicense, and/or sell copies. The above copyright notice and this permission
notice shall be included in all copies.
"""
CARD = "---\nlicense: {}\n---\n"
WEIGHTS = safetensors({"w": tensor("F32", (2,), 0, 8)}, data=bytes(8))
PIPELINE: dict[str, str | bytes] = {
    "model_index.json": '{"_class_name": "X", "unet": ["diffusers", "U"]}',
    "unet/config.json": "{}",
    "unet/diffusion_pytorch_model.safetensors": WEIGHTS,
}

PLACES: dict[str, tuple[dict[str, str | bytes], str]] = {
    "file": ({"LICENSE": NON_COMMERCIAL}, "LICENSE"),
    "file-in-utf-16": ({"LICENSE.txt": NON_COMMERCIAL.encode("utf-16")}, "LICENSE.txt"),
    "file-of-a-line": ({"License.md": "# CC BY-NC 4.0\n"}, "License.md"),
    "file-against-card": (
        {"README.md": CARD.format("mit"), "LICENSE": NON_COMMERCIAL},
        "LICENSE",
    ),
    "card-against-file": (
        {"README.md": CARD.format("cc-by-nc-4.0"), "LICENSE": MIT},
        "README.md:license",
    ),
    "configuration": (
        {"config.json": '{"license": ["mit", ["CC BY-NC 4.0"]]}'},
        "config.json:license",
    ),
    "mapping": ({"config.json": '{"license": {"x": "CC BY-NC 4.0"}}'}, "config.json:license"),
    "link": (
        {
            "README.md": "---\nlicense: other\nlicense_link: "
            "https://creativecommons.org/licenses/by-nc/4.0\n---\n"
        },
        "README.md:license",
    ),
    "key-twice-with-a-list": (
        {"README.md": "---\nlicense: mit\nlicense: [mit, cc-by-nc-4.0]\n---\n"},
        "README.md:license",
    ),
    "key-twice-in-card": (
        {"README.md": "---\nlicense: cc-by-nc-4.0\nlicense: mit\n---\n"},
        "README.md:license",
    ),
    "key-twice-in-json": (
        {"config.json": '{"license": "cc-by-nc-4.0", "license": "mit"}'},
        "config.json:license",
    ),
    "tag": ({"README.md": "---\ntags: [x, 'license:cc-by-nc-4.0']\n---\n"}, "README.md:tags"),
}


def _put(folder: Path, files: dict[str, str | bytes]) -> str:
    for path, content in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(folder)


@pytest.mark.parametrize("name", PLACES)
def test_a_forbidden_licence_is_found_wherever_it_stands(tmp_path: Path, name: str) -> None:
    files, source = PLACES[name]
    root = _put(tmp_path, {"model.safetensors": WEIGHTS, **files})
    (result,) = scan(root, policy=Policy(denied_licenses=("cc-by-nc-*",)))
    assert result.verdict.status == "failed"
    assert source in {one["source"] for one in result.facts["licenses"]}
    codes = {finding.code for finding in result.findings}
    assert ("sbom/license-conflict" in codes) == ("against" in name)


def test_the_nearer_of_two_licence_files_counts(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"README.md": CARD.format("mit"), "model.safetensors": WEIGHTS}
    nearer: dict[str, str | bytes] = {
        "sub/model.safetensors": WEIGHTS,
        "sub/LICENSE": NON_COMMERCIAL,
    }
    results = scan(_put(tmp_path, {**files, **nearer}), policy=Policy())
    stated = {result.sources["license"]: result.license_spdx for result in results}
    assert stated == {"README.md:license": "MIT", "sub/LICENSE": "CC-BY-NC-4.0"}


def test_a_licence_file_in_the_root_counts_below_it(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "README.md": "# A model",
        "LICENSE": NON_COMMERCIAL,
        "sub/model.safetensors": WEIGHTS,
    }
    (result,) = scan(_put(tmp_path, files), policy=Policy(denied_licenses=("cc-by-nc-4.0",)))
    assert result.sources["license"] == "LICENSE"
    assert result.verdict.status == "failed"


@pytest.mark.parametrize(
    "files",
    [
        {"model_index.json": '{"_class_name": "X", "license": "cc-by-nc", "unet": ["a", "U"]}'},
        {"unet/config.json": '{"license": "cc-by-nc-4.0"}'},
        {"unet/LICENSE": NON_COMMERCIAL},
    ],
    ids=["index", "configuration-of-a-part", "file-of-a-part"],
)
def test_what_a_part_states_counts_for_the_pipeline(
    tmp_path: Path, files: dict[str, str | bytes]
) -> None:
    root = _put(tmp_path, {**PIPELINE, "README.md": CARD.format("mit"), **files})
    (result,) = scan(root, policy=Policy(denied_licenses=("cc-by-nc",)))
    assert result.verdict.status == "failed"
    assert "sbom/license-conflict" in {finding.code for finding in result.findings}


@pytest.mark.parametrize(
    "name", ["THIRD_PARTY_LICENSES.txt", "LICENSE-CODE", "DATASET_LICENSE.md", "licenses.json"]
)
def test_the_licence_of_something_else_is_not_the_models(tmp_path: Path, name: str) -> None:
    files: dict[str, str | bytes] = {
        "README.md": CARD.format("mit"),
        name: NON_COMMERCIAL,
        "model.safetensors": WEIGHTS,
    }
    (result,) = scan(_put(tmp_path, files), policy=Policy(denied_licenses=("cc-by-nc-*",)))
    assert result.verdict.status == "passed"


def test_a_licence_file_beyond_the_limit_leaves_the_verdict_unknown(tmp_path: Path) -> None:
    text = "word " * (LICENSE_LIMIT // 5 + 1)
    root = _put(tmp_path, {"LICENSE": text + NON_COMMERCIAL, "model.safetensors": WEIGHTS})
    (result,) = scan(root, policy=Policy())
    assert result.verdict.status == "unknown"
    assert "sbom/unexamined" in {finding.code for finding in result.findings}
