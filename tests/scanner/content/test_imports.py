"""What a source imports, as loaders and as Python see it; hostile sources stay within bounds."""

import warnings

import pytest

from prefect_mutagen.scanner.content.imports import TREE_LIMIT, files_of, relative_imports

# Source, and the files of a model that it reaches: from ``m.py`` in the model's root.
FILES = frozenset(
    [
        "a.py",
        "b.py",
        "c.py",
        "évidence.py",
        "pkg/__init__.py",
        "pkg/sub.py",
        "pkg/deep/__init__.py",
        "pkg.sub.py",
        "torch.py",
    ]
)
REACHED = [
    ("from .a import b\n", {"a.py"}),
    ("from .a import (b,\n c)\n", {"a.py"}),
    ("from . import a\n", {"a.py"}),
    ("from . import a, b as x, c\n", {"a.py", "b.py", "c.py"}),
    ("from . import (a,  # one\n    # two, three\n    b,\n)\n", {"a.py", "b.py"}),
    ("from .import a\n", {"a.py"}),
    ("from . a import x\n", {"a.py"}),
    ("from.a import x\n", {"a.py"}),
    ("from \\\n . \\\n a import x\n", {"a.py"}),
    ("x = 1; from .a import y\n", {"a.py"}),
    ("if True: from .a import y\n", {"a.py"}),
    ("def f():\n    from .a import y\n", {"a.py"}),
    ("try:\n    from .a import y\nexcept ImportError:\n    from .b import y\n", {"a.py", "b.py"}),
    ("from .pkg.sub import x\n", {"pkg/__init__.py", "pkg/sub.py", "pkg.sub.py"}),
    ("from .pkg import sub\n", {"pkg/__init__.py", "pkg/sub.py"}),
    ("from .pkg import deep\n", {"pkg/__init__.py", "pkg/deep/__init__.py"}),
    ("import importlib\nimportlib.import_module('.a', __package__)\n", {"a.py"}),
    ("from importlib import import_module as load\nload('.a', __package__)\n", set()),
    ("__import__('a')\n", {"a.py"}),
    ("import a\n", {"a.py"}),
    ("import os, a as x\n", {"a.py"}),
    ("import pkg.sub\n", {"pkg/__init__.py", "pkg/sub.py"}),
    ("from pkg.sub import y\n", {"pkg/__init__.py", "pkg/sub.py"}),
    ("import torch\n", {"torch.py"}),
    ("from .évidence import x\n", {"évidence.py"}),
    ("from .e\u0301vidence import x\n", {"évidence.py"}),
    ("from .\uff41 import x\n", {"a.py"}),
    ("import numpy\nfrom os import path\n", set()),
    ("'''\nfrom .a import b\n'''\n", {"a.py"}),
    ("# from .a import b\n", {"a.py"}),
    ("import .a\n", {"a.py"}),
    ("  import .a \t\n\n\nx = 1\n", {"a.py"}),
    ("x = 1\rfrom .a import b\r", {"a.py"}),
    ("x = 1\r\nfrom .a import b\r\n", {"a.py"}),
    ("\ufefffrom .a import b\n", {"a.py"}),
    ("from ..a import b\n", set()),
    ("from .a import b\nthis is not python (\n", {"a.py"}),
    ("if x:\n  this is not python\n    from . import a, b\n", {"a.py", "b.py"}),
    ("x = " + "-" * 30_000 + "1\nfrom .a import b\n", {"a.py"}),
    ("x = '" + "y" * TREE_LIMIT + "'\nfrom . import a\n", {"a.py"}),
]


def _reached(source: bytes) -> set[str]:
    found: set[str] = set()
    for one in relative_imports(source).found:
        needed, besides = files_of(one, "m.py", "m.py")
        found.update(FILES.intersection((*needed, *besides)))
    return found


@pytest.mark.parametrize(("text", "files"), REACHED, ids=range(len(REACHED)))
def test_imports_are_followed_to_files(text: str, files: set[str]) -> None:
    assert _reached(text.encode()) == files


@pytest.mark.parametrize(
    ("source", "files"),
    [
        (b"# coding: latin-1\nx = '\xe9'\nfrom .a import b\n", {"a.py"}),
        (b"# -*- coding: utf-7 -*-\n+AAo-from .a import b+AAo-\n", {"a.py"}),
        (b"#!/usr/bin/python\n# coding: unicode_escape\nx = 1\\nfrom . import a\n", {"a.py"}),
        (b"# coding: cp037\n" + "\nfrom .a import b\n".encode("cp037"), {"a.py"}),
        (b"# coding: no-such-codec\nfrom .a import b\n", {"a.py"}),
        (b"# coding: hex\nfrom .a import b\n", {"a.py"}),
        (b"x = '\xff\xfe'\nfrom .a import b\n", {"a.py"}),
        (b"\0\0\nfrom .a import b\n", {"a.py"}),
    ],
    ids=lambda value: repr(value[:30]) if isinstance(value, bytes) else "",
)
def test_sources_in_other_encodings(source: bytes, files: set[str]) -> None:
    assert _reached(source) == files


@pytest.mark.parametrize(
    ("source", "problem", "complete"),
    [
        (b"from .a import b\n", "", True),
        (b"x = '\\d'\n", "", True),  # of which Python warns
        (b"def f(:\n", "it is not valid Python in line 1", True),
        (b"x = '\xff'\n", "it is not valid in its encoding", True),
        (b"x = " + b"(" * 5_000, "it is not valid Python in line 1", True),
        (b"x" + b".y" * 20_000, "it is nested too deeply", True),
        (b"x = " + b"-" * 50_000 + b"1", "it is nested too deeply", True),
        (b"#" * (TREE_LIMIT + 1), f"it is larger than {TREE_LIMIT} bytes", True),
        (b"# coding: punycode\n" + b"a-" * 500_000, "its encoding punycode is not read", False),
        (b"from . import a\n" * 2_000, "", False),
        (b"from .a import (" + b"b," * 2_000 + b")\n", "", False),
        (b"import " + b"a," * 2_000 + b"b\n", "", False),
        (b"\n" * 1_000_000, f"it is larger than {TREE_LIMIT} bytes", True),
        (b"from . import (" * 70_000, f"it is larger than {TREE_LIMIT} bytes", False),
        (b"# from . import a\n" * 60_000, f"it is larger than {TREE_LIMIT} bytes", False),
    ],
    ids=lambda value: repr(value[:20]) if isinstance(value, bytes) else "",
)
def test_what_is_not_understood_is_told(source: bytes, problem: str, *, complete: bool) -> None:
    with warnings.catch_warnings(record=True) as seen:
        imports = relative_imports(source)
    assert (imports.problem, imports.complete) == (problem, complete)
    assert not seen


@pytest.mark.parametrize(
    ("text", "path", "first", "needed"),
    [
        ("from ..a import b", "pkg/m.py", "pkg/m.py", ["pkg/.a.py", "a.py"]),
        ("from ...a import b", "pkg/m.py", "pkg/m.py", ["pkg/..a.py"]),
        ("from .a import b", "x/m.py", "top.py", ["a.py", "x/a.py"]),
        ("from ./../../e import b", "m.py", "m.py", []),
    ],
)
def test_files_of_modules_in_folders(text: str, path: str, first: str, needed: list[str]) -> None:
    files: list[str] = []
    for one in relative_imports(text.encode()).found:
        files += [file for file in files_of(one, path, first)[0] if "__init__" not in file]
        assert not any(file.startswith(("/", "..")) and file[2:3] == "/" for file in files)
    assert list(dict.fromkeys(files)) == needed
