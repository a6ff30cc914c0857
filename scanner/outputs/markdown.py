"""Values of strangers inside Markdown: shown as they are, read as nothing else.

Rules: CommonMark 0.31 and the GitHub extensions (tables, strikethrough, bare addresses as links),
which Hugging Face renders too. Every value stays on its line.
"""

import re
from typing import Final

from prefect_mutagen.scanner.outputs.visible import visible

__all__ = ["LONGEST", "code", "text"]

LONGEST: Final = 1000
"""Letters of a value that are shown at most; a page is for people."""

# What means something inside a line. An underscore between letters does not; of a heading's marks,
# only those at its ends do.
_ACTIVE: Final = re.compile(
    r"[\\`*\[\]~$@&<>|]|(?<![^\W_])_|_(?![^\W_])"
    r"|^#|(?<=\s)#(?=#*$)|:(?=//)|(?<=www)\.",
    re.IGNORECASE,
)
# What means something at the start of a line: lists, headings, rules.
_START: Final = re.compile(r"(?=[-+=])|(?<=\d)(?=[.)])")
_NUMBERED: Final = re.compile(r"\d+[.)](?!\S)")
# Inside a table a backslash before a bar is not read alike everywhere; an entity is.
_ENTITIES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;"}


def text(value: str) -> str:
    """Write a value as plain text, for any place in a line, also in a table or a heading."""
    shown = _ACTIVE.sub(_escape, visible(value, LONGEST).strip())
    if shown[:1] in ("-", "+", "=") or _NUMBERED.match(shown):
        shown = _START.sub(r"\\", shown, count=1)
    return shown


def _escape(match: re.Match[str]) -> str:
    return _ENTITIES.get(match[0], f"\\{match[0]}")


def code(value: str) -> str:
    """Write a value as a code span, for any place in a line but a table, where a bar ends it."""
    shown = visible(value, LONGEST)
    longest = max((len(run) for run in re.findall("`+", shown)), default=0)
    fence = "`" * (longest + 1)
    # One space at each end is taken off again where both ends have one.
    pad = " " if shown[:1] in ("`", " ") or shown[-1:] in ("`", " ") else ""
    if not shown.strip(" "):
        pad = ""
    return f"{fence}{pad}{shown}{pad}{fence}" if shown else ""
