"""Folders of a model, and where the names in its documents lead."""

from typing import Any

import pytest

from prefect_mutagen.scanner.loading.folder import Folder, indexed_weights
from prefect_mutagen.scanner.loading.plan import ModelFiles

NAMES = frozenset({"a/b/x.safetensors", "a/y.safetensors", "z.safetensors", "a/b/c/d/config.json"})


@pytest.mark.parametrize(
    ("path", "name", "expected"),
    [
        ("", "x", "x"),
        ("", "./x", "x"),
        ("", "sub//x", "sub/x"),
        ("a/b/", "sub/../x", "a/b/x"),
        ("a/b/", "../y", "a/y"),
        ("a/b/", "../../z", "z"),
        ("a/b/", "../../../z", None),
        ("", "../x", None),
        ("", "..", None),
        ("", "/etc/passwd", None),
        ("", "..x", "..x"),
    ],
)
def test_where_a_name_leads(path: str, name: str, expected: str | None) -> None:
    assert Folder.of(ModelFiles(NAMES), path).join(name) == expected


def test_a_folder_knows_its_own_files_and_folders() -> None:
    folder = Folder.of(ModelFiles(NAMES), "a/")
    assert folder.names() == ("y.safetensors",)
    assert folder.names("b/") == ("x.safetensors",)
    assert folder.has_folder("b")
    assert folder.beneath("a/b/").has_folder("c")  # it holds a folder alone
    assert not folder.has_folder("y.safetensors")
    above = folder.beneath("a/b/c/d/").parent_with("y.safetensors")
    assert above
    assert above.path == "a/"
    assert folder.parent_with("nowhere") is None


@pytest.mark.parametrize(
    ("document", "weights", "missing", "outside"),
    [
        ({"weight_map": {"t": "./x.safetensors"}}, ("a/b/x.safetensors",), (), ()),
        ({"weight_map": {"t": "../y.safetensors"}}, ("a/y.safetensors",), (), ()),
        ({"weight_map": {"t": "../../../q"}}, (), (), ("../../../q",)),
        ({"weight_map": {"t": "gone", "u": 3, "v": None, "w": ["x"]}}, (), ("a/b/gone",), ()),
        ({"weight_map": ["x.safetensors"]}, (), (), ()),
        ({"weight_map": None}, (), (), ()),
        ({}, (), (), ()),
        (["x"], (), (), ()),
        (None, (), (), ()),
    ],
)
def test_shards_are_those_that_an_index_names(
    document: Any, weights: tuple[str, ...], missing: tuple[str, ...], outside: tuple[str, ...]
) -> None:
    folder = Folder.of(ModelFiles(NAMES, {"a/b/i.json": document}), "a/b/")
    plan = indexed_weights("transformers", folder, "a/b/i.json")
    assert (plan.weights, plan.missing, plan.outside) == (weights, missing, outside)
    assert plan.files == ("a/b/i.json",)


def test_names_with_a_separator_may_be_refused() -> None:
    document = {"weight_map": {"t": "b/x.safetensors", "u": "y.safetensors"}}
    folder = Folder.of(ModelFiles(NAMES, {"a/i.json": document}), "a/")
    plan = indexed_weights("diffusers", folder, "a/i.json", plain=True)
    assert (plan.weights, plan.missing) == (("a/y.safetensors",), ("a/b/x.safetensors",))
