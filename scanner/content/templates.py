"""Look at chat templates without ever rendering one.

A chat template is a Jinja program that comes with the model. Loaders render it in a sandbox; a
careless one does not, and even sandboxes had holes. What a template needs to lay out messages is
little; what it would need to break out is not among it, so a look at its text tells them apart:

* names with double underscores, as attributes or as subscripts (``x.__class__``,
  ``x["__init__"]``), also inside a string that is formatted;
* the filter ``attr``, which reads attributes by computed names;
* what hangs on Jinja's own globals ``lipsum``, ``cycler``, ``joiner`` and ``self``;
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
    "gguf_templates",
    "look_at_templates",
    "make_template",
    "tokenizer_templates",
]

_LIMIT: Final = 1 << 20
_OPEN: Final = re.compile(r"\{([{%#])")
_CLOSE: Final = {"{": "}}", "%": "%}", "#": "#}"}
# A string that is never closed runs to the end, so that nothing is looked at twice.
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
    """A chat template: where it stands, and what is known of its text."""

    place: str
    """Key or file, for example ``tokenizer.chat_template``."""
    text: str | None
    """Its text; None when it is too long to be kept."""
    length: int
    """Bytes of the text."""
    sha256: str
    """Of the text, in hexadecimal; empty when it was not read whole."""


def make_template(place: str, text: str) -> Template:
    """Describe a template whose text is there."""
    raw = text.encode("utf-8", "replace")
    return Template(place, text, len(raw), hashlib.sha256(raw).hexdigest())


def gguf_templates(header: GgufHeader) -> Iterator[Template]:
    """Give the templates of a GGUF header."""
    for entry in header.metadata:
        if entry.key.startswith("tokenizer.chat_template"):
            if isinstance(entry.value, LongText):
                yield Template(entry.key, None, entry.value.length, entry.value.sha256)
            elif isinstance(entry.value, str):
                yield make_template(entry.key, entry.value)


def tokenizer_templates(tokenizer: Mapping[str, Any]) -> Iterator[Template]:
    """Give the templates of a tokenizer_config.json: one, or a list of named ones."""
    place = "tokenizer_config.json:chat_template"
    template = tokenizer.get("chat_template")
    if isinstance(template, str):
        yield make_template(place, template)
    elif isinstance(template, list):
        for entry in template:
            if isinstance(entry, dict) and isinstance(entry.get("template"), str):
                yield make_template(place, entry["template"])


def look_at_templates(templates: Iterable[Template], url: str) -> Iterator[Finding]:
    """Look for what no chat template needs.

    Args:
        templates: What to look at.
        url: The file they stand in.
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
    """Find the first thing that no chat template needs: what it is, and how it is written."""
    for kind, code in _blocks(text):
        hidden = _find_in_strings(code)
        if hidden is not None:
            return hidden
        bare = _STRING.sub("''", code)
        if kind == "%" and _LOADING.match(bare):
            return "a tag that loads another template", bare[:40]
        for pattern, what in _IN_CODE:
            found = pattern.search(bare)
            if found:
                return what, bare[found.start() : found.start() + 40]
    return None


def _blocks(text: str) -> Iterator[tuple[str, str]]:
    """Give the code between braces, as Jinja's own lexer cuts it: a string may hold a brace."""
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
