"""JSON that is valid everywhere and does nothing to a terminal.

Letters of all scripts stay as they are. What is not meant to be read is escaped: control characters
of both blocks (a terminal obeys some of the second one too), characters that turn the direction of
text, and halves of characters, which no encoding has.

Where orjson is installed (Prefect brings it), it writes what it writes exactly as the standard
library does, twenty times as fast. That is everything but numbers with a fraction, which it spells
otherwise, and what it refuses: large integers, halves of characters.
"""

import json
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Final

try:
    import orjson
except ImportError:  # without Prefect
    orjson = None  # type: ignore[assignment]

__all__ = ["to_exchange_json", "to_json"]

_EXACT: Final = {str, int, bool, type(None)}
_CONTAINERS: Final = {dict, list, tuple}
_MANY: Final = 32
_UNFIT: Final = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def to_json(value: Any, *, indent: int | None = None) -> str:
    """Write a value as JSON.

    Args:
        value: Anything JSON has; numbers have to be finite.
        indent: Blanks per level; None writes one line.

    Raises:
        ValueError: A number is NaN or infinite.
    """
    return _without_unfit(_encode(value, indent), _escape)


def to_exchange_json(value: Any) -> str:
    r"""Write a value as JSON for documents that strict readers take in.

    An escaped half of a character is grammatical JSON, yet many readers refuse the whole document
    for it. Here it becomes text that shows it: ``\udcff`` of a file name's odd byte.

    Args:
        value: Anything JSON has; numbers have to be finite.

    Raises:
        ValueError: A number is NaN or infinite.
    """
    return _without_unfit(_encode(value, None), _show)


def _encode(value: Any, indent: int | None) -> str:
    if orjson is not None and indent in (None, 2) and not _has_fractions(value):
        try:
            return orjson.dumps(value, option=orjson.OPT_INDENT_2 if indent else 0).decode()
        except TypeError:
            pass  # it has no way to write this
    return _encoder(indent)(value)


def _has_fractions(value: Any) -> bool:
    """Say whether a value may hold a number that is no integer, or something that is no JSON."""
    waiting: list[Any] = [(value,)]
    while waiting:
        part = waiting.pop()
        members = part.values() if type(part) is dict else part
        if len(members) > _MANY and _is_text(members):
            continue
        others = {*map(type, members)} - _EXACT
        if others:
            if not others <= _CONTAINERS:
                return True
            waiting += [member for member in members if type(member) in _CONTAINERS]
    return False


def _is_text(members: Iterable[Any]) -> bool:
    """Say, as fast as can be, whether all members are texts: the names of many tensors are."""
    try:
        "".join(members)
    except TypeError:
        return False
    return True


def _without_unfit(text: str, replace: Callable[[re.Match[str]], str]) -> str:
    # These characters can only stand inside strings, so an escape is always right.
    return text if text.isascii() and "\x7f" not in text else _UNFIT.sub(replace, text)


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


def _show(match: re.Match[str]) -> str:
    half = "\ud800" <= match[0] <= "\udfff"
    return f"\\{_escape(match)}" if half else _escape(match)


@lru_cache(maxsize=16)
def _encoder(indent: int | None) -> Callable[[Any], str]:
    separators = (",", ":") if indent is None else None
    encoder = json.JSONEncoder(
        ensure_ascii=False, allow_nan=False, indent=indent, separators=separators
    )
    return encoder.encode
