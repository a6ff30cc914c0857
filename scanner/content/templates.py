"""Chat templates of a model, and what their source shows; none is ever rendered.

A chat template is a Jinja program that comes with the model. Most loaders render it in a sandbox,
some do not, and sandboxes have had escapes. `template_syntax` judges the source.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from prefect_mutagen.parsers import GgufHeader, LongText
from prefect_mutagen.parsers.errors import named, shown
from prefect_mutagen.scanner.findings import Finding, make_finding

if TYPE_CHECKING:
    from prefect_mutagen.scanner.content.template_syntax import Judgement

__all__ = [
    "GGUF_KEY",
    "LONGEST_TEMPLATES",
    "Template",
    "find_template_escapes",
    "gguf_templates",
    "make_template",
]

GGUF_KEY: Final = "tokenizer.chat_template"
"""Key of a GGUF header's default template; named ones lie below it."""
LONGEST_TEMPLATES: Final = 128 << 10
"""Most characters that are examined of all templates beside a model, as of a single one."""
_MOST_KEPT: Final = 512
_judged: "OrderedDict[str, Judgement]" = OrderedDict()


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
    problem: str = ""
    """What stands in its place instead of a text, as a clause."""


def make_template(place: str, text: str) -> Template:
    """Return the template for a text."""
    # JSON may hold halves of surrogate pairs; texts that differ in them are different texts.
    raw = text.encode("utf-8", "surrogatepass")
    return Template(place, text, len(raw), hashlib.sha256(raw).hexdigest())


def gguf_templates(header: GgufHeader) -> Iterator[Template]:
    """Yield the templates of a GGUF header."""
    for entry in header.metadata:
        key, value = entry.key, entry.value
        if key == GGUF_KEY or key.startswith(f"{GGUF_KEY}."):
            if isinstance(value, LongText):
                yield Template(key, None, value.length, value.sha256)
            elif isinstance(value, str):
                yield make_template(key, value)
            else:
                yield Template(key, None, 0, "", "is no text")


def find_template_escapes(templates: Iterable[Template], url: str) -> Iterator[Finding]:
    """Yield a finding for each template that is not known to be sound.

    Args:
        templates: The templates to inspect.
        url: Address of the file that contains them.
    """
    for template in templates:
        place = template.place
        if template.problem:
            message = f"{named(place)} {template.problem}, and loaders may take it as a program"
            yield make_finding("template/unknown-shape", message, url=url, field=place)
            continue
        if template.text is None:
            message = f"{named(place)} is too long to be examined"
            yield make_finding("template/unexamined", message, url=url, field=place)
            continue
        judgement = _judgement(template)
        if judgement.outcome == "sound":
            continue
        found = f": {shown(judgement.found)}" if judgement.found else ""
        line = f" (line {judgement.line})" if judgement.line else ""
        message = _MESSAGES[judgement.outcome].format(
            place=named(place), what=judgement.what, found=found, line=line
        )
        yield make_finding(f"template/{judgement.outcome}", message, url=url, field=place)


_MESSAGES: Final = {
    "escape": "{place} uses {what}{found}{line}",
    "undecided": "{place} selects an attribute by {what}{line}",
    "unexamined": "{place} was not examined: {what}{found}{line}",
    "invalid": "{place} is not valid Jinja: {what}{line}",
}


def _judgement(template: Template) -> "Judgement":
    """Return the judgement of a text; it is kept by the text's SHA-256."""
    digest = template.sha256
    kept = _judged.get(digest)
    if kept is None:
        from prefect_mutagen.scanner.content.template_syntax import (
            judge_template,
        )  # a dozen modules

        kept = judge_template(template.text or "")
        _judged[digest] = kept
        while len(_judged) > _MOST_KEPT:
            # Another thread may have taken the last one out.
            try:
                _judged.popitem(last=False)
            except KeyError:
                break
    return kept
