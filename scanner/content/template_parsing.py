"""Parse chat templates as loaders do, with bounds on nesting.

The environment knows what those of loaders know: loop controls, ``do``, and the ``generation`` tag
of transformers. It parses and never renders. Jinja's parser recurses, so the nesting of tokens is
bounded on their way to it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from prefect_mutagen.scanner.content.template_selection import Exhausted

if TYPE_CHECKING:
    from jinja2 import Environment, nodes

__all__ = ["Refused", "parse_template", "parsing_environment", "trimming_matters"]

# Frames of Jinja's recursive parser for a bracket, a block and an operator before an operand.
_FRAMES_OF_A_BRACKET: Final = 15
_FRAMES_OF_A_BLOCK: Final = 5
_MOST_FRAMES: Final = 500
_MOST_TOKENS: Final = 50_000
"""Most tokens of a template; the longest ones of models have a tenth of that."""
_OPENING: Final = frozenset({"lparen", "lbracket", "lbrace"})
_CLOSING: Final = frozenset({"rparen", "rbracket", "rbrace"})
_PREFIXES: Final = frozenset({"sub", "add", "pow"})
_PREFIX_WORDS: Final = frozenset({"not", "else"})
_BLOCKS: Final = frozenset(
    {"for", "if", "macro", "call", "filter", "with", "autoescape", "block", "generation"}
)
# The lexer and Python take time in the square of a number's length.
_LONG_NUMBER: Final = re.compile(r"[\d_]{1000}")
# A line break behind a tag, before text that is not stripped; white space before a tag.
_TRIMMED: Final = re.compile(
    r"(?<![-+])[%#]\}\n(?!\s*(?:\{[%{#]-|\Z))|^[ \t]+\{[%#](?![-+])", re.MULTILINE
)


class Refused(Exception):  # noqa: N818 - a fault of the template, not of the tool
    """Jinja does not parse the source."""

    def __init__(self, problem: str, line: int) -> None:
        """Keep what is wrong, in Jinja's words, and the line; 0 if it is not known."""
        super().__init__(problem, line)
        self.problem, self.line = problem, line


def trimming_matters(text: str) -> bool:
    """Whether the text around tags depends on ``trim_blocks`` and ``lstrip_blocks``."""
    return _TRIMMED.search(text.replace("\r\n", "\n").replace("\r", "\n")) is not None


def parse_template(text: str, *, trim: bool) -> "nodes.Template":
    """Return the syntax tree of a source.

    Args:
        text: The source.
        trim: Whether line breaks behind tags and white space before them belong to the tags.

    Raises:
        Refused: Jinja does not parse it.
        Exhausted: It is nested too deeply, or has a number that is too long.
    """
    from jinja2 import TemplateSyntaxError

    if _LONG_NUMBER.search(text) and any(len(run) >= 1000 for run in re.findall(r"\d+", text)):
        raise Exhausted("it has a number that is too long")
    try:
        return parsing_environment(trim).parse(text)
    except RecursionError:
        raise Exhausted("it is nested too deeply") from None
    except Exhausted:
        raise
    except Exception as problem:  # noqa: BLE001 - what strangers write; ValueError for huge numbers
        line = problem.lineno if isinstance(problem, TemplateSyntaxError) else 0
        raise Refused(str(problem).partition("\n")[0], line) from None


@cache
def parsing_environment(trim: bool) -> "Environment":
    """Return an environment for parsing and for folding constants."""
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
    nesting = _Nesting()
    for number, token in enumerate(stream):
        if number == _MOST_TOKENS:
            raise Exhausted(f"it has more than {_MOST_TOKENS:,} tokens")
        nesting.take(token)
        if nesting.frames() > _MOST_FRAMES:
            raise Exhausted("it is nested too deeply")
        yield token


@dataclass(slots=True)
class _Nesting:
    brackets: int = 0
    blocks: int = 0
    prefixes: int = 0
    begins: bool = False
    """Whether a tag has just begun."""
    opens_set: bool = False
    """Whether the tag is a ``set`` that has no value so far: it opens a block."""

    def frames(self) -> int:
        brackets, blocks = self.brackets, self.blocks
        return brackets * _FRAMES_OF_A_BRACKET + blocks * _FRAMES_OF_A_BLOCK + self.prefixes

    def take(self, token: Any) -> None:
        kind = token.type
        if kind in _OPENING:
            self.brackets += 1
        elif kind in _CLOSING:
            self.brackets -= 1
        elif kind in _PREFIXES or (kind == "name" and token.value in _PREFIX_WORDS):
            self.prefixes += 1
        elif kind in ("block_begin", "variable_begin", "data"):
            self.prefixes = self.brackets = 0
        elif kind == "assign":
            self.opens_set = self.opens_set and self.brackets > 0
        elif kind == "block_end":
            self.blocks += self.opens_set
            self.opens_set = False
        if self.begins and kind == "name":
            self._begin(token.value)
        self.begins = kind == "block_begin"

    def _begin(self, tag: str) -> None:
        self.opens_set = tag == "set"
        if tag in _BLOCKS:
            self.blocks += 1
        elif tag.startswith("end"):
            self.blocks = max(0, self.blocks - 1)
