r"""Find what a Python source imports from the files around it, without running any of it.

Loaders copy and run a module together with what it imports. Three readings are combined, because a
statement that one of them misses is code that nobody looked at:

* the regular expressions that transformers and diffusers look for files with
  (``dynamic_module_utils.get_relative_imports``, the same in transformers 5.24.0 and diffusers
  0.42.1), which also match inside strings, and know no ``from . import a``;
* Python's own syntax tree, for sources within `TREE_LIMIT` and `_TOKEN_LIMIT`: a tree takes up to a
  kilobyte for each token of its source;
* a search for import statements anywhere in the text, which needs no valid syntax.

What only the search finds may be a comment, so it is followed if such a file exists, and not missed
otherwise.
"""

import ast
import codecs
import posixpath
import re
import threading
import unicodedata
import warnings
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, NamedTuple

__all__ = ["TREE_LIMIT", "Import", "Imports", "files_of", "relative_imports"]

TREE_LIMIT: Final = 1 << 18
"""Most bytes of a source whose syntax tree is built."""
_TOKEN_LIMIT: Final = 60_000
"""Most tokens of a source whose syntax tree is built: the largest modules of models have half."""
_IMPORT_LIMIT: Final = 1_000
_NAME_LIMIT: Final = 500

# As in get_relative_imports: what follows the first dot is a path to them, further dots included.
# Without leading line breaks, which would match the same and take quadratic time.
_LOADER_PATTERNS: Final = (
    re.compile(r"^[^\S\n]*+import\s++\.(\S++)[^\S\n]*+$", re.MULTILINE),
    re.compile(r"^[^\S\n]*+from\s++\.(\S++)\s++import", re.MULTILINE),
)
_TOKEN: Final = re.compile(r"\w++|[^\w \t\f]")
_FORMATTED: Final = re.compile(r"(?<!\w)(?:f|fr|rf)['\"]", re.IGNORECASE)
# Before 3.12, Python reads a formatted string from its beginning for each of its expressions.
_FORMATTED_LIMIT: Final = 500_000_000
_CONTINUED: Final = re.compile(r"\\\n")
_FROM: Final = re.compile(
    r"\bfrom[ \t\f]*+(?P<dots>\.*+)(?:(?!import\b)(?P<module>[\w.]{1,500}+))?+[ \t\f]*+import\b"
)
# A search that went to the end of such a dotted name would read it again at each of its words.
_LONG_FROM: Final = re.compile(r"\bfrom[ \t\f]*+\.*+[\w.]{500}")
_IMPORT: Final = re.compile(r"\bimport\b(?=[ \t\f]++[^\W\d])")
_CALL: Final = re.compile(
    r"\b(?:import_module|__import__)\s*+\(\s*+(['\"])(?P<dots>\.*+)(?P<module>[\w.]*+)\1"
)
_NAME: Final = re.compile(r"[\s,(]*+(?:#[^\n]*+\s*+)*+([\w.]++)(?:\s++as\s++\w++)?+[ \t\f]*+")
_COMMA: Final = re.compile(r"(?:#[^\n]*+|\s++)*+,")
_FOREIGN: Final = re.compile(r"[\x00-\x7f]?[^\x00-\x7f]++")
_FILE_NAME: Final = 255
"""Most characters that are part of a file's name."""
_MOST_GROWTH: Final = 4
"""Most letters for one of a name; an Arabic phrase is a character of eighteen."""
_GAP: Final = 2_000
"""Most characters between two names of one statement."""
_CODING: Final = re.compile(rb"[ \t\f]*+#.*?coding[:=][ \t]*+([-\w.]+)")
_SLOW_CODECS: Final = ("punycode", "idna")
# The filters of warnings are global: one tree at a time is built with warnings off.
_quiet: Final = threading.Lock()


class Import(NamedTuple):
    """A module that a source imports."""

    level: int
    """Number of leading dots; 0 for an absolute import, which may find a file beside it."""
    module: str
    """Dotted name after the dots; may be empty."""
    names: tuple[str, ...] = ()
    """Names taken from it, which may be modules as well."""
    file: str = ""
    """Instead of the three: the path that transformers and diffusers form, relative to the folder
    of the first module, without ``.py``."""
    required: bool = True
    """Whether the load fails without it, as far as that can be told."""

    def __str__(self) -> str:
        """Return it as it would be written, for a message."""
        if self.file:
            return f".{self.file}"
        module = "." * self.level + self.module
        return module if self.module else f"{module} import {', '.join(self.names[:3])}"


class Imports(NamedTuple):
    """What a source imports."""

    found: tuple[Import, ...]
    problem: str = ""
    """Why its syntax tree was not built, as a clause; empty if it was."""
    complete: bool = True
    """Whether all of them were looked at."""


def relative_imports(source: bytes) -> Imports:
    """Return the imports of a Python source that may find a file of the same model.

    Args:
        source: The file's content, hostile or not; nothing of it is compiled or run.
    """
    text, declared, problem = _decode(source)
    found = dict.fromkeys(islice(_as_loaders(text), _IMPORT_LIMIT + 1))
    if problem or len(found) > _IMPORT_LIMIT:
        return Imports(tuple(found), problem, complete=False)
    tree, problem = _parse(declared, len(source))
    if tree is not None:
        found.update(dict.fromkeys(_in_tree(tree)))
    if "\ufffd" in declared and not problem:
        problem = "it is not valid in its encoding"
    seen = {one[:3] for one in found}
    for readable in dict.fromkeys((text, declared)):
        if tree is None and _LONG_FROM.search(_joined(readable)):
            return Imports(tuple(found), problem, complete=False)
        for number, one in enumerate(_in_text(readable)):
            if number == _IMPORT_LIMIT or len(one.names) == _NAME_LIMIT:
                return Imports(tuple(found), problem, complete=False)
            if one[:3] not in seen:
                found[one] = None
    return Imports(tuple(found), problem)


def _as_loaders(text: str) -> Iterator[Import]:
    for pattern in _LOADER_PATTERNS:
        for match in pattern.finditer(text):
            yield Import(0, "", file=match[1])


def _decode(source: bytes) -> tuple[str, str, str]:
    """Decode a source.

    Returns:
        Its text as UTF-8, as loaders read it; the same in the encoding that its first two lines
        declare, as Python reads it; and why that was not tried.
    """
    text = _unify_lines(source.decode("utf-8", "replace"))
    for line in source.split(b"\n", 2)[:2]:
        match = _CODING.match(line)
        if match is None:
            continue
        name = match[1].decode("ascii")
        try:
            name = codecs.lookup(name).name
            if name in _SLOW_CODECS:
                return text, text, f"its encoding {name} is not read"
            return text, _unify_lines(source.decode(name, "replace")), ""
        except (LookupError, ValueError):
            break
    return text, text, ""


def _unify_lines(text: str) -> str:
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def _parse(text: str, size: int) -> tuple[ast.Module | None, str]:
    """Build the syntax tree, if that is possible within bounds; else say why not."""
    if size > TREE_LIMIT:
        return None, f"it is larger than {TREE_LIMIT} bytes"
    if any(True for _ in islice(_TOKEN.finditer(text), _TOKEN_LIMIT, None)):
        return None, f"it has more than {_TOKEN_LIMIT:,} tokens"
    if _FORMATTED.search(text) and len(text) * text.count("{") > _FORMATTED_LIMIT:
        return None, "it has too many expressions in formatted strings"
    try:
        with _quiet, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text), ""
    except SyntaxError as error:
        return None, f"it is not valid Python in line {error.lineno or 1}"
    except (RecursionError, MemoryError):
        return None, "it is nested too deeply"
    except ValueError:
        return None, "it is not valid Python"


def _in_tree(tree: ast.Module) -> Iterator[Import]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names = tuple(alias.name for alias in node.names[:_NAME_LIMIT])
            yield Import(node.level, node.module or "", names, required=node.level > 0)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(0, alias.name, required=False)
        elif isinstance(node, ast.Call) and node.args:
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            first = node.args[0]
            if (
                name in ("import_module", "__import__")
                and isinstance(first, ast.Constant)
                and isinstance(first.value, str)
            ):
                module = first.value.lstrip(".")
                yield Import(len(first.value) - len(module), module, required=False)


def _in_text(text: str) -> Iterator[Import]:
    """Yield import statements wherever they stand, in comments and strings too."""
    joined = _joined(text)
    ends = set()
    for match in _FROM.finditer(joined):
        ends.add(match.end())
        names = tuple(_names(joined, match.end()))
        yield Import(len(match["dots"]), match["module"] or "", names, required=False)
    for match in _IMPORT.finditer(joined):
        if match.end() not in ends:
            names = tuple(_names(joined, match.end()))
            for name in names:
                yield Import(0, name, required=False)
            if len(names) == _NAME_LIMIT:
                yield Import(0, "", names, required=False)  # too many, which the caller tells
    for match in _CALL.finditer(joined):
        yield Import(len(match["dots"]), match["module"], required=False)


def _joined(text: str) -> str:
    """Return a text without spaces around dots and breaks of lines in statements."""
    joined = _CONTINUED.sub(" ", text)
    joined = ".".join(part.strip(" \t\f") for part in joined.split("."))
    return joined if joined.isascii() else _FOREIGN.sub(_normalized, joined)


def _normalized(found: re.Match[str]) -> str:
    """Return a part of a name in the form that Python gives it; one that is too long as it is.

    To sort many accents on one letter takes time in the square of their number.
    """
    name = found[0]
    if len(name) > _FILE_NAME:
        return name
    normal = unicodedata.normalize("NFKC", name)
    return normal if len(normal) <= _MOST_GROWTH * len(name) else name


def _names(text: str, at: int) -> Iterator[str]:
    """Yield the names listed from an offset on; too many rather than too few."""
    for _ in range(_NAME_LIMIT):
        match = _NAME.match(text, at, at + _GAP)
        if match is None:
            return
        yield match[1]
        at = match.end()
        if _COMMA.match(text, at, at + _GAP) is None:
            return


def files_of(found: Import, path: str, first: str) -> tuple[list[str], list[str]]:
    """Return the files of the model that an import may load.

    Args:
        found: The import.
        path: Path of the module that it stands in, relative to the model's root.
        first: Path of the module that a configuration names, and that led there.

    Returns:
        Files of which a required import needs one; empty if all lie outside the model. And files
        that Python runs besides if they exist.
    """
    folder = posixpath.dirname(path)
    if found.file:
        beside = posixpath.join(posixpath.dirname(first), found.file)
        forms = [f"{beside}.py"]
        if not found.file.startswith("."):
            package = posixpath.join(folder, found.file.replace(".", "/"))
            forms += [f"{package}.py", f"{package}/__init__.py"]
        return list(_inside(forms)), []
    if not found.level:
        folders = dict.fromkeys((folder, ""))
        forms = [form for start in folders for form in _modules(start, found)]
        return [], list(_inside(forms))
    for _ in range(found.level - 1):
        if not folder:
            return [], []
        folder = posixpath.dirname(folder)
    forms = list(_modules(folder, found))
    if not found.module:  # ``from . import a``: a file, or a name of the package itself
        return list(_inside([*forms, posixpath.join(folder, "__init__.py")])), []
    own = posixpath.join(folder, found.module.replace(".", "/"))
    needed = [f"{own}.py", f"{own}/__init__.py"]
    return list(_inside(needed)), list(_inside(forms))


def _modules(folder: str, found: Import) -> Iterator[str]:
    """Yield the files of a module, of the packages around it, and of what is taken from it."""
    at = folder
    for part in filter(None, found.module.split(".")):
        at = posixpath.join(at, part)
        yield f"{at}/__init__.py"
    if found.module:
        yield f"{at}.py"
    for name in found.names:
        below = posixpath.join(at, name.replace(".", "/"))
        yield f"{below}.py"
        yield f"{below}/__init__.py"


def _inside(paths: Iterable[str]) -> Iterator[str]:
    for path in dict.fromkeys(paths):
        normal = posixpath.normpath(path)
        if not normal.startswith(("/", "../")):
            yield normal
