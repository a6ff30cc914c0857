"""Inspect chat templates statically; none is ever rendered.

A chat template is a Jinja program that comes with the model. Most loaders render it in a sandbox,
some do not, and sandboxes have had escapes. Formatting messages needs none of the constructs that
an escape needs, so their presence in the source is a finding:

* names with double underscores, as attributes or as subscripts (``x.__class__``,
  ``x["__init__"]``), also inside a string that is formatted;
* the filter ``attr``, which reads attributes by computed names;
* attributes and calls of Jinja's globals ``lipsum``, ``cycler``, ``joiner`` and ``self``;
* tags that load other templates: include, import, from, extends.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from prefect_mutagen.parsers import GgufHeader, LongText
from prefect_mutagen.parsers.errors import named, shown
from prefect_mutagen.scanner.findings import Finding, make_finding

__all__ = [
    "Template",
    "find_template_escapes",
    "gguf_templates",
    "make_template",
    "tokenizer_templates",
]

_LIMIT: Final = 1 << 20
_OPEN: Final = re.compile(r"\{([{%#])")
_CLOSE: Final = {"{": "}}", "%": "%}", "#": "#}"}
# An unterminated string extends to the end, which keeps the search linear.
_STRING: Final = re.compile(
    r"'(?:[^'\\]++|\\.)*+(?:'|\\?\Z)|\"(?:[^\"\\]++|\\.)*+(?:\"|\\?\Z)", re.DOTALL
)
_STRING_OR_END: Final = {
    kind: re.compile(rf"{_STRING.pattern}|({re.escape(end)})", re.DOTALL)
    for kind, end in _CLOSE.items()
}
_DUNDER: Final = re.compile(r"__\w+__")
_LOADING: Final = re.compile(r"[-+]?\s*(?:include|import|from|extends)\b")
_IN_CODE: Final = tuple(
    (re.compile(pattern), what)
    for pattern, what in (
        (_DUNDER.pattern, "an attribute with double underscores"),
        (r"\|\s*attr\b", "the filter attr"),
        (r"\b(?:lipsum|cycler|joiner|self)\b\s*[.(\[|]", "one of Jinja's own globals"),
    )
)


class Template(NamedTuple):
    """A chat template: its place, and its text as far as it was read."""

    place: str
    """Key or file name, for example ``tokenizer.chat_template``."""
    text: str | None
    """Its text; None if it was too long to keep."""
    length: int
    """Length of the text in bytes."""
    sha256: str
    """SHA-256 of the text, in hexadecimal; empty if it was not read whole."""


def make_template(place: str, text: str) -> Template:
    """Return the template for a text."""
    raw = text.encode("utf-8", "replace")
    return Template(place, text, len(raw), hashlib.sha256(raw).hexdigest())


def gguf_templates(header: GgufHeader) -> Iterator[Template]:
    """Yield the templates of a GGUF header."""
    for entry in header.metadata:
        if entry.key.startswith("tokenizer.chat_template"):
            if isinstance(entry.value, LongText):
                yield Template(entry.key, None, entry.value.length, entry.value.sha256)
            elif isinstance(entry.value, str):
                yield make_template(entry.key, entry.value)


def tokenizer_templates(tokenizer: Mapping[str, Any]) -> Iterator[Template]:
    """Yield the templates of a tokenizer_config.json: a string, or a list of named ones."""
    place = "tokenizer_config.json:chat_template"
    template = tokenizer.get("chat_template")
    if isinstance(template, str):
        yield make_template(place, template)
    elif isinstance(template, list):
        for entry in template:
            if isinstance(entry, dict) and isinstance(entry.get("template"), str):
                yield make_template(place, entry["template"])


def find_template_escapes(templates: Iterable[Template], url: str) -> Iterator[Finding]:
    """Yield a finding for each template that could escape a sandbox or is too long to inspect.

    Args:
        templates: The templates to inspect.
        url: Address of the file that contains them.
    """
    for template in templates:
        place = template.place
        if template.text is None or len(template.text) > _LIMIT:
            message = f"{named(place)} is too long to be examined"
            yield make_finding("template/unexamined", message, url=url, field=place)
            continue
        escape = _find_escape(template.text)
        if escape is not None:
            what, found = escape
            message = f"{named(place)} uses {what}: {shown(found)}"
            yield make_finding("template/escape", message, url=url, field=place)


def _find_escape(text: str) -> tuple[str, str] | None:
    """Return the first suspicious construct: its description and its source; None if none."""
    for kind, code in _blocks(text):
        in_string = _find_in_strings(code)
        if in_string is not None:
            return in_string
        bare = _STRING.sub("''", code)
        if kind == "%" and _LOADING.match(bare):
            return "a tag that loads another template", bare[:40]
        for pattern, what in _IN_CODE:
            found = pattern.search(bare)
            if found:
                return what, bare[found.start() : found.start() + 40]
    return None


def _blocks(text: str) -> Iterator[tuple[str, str]]:
    """Yield kind and code of each block, split as by Jinja's lexer: strings may hold braces."""
    at = 0
    while True:
        opening = _OPEN.search(text, at)
        if opening is None:
            return
        kind, start = opening[1], opening.end()
        if kind == "#":
            end = text.find(_CLOSE[kind], start)
            if end < 0:
                return
        else:
            closing = (found for found in _STRING_OR_END[kind].finditer(text, start) if found[1])
            found = next(closing, None)
            end = found.start() if found else len(text)
            yield kind, text[start:end]
        at = end + 2


def _find_in_strings(code: str) -> tuple[str, str] | None:
    for literal in _STRING.finditer(code):
        if not _DUNDER.search(literal[0]):
            continue
        subscript = code[max(0, literal.start() - 64) : literal.start()].rstrip().endswith("[")
        formatted = "{" in literal[0] or "%" in code[literal.end() : literal.end() + 3]
        if subscript or formatted:
            return "a name with double underscores in a string", literal[0][:40]
    return None
