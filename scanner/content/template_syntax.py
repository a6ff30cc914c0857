"""Judge the source of a chat template on Jinja's own syntax tree; nothing is rendered.

The environment parses what loaders parse: loop controls, ``do``, and the ``generation`` tag of
transformers. Two parts look at the tree. The first knows no values: names of attributes, globals
and tags that no template needs. The second (`template_walk`) follows the values.

Loaders differ in whether a line break after a tag belongs to the text; where a template uses texts
of blocks as values, both readings are followed. All bounds are sizes, so that a judgement does not
depend on the machine.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from prefect_mutagen.scanner.content.template_names import (
    CALLED_GLOBALS,
    FORBIDDEN_GLOBALS,
    is_forbidden,
    suspicious_part,
)
from prefect_mutagen.scanner.content.template_selection import Escape, Exhausted
from prefect_mutagen.scanner.content.template_walk import Walk

if TYPE_CHECKING:
    from jinja2 import Environment, nodes

__all__ = ["LONGEST_TEMPLATE", "Judgement", "judge_template"]

LONGEST_TEMPLATE: Final = 128 << 10
"""Longest text that is examined, in characters."""
_MOST_NODES: Final = 30_000
_DEEPEST_TREE: Final = 120
# Frames of Jinja's recursive parser for a bracket, a block and an operator before an operand.
_FRAMES: Final = {"bracket": 15, "block": 5, "prefix": 1}
_MOST_FRAMES: Final = 500
_OPENING: Final = frozenset({"lparen", "lbracket", "lbrace"})
_CLOSING: Final = frozenset({"rparen", "rbracket", "rbrace"})
_PREFIXES: Final = frozenset({"sub", "add", "pow"})
_PREFIX_WORDS: Final = frozenset({"not", "else"})
_BLOCKS: Final = frozenset("for if macro call filter with autoescape block generation".split())
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


class _TooDeep(Exception):  # noqa: N818 - a limit of ours
    pass


def judge_template(text: str) -> Judgement:
    """Return what the source of a chat template shows."""
    if len(text) > LONGEST_TEMPLATE:
        return Judgement("unexamined", f"it has more than {LONGEST_TEMPLATE} characters")
    try:
        return _judge(text)
    except Escape as escape:
        return Judgement("escape", escape.what, escape.found, escape.line)
    except (_TooDeep, RecursionError):
        return Judgement("unexamined", "it is nested too deeply")
    except Exhausted:
        return Judgement("unexamined", "it takes too many steps to follow")


def _judge(text: str) -> Judgement:
    environment = _environment(True)
    tree = _parse(environment, text)
    if isinstance(tree, Judgement):
        return tree
    captures = _look(tree)
    walk = Walk(environment)
    walk.follow(tree)
    undecided = walk.undecided
    if captures:
        environment = _environment(False)
        tree = _parse(environment, text)
        if not isinstance(tree, Judgement):
            walk = Walk(environment)
            walk.follow(tree)
            undecided = undecided or walk.undecided
    if undecided is not None:
        return Judgement("undecided", undecided.what, line=undecided.line)
    return Judgement("sound")


@cache
def _environment(trim: bool) -> "Environment":  # noqa: FBT001 - the key of the cache
    """Return an environment that is used for parsing only."""
    from jinja2 import Environment, nodes
    from jinja2.ext import Extension
    from jinja2.lexer import Token, TokenStream
    from jinja2.parser import Parser

    class LoaderTags(Extension):
        tags = {"generation", "break", "continue", "do"}  # noqa: RUF012 - as Jinja declares it

        def parse(self, parser: Parser) -> nodes.Node:
            token = next(parser.stream)
            if token.value == "break":
                return nodes.Break(lineno=token.lineno)
            if token.value == "continue":
                return nodes.Continue(lineno=token.lineno)
            if token.value == "do":
                return nodes.ExprStmt(parser.parse_tuple(), lineno=token.lineno)
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.Scope(body, lineno=token.lineno)

        def filter_stream(self, stream: TokenStream) -> Iterator[Token]:
            return _bound(stream)

    return Environment(  # noqa: S701 - it never renders
        trim_blocks=trim, lstrip_blocks=trim, extensions=[LoaderTags], cache_size=0
    )


def _bound(stream: Any) -> Iterator[Any]:
    """Pass tokens on while their nesting is one that the parser can take."""
    brackets = blocks = prefixes = 0
    # The tag that begins, and whether it is a set without a value: a block.
    begins = opens_set = False
    for token in stream:
        kind = token.type
        if kind in _OPENING:
            brackets += 1
        elif kind in _CLOSING:
            brackets -= 1
        elif kind in _PREFIXES or (kind == "name" and token.value in _PREFIX_WORDS):
            prefixes += 1
        elif kind in ("block_begin", "variable_begin", "data"):
            prefixes = brackets = 0
        elif kind == "assign":
            opens_set = opens_set and brackets > 0
        elif kind == "block_end":
            blocks += opens_set
            opens_set = False
        if begins and kind == "name":
            opens_set = token.value == "set"
            if token.value in _BLOCKS:
                blocks += 1
            elif token.value.startswith("end"):
                blocks = max(0, blocks - 1)
        begins = kind == "block_begin"
        frames = (
            brackets * _FRAMES["bracket"] + blocks * _FRAMES["block"] + prefixes * _FRAMES["prefix"]
        )
        if frames > _MOST_FRAMES:
            raise _TooDeep
        yield token


def _parse(environment: "Environment", text: str) -> "nodes.Template | Judgement":
    """Return the tree of a text, or why there is none."""
    from jinja2 import TemplateSyntaxError

    try:
        return environment.parse(text)
    except (_TooDeep, RecursionError, Exhausted):
        raise
    except Exception as problem:  # noqa: BLE001 - a text of strangers; ValueError for huge numbers
        line = problem.lineno if isinstance(problem, TemplateSyntaxError) else 0
        return _refused(text, str(problem), line)


def _refused(text: str, problem: str, line: int) -> Judgement:
    """Judge a text that Jinja refuses: no loader that uses Jinja renders it."""
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
    return Judgement("invalid", problem.partition("\n")[0], line=line)


def _look(tree: "nodes.Template") -> bool:
    """Look at each node of a tree by itself.

    Returns:
        Whether texts of blocks become values.

    Raises:
        Escape: A name or a tag that no template needs.
        Exhausted: There are too many nodes.
    """
    assigned: set[str] = set()
    captures = False
    loaded: list[tuple[str, int]] = []
    callees: set[int] = set()
    waiting: list[tuple[Any, int]] = [(tree, 0)]
    count = 0
    escapes: list[Escape] = []
    while waiting:
        node, depth = waiting.pop()
        count += 1
        if count > _MOST_NODES:
            raise Exhausted
        if depth > _DEEPEST_TREE:
            raise _TooDeep
        kind = type(node).__name__
        captures = captures or kind in _CAPTURING
        if kind in _LOADING:
            escapes.append(Escape("a tag that loads another template", kind.lower(), node.lineno))
        elif kind == "Call" and type(node.node).__name__ == "Name":
            callees.add(id(node.node))
        if kind == "Name":
            if node.ctx == "load":
                if node.name in FORBIDDEN_GLOBALS:
                    what = "one of Jinja's own globals"
                    escapes.append(Escape(what, node.name, node.lineno))
                elif node.name in CALLED_GLOBALS and id(node) not in callees:
                    loaded.append((node.name, node.lineno))
            else:
                assigned.add(node.name)
        elif kind in ("Getattr", "NSRef") and is_forbidden(node.attr):
            what = "an attribute of Python's internals"
            escapes.append(Escape(what, node.attr, node.lineno))
        elif kind == "Macro":
            assigned.add(node.name)
        # The left operand of a chain of operators is followed without recursion.
        for child in node.iter_child_nodes():
            waiting.append((child, depth + (child is not getattr(node, "left", None))))
    for name, line in loaded:
        if name not in assigned:
            escapes.append(Escape("a global of Jinja that is not called", name, line))
    if escapes:
        raise min(escapes, key=lambda escape: escape.line)
    return captures
