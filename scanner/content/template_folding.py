"""Compute what a template does with constants, in bounded time and memory.

Only methods and filters that turn plain values into plain values are used, and only where the size
of the result is bounded beforehand. What cannot be computed raises `Unfoldable`; what fails for
these constants would fail in every loader and raises another exception.
"""

import operator
import re
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from prefect_mutagen.scanner.content.template_values import LONGEST

__all__ = [
    "BINARY",
    "Unfoldable",
    "fold_binary",
    "fold_method",
    "format_fields",
    "is_bounded",
    "is_method",
    "is_wide",
]

_LARGEST: Final = 1 << 20
_WIDEST: Final = 4096
_WIDE: Final = re.compile(r"\d{4}|\*")
_CODEC: Final = re.compile(
    r"(?i)ascii|us-ascii|utf[-_]?(?:8|7|16|32)(?:[-_]?(?:sig|le|be))?|latin[-_]?1|iso8859[-_]\d+"
    r"|iso-8859-\d+|cp\d+|koi8[-_]r|mac[-_]roman|(?:raw_)?unicode[-_]escape"
)

BINARY: Final[Mapping[str, Callable[[Any, Any], Any]]] = MappingProxyType(
    {
        "*": operator.mul,
        "/": operator.truediv,
        "//": operator.floordiv,
        "+": operator.add,
        "-": operator.sub,
        "%": operator.mod,
        "**": operator.pow,
    }
)

_METHODS: Final[Mapping[type, frozenset[str]]] = MappingProxyType(
    {
        str: frozenset(
            """
            capitalize casefold center count encode endswith expandtabs find index isalnum isalpha
            isascii isdecimal isdigit isidentifier islower isnumeric isprintable isspace istitle
            isupper join ljust lower lstrip maketrans partition removeprefix removesuffix replace
            rfind rindex rjust rpartition rsplit rstrip split splitlines startswith strip swapcase
            title translate upper zfill format format_map
            """.split()
        ),
        bytes: frozenset(
            """
            capitalize center count decode endswith expandtabs find fromhex hex index isalpha
            isdigit join ljust lower lstrip maketrans partition removeprefix removesuffix replace
            rfind rindex rjust rpartition rsplit rstrip split splitlines startswith strip swapcase
            title translate upper zfill
            """.split()
        ),
        int: frozenset(
            "bit_length bit_count to_bytes from_bytes as_integer_ratio conjugate".split()
        ),
        float: frozenset("as_integer_ratio conjugate fromhex hex is_integer".split()),
    }
)


class Unfoldable(Exception):  # noqa: N818 - a signal, not an error
    """The result is not computed: unknown, or too large."""


def is_method(constant: Any, name: str) -> bool:
    """Whether a constant has a method of this name that `fold_method` may call."""
    return any(isinstance(constant, kind) and name in names for kind, names in _METHODS.items())


def _size(value: Any) -> int:
    if isinstance(value, (str, bytes)):
        return len(value) + 1
    if isinstance(value, Mapping):
        return 1 + sum(_size(key) + _size(item) for key, item in value.items())
    if isinstance(value, Sequence):
        return 1 + sum(map(_size, value))
    return 1


def is_bounded(base: Any, arguments: Sequence[Any]) -> bool:
    """Whether an operation on a constant with these arguments has a bounded result."""
    sizes = [_size(base)]
    for argument in arguments:
        if isinstance(argument, (int, float)) and abs(argument) > _WIDEST:
            return False
        sizes.append(int(abs(argument)) if isinstance(argument, int) else _size(argument))
    return max(sizes[1:], default=1) * sizes[0] <= _LARGEST and sum(sizes) <= _LARGEST


def is_wide(form: str) -> bool:
    """Whether a format string may ask for a width that is too large."""
    return _WIDE.search(form) is not None


def fold_binary(sign: str, left: Any, right: Any) -> Any:
    """Return the result of an operator on two constants.

    Raises:
        Unfoldable: It may be too large.
        Exception: The operator refuses these constants.
    """
    if sign == "**" and not (
        isinstance(left, (int, float)) and abs(left) < 1 << 16 and abs(right) < 256
    ):
        raise Unfoldable
    if sign == "*":
        for one, other in ((left, right), (right, left)):
            if isinstance(one, (str, bytes, list)) and _size(one) * int(other) > LONGEST:
                raise Unfoldable
    is_format = sign == "%" and isinstance(left, (str, bytes))
    if is_format and (is_wide(str(left)) or not is_bounded(left, [right])):
        raise Unfoldable
    return BINARY[sign](left, right)


def format_fields(text: str) -> Iterator[tuple[str, bool]]:
    """Yield each attribute or key that the fields of a format string select, and whether by dot.

    Raises:
        ValueError: It is not a format string.
    """
    from _string import formatter_field_name_split  # type: ignore[import-not-found]

    waiting = [text]
    while waiting:
        for _, name, spec, _ in string.Formatter().parse(waiting.pop()):
            if name:
                _, rest = formatter_field_name_split(name)
                for is_attribute, selected in rest:
                    yield str(selected), is_attribute
            if spec:
                waiting.append(spec)


def _check_format(text: str, arguments: Sequence[Any]) -> None:
    if is_wide(text) or not is_bounded(text, arguments):
        raise Unfoldable
    if any(by_dot for _, by_dot in format_fields(text)):
        raise Unfoldable
    # A nested field takes its width from an argument.
    if re.search(r":[^{}]*\{", text):
        raise Unfoldable


def fold_method(base: Any, name: str, arguments: Sequence[Any], keywords: Mapping[str, Any]) -> Any:
    """Return the result of a method of a constant.

    Raises:
        Unfoldable: The method is not one of the harmless ones, or its result may be too large.
        Exception: The method refuses these arguments.
    """
    if not is_method(base, name):
        raise Unfoldable
    everything = [*arguments, *keywords.values()]
    if name in ("format", "format_map"):
        _check_format(base, everything)
    elif name in ("encode", "decode"):
        codec = keywords.get("encoding", arguments[0] if arguments else "utf-8")
        if not (isinstance(codec, str) and _CODEC.fullmatch(codec)):
            raise Unfoldable
    elif name == "join":
        if (len(base) + 1) * _size(everything) > _LARGEST:
            raise Unfoldable
    elif name != "from_bytes" and not is_bounded(base, everything):
        raise Unfoldable
    return getattr(base, name)(*arguments, **keywords)
