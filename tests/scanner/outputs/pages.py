"""What a Markdown page really holds: its structure, and the texts in it."""

import re
from collections.abc import Iterator
from typing import Any

import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token

__all__ = ["body", "front", "structure", "texts"]

_READER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def front(page: str) -> dict[str, Any]:
    """Read the block at the top."""
    found = re.match(r"---\n(.*?)^---\n", page, re.DOTALL | re.MULTILINE)
    assert found is not None
    fields = yaml.safe_load(found[1])
    assert isinstance(fields, dict)
    return fields


def body(page: str) -> str:
    """Give the page below the block."""
    return re.sub(r"\A---\n.*?^---\n", "", page, count=1, flags=re.DOTALL | re.MULTILINE)


def _tokens(page: str) -> Iterator[Token]:
    for token in _READER.parse(body(page)):
        yield token
        yield from token.children or ()


def structure(page: str) -> list[str]:
    """Name everything that is more than text, in order."""
    plain = ("text", "text_special")
    return [f"{one.type} {one.tag}" for one in _tokens(page) if one.type not in plain]


def texts(page: str) -> list[str]:
    """Give the text of each cell, heading, item or paragraph, as a person reads it."""
    return [
        "".join(child.content for child in one.children or ())
        for one in _READER.parse(body(page))
        if one.type == "inline"
    ]
