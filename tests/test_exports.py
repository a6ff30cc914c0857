"""What a module hands out: ``__all__`` names it, and nobody reaches past it."""

import ast
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("parsers", "scanner", "tasks", "flows")
MODULES = {
    ".".join(("prefect_mutagen", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(
        ".__init__"
    ): path
    for folder in FOLDERS
    for path in sorted((ROOT / folder).rglob("*.py"))
}


def _taken(path: Path) -> Iterator[tuple[str, str, int]]:
    """What a file imports of our modules: module, name, line."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module in MODULES:
            for alias in node.names:
                yield node.module, alias.name, node.lineno


def _exported(name: str) -> list[str]:
    """``__all__``; a room's face and a program, which nobody imports from, need none."""
    names: list[str] = getattr(import_module(name), "__all__", [])
    return names


def _public(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    if any(isinstance(node, ast.If) and "__main__" in ast.unparse(node.test) for node in tree.body):
        return set()
    return {
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
    }


@pytest.mark.parametrize("name", MODULES)
def test_what_a_module_hands_out_it_has(name: str) -> None:
    module, names = import_module(name), _exported(name)
    assert len(set(names)) == len(names)
    for exported in names:
        assert hasattr(module, exported), exported
        assert not exported.startswith("_")


@pytest.mark.parametrize("name", MODULES)
def test_what_is_public_is_handed_out(name: str) -> None:
    assert _public(MODULES[name]) <= set(_exported(name))


@pytest.mark.parametrize("path", MODULES.values(), ids=MODULES)
def test_what_a_module_takes_is_handed_out(path: Path) -> None:
    beyond = [
        f"line {line}: {name} of {module}"
        for module, name, line in _taken(path)
        # A module is taken as such, the compiled ones too.
        if name not in _exported(module)
        and not (MODULES[module].name == "__init__.py" and find_spec(f"{module}.{name}"))
    ]
    assert not beyond
