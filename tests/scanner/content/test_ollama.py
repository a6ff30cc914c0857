"""Manifests of Ollama's stores, and the paths of its files."""

import json
from typing import Any

import pytest

from prefect_mutagen.scanner.content.ollama import (
    Layer,
    blob_name,
    is_of_store,
    manifest_place,
    read_manifest,
)

HEX = "ab" * 32
KIND = "application/vnd.ollama.image."


def _layer(**changes: Any) -> dict[str, Any]:
    return {"mediaType": f"{KIND}model", "digest": f"sha256:{HEX}", "size": 4, **changes}


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (_layer(), Layer("model", HEX, 4)),
        (_layer(digest=f"sha256-{HEX.upper()}"), Layer("model", HEX, 4)),
        (_layer(mediaType="model"), Layer("", HEX, 4)),
        (_layer(mediaType=None, size="4", name=3), Layer("", HEX, -1)),
        (_layer(size=True), Layer("model", HEX, -1)),
        (_layer(size=-2), Layer("model", HEX, -1)),
        (_layer(name="a/b.weight"), Layer("model", HEX, 4, "a/b.weight")),
        ({"MEDIATYPE": f"{KIND}draft", "Digest": f"sha256:{HEX}"}, Layer("draft", HEX, -1)),
    ],
    ids=["usual", "hyphen", "foreign", "types", "bool", "negative", "name", "case"],
)
def test_layers(entry: dict[str, Any], expected: Layer) -> None:
    found = read_manifest(json.dumps({"LAYERS": [entry]}).encode())
    assert (found.layers, found.problem) == ((expected,), "")


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b"", "it is not JSON at character 0"),
        (b"\xef\xbb\xbf{}", "it is not JSON at character 0"),
        (b"<html>", "it is not JSON"),
        (b"[]", "it is not a JSON object"),
        (b'{"layers": {}}', "its layers are not a list"),
        (b'{"layers": [3]}', "layer 1 is not an object"),
        (b'{"layers": [{}]}', "the digest of layer 1 is no SHA-256: 'None'"),
        (b'{"layers": [{"digest": "sha256:../../etc/passwd"}]}', "layer 1 is no SHA-256"),
        (b'{"config": {"digest": "md5:1"}}', "the digest of the config is no SHA-256"),
        (b"[" * 100_000, "it is nested too deeply"),
        (b'{"a": %s}' % (b"9" * 5000), "a number with thousands of digits"),
    ],
    ids=[
        "empty",
        "bom",
        "page",
        "list",
        "layers",
        "layer",
        "no-digest",
        "path",
        "config",
        "depth",
        "digits",
    ],
)
def test_what_ollama_could_not_load_is_told(raw: bytes, problem: str) -> None:
    assert problem in read_manifest(raw).problem


def test_nothing_is_read_behind_the_first_value_and_the_last_of_two_keys_counts() -> None:
    layers = json.dumps([_layer()])
    raw = f'{{"layers": [], "config": null, "Layers": {layers}}} trailing'.encode()
    found = read_manifest(raw)
    assert ([layer.digest for layer in found.layers], found.problem) == ([HEX], "")


def test_the_good_layers_of_a_manifest_with_a_bad_one_are_kept() -> None:
    found = read_manifest(json.dumps({"layers": [_layer(), {}]}).encode())
    assert len(found.layers) == 1
    assert found.problem


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("manifests/h.ai:5000/ns/m.x/q4_K_M", ("", "h.ai:5000/ns/m.x:q4_K_M")),
        ("/a/manifests/h/n/m/t", ("/a/", "h/n/m:t")),
        ("s3://b/manifests/manifests/h/n/m/t", ("s3://b/manifests/", "h/n/m:t")),
        ("hf/manifests/hf.co/o/r/m-Q4.gguf", ("hf/", "hf.co/o/r:m-Q4.gguf")),
        ("x/manifests/h/n/m", None),
        ("x/manifests/h/n.s/m/t", None),
        ("x/manifests/h/n/m/.hidden", None),
        ("x/manifests/h/n/m/a b", None),
        ("my-manifests/h/n/m/t", None),
        ("manifests/h/n/m/t/u", None),
    ],
)
def test_paths_of_manifests(path: str, expected: tuple[str, str] | None) -> None:
    assert manifest_place(path) == expected
    assert is_of_store(path) == (expected is not None)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (f"sha256-{HEX}", "blob"),
        (f"sha256:{HEX.upper()}", "blob"),
        (f"sha256-{HEX}-partial", "partial"),
        (f"sha256-{HEX}-partial-12", "partial"),
        (f"sha256-{HEX}0", None),
        (f"sha256-{HEX[1:]}", None),
        (f"sha512-{HEX}", None),
        (HEX, None),
        (f"sha256-{HEX}.gguf", None),
    ],
)
def test_names_of_blobs(name: str, kind: str | None) -> None:
    found = blob_name(name)
    assert (found.kind if found else None) == kind
    assert is_of_store(f"x/{name}") == (kind is not None)
