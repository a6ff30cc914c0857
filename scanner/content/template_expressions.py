"""Values of the expressions of a chat template."""

import operator
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from prefect_mutagen.scanner.content.template_filters import Filters
from prefect_mutagen.scanner.content.template_names import CALLED_GLOBALS, DATA_ROOTS
from prefect_mutagen.scanner.content.template_selection import Exhausted
from prefect_mutagen.scanner.content.template_values import (
    Builtin,
    Kind,
    Macro,
    Map,
    Method,
    NotPlain,
    Seq,
    Unknown,
    Value,
    blend,
    elements,
    join,
    known,
    lift,
    plain,
    unknown,
)

if TYPE_CHECKING:
    from jinja2 import Environment, nodes

__all__ = ["ANY", "Expressions", "Loop", "Scope"]

# Keywords by which filters take names and what they fill gaps with; and any other.
_KEYWORDS: Final = ("attribute", "name", "default", "default_value", "d", "start", "fill_with")
ANY: Final = "**"
"""Keyword under which the values of all keywords stand whose names are not known."""
_OPERATORS: Final = frozenset("Add Sub Mul Div FloorDiv Mod Pow And Or".split())
_COMPARISONS: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "gteq": operator.ge,
    "lt": operator.lt,
    "lteq": operator.le,
    "in": lambda one, other: one in other,
    "notin": lambda one, other: one not in other,
}


@dataclass(slots=True)
class Scope:
    """Variables of a block; its parent has those around it."""

    names: dict[str, Value]
    parent: "Scope | None" = None


@dataclass(slots=True)
class Loop:
    """A loop that is being followed; ``items`` is None where they are not known."""

    element: Value = ()
    items: list[Value] | None = None
    index: int = 0
    is_left: bool = False
    """Whether a break or continue that is not decided lies behind."""
    again: Value = ()
    """What a recursive call of the loop iterates over."""


class Expressions(Filters):
    """Operations with variables and expressions."""

    def __init__(self, environment: "Environment") -> None:
        """Prepare for a template that this environment parsed."""
        super().__init__(environment)
        self._scope = Scope({})
        # Macros by their nodes; those that were called, and those that were used as values.
        self._macros: dict[int, Macro] = {}
        self._called: set[int] = set()
        self._handed: set[int] = set()
        # Whether conditions on constants decide.
        self._decides = True

    # ---------------------------------------------------------------- variables

    def _assign(self, target: Any, value: Value) -> None:
        kind = type(target).__name__
        if kind == "Name":
            self._scope.names[target.name] = value
        elif kind == "NSRef":
            self.assign_attribute(self._lookup(target.name), target.attr, value)
        elif kind == "Tuple":
            items = self.items_of(value)
            if items is None or len(items) != len(target.items):
                items = [join((), *map(elements, value)) or unknown(Kind.DATA)] * len(target.items)
            for part, item in zip(target.items, items, strict=True):
                self._assign(part, item)
        else:
            raise Exhausted("it nests or assigns in a way that is not followed")

    def _lookup(self, name: str) -> Value:
        return self._lookup_from(self._scope, name)

    def _lookup_from(self, scope: Scope | None, name: str) -> Value:
        while scope is not None:
            if name in scope.names:
                return scope.names[name]
            scope = scope.parent
        if name in CALLED_GLOBALS:
            return (Builtin(name),)
        return unknown(Kind.DATA if name in DATA_ROOTS else Kind.MODEL)

    # ---------------------------------------------------------------- expressions

    def value(self, node: Any) -> Value:
        """Return the value of an expression."""
        self.step()
        return getattr(self, f"_of_{type(node).__name__.lower()}")(node)  # type: ignore[no-any-return]

    def _of_const(self, node: "nodes.Const") -> Value:
        return lift(node.value, self.level)

    def _of_templatedata(self, node: "nodes.TemplateData") -> Value:
        return lift(node.data, self.level)

    def _of_name(self, node: "nodes.Name") -> Value:
        value = self._lookup(node.name)
        for option in value:
            if isinstance(option, Macro):
                if option.scope.parent is not None:
                    # Its variables are those of any loop of this depth, in Python's code.
                    self.note(
                        "names in a macro that leaves the place where it is made", node.lineno
                    )
                self._handed.add(id(option.node))
                self._macros.setdefault(id(option.node), option)
        return value

    def _of_tuple(self, node: "nodes.Tuple") -> Value:
        return (Seq([self.value(item) for item in node.items], self.level, "tuple"),)

    def _of_list(self, node: "nodes.List") -> Value:
        items = [self.value(item) for item in node.items]
        return (Seq(items, self.level, born=self._steps),)

    def _of_dict(self, node: "nodes.Dict") -> Value:
        made = Map({}, self.level, born=self._steps)
        for pair in node.items:
            self.assign_key(made, self.value(pair.key), self.value(pair.value))
        return (made,)

    def _of_condexpr(self, node: "nodes.CondExpr") -> Value:
        truths = self.truths(self.value(node.test)) if self._decides else {True, False}
        found: list[Value] = []
        with self.perhaps(len(truths) > 1):
            if True in truths:
                found.append(self.value(node.expr1))
            if False in truths:
                found.append(unknown(Kind.DATA) if node.expr2 is None else self.value(node.expr2))
        return join((), *found)

    def _of_concat(self, node: "nodes.Concat") -> Value:
        return self.concat([self.value(part) for part in node.nodes])

    def _binary_chain(self, node: Any) -> Value:
        """Return the value of operators that follow one another, without recursion."""
        waiting = []
        while type(node).__name__ in _OPERATORS:
            waiting.append(node)
            node = node.left
        value = self.value(node)
        while waiting:
            node = waiting.pop()
            sign = node.operator
            if sign not in ("and", "or"):
                value = self.binary(sign, value, self.value(node.right))
                continue
            truths = self.truths(value) if self._decides else {True, False}
            goes_on = sign == "and"
            if len(truths) == 2:
                with self.perhaps():
                    value = join(value, self.value(node.right))
            elif goes_on in truths:
                value = self.value(node.right)
        return value

    _of_add = _of_sub = _of_mul = _of_div = _of_floordiv = _of_mod = _of_pow = _binary_chain
    _of_and = _of_or = _binary_chain

    def _of_not(self, node: "nodes.Not") -> Value:
        truths = self.truths(self.value(node.node))
        return known(*(not truth for truth in truths)) if truths else unknown(Kind.NUMBER)

    def _of_neg(self, node: "nodes.Neg") -> Value:
        return self.binary("*", self.value(node.node), known(-1))

    def _of_pos(self, node: "nodes.Pos") -> Value:
        return self.value(node.node)

    def _of_compare(self, node: "nodes.Compare") -> Value:
        values = [self.value(node.expr), self.value(node.ops[0].expr)]
        with self.perhaps(len(node.ops) > 1):
            values += [self.value(each.expr) for each in node.ops[1:]]
        try:
            constants = [plain(value) for value in values]
            for at, each in enumerate(node.ops):
                if not _COMPARISONS[each.op](constants[at], constants[at + 1]):
                    return known(False)
        except (NotPlain, TypeError):
            return unknown(Kind.NUMBER)
        return known(True)

    def _of_getattr(self, node: "nodes.Getattr") -> Value:
        return self.attribute(self.value(node.node), node.attr)

    def _of_getitem(self, node: "nodes.Getitem") -> Value:
        base = self.value(node.node)
        if type(node.arg).__name__ == "Slice":
            return self.slice(base, self._bounds(node.arg))
        return self.item(base, self.value(node.arg), node.lineno)

    def _bounds(self, node: Any) -> list[Value]:
        return [
            known(None) if bound is None else self.value(bound)
            for bound in (node.start, node.stop, node.step)
        ]

    def _of_slice(self, node: "nodes.Slice") -> Value:
        return blend(*self._bounds(node))

    def _of_filter(self, node: "nodes.Filter") -> Value:
        base = self.value(node.node)
        arguments, keywords = self._arguments(node)
        return self.filter(node.name, base, arguments, keywords, node.lineno)

    def _of_test(self, node: "nodes.Test") -> Value:
        base = self.value(node.node)
        arguments, keywords = self._arguments(node)
        return self.test(node.name, base, [*arguments, *keywords.values()])

    def _of_marksafe(self, node: "nodes.MarkSafe") -> Value:
        return self.value(node.expr)

    # ---------------------------------------------------------------- calls

    def _arguments(self, node: Any) -> tuple[list[Value], dict[str, Value]]:
        """Return the arguments of a call, a filter or a test.

        Names of keywords are normalised, as Python does in the code that Jinja makes.
        """
        arguments = [self.value(argument) for argument in node.args]
        keywords = {
            unicodedata.normalize("NFKC", each.key): self.value(each.value) for each in node.kwargs
        }
        if node.dyn_args is not None:
            spread = self.value(node.dyn_args)
            items = self.items_of(spread)
            if items is None:
                # Any of them may stand anywhere.
                items = [join((), *map(elements, spread)) or unknown(Kind.DATA)] * 3
                keywords[ANY] = items[0]
            arguments += items
        if node.dyn_kwargs is not None:
            for option in self.value(node.dyn_kwargs):
                if isinstance(option, Map) and not option.rest:
                    keywords |= {str(key): value for key, value in option.items.items()}
                    continue
                if isinstance(option, Map):
                    of = join((), *option.items.values(), option.rest)
                else:
                    of = blend((option,))
                of = join(of, keywords.get(ANY, ())) or unknown(Kind.DATA)
                keywords |= dict.fromkeys((*_KEYWORDS, ANY), of)
        return arguments, keywords

    def _of_call(self, node: "nodes.Call") -> Value:
        return self._call_node(node)

    def _call_node(self, node: "nodes.Call", caller: Value = ()) -> Value:
        called: Any = node.node
        kind = type(called).__name__
        is_global = kind == "Name" and called.name in CALLED_GLOBALS
        if is_global and isinstance(self._lookup(called.name)[0], Builtin):
            return self.call_global(called.name, *self._arguments(node))
        if kind == "Getattr":
            base, names = self.value(called.node), known(called.attr)
        elif kind == "Getitem" and type(called.arg).__name__ != "Slice":
            base, names = self.value(called.node), self.value(called.arg)
            self.select(names, called.lineno, base=base)
        else:
            value = self._lookup(called.name) if kind == "Name" else self.value(called)
            arguments, keywords = self._arguments(node)
            return self._call_value(value, arguments, keywords, node.lineno, caller)
        arguments, keywords = self._arguments(node)
        found: list[Value] = []
        with self.perhaps(len(base) * len(names) > 1):
            for option in base:
                for name in names:
                    if isinstance(name, str) and isinstance(option, (Unknown, str, bytes)):
                        made = self.call_method(option, name, arguments, keywords, node.lineno)
                    else:
                        value = self.attribute((option,), name) if isinstance(name, str) else ()
                        value = value or self.item((option,), (name,), called.lineno)
                        made = self._call_value(value, arguments, keywords, node.lineno, caller)
                    found.append(made)
        return join((), *found) or unknown(Kind.DATA)

    def _call_value(
        self,
        value: Value,
        arguments: Sequence[Value],
        keywords: Mapping[str, Value],
        line: int,
        caller: Value = (),
    ) -> Value:
        certain = len(value) <= 1 or {type(option) for option in value} == {Unknown, Method}
        with self.perhaps(not certain):
            return self._call_options(value, arguments, keywords, line, caller)

    def _call_options(
        self,
        value: Value,
        arguments: Sequence[Value],
        keywords: Mapping[str, Value],
        line: int,
        caller: Value,
    ) -> Value:
        found: list[Value] = []
        for option in value:
            if isinstance(option, Macro):
                self._called.add(id(option.node))
                found.append(self._call_macro(option, arguments, keywords, caller))
            elif isinstance(option, Method):
                found.append(self._call_method(option, arguments, keywords, line))
            elif isinstance(option, Builtin) and option.loop is not None:
                again = join((), *(elements(part) for each in arguments for part in each))
                loop = option.loop
                loop.again = self.weaken(loop.again, again) if again else loop.again
                found.append(unknown(Kind.COMPUTED))
            elif isinstance(option, Builtin):
                found.append(self.call_global(option.name, arguments, keywords))
            elif isinstance(option, Unknown):
                found.append(
                    blend((option,), *arguments, *keywords.values(), *((caller,) if caller else ()))
                )
        return join((), *found) or unknown(Kind.DATA)

    def _call_method(
        self,
        method: Method,
        arguments: Sequence[Value],
        keywords: Mapping[str, Value],
        line: int,
    ) -> Value:
        if isinstance(method.base, Builtin):
            state: Loop = method.base.loop
            if method.name == "changed":
                return unknown(Kind.NUMBER)
            if state.items is not None and arguments:
                return arguments[state.index % len(arguments)]
            return join((), *arguments)
        return self.call_method(method.base, method.name, arguments, keywords, line)

    def _call_macro(
        self,
        macro: Macro,
        arguments: Sequence[Value],
        keywords: Mapping[str, Value],
        caller: Value = (),
    ) -> Value:
        raise NotImplementedError
