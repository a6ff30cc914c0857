r"""Encode JSON that every reader accepts and that is safe to print to a terminal.

Letters of all scripts stay as they are. Escaped are control characters of both blocks (C1 controls
act on terminals too) and bidirectional formatting characters. An escaped lone surrogate is valid
JSON, but strict readers reject the whole document for it, and no encoding can represent it. So it
is written as visible text, such as ``\ud800``; names of files do not get here with one
(`scanner.sbom.valid_names`).

orjson is used if it is installed (Prefect depends on it), twenty times as fast as the standard
library, for values that both encode identically: everything except floats, which orjson formats
differently, and values that it rejects: large integers and lone surrogates.
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

__all__ = ["to_exact_json", "to_json"]

_SCALARS: Final = {str, int, bool, type(None)}
_CONTAINERS: Final = {dict, list, tuple}
_LARGE: Final = 32
_UNSAFE: Final = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def to_json(value: Any, *, indent: int | None = None) -> str:
    """Encode a value as JSON.

    Args:
        value: Any JSON value; numbers have to be finite.
        indent: Spaces per level; None writes one line.

    Raises:
        ValueError: A number is NaN or infinite.
    """
    return _escape_unsafe(_encode(value, indent))


def to_exact_json(value: Any) -> str:
    """Encode a value as JSON on one line, for programs: decoded again, it is the same value.

    Args:
        value: Any JSON value; NaN and infinities are written as `json` does.
    """
    if orjson is not None and not _may_hold_floats(value):
        try:
            return orjson.dumps(value).decode()
        except TypeError:
            pass  # large integers and lone surrogates
    return json.dumps(value)


def _encode(value: Any, indent: int | None) -> str:
    if orjson is not None and indent in (None, 2) and not _may_hold_floats(value):
        try:
            return orjson.dumps(value, option=orjson.OPT_INDENT_2 if indent else 0).decode()
        except TypeError:
            pass  # a value that orjson rejects
    return _encoder(indent)(value)


def _may_hold_floats(value: Any) -> bool:
    """Whether a value may contain a float, or something that is not a JSON value."""
    pending: list[Any] = [(value,)]
    while pending:
        part = pending.pop()
        members = part.values() if type(part) is dict else part
        if len(members) > _LARGE and _are_strings(members):
            continue
        others = {*map(type, members)} - _SCALARS
        if others:
            if not others <= _CONTAINERS:
                return True
            pending += [member for member in members if type(member) in _CONTAINERS]
    return False


def _are_strings(members: Iterable[Any]) -> bool:
    """Whether all members are strings; the fast check for lists of tensor names."""
    try:
        "".join(members)
    except TypeError:
        return False
    return True


def _escape_unsafe(text: str) -> str:
    # These characters occur only inside strings, so escaping them is always valid.
    return text if text.isascii() and "\x7f" not in text else _UNSAFE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    is_surrogate = "\ud800" <= match[0] <= "\udfff"
    return rf"\\u{ord(match[0]):04x}" if is_surrogate else rf"\u{ord(match[0]):04x}"


@lru_cache(maxsize=16)
def _encoder(indent: int | None) -> Callable[[Any], str]:
    separators = (",", ":") if indent is None else None
    encoder = json.JSONEncoder(
        ensure_ascii=False, allow_nan=False, indent=indent, separators=separators
    )
    return encoder.encode
