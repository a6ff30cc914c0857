"""Where lines for people are written: a terminal has colours and a width, a pipe has neither."""

import os
import re
import sys
from contextlib import suppress
from types import MappingProxyType
from typing import Final, Literal, TextIO

__all__ = ["Screen", "Style", "has_colours", "text_width"]

Style = Literal["", "heading", "passed", "failed", "unknown"]

STYLES: Final = MappingProxyType(
    {
        "heading": "1",
        "passed": "38;5;28",  # a green
        "failed": "1;38;5;196",  # a red, bold
        "unknown": "38;5;130",  # a brown: no yellow is seen on white
    }
)
"""SGR parameters. The colours are of the 256 that do not depend on a terminal's theme, and have a
contrast of at least 3:1, which WCAG 2.2 asks for, with black, white and the grounds of Solarized.
"""

_SGR: Final = re.compile("\x1b\\[[0-9;]*m")


class Screen:
    """A stream for people: lines are wrapped to a terminal's width, verdicts have colours.

    Attributes:
        columns: Width of the terminal; 0: there is none, and nothing is wrapped or left out.
    """

    def __init__(self, out: TextIO) -> None:
        """Look at what a stream is connected to.

        Args:
            out: Where to write.
        """
        self._out = out
        self._colours = has_colours(out)
        self.columns = 0
        if out.isatty():
            with suppress(OSError):  # a stream that only stands for a terminal has no size
                self.columns = os.get_terminal_size(out.fileno()).columns

    def styled(self, text: str, style: Style) -> str:
        """Return a text in the style, if there are colours."""
        return f"\x1b[{STYLES[style]}m{text}\x1b[0m" if self._colours and style else text

    def write(self, line: str, style: Style = "") -> None:
        """Write a line as it is; a terminal goes on in its next row without breaking it.

        Args:
            line: A path or address, or something short, which a person copies as a whole.
            style: Its style.
        """
        self._out.write(self.styled(line, style) + "\n")

    def write_words(self, words: str, indent: str = "", after: str = "") -> None:
        """Write a sentence, broken between words where a terminal is narrower.

        Args:
            words: The sentence; a word that is longer than a row is not broken.
            indent: What stands before the first row.
            after: What stands before all others.
        """
        row, is_empty = indent, True
        for word in words.split(" "):
            if not is_empty and self.columns and self._is_too_wide(f"{row} {word}"):
                self.write(row)
                row, is_empty = after, True
            row += word if is_empty else f" {word}"
            is_empty = False
        self.write(row)

    def _is_too_wide(self, row: str) -> bool:
        return text_width(_SGR.sub("", row)) > self.columns


def has_colours(out: TextIO) -> bool:
    """Whether to write colours: https://no-color.org, https://force-color.org, else terminals do.

    The order of the variables is that of Python's own tracebacks. Colours can be forced on what the
    process prints, not on a file that it writes.
    """
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR") and out in (sys.stdout, sys.stderr):
        return True
    return out.isatty() and os.environ.get("TERM") != "dumb"


def text_width(text: str) -> int:
    """Return the columns that a text takes on a terminal."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)
