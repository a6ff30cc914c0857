"""Judge the source of a chat template on Jinja's own syntax tree; nothing is rendered.

Two parts look at the tree. The first knows no values: names of attributes, globals and tags that no
template needs. The second (`template_walk`) follows the values. Loaders differ in whether a line
break behind a tag belongs to the text; where that makes a difference to texts of blocks, which are
values, both readings are followed.

All bounds are sizes, so that a judgement does not depend on the machine.
"""

import re
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from prefect_mutagen.scanner.content.template_names import (
    CALLED_GLOBALS,
    FORBIDDEN_GLOBALS,
    is_forbidden,
    suspicious_part,
)
from prefect_mutagen.scanner.content.template_parsing import (
    Refused,
    parse_template,
    parsing_environment,
    trimming_matters,
)
from prefect_mutagen.scanner.content.template_selection import Escape, Exhausted
from prefect_mutagen.scanner.content.template_walk import Walk

if TYPE_CHECKING:
    from jinja2 import nodes

__all__ = ["LONGEST_TEMPLATE", "Judgement", "judge_template"]

LONGEST_TEMPLATE: Final = 128 << 10
"""Longest source that is examined, in characters."""
_MOST_NODES: Final = 30_000
_DEEPEST_TREE: Final = 120
_LOADING: Final = frozenset({"Include", "Import", "FromImport", "Extends"})
_CAPTURING: Final = frozenset({"AssignBlock", "Macro", "CallBlock", "FilterBlock"})
_UNKNOWN_TAG: Final = re.compile(r"Encountered unknown tag '(\w+)'")
_GO: Final = re.compile(r"\{\{-?\s*(?:(?:if|range|with|else if|template)\s[^}]{0,200}?)?[.$]")

Outcome = Literal["sound", "escape", "undecided", "unexamined", "invalid"]


class Judgement(NamedTuple):
    """What was found in the source of a template."""

    outcome: Outcome
    what: str = ""
    """The construct, in words."""
    found: str = ""
    """Its source or name; a text of the template."""
    line: int = 0
    """Its line, from 1; 0: no single one."""


def judge_template(text: str) -> Judgement:
    """Return what the source of a chat template shows."""
    if len(text) > LONGEST_TEMPLATE:
        return Judgement("unexamined", f"it has more than {LONGEST_TEMPLATE} characters")
    try:
        tree = parse_template(text, trim=True)
        captures = _look(tree)
        judgement = _follow(tree)
        if captures and trimming_matters(text):
            other = _follow(parse_template(text, trim=False))
            judgement = judgement if judgement.outcome == "undecided" else other
    except Refused as refused:
        return _refused(text, refused.problem, refused.line)
    except Escape as escape:
        return Judgement("escape", escape.what, escape.found, escape.line)
    except Exhausted as limit:
        return Judgement("unexamined", str(limit))
    except RecursionError:
        return Judgement("unexamined", "it is nested too deeply")
    return judgement


def _follow(tree: "nodes.Template") -> Judgement:
    walk = Walk(parsing_environment(True))
    walk.follow(tree)
    if walk.undecided is None:
        return Judgement("sound")
    return Judgement("undecided", walk.undecided.what, line=walk.undecided.line)


def _refused(text: str, problem: str, line: int) -> Judgement:
    """Judge a source that Jinja refuses: no loader that uses Jinja renders it."""
    if _GO.search(text):
        # Go's text/template, as in Ollama's layers. It has no way to Python.
        return Judgement("sound")
    suspicious = suspicious_part(text)
    if suspicious:
        what = "a name of Python's internals in a source that Jinja refuses"
        return Judgement("escape", what, suspicious, line)
    tag = _UNKNOWN_TAG.search(problem)
    if tag and not tag[1].startswith("end") and tag[1] not in ("else", "elif"):
        return Judgement("unexamined", "it has a tag that is not known", tag[1], line)
    return Judgement("invalid", problem, line=line)


def _look(tree: "nodes.Template") -> bool:
    """Look at each node of a tree by itself.

    Returns:
        Whether texts of blocks become values.

    Raises:
        Escape: A name or a tag that no template needs.
        Exhausted: There are too many nodes.
    """
    look = _Look()
    waiting: list[tuple[Any, int]] = [(tree, 0)]
    while waiting and look.count <= _MOST_NODES and look.depth <= _DEEPEST_TREE:
        node, depth = waiting.pop()
        look.take(node, depth)
        # The left operand of a chain of operators is followed without recursion.
        left = getattr(node, "left", None)
        waiting += [(child, depth + (child is not left)) for child in node.iter_child_nodes()]
    escapes = look.all_escapes()
    if escapes:
        raise min(escapes, key=lambda escape: escape.line)
    if waiting:
        raise Exhausted("it has too many parts, or they are nested too deeply")
    return look.captures


class _Look:
    """What nodes show by themselves."""

    def __init__(self) -> None:
        self.count = self.depth = 0
        self.captures = False
        self._escapes: list[Escape] = []
        self._assigned: set[str] = set()
        self._callees: set[int] = set()
        self._loaded: list[tuple[str, int]] = []

    def take(self, node: Any, depth: int) -> None:
        """Look at a node; at a call before its function."""
        self.count += 1
        self.depth = max(self.depth, depth)
        kind = type(node).__name__
        self.captures = self.captures or kind in _CAPTURING
        if kind == "Name":
            self._take_name(node)
        elif kind in ("Getattr", "NSRef"):
            if kind == "Getattr":
                self._callees.add(id(node.node))
            if is_forbidden(node.attr):
                self._add("an attribute of Python's internals", node.attr, node)
        elif kind == "Call":
            self._callees.add(id(node.node))
        elif kind == "Macro":
            self._assigned.add(node.name)
        elif kind in _LOADING:
            self._add("a tag that loads another template", kind.lower(), node)

    def _take_name(self, node: "nodes.Name") -> None:
        if node.ctx != "load":
            self._assigned.add(node.name)
        elif node.name in FORBIDDEN_GLOBALS:
            self._add("one of Jinja's own globals", node.name, node)
        elif node.name in CALLED_GLOBALS and id(node) not in self._callees:
            self._loaded.append((node.name, node.lineno))

    def _add(self, what: str, found: str, node: Any) -> None:
        self._escapes.append(Escape(what, found, node.lineno))

    def all_escapes(self) -> list[Escape]:
        """Return all escapes; variables of the template may be called as Jinja's globals are."""
        what = "a global of Jinja that is not called"
        loaded = [each for each in self._loaded if each[0] not in self._assigned]
        return self._escapes + [Escape(what, name, line) for name, line in loaded]
