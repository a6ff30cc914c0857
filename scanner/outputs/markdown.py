"""Escape untrusted values for Markdown, so that they render literally.

Rules: CommonMark 0.31 and the GitHub extensions (tables, strikethrough, autolinks), which Hugging
Face renders too. Every value stays on one line.
"""

import re
from typing import Final

from prefect_mutagen.scanner.outputs.visible import visible

__all__ = ["LONGEST", "code", "text"]

LONGEST: Final = 1000
"""Longest value shown, in characters; the rest is cut, because pages are for people."""

# Inline syntax. An underscore inside a word is not syntax, nor is a number sign that neither opens
# nor closes a heading.
_ACTIVE: Final = re.compile(
    r"[\\`*\[\]~$@&<>|]|(?<![^\W_])_|_(?![^\W_])"
    r"|^#|(?<=\s)#(?=#*$)|:(?=//)|(?<=www)\.",
    re.IGNORECASE,
)
# Block syntax at the start of a line: lists, headings, rules.
_START: Final = re.compile(r"(?=[-+=])|(?<=\d)(?=[.)])")
_NUMBERED: Final = re.compile(r"\d+[.)](?!\S)")
# Renderers disagree about a backslash before a bar in a table; they agree about an entity.
_ENTITIES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;"}


def text(value: str) -> str:
    """Escape a value as plain text, for use anywhere in a line, in a table cell or a heading."""
    shown = _ACTIVE.sub(_escape, visible(value, LONGEST).strip())
    if shown[:1] in ("-", "+", "=") or _NUMBERED.match(shown):
        shown = _START.sub(r"\\", shown, count=1)
    return shown


def _escape(match: re.Match[str]) -> str:
    return _ENTITIES.get(match[0], f"\\{match[0]}")


def code(value: str) -> str:
    """Return a value as a code span, for use anywhere in a line except in a table.

    In a table, a bar inside a code span would end the cell.
    """
    shown = visible(value, LONGEST)
    longest = max((len(run) for run in re.findall("`+", shown)), default=0)
    fence = "`" * (longest + 1)
    # CommonMark strips one space from each end when both ends have one.
    pad = " " if shown[:1] in ("`", " ") or shown[-1:] in ("`", " ") else ""
    if not shown.strip(" "):
        pad = ""
    return f"{fence}{pad}{shown}{pad}{fence}" if shown else ""
