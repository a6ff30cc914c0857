"""Calls of a chat template's macros, and the loop object."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from prefect_mutagen.scanner.content.template_expressions import ANY, Expressions, Loop, Scope
from prefect_mutagen.scanner.content.template_selection import Exhausted
from prefect_mutagen.scanner.content.template_values import (
    Builtin,
    Kind,
    Macro,
    Map,
    Method,
    Seq,
    Space,
    Unknown,
    Value,
    join,
    unknown,
)

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["Capture", "Macros"]

_DEEPEST_CALL: Final = 10


@dataclass(slots=True)
class _Call:
    key: Any
    start: int
    touched: bool = False


@dataclass(slots=True)
class Capture:
    """Text of a block that becomes a value."""

    level: int
    texts: list[Value] = field(default_factory=list)


class Macros(Expressions):
    """Expressions with calls of macros."""

    def __init__(self, environment: "Environment") -> None:
        """Prepare to follow a template that this environment parsed."""
        super().__init__(environment)
        self._loops: list[Loop] = []
        self._calls: list[_Call] = []
        self._captures: list[Capture | None] = [None]

    def _execute(self, body: Iterable[Any]) -> None:
        raise NotImplementedError

    def mutated(self, collection: Seq | Map | Space) -> None:
        """Note a change, also for the calls that are older than what changes."""
        super().mutated(collection)
        for call in self._calls:
            if collection.born < call.start:
                call.touched = True

    def loop_attribute(self, loop: Builtin, name: str) -> Value:
        """Return an attribute of a loop object."""
        state: Loop = loop.loop
        if name in ("cycle", "changed"):
            return (Method(loop, name),)
        items = state.items
        if items is None:
            if name in ("previtem", "nextitem"):
                return join(state.element, state.again, unknown(Kind.DATA))
            return unknown(Kind.NUMBER)
        at, count = state.index, len(items)
        if name in ("previtem", "nextitem"):
            near = at - 1 if name == "previtem" else at + 1
            return items[near] if 0 <= near < count else unknown(Kind.DATA)
        numbers = {
            "index": at + 1,
            "index0": at,
            "revindex": count - at,
            "revindex0": count - at - 1,
            "first": at == 0,
            "last": at == count - 1,
            "length": count,
        }
        return (numbers[name],) if name in numbers else unknown(Kind.NUMBER)

    def _call_macro(
        self,
        macro: Macro,
        arguments: Sequence[Value],
        keywords: Mapping[str, Value],
        caller: Value = (),
    ) -> Value:
        self.step()
        given = (*map(_identities, arguments), _identities(caller))
        named = ((name, _identities(value)) for name, value in keywords.items())
        key = (id(macro.node), given, *named)
        for call in self._calls:
            if call.key == key and not call.touched:
                return unknown(Kind.COMPUTED)
        if len(self._calls) >= _DEEPEST_CALL:
            raise Exhausted("it nests or assigns in a way that is not followed")
        outer = self._scope, self._loops, self._captures
        self._scope = Scope({}, macro.scope)
        self._bind(macro, arguments, keywords, caller)
        capture = Capture(self.level)
        self._loops, self._captures = [], [capture]
        self._calls.append(_Call(key, self._steps))
        try:
            self._execute(macro.node.body)
        finally:
            self._calls.pop()
            self._scope, self._loops, self._captures = outer
        return self.concat(capture.texts)

    def _bind(
        self,
        macro: Macro,
        arguments: Sequence[Value],
        keywords: Mapping[str, Value],
        caller: Value,
    ) -> None:
        names = [argument.name for argument in macro.node.args]
        bound = dict(zip(names, arguments, strict=False))
        defaults = dict(zip(reversed(names), reversed(macro.node.defaults), strict=False))
        rest = {name: value for name, value in keywords.items() if name not in names}
        scope = self._scope.names
        for name in names:
            if name in bound:
                scope[name] = bound[name]
            elif name in keywords:
                scope[name] = keywords[name]
            else:
                default = defaults.get(name)
                value = unknown(Kind.DATA) if default is None else self.value(default)
                scope[name] = join(value, keywords.get(ANY, ()))
        scope["varargs"] = (Seq(list(arguments[len(names) :]), self.level, "tuple"),)
        scope["kwargs"] = (Map({**rest}, self.level, born=self._steps),)
        if caller:
            scope["caller"] = caller


def _identities(value: Value, depth: int = 3) -> Any:
    """Return what tells a value from another: its constants, and collections by their items."""
    found: list[Any] = []
    for option in value:
        if option is None or isinstance(option, (str, bytes, int, float, Unknown)):
            found.append((type(option), option))
        elif depth and isinstance(option, Seq) and len(option.items) < 64:
            found.append((option.kind, *(_identities(item, depth - 1) for item in option.items)))
        elif depth and isinstance(option, Map) and len(option.items) < 64:
            parts = (*option.items.values(), option.rest, option.rest_keys)
            found.append((*option.items, *(_identities(part, depth - 1) for part in parts)))
        else:
            found.append(id(option))
    return tuple(found)
