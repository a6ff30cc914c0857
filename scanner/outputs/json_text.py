"""JSON that is valid everywhere and does nothing to a terminal.

Letters of all scripts stay as they are. What is not meant to be read is escaped: control characters
of both blocks (a terminal obeys some of the second one too), characters that turn the direction of
text, and halves of characters, which no encoding has.
"""

import json
import re
from typing import Any, Final

__all__ = ["to_json"]

_UNFIT: Final = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def to_json(value: Any, *, indent: int | None = None) -> str:
    """Write a value as JSON.

    Args:
        value: Anything JSON has; numbers have to be finite.
        indent: Blanks per level; None writes one line.

    Raises:
        ValueError: A number is NaN or infinite.
    """
    separators = (",", ":") if indent is None else None
    text = json.dumps(
        value, indent=indent, ensure_ascii=False, allow_nan=False, separators=separators
    )
    # These characters can only stand inside strings, so an escape is always right.
    return text if text.isascii() and "\x7f" not in text else _UNFIT.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"
