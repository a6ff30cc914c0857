"""What the models of an Ollama store state besides their weights."""

import hashlib
from pathlib import Path

import pytest

from prefect_mutagen.scanner import Policy, scan
from tests.builders import STRING, gguf
from tests.ollama_stores import GOOD, LIBRARY, LICENSE, LLAMA, TEMPLATE, Blobs, blob_path
from tests.scanner.storing import put_local


def test_the_models_of_a_blob_are_stated_with_their_texts(tmp_path: Path) -> None:
    files = Blobs()
    config = files.layer("config", b'{"model_format": "gguf", "renderer": "qwen3", "x": 1}')
    layers = [
        files.layer("model", GOOD),
        files.layer("template", TEMPLATE),
        files.layer("system", b"Be kind."),
        files.layer("license", LICENSE),
        files.layer("license", b"another"),
        files.layer("embed", b"passed over"),
    ]
    files.model(f"{LIBRARY}/demo/a", *layers, config=config)
    files.model("hf.co/me/x/b.gguf", layers[0])
    (result,) = scan(put_local(tmp_path, files))
    second, first = result.facts["registry"]
    assert (second["name"], second["as"]) == ("hf.co/me/x:b.gguf", "model")
    assert first["name"] == f"{LIBRARY}/demo:a"
    assert (first["model_format"], first["renderer"]) == ("gguf", "qwen3")
    assert first["system"] == {"length": 8, "sha256": hashlib.sha256(b"Be kind.").hexdigest()}
    assert len(first["licenses"]) == 2
    assert "embed" not in first
    (template,) = result.facts["chat_templates"]
    assert template["place"] == f"template of {LIBRARY}/demo:a"
    assert template["sha256"] == hashlib.sha256(TEMPLATE).hexdigest()
    assert (result.license_spdx, result.sbom.license) == ("MIT", "MIT License")
    assert result.passed


def test_a_go_template_has_to_be_an_allowed_one_where_the_policy_lists_them(
    tmp_path: Path,
) -> None:
    files = Blobs()
    files.model("h/n/m/t", files.layer("model", GOOD), files.layer("prompt", TEMPLATE))
    root = put_local(tmp_path, files)
    digest = hashlib.sha256(TEMPLATE).hexdigest()
    (refused,) = scan(root, policy=Policy(allowed_templates=("0" * 64,)))
    assert [reason.code for reason in refused.verdict.reasons] == ["policy/template"]
    (allowed,) = scan(root, policy=Policy(allowed_templates=(digest,)))
    assert allowed.passed


@pytest.mark.parametrize(
    ("stated", "texts", "status"),
    [
        (None, [b"CC-BY-NC-4.0\n"], "failed"),
        ("mit", [b"CC-BY-NC-4.0\n"], "failed"),
        ("mit", [LICENSE], "passed"),
        (None, [LICENSE, b"CC-BY-NC-4.0\n"], "failed"),
        ("cc-by-nc-4.0", [LICENSE], "failed"),
        ("mit", [b"Some terms of our own\n"], "passed"),
    ],
    ids=["layer", "beside-the-key", "same", "second", "key", "unknown-text"],
)
def test_a_denied_licence_is_denied_in_a_layer_too(
    tmp_path: Path, stated: str | None, texts: list[bytes], status: str
) -> None:
    files = Blobs()
    key = [("general.license", STRING, stated)] if stated else []
    layers = [files.layer("license", text) for text in texts]
    files.model("h/n/m/t", files.layer("model", gguf([LLAMA, *key]).data), *layers)
    root = put_local(tmp_path, files)
    (result,) = scan(root, policy=Policy(denied_licenses=("cc-by-nc-*",)))
    assert result.verdict.status == status


def test_a_missing_text_fails_the_model_as_it_does_in_ollama(tmp_path: Path) -> None:
    files = Blobs()
    files.model("h/n/m/t", files.layer("model", GOOD), files.layer("params", b"{}"))
    del files[blob_path(b"{}")]
    (result,) = scan(put_local(tmp_path, files))
    assert [finding.code for finding in result.findings] == ["set/missing-layer"]
    assert "names it (params)" in result.findings[0].message
    assert not result.passed


def test_a_text_that_is_too_long_is_told(tmp_path: Path) -> None:
    files = Blobs()
    files.model("h/n/m/t", files.layer("model", GOOD), files.layer("license", bytes((1 << 20) + 1)))
    (result,) = scan(put_local(tmp_path, files))
    assert [finding.code for finding in result.findings] == ["sbom/neighbour-unread"]
