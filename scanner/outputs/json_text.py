"""JSON that is valid everywhere and does nothing to a terminal.

Letters of all scripts stay as they are. What is not meant to be read is escaped: control characters
of both blocks (a terminal obeys some of the second one too), characters that turn the direction of
text, and halves of characters, which no encoding has.
"""

import json
import re
from collections.abc import Callable
from functools import lru_cache
from json.encoder import encode_basestring
from math import isfinite
from typing import Any, Final

__all__ = ["to_exchange_json", "to_json"]

_UNFIT: Final = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")

_NAMES: Final = {True: "true", False: "false", None: "null"}


def to_json(value: Any, *, indent: int | None = None) -> str:
    """Write a value as JSON.

    Args:
        value: Anything JSON has; numbers have to be finite.
        indent: Blanks per level; None writes one line.

    Raises:
        ValueError: A number is NaN or infinite.
    """
    text = _encoder(",", ":")(value) if indent is None else _lines(value, "\n", " " * indent)
    return _without_unfit(text, _escape)


def to_exchange_json(value: Any) -> str:
    r"""Write a value as JSON for documents that strict readers take in.

    An escaped half of a character is grammatical JSON, yet many readers refuse the whole document
    for it. Here it becomes text that shows it: ``\udcff`` of a file name's odd byte.

    Args:
        value: Anything JSON has; numbers have to be finite.

    Raises:
        ValueError: A number is NaN or infinite.
    """
    return _without_unfit(_encoder(",", ":")(value), _show)


def _without_unfit(text: str, replace: Callable[[re.Match[str]], str]) -> str:
    # These characters can only stand inside strings, so an escape is always right.
    return text if text.isascii() and "\x7f" not in text else _UNFIT.sub(replace, text)


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


def _show(match: re.Match[str]) -> str:
    half = "\ud800" <= match[0] <= "\udfff"
    return f"\\{_escape(match)}" if half else _escape(match)


@lru_cache(maxsize=64)
def _encoder(between: str, after_key: str) -> Callable[[Any], str]:
    encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(between, after_key))
    return encoder.encode


def _lines(value: Any, line: str, step: str) -> str:
    """Write what ``json.dumps(value, indent=...)`` writes, in less time.

    The compiled encoder knows no indentation, and the pure one yields piece by piece. So containers
    are put together here; texts and odd values are the compiled encoder's.

    Args:
        value: What to write.
        line: The line break before it, with the blanks of its level.
        step: Blanks of one level more.
    """
    kind = type(value)
    if kind is str:
        return encode_basestring(value)
    if kind is int or (kind is float and isfinite(value)):
        return repr(value)
    if kind is bool or value is None:
        return _NAMES[value]
    if not value or not isinstance(value, dict | list | tuple):
        return _encoder(",", ":")(value)
    inner = line + step
    if isinstance(value, dict):
        entries = [f"{_key(key)}: {_lines(item, inner, step)}" for key, item in value.items()]
        return f"{{{inner}{f',{inner}'.join(entries)}{line}}}"
    entries = [_lines(item, inner, step) for item in value]
    return f"[{inner}{f',{inner}'.join(entries)}{line}]"


def _key(key: Any) -> str:
    # Numbers and the like are keys, too; JSON writes them as text.
    return encode_basestring(key) if type(key) is str else _encoder(",", "")({key: 0})[1:-2]
