"""Values of a chat template as far as its text alone decides them.

A value is a tuple of alternatives. An alternative is a constant of Python, a collection whose items
are values, a callable of the template, or an `Unknown`: what the loader or an operation on what it
supplies would put there. Collections are mutable, as in Jinja, and remember at which level of
uncertainty (an ``if`` that is not decided, a loop over data) they were made: a change at a deeper
level may not have happened.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final, Literal

from prefect_mutagen.scanner.content.template_names import suspicious_part

__all__ = [
    "LONGEST",
    "NUMBER",
    "Builtin",
    "Kind",
    "Macro",
    "Map",
    "Method",
    "NotPlain",
    "Seq",
    "Space",
    "Unknown",
    "Value",
    "blend",
    "collapse",
    "elements",
    "is_scalar",
    "join",
    "known",
    "lift",
    "parts_of",
    "plain",
    "reason_of",
    "unknown",
]

LONGEST: Final = 1 << 14
"""Longest text and collection that is kept; a longer one is `Unknown`."""
_MOST_OPTIONS: Final = 24
_MOST_LOOKED_AT: Final = 512


class Kind(IntEnum):
    """What is known of an `Unknown`; the higher kind wins where two meet."""

    NUMBER = 0
    """A number or a truth value."""
    DATA = 1
    """Messages, tools and parts of them."""
    MODEL = 2
    """A variable that may be a special token: a text of the model."""
    COMPUTED = 3
    """The result of an operation of which a part was not constant."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """A value that the template's text does not decide."""

    kind: Kind
    reason: str = ""
    """A suspicious constant that went into it."""
    head: str = ""
    """What it begins with, if that is known."""


Value = tuple[Any, ...]
NUMBER: Final[Value] = (Unknown(Kind.NUMBER),)


@dataclass(eq=False, slots=True)
class Seq:
    """A list, a tuple, a view (a range, the keys of a dict), or an iterator."""

    items: list[Value]
    level: int = 0
    kind: Literal["list", "tuple", "view", "iterator"] = "list"
    loose: bool = False
    """Whether number and order of the items are not known; as for an iterator once used."""
    born: int = 0
    """The step at which it was made."""
    changed: int = 0
    """The step at which it was changed last."""
    source: Any = None
    """The list or dict that a view or an iterator reads when it is asked for its items."""

    @property
    def is_stale(self) -> bool:
        """Whether the items are no longer those that it was made with."""
        return self.source is not None and self.source.changed >= self.born


@dataclass(eq=False, slots=True)
class Map:
    """A dict; ``rest`` is what lies under keys that are not known, and these keys."""

    items: dict[Any, Value]
    level: int = 0
    rest: Value = ()
    rest_keys: Value = ()
    born: int = 0
    changed: int = 0


@dataclass(eq=False, slots=True)
class Space:
    """A namespace object."""

    attributes: dict[str, Value]
    level: int = 0
    rest: Value = ()
    born: int = 0
    changed: int = 0


@dataclass(eq=False, slots=True)
class Macro:
    """A macro, or the body of a call block."""

    node: Any
    scope: Any
    name: str


@dataclass(frozen=True, slots=True)
class Method:
    """A method of a constant or a collection, not yet called."""

    base: Any
    name: str


@dataclass(frozen=True, slots=True)
class Builtin:
    """A global of Jinja, or the loop object."""

    name: str
    loop: Any = field(default=None, compare=False)


class NotPlain(Exception):  # noqa: N818 - a signal, not an error
    """The value is not one constant."""


def unknown(kind: Kind, reason: str = "", head: str = "") -> Value:
    """Return the value that is only known to be of a kind."""
    return (Unknown(kind, reason, head),)


def known(*constants: Any) -> Value:
    """Return the value with these alternatives."""
    return join(*((constant,) for constant in constants))


def _key(option: Any) -> Any:
    if isinstance(option, (Seq, Map, Space, Macro)):
        return id(option)
    try:
        hash(option)
    except TypeError:
        return id(option)
    return type(option), option


def join(*values: Value) -> Value:
    """Return the value that is any of these."""
    if len(values) == 1:
        return values[0]
    found: dict[Any, Any] = {}
    blurred: Unknown | None = None
    for value in values:
        for option in value:
            if isinstance(option, Unknown):
                blurred = option if blurred is None else _blur(blurred, option)
            else:
                found.setdefault(_key(option), option)
    if len(found) > _MOST_OPTIONS:
        return collapse(tuple(found.values()) + ((blurred,) if blurred else ()))
    return tuple(found.values()) + ((blurred,) if blurred else ())


def _blur(one: Unknown, other: Unknown) -> Unknown:
    if one == other:
        return one
    head = one.head if one.head == other.head else ""
    return Unknown(max(one.kind, other.kind), one.reason or other.reason, head)


def collapse(value: Value) -> Value:
    """Return a computed unknown in place of a value."""
    return unknown(Kind.COMPUTED, reason_of(value))


def parts_of(values: Iterable[Value]) -> Iterator[Any]:
    """Yield the alternatives of values and of what they hold, up to a number."""
    waiting = [option for value in values for option in value]
    seen: set[int] = set()
    for _ in range(_MOST_LOOKED_AT):
        if not waiting:
            return
        option = waiting.pop()
        yield option
        if isinstance(option, (Seq, Map, Space)):
            if id(option) in seen:
                continue
            seen.add(id(option))
            if isinstance(option, Seq):
                inner = option.items[:_MOST_LOOKED_AT]
                if option.source is not None:
                    waiting.append(option.source)
            elif isinstance(option, Map):
                inner = [*option.items.values(), option.rest, option.rest_keys]
                waiting += option.items
            else:
                inner = [*option.attributes.values(), option.rest]
            for value in inner:
                waiting += value
        elif isinstance(option, Method):
            waiting.append(option.base)
    # What was not looked at may be anything.
    yield "__"


def reason_of(*values: Value) -> str:
    """Return a suspicious text that is in a value; empty if there is none."""
    for option in parts_of(values):
        if isinstance(option, str):
            found = suspicious_part(option)
        elif isinstance(option, bytes):
            found = suspicious_part(option.decode("latin-1"))
        elif isinstance(option, Unknown):
            found = option.reason
        elif isinstance(option, Macro):
            found = suspicious_part(option.name)
        else:
            continue
        if found:
            return found
    return ""


def blend(*values: Value, head: str = "") -> Value:
    """Return the result of an operation on values that cannot be computed.

    It is data if nothing but data and numbers went into it, else computed.
    """
    kind = Kind.NUMBER
    for option in parts_of(values):
        if isinstance(option, Unknown):
            kind = max(kind, option.kind)
        elif isinstance(option, (str, bytes)):
            kind = Kind.COMPUTED if option else kind
        elif isinstance(option, (Macro, Method, Builtin, Space)):
            kind = Kind.COMPUTED
    return unknown(kind, reason_of(*values), head)


def plain(value: Value) -> Any:
    """Return the constant that a value is.

    Raises:
        NotPlain: It is not one constant.
    """
    if len(value) != 1:
        raise NotPlain
    (option,) = value
    if option is None or isinstance(option, (str, int, float, bytes)):
        return option
    if isinstance(option, Seq) and not option.loose and option.level >= 0:
        if option.kind not in ("list", "tuple"):
            raise NotPlain
        level, option.level = option.level, -1  # a list may hold itself
        try:
            items = [plain(item) for item in option.items]
            return tuple(items) if option.kind == "tuple" else items
        finally:
            option.level = level
    if isinstance(option, Map) and not option.rest and option.level >= 0:
        level, option.level = option.level, -1
        try:
            return {key: plain(item) for key, item in option.items.items()}
        finally:
            option.level = level
    raise NotPlain


def lift(constant: Any, level: int) -> Value:
    """Return the value for an object of Python that an operation made of constants."""
    if constant is None or isinstance(constant, (bool, float)):
        return (constant,)
    if isinstance(constant, int):
        return (constant,) if constant.bit_length() < 4096 else NUMBER
    if isinstance(constant, (str, bytes)):
        return (constant,) if len(constant) <= LONGEST else collapse((constant,))
    if isinstance(constant, (list, tuple)) and len(constant) <= LONGEST:
        kind: Literal["list", "tuple"] = "tuple" if isinstance(constant, tuple) else "list"
        return (Seq([lift(item, level) for item in constant], level, kind),)
    if isinstance(constant, dict):
        return (Map({key: lift(item, level) for key, item in constant.items()}, level),)
    return unknown(Kind.COMPUTED)


def is_scalar(option: Any) -> bool:
    """Whether an alternative is a constant that is no collection."""
    return option is None or isinstance(option, (str, int, float, bytes))


def elements(option: Any) -> Value:
    """Return what an iteration over an alternative may yield."""
    if isinstance(option, str):
        return join((), *((char,) for char in dict.fromkeys(option)))
    if isinstance(option, bytes):
        return NUMBER
    if isinstance(option, Seq):
        items = join((), *option.items)
        if option.is_stale:
            # Whatever a filter makes of what the source holds by now.
            later = unknown(Kind.COMPUTED, reason_of((option.source,)))
            return join(items, elements(option.source), later)
        return items
    if isinstance(option, Map):
        return join((), *((key,) for key in option.items), option.rest_keys)
    if isinstance(option, Unknown):
        return unknown(option.kind, option.reason)
    return ()
