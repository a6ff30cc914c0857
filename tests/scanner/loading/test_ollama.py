"""Ollama's load plan, against what its Go sources do as they were read."""

from typing import Any

import pytest

from prefect_mutagen.scanner.loading.ollama import RULES, plan
from prefect_mutagen.scanner.loading.plan import LoadPlan, ModelFiles

KEY = "tokenizer.chat_template"
MANIFEST = "manifests/registry.ollama.ai/library/demo/latest"


def _blob(letter: str, separator: str = "-") -> str:
    return f"blobs/sha256{separator}{letter * 64}"


def _layer(kind: str, letter: str) -> dict[str, Any]:
    media = f"application/vnd.ollama.image.{kind}"
    return {"mediaType": media, "digest": f"sha256:{letter * 64}", "size": 1}


def _manifest(*layers: tuple[str, str], config: str = "") -> dict[str, Any]:
    named = _layer("x", config) if config else {}
    return {"config": named, "layers": [_layer(kind, letter) for kind, letter in layers]}


def _plan(names: set[str], manifests: dict[str, Any], *weights: str) -> LoadPlan | None:
    return plan(ModelFiles(names | set(manifests), manifests), weights)


def test_what_a_manifest_names_in_its_order() -> None:
    manifest = _manifest(
        ("model", "a"),
        ("adapter", "b"),
        ("projector", "c"),
        ("template", "d"),
        ("params", "e"),
        ("license", "f"),
        ("embed", "0"),
        ("unheard-of", "1"),
        config="2",
    )
    names = {_blob(letter) for letter in "abcdef012"}
    found = _plan(names, {MANIFEST: manifest}, _blob("c"))
    assert found == LoadPlan(
        "ollama",
        tuple(_blob(letter) for letter in "abc"),
        (MANIFEST, _blob("2"), _blob("e"), _blob("f")),
        (_blob("d"), f"{_blob('a')}:{KEY}"),
    )


def test_of_several_models_and_templates_the_last_is_taken() -> None:
    manifest = _manifest(
        ("model", "a"), ("prompt", "b"), ("model", "c"), ("template", "d"), ("draft", "e")
    )
    names = {_blob(letter) for letter in "abcde"}
    found = _plan(names, {MANIFEST: manifest}, _blob("c"))
    assert found is not None
    assert found.weights == (_blob("c"), _blob("e"))
    assert found.templates == (_blob("d"), f"{_blob('c')}:{KEY}")
    assert _plan(names, {MANIFEST: manifest}, _blob("a")) is None


def test_the_models_that_share_a_blob_are_taken_together_in_their_store_only() -> None:
    manifests = {
        f"x/{MANIFEST}": _manifest(("model", "a"), ("system", "b")),
        "x/manifests/hf.co/me/m/t.gguf": _manifest(("model", "a"), ("template", "c")),
        "x/manifests/h/n/m/other": _manifest(("model", "d")),
    }
    names = {f"x/{_blob(letter)}" for letter in "abc"} | {_blob("d")}
    found = _plan(names, manifests, f"x/{_blob('a')}")
    assert found is not None
    assert found.weights == (f"x/{_blob('a')}",)
    assert set(found.files) == {f"x/{MANIFEST}", "x/manifests/hf.co/me/m/t.gguf", f"x/{_blob('b')}"}
    other = _plan(names, manifests, f"x/{_blob('d')}")
    assert other is not None
    assert (other.weights, other.missing) == ((), (f"x/{_blob('d')}",))


def test_missing_blobs_and_those_of_older_versions() -> None:
    manifest = _manifest(("model", "a"), ("license", "b"), ("license", "c"))
    found = _plan({_blob("a", ":"), _blob("c")}, {MANIFEST: manifest}, _blob("a", ":"))
    assert found is not None
    assert found.weights == (_blob("a", ":"),)
    assert found.missing == (_blob("b"),)
    assert found.opened() == (MANIFEST, _blob("c"), _blob("a", ":"))


def test_a_model_of_many_tensors() -> None:
    manifest = _manifest(("tensor", "a"), ("tensor", "b"), ("tensor", "a"), ("json", "c"))
    names = {_blob(letter) for letter in "abc"}
    found = _plan(names, {MANIFEST: manifest}, _blob("b"))
    assert found == LoadPlan("ollama", (_blob("a"), _blob("b")), (MANIFEST, _blob("c")))


@pytest.mark.parametrize(
    "manifest",
    [None, [], {}, {"layers": 3}, {"layers": [None, {"digest": 4}]}, {1: 2}],
    ids=["none", "list", "empty", "number", "layers", "keys"],
)
def test_hostile_manifests_raise_nothing(manifest: Any) -> None:
    assert _plan({_blob("a")}, {MANIFEST: manifest}, _blob("a")) is None


@pytest.mark.parametrize(
    ("names", "weights"),
    [
        ({"model.safetensors", "2_Dense/model.safetensors", "a/b/model.safetensors"}, None),
        ({"model-1.safetensors", "x.safetensors", "consolidated.safetensors"}, 1),
        ({"consolidated.safetensors", "pytorch_model.bin"}, 1),
        ({"pytorch_model.bin", "pytorch_model-2.bin", "m.gguf"}, 2),
        ({"consolidated.00.pth", "m.gguf"}, 1),
        ({"m.gguf", "n.gguf", "o.bin"}, 2),
        ({"o.bin", "o.onnx"}, 1),
        ({"x.safetensors", "w/model.safetensors"}, 0),
    ],
    ids=["nested", "model", "consolidated", "pickles", "pth", "ggufs", "bin", "nothing"],
)
def test_the_weights_that_create_takes_from_a_folder(names: set[str], weights: int | None) -> None:
    found = plan(ModelFiles(names), tuple(sorted(names)))
    taken = found.weights if found else ()
    if weights is None:
        assert taken == ("model.safetensors", "2_Dense/model.safetensors")
    else:
        assert len(taken) == weights


@pytest.mark.parametrize(
    ("template", "places"),
    [
        (None, ("q/chat_template.jinja",)),
        ("{{ x }}", ("q/tokenizer_config.json:chat_template",)),
        ([{"name": "default"}], ("q/tokenizer_config.json:chat_template.default",)),
    ],
    ids=["file", "text", "list"],
)
def test_what_create_takes_beside_weights(template: Any, places: tuple[str, ...]) -> None:
    inside = ("model.safetensors", "config.json", "1_Pooling/config.json", "chat_template.jinja")
    names = {f"q/{name}" for name in (*inside, "t/tokenizer.model", "x.py", "a/b/c.json")}
    documents = {"q/tokenizer_config.json": {"chat_template": template}}
    found = plan(ModelFiles(names, documents, "q/"), ("q/model.safetensors",))
    assert found is not None
    expected = [f"q/{name}" for name in (*inside[1:], "t/tokenizer.model")]
    assert (list(found.files), found.templates) == (expected, places)


def test_create_from_one_gguf() -> None:
    found = plan(ModelFiles({"m.gguf", "n.gguf", "config.json"}), ("m.gguf",))
    assert found == LoadPlan("ollama", ("m.gguf",), templates=(f"m.gguf:{KEY}",))


def test_every_rule_names_its_source() -> None:
    assert all(rule.takes and rule.source.startswith("ollama 0.33.0-rc2, ") for rule in RULES)
