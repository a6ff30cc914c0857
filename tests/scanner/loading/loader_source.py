"""Functions of installed loaders, taken out of modules that cannot be imported without torch."""

import ast
import builtins
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.scanner.loading.plan import ModelFiles


@contextmanager
def without_network(package: str) -> Iterator[None]:
    """Import a loader that reaches no hub; skip where it is not installed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("TRANSFORMERS_VERBOSITY", "error")
        pytest.importorskip(package, reason="the loader itself is the oracle")
        # Whoever imported the hub's client first has set this.
        patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        yield


def functions(package: str, path: str, *names: str, **around: Any) -> dict[str, Any]:
    """The functions of these names, compiled as they stand in a module's source.

    ``around``: what the module imports that they use.
    """
    space: dict[str, Any] = {"os": os, "json": json, "Path": Path, **around}
    chosen = [node for node in _tree(package, path) if getattr(node, "name", "") in names]
    assert {getattr(node, "name", "") for node in chosen} == set(names)
    for node in chosen:
        assert isinstance(node, ast.FunctionDef)
        node.decorator_list = []
    _run(chosen, path, space)
    return space


def constant(package: str, path: str, name: str) -> Any:
    """The value of a constant that is written out in a module's source."""
    for node in _tree(package, path):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return ast.literal_eval(node.value)
    raise AssertionError(name)


def statements(package: str, path: str, function: str, first: str, last: str) -> Any:
    """Statements of a method, compiled: from the one that begins with a text to another one."""
    (method,) = (
        node
        for found in _tree(package, path)
        if isinstance(found, ast.ClassDef) and found.name == function.partition(".")[0]
        for node in found.body
        if isinstance(node, ast.FunctionDef) and node.name == function.partition(".")[2]
    )
    texts = [ast.unparse(node) for node in method.body]
    begin = next(i for i, text in enumerate(texts) if text.startswith(first))
    end = next(i for i, text in enumerate(texts) if i >= begin and text.startswith(last))
    body = ast.Module(body=method.body[begin : end + 1], type_ignores=[])
    return compile(body, path, "exec")


def _tree(package: str, path: str) -> list[ast.stmt]:
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        pytest.skip(f"{package} is not installed")
    file = Path(spec.submodule_search_locations[0], path)
    return ast.parse(file.read_text(encoding="utf-8")).body


def _run(nodes: list[ast.stmt], path: str, space: dict[str, Any]) -> None:
    future = ast.parse("from __future__ import annotations").body
    code = compile(ast.Module(body=[*future, *nodes], type_ignores=[]), path, "exec")
    exec(code, space)  # noqa: S102 - the loader's own function is the oracle


def empty_folder(path: Path) -> Path:
    """A folder for the next model; the one before is removed, as there are hundreds of them."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    return path


def written(root: Path, contents: Mapping[str, Any]) -> ModelFiles:
    """Write a model: texts as they are, everything else as JSON. What a plan is made of."""
    documents = {}
    for name, content in contents.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            path.write_text(content, encoding="utf-8")
        else:
            path.write_text(json.dumps(content), encoding="utf-8")
            documents[name] = content
    return ModelFiles(names=set(contents), documents=documents)


def relative(root: Path, path: str | os.PathLike[str]) -> str:
    """A path that a loader made, below the root; it may lead out."""
    return os.path.relpath(os.path.normpath(path), root)


@contextmanager
def opened_files(root: Path) -> Iterator[list[str]]:
    """The files below a folder that Python opens meanwhile, relative to it."""
    real, opened = builtins.open, []

    def open_(file: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(file, str | os.PathLike) and str(file).startswith(f"{root}/"):
            opened.append(relative(root, file))
        return real(file, *args, **kwargs)

    builtins.open = open_
    try:
        yield opened
    finally:
        builtins.open = real
