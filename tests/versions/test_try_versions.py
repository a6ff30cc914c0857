"""The environments of other versions have what the test in them imports."""

import ast
import sys
from importlib.metadata import packages_distributions

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.versions.try_versions import NEEDED_BY_THE_TEST, ROOT, TEST, lowest, requirements

INDIRECT = {"botocore": "s3fs", "boto3": "moto", "moto": "moto"}
"""Packages that come with what is asked for."""


def _imported(path: str) -> set[str]:
    """Return the modules that a file imports when it is loaded."""
    names: set[str] = set()
    for node in ast.parse((ROOT / path).read_text()).body:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def test_they_have_what_the_test_imports() -> None:
    waiting, seen = ["tests/conftest.py", TEST], set[str]()
    packages: set[str] = set()
    while waiting:
        path = waiting.pop()
        if path in seen or not (ROOT / path).is_file():
            continue
        seen.add(path)
        for name in _imported(path):
            if name.startswith("tests."):
                waiting.append(name.replace(".", "/") + ".py")
            else:
                packages.add(name.partition(".")[0])
    third_party = packages - sys.stdlib_module_names - {"prefect_mutagen"}
    asked = {Requirement(line).name for line in NEEDED_BY_THE_TEST}
    asked = {canonicalize_name(name) for name in asked | {one.name for one in requirements()}}
    known = packages_distributions()
    missing = {
        name
        for name in third_party
        if INDIRECT.get(name) not in asked
        and asked.isdisjoint(map(canonicalize_name, known.get(name, [name])))
    }
    assert "tests/scheduling.py" in seen
    assert not missing


def test_every_requirement_has_a_lower_bound() -> None:
    assert set(lowest()) == {requirement.name for requirement in requirements()}
