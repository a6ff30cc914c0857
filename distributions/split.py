"""Write the sources of the two distributions that are released from this one tree.

    python distributions/split.py FOLDER

``FOLDER/scanner`` is prefect-mutagen-scanner: parsers, scanner and the package face, without
Prefect and Arrow. ``FOLDER/plugin`` is prefect-mutagen: flows, tasks and deployments; it depends on
the scanner of the same version. Both are ordinary source trees with a pyproject.toml, which is made
from that of the whole tree: there a dependency or an entry point is stated once. A checkout itself
holds everything, and needs no index that knows our packages.
"""

import json
import os
import re
import shutil
import sys
import tomllib
from collections.abc import Callable, Iterable
from typing import Any

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
PACKAGE = "prefect_mutagen"
SCANNER, PLUGIN = "prefect-mutagen-scanner", "prefect-mutagen"
SCANNER_FOLDERS = ("parsers", "scanner")
PLUGIN_FOLDERS = ("flows", "tasks", "deployments")
FACE = ("__init__.py", "__main__.py", "py.typed")
NEEDED = ("fsspec", "jinja2", "packaging", "pydantic", "pyyaml", "shtab")
"""What the scanner always needs."""
EXTRAS = {
    "s3": ("obstore", "s3fs"),
    "table": ("pyarrow",),
    "query": ("duckdb", "pyarrow", "rich"),
    "signing": ("cryptography", "sigstore"),
}
"""What it needs for some of its work."""
BUILT = shutil.ignore_patterns("__pycache__", "*.py[cod]", "*.so", "_*.c")


def main() -> None:
    """Write both trees below the folder that is the argument."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    write_trees(sys.argv[1])


def write_trees(folder: str) -> None:
    """Write both source trees.

    Args:
        folder: Where ``scanner`` and ``plugin`` are made; neither may be there.
    """
    with open(os.path.join(ROOT, "pyproject.toml"), "rb") as file:
        whole = tomllib.load(file)
    version = read_version()
    for name, folders, make in (
        ("scanner", SCANNER_FOLDERS, scanner_project),
        ("plugin", PLUGIN_FOLDERS, plugin_project),
    ):
        _write_tree(os.path.join(folder, name), folders, make, whole, version)
    for name in FACE:
        shutil.copy(os.path.join(ROOT, PACKAGE, name), os.path.join(folder, "scanner", PACKAGE))
    shutil.copy(os.path.join(ROOT, "setup.py"), os.path.join(folder, "scanner"))
    shutil.copy(os.path.join(HERE, "scanner.md"), os.path.join(folder, "scanner", "README.md"))
    shutil.copy(os.path.join(ROOT, "README.md"), os.path.join(folder, "plugin"))


def _write_tree(
    tree: str,
    folders: Iterable[str],
    make: Callable[[dict[str, Any], str], dict[str, Any]],
    whole: dict[str, Any],
    version: str,
) -> None:
    for name in folders:
        shutil.copytree(os.path.join(ROOT, name), os.path.join(tree, PACKAGE, name), ignore=BUILT)
    shutil.copy(os.path.join(ROOT, "LICENSE"), tree)
    with open(os.path.join(tree, "pyproject.toml"), "w", encoding="utf-8") as file:
        file.write(to_toml(make(whole, version)))


def read_version() -> str:
    """Return the version, without importing anything."""
    with open(os.path.join(ROOT, PACKAGE, "__init__.py"), encoding="utf-8") as file:
        found = re.search(r'^__version__ = "(.+)"$', file.read(), re.MULTILINE)
    if found is None:
        raise SystemExit(f"{PACKAGE}/__init__.py states no version")
    return found[1]


def scanner_project(whole: dict[str, Any], version: str) -> dict[str, Any]:
    """Return the pyproject.toml of the scanner.

    Args:
        whole: That of the whole tree.
        version: The version.
    """
    project = _common(whole, version) | {
        "name": SCANNER,
        "description": "Scans and judges model files by their headers; without Prefect.",
        "dependencies": [
            # Web servers are read with aiohttp; the whole tree has it through s3fs.
            line.replace("fsspec", "fsspec[http]")
            for line in map(_bounds(whole).__getitem__, NEEDED)
        ],
        "optional-dependencies": {
            extra: [_bounds(whole)[name] for name in names] for extra, names in EXTRAS.items()
        },
        "scripts": whole["project"]["scripts"],
    }
    data = [
        pattern
        for pattern in whole["tool"]["setuptools"]["package-data"][PACKAGE]
        if not pattern.startswith(PLUGIN_FOLDERS)
    ]
    setuptools = {
        "packages": {"find": {"include": [f"{PACKAGE}*"]}},
        "package-data": {PACKAGE: data},
    }
    return {
        "build-system": whole["build-system"],
        "project": project,
        "tool": {"setuptools": setuptools, "cibuildwheel": whole["tool"]["cibuildwheel"]},
    }


def plugin_project(whole: dict[str, Any], version: str) -> dict[str, Any]:
    """Return the pyproject.toml of the plugin; see `scanner_project`."""
    own = [line for line in whole["project"]["dependencies"] if _name(line) not in NEEDED]
    extras = dict(whole["project"]["optional-dependencies"])
    del extras["dev"]  # who develops has the whole tree
    project = _common(whole, version) | {
        "name": PLUGIN,
        "description": whole["project"]["description"],
        "dependencies": [f"{SCANNER}=={version}", *own],
        "optional-dependencies": extras,
        "entry-points": whole["project"]["entry-points"],
    }
    setuptools = {
        # The package's face is the scanner's: here it is a folder without one.
        "packages": {
            "find": {
                "namespaces": True,
                "include": [PACKAGE, f"{PACKAGE}.flows*", f"{PACKAGE}.tasks*"],
            }
        },
        "package-data": {PACKAGE: ["deployments/**/*"]},
    }
    return {
        "build-system": {
            **whole["build-system"],
            "requires": [
                line for line in whole["build-system"]["requires"] if _name(line) != "cython"
            ],
        },
        "project": project,
        "tool": {"setuptools": setuptools},
    }


def _common(whole: dict[str, Any], version: str) -> dict[str, Any]:
    names = ("readme", "license", "license-files", "requires-python", "authors", "keywords")
    known = {name: whole["project"][name] for name in (*names, "classifiers")}
    return {"version": version, **known}


def _bounds(whole: dict[str, Any]) -> dict[str, str]:
    """Return what the whole tree requires, by name, without what is for developers alone."""
    project = whole["project"]
    extras = project["optional-dependencies"]
    lines = [line for extra in extras if extra != "dev" for line in extras[extra]]
    return {_name(line): line for line in (*project["dependencies"], *lines)}


def _name(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0].lower()


def to_toml(tables: dict[str, Any]) -> str:
    """Write tables as TOML: a section each of the first two levels, inline below."""
    lines = []
    for first, table in tables.items():
        parts = {f"{first}.{name}": part for name, part in table.items()}
        for section, content in parts.items() if first == "tool" else [(first, table)]:
            lines.append(f"[{section}]")
            lines += [f"{_key(key)} = {_inline(value)}" for key, value in content.items()]
            lines.append("")
    return "\n".join(lines)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name)


def _inline(value: Any) -> str:
    """Write a value: texts and truth values of JSON are those of TOML."""
    if isinstance(value, dict):
        inside = (f"{_key(key)} = {_inline(each)}" for key, each in value.items())
        return f"{{ {', '.join(inside)} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(_inline, value))}]"
    return json.dumps(value)


if __name__ == "__main__":
    main()
