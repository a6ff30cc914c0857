"""Follow a chat template through its syntax tree, with values instead of messages.

Loops over constants are followed item by item, and conditions on constants decide; so a name that a
template spells letter by letter is known in the end. Loops over data are followed until nothing
changes any more, and of a condition on data both sides.
"""

import operator
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from prefect_mutagen.scanner.content.template_filters import Filters
from prefect_mutagen.scanner.content.template_names import CALLED_GLOBALS, DATA_ROOTS
from prefect_mutagen.scanner.content.template_operations import Exhausted
from prefect_mutagen.scanner.content.template_values import (
    Builtin,
    Kind,
    Macro,
    Map,
    Method,
    NotPlain,
    Seq,
    Space,
    Unknown,
    Value,
    blend,
    collapse,
    elements,
    join,
    known,
    lift,
    plain,
    reason_of,
    unknown,
)

if TYPE_CHECKING:
    from jinja2 import Environment, nodes

__all__ = ["Walk"]

_DEEPEST_CALL: Final = 10
_MOST_ROUNDS: Final = 8
_WIDEN_AFTER: Final = 3
_LONGEST_RANGE: Final = 1024
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


class _Leave(Exception):  # noqa: N818 - break or continue
    def __init__(self, *, loop: bool) -> None:
        self.loop = loop


@dataclass(slots=True)
class _Scope:
    names: dict[str, Value]
    parent: "_Scope | None" = None


@dataclass(slots=True)
class _Loop:
    """A loop that is being followed; ``items`` is None where they are not known."""

    element: Value = ()
    items: list[Value] | None = None
    index: int = 0
    is_left: bool = False
    """Whether a break or continue that is not decided lies behind."""
    again: Value = ()
    """What a recursive call of the loop iterates over."""


@dataclass(slots=True)
class _Call:
    key: Any
    start: int
    touched: bool = False


@dataclass(slots=True)
class _Capture:
    level: int
    texts: list[Value] = field(default_factory=list)


class Walk(Filters):
    """One walk through a template."""

    def __init__(self, environment: "Environment", assigned: frozenset[str]) -> None:
        """Prepare a walk.

        Args:
            environment: The environment that parsed the template.
            assigned: The variables that the template itself assigns.
        """
        super().__init__(environment)
        self._assigned = assigned
        self._scope = _Scope({})
        self._loops: list[_Loop] = []
        self._calls: list[_Call] = []
        self._captures: list[_Capture | None] = [None]
        self._macros: dict[int, Macro] = {}
        self._called: set[int] = set()
        self._handed: set[int] = set()
        self._decides = True

    def follow(self, template: "nodes.Template") -> None:
        """Follow a whole template; macros that it does not call, with arguments of data.

        Raises:
            Escape: An attribute of Python's internals is selected.
            Exhausted: It takes more steps than are made.
        """
        self._execute(template.body)
        for node, macro in list(self._macros.items()):
            if node in self._handed or node not in self._called:
                kind = Kind.COMPUTED if node in self._handed else Kind.DATA
                self.level += 1
                self._call_macro(macro, [unknown(kind) for _ in macro.node.args], {})
                self.level -= 1

    def mutated(self, collection: Seq | Map | Space) -> None:
        """Note a change for the calls that are older than it."""
        for call in self._calls:
            if collection.born < call.start:
                call.touched = True

    # ---------------------------------------------------------------- statements

    def _execute(self, body: Iterable[Any]) -> None:
        for node in body:
            self.step()
            getattr(self, f"_do_{type(node).__name__}")(node)

    def _within(self, body: Iterable[Any], names: dict[str, Value] | None = None) -> None:
        outer, self._scope = self._scope, _Scope(names or {}, self._scope)
        try:
            self._execute(body)
        finally:
            self._scope = outer

    def _do_Output(self, node: "nodes.Output") -> None:
        capture = self._captures[-1]
        for part in node.nodes:
            value = self.value(part)
            if capture is None:
                continue
            text = self.concat([value])
            capture.texts.append(join(text, ("",)) if self.level > capture.level else text)

    def _do_Assign(self, node: "nodes.Assign") -> None:
        self._assign(node.target, self.value(node.node))

    def _do_AssignBlock(self, node: "nodes.AssignBlock") -> None:
        text = self._captured(node.body)
        if node.filter is not None:
            text = self._filter_chain(node.filter, text)
        self._assign(node.target, text)

    def _do_FilterBlock(self, node: "nodes.FilterBlock") -> None:
        text = self._filter_chain(node.filter, self._captured(node.body))
        capture = self._captures[-1]
        if capture is not None:
            capture.texts.append(join(text, ("",)) if self.level > capture.level else text)

    def _captured(self, body: Iterable[Any]) -> Value:
        """Follow a body in a scope of its own and return its text."""
        capture = _Capture(self.level)
        self._captures.append(capture)
        try:
            self._within(body)
        finally:
            self._captures.pop()
        return self.concat(capture.texts)

    def _filter_chain(self, node: Any, text: Value) -> Value:
        """Apply the filters of a block, of which the innermost has no operand."""
        if node is None:
            return text
        base = self._filter_chain(node.node, text)
        arguments, keywords = self._arguments(node)
        return self.filter(node.name, base, arguments, keywords, node.lineno)

    def _do_ExprStmt(self, node: "nodes.ExprStmt") -> None:
        self.value(node.node)

    def _do_With(self, node: "nodes.With") -> None:
        outer, self._scope = self._scope, _Scope({}, self._scope)
        try:
            for target, value in zip(node.targets, node.values, strict=True):
                self._assign(target, self.value(value))
            self._execute(node.body)
        finally:
            self._scope = outer

    def _do_Block(self, node: "nodes.Block") -> None:
        self._within(node.body)

    def _do_Scope(self, node: "nodes.Scope") -> None:
        self._within(node.body)

    def _do_ScopedEvalContextModifier(self, node: "nodes.ScopedEvalContextModifier") -> None:
        # Automatic escaping changes what constants become.
        before, self._decides = self._decides, False
        try:
            for option in node.options:
                self.value(option.value)
            self._execute(node.body)
        finally:
            self._decides = before

    def _do_Macro(self, node: "nodes.Macro") -> None:
        macro = Macro(node, self._scope, node.name)
        self._macros.setdefault(id(node), macro)
        self._scope.names[node.name] = (macro,)

    def _do_CallBlock(self, node: "nodes.CallBlock") -> None:
        caller = Macro(node, self._scope, "caller")
        text = self._call_node(node.call, caller=(caller,))
        capture = self._captures[-1]
        if capture is not None:
            capture.texts.append(join(text, ("",)) if self.level > capture.level else text)
        if id(node) not in self._called:
            self._macros.setdefault(id(node), caller)

    def _do_Break(self, node: "nodes.Break") -> None:
        raise _Leave(loop=True)

    def _do_Continue(self, node: "nodes.Continue") -> None:
        raise _Leave(loop=False)

    def _do_If(self, node: "nodes.If") -> None:
        arms: list[list[Any]] = []
        for arm in (node, *node.elif_):
            truths = self.truths(self.value(arm.test))
            if not self._decides:
                truths = {True, False}
            if True in truths:
                arms.append(arm.body)
            if False not in truths:
                break
        else:
            arms.append(node.else_)
        if len(arms) == 1:
            self._execute(arms[0])
            return
        before = self._scope.names
        after: list[dict[str, Value]] = []
        self.level += 1
        is_left = False
        for body in arms:
            self._scope.names = dict(before)
            try:
                self._execute(body)
            except _Leave:
                is_left = True
            after.append(self._scope.names)
        self.level -= 1
        self._scope.names = self._merge(after)
        if is_left and self._loops and not self._loops[-1].is_left:
            self._loops[-1].is_left = True
            self.level += 1

    def _merge(self, arms: list[dict[str, Value]]) -> dict[str, Value]:
        merged: dict[str, Value] = {}
        for name in dict.fromkeys(name for names in arms for name in names):
            values = [names.get(name) for names in arms]
            first = values[0]
            if all(value is first for value in values):
                merged[name] = first if first is not None else ()
                continue
            missing = self._lookup_from(self._scope.parent, name) if None in values else ()
            merged[name] = join((), *(value for value in values if value is not None), missing)
        return merged

    # ---------------------------------------------------------------- loops

    def _do_For(self, node: "nodes.For") -> None:
        iterated = self.value(node.iter)
        items = None if node.recursive else self.items_of(iterated)
        if items is not None and node.test is not None:
            items = self._tested(node, items)
        if items is None:
            element = join((), *(elements(option) for option in iterated))
            self._loop_over_data(node, element or unknown(Kind.DATA))
            if node.else_:
                self.level += 1
                self._within(node.else_)
                self.level -= 1
        elif items:
            self._loop_over_items(node, items)
        else:
            self._within(node.else_)

    def _tested(self, node: "nodes.For", items: list[Value]) -> list[Value] | None:
        kept: list[Value] | None = []
        for item in items:
            outer, self._scope = self._scope, _Scope({}, self._scope)
            self._assign(node.target, item)
            truths = self.truths(self.value(node.test)) if self._decides else {True, False}
            self._scope = outer
            if len(truths) != 1:
                kept = None
            elif kept is not None and True in truths:
                kept.append(item)
        return kept

    def _loop_over_items(self, node: "nodes.For", items: list[Value]) -> None:
        loop = _Loop(items=items)
        self._loops.append(loop)
        try:
            for index, item in enumerate(items):
                loop.index = index
                if not self._iterate(node, loop, item):
                    break
        finally:
            self._loops.pop()
            self.level -= loop.is_left

    def _iterate(self, node: "nodes.For", loop: _Loop, item: Value) -> bool:
        """Follow one iteration; whether another may come."""
        self.step()
        outer, self._scope = self._scope, _Scope({"loop": (Builtin("loop", loop),)}, self._scope)
        try:
            self._assign(node.target, item)
            if loop.items is None and node.test is not None:
                self.value(node.test)
            self._execute(node.body)
        except _Leave as leave:
            return not leave.loop
        finally:
            self._scope = outer
        return True

    def _loop_over_data(self, node: "nodes.For", element: Value) -> None:
        loop = _Loop(element=element)
        capture = self._captures[-1]
        inner = None if capture is None else _Capture(self.level)
        self._captures.append(inner)
        self._loops.append(loop)
        widened = self.widen
        self.level += 1
        try:
            for number in range(_MOST_ROUNDS):
                changes, again = self.changes, loop.again
                self.widen = widened or number >= _WIDEN_AFTER
                if inner is not None:
                    inner.texts.clear()
                self._iterate(node, loop, join(element, loop.again))
                if changes == self.changes and again == loop.again:
                    break
            else:
                raise Exhausted
        finally:
            self.widen = widened
            self.level -= 1 + loop.is_left
            self._loops.pop()
            self._captures.pop()
        if capture is not None and inner is not None and inner.texts:
            capture.texts.append(unknown(Kind.COMPUTED, reason_of(*inner.texts)))

    def loop_attribute(self, loop: Builtin, name: str) -> Value:
        """Return an attribute of a loop object."""
        state: _Loop = loop.loop
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
            raise Exhausted

    def _lookup(self, name: str) -> Value:
        return self._lookup_from(self._scope, name)

    def _lookup_from(self, scope: _Scope | None, name: str) -> Value:
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
        return getattr(self, f"_of_{type(node).__name__}")(node)  # type: ignore[no-any-return]

    def _of_Const(self, node: "nodes.Const") -> Value:
        return lift(node.value, self.level)

    def _of_TemplateData(self, node: "nodes.TemplateData") -> Value:
        return lift(node.data, self.level)

    def _of_Name(self, node: "nodes.Name") -> Value:
        value = self._lookup(node.name)
        for option in value:
            if isinstance(option, Macro):
                self._handed.add(id(option.node))
                self._macros.setdefault(id(option.node), option)
        return value

    def _of_Tuple(self, node: "nodes.Tuple") -> Value:
        return (Seq([self.value(item) for item in node.items], self.level, "tuple"),)

    def _of_List(self, node: "nodes.List") -> Value:
        items = [self.value(item) for item in node.items]
        return (Seq(items, self.level, born=self._steps),)

    def _of_Dict(self, node: "nodes.Dict") -> Value:
        made = Map({}, self.level, born=self._steps)
        for pair in node.items:
            self.assign_key(made, self.value(pair.key), self.value(pair.value))
        return (made,)

    def _of_CondExpr(self, node: "nodes.CondExpr") -> Value:
        truths = self.truths(self.value(node.test)) if self._decides else {True, False}
        found: list[Value] = []
        if True in truths:
            found.append(self.value(node.expr1))
        if False in truths:
            found.append(unknown(Kind.DATA) if node.expr2 is None else self.value(node.expr2))
        return join((), *found)

    def _of_Concat(self, node: "nodes.Concat") -> Value:
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
                value = join(value, self.value(node.right))
            elif goes_on in truths:
                value = self.value(node.right)
        return value

    _of_Add = _of_Sub = _of_Mul = _of_Div = _of_FloorDiv = _of_Mod = _of_Pow = _binary_chain
    _of_And = _of_Or = _binary_chain

    def _of_Not(self, node: "nodes.Not") -> Value:
        truths = self.truths(self.value(node.node))
        return known(*(not truth for truth in truths)) if truths else unknown(Kind.NUMBER)

    def _of_Neg(self, node: "nodes.Neg") -> Value:
        return self.binary("*", self.value(node.node), known(-1))

    def _of_Pos(self, node: "nodes.Pos") -> Value:
        return self.value(node.node)

    def _of_Compare(self, node: "nodes.Compare") -> Value:
        values = [self.value(node.expr), *(self.value(each.expr) for each in node.ops)]
        try:
            constants = [plain(value) for value in values]
            for at, each in enumerate(node.ops):
                if not _COMPARISONS[each.op](constants[at], constants[at + 1]):
                    return known(False)
        except (NotPlain, TypeError):
            return unknown(Kind.NUMBER)
        return known(True)

    def _of_Getattr(self, node: "nodes.Getattr") -> Value:
        return self.attribute(self.value(node.node), node.attr)

    def _of_Getitem(self, node: "nodes.Getitem") -> Value:
        base = self.value(node.node)
        if type(node.arg).__name__ == "Slice":
            return self.slice(base, self._bounds(node.arg))
        return self.item(base, self.value(node.arg), node.lineno)

    def _bounds(self, node: Any) -> list[Value]:
        return [
            known(None) if bound is None else self.value(bound)
            for bound in (node.start, node.stop, node.step)
        ]

    def _of_Slice(self, node: "nodes.Slice") -> Value:
        return blend(*self._bounds(node))

    def _of_Filter(self, node: "nodes.Filter") -> Value:
        base = self.value(node.node)
        arguments, keywords = self._arguments(node)
        return self.filter(node.name, base, arguments, keywords, node.lineno)

    def _of_Test(self, node: "nodes.Test") -> Value:
        base = self.value(node.node)
        arguments, keywords = self._arguments(node)
        return self.test(node.name, base, [*arguments, *keywords.values()])

    def _of_MarkSafe(self, node: "nodes.MarkSafe") -> Value:
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
            arguments += items
        if node.dyn_kwargs is not None:
            for option in self.value(node.dyn_kwargs):
                if isinstance(option, Map) and not option.rest:
                    keywords |= {str(key): value for key, value in option.items.items()}
                    continue
                held = join((), *option.items.values(), option.rest) if isinstance(option, Map) else ()
                of = held or unknown(Kind.DATA)
                keywords |= {"attribute": of, "name": of, "default": of, "d": of}
        return arguments, keywords

    def _of_Call(self, node: "nodes.Call") -> Value:
        return self._call_node(node)

    def _call_node(self, node: "nodes.Call", caller: Value = ()) -> Value:
        called: Any = node.node
        kind = type(called).__name__
        if kind == "Name" and called.name in CALLED_GLOBALS:
            if isinstance(self._lookup(called.name)[0], Builtin):
                return self._call_global(called.name, *self._arguments(node))
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
        for option in base:
            for name in names:
                if isinstance(name, str) and isinstance(option, (Unknown, str, bytes)):
                    found.append(
                        self.call_method(option, name, arguments, keywords, node.lineno)
                    )
                    continue
                value = self.item((option,), (name,), called.lineno)
                found.append(self._call_value(value, arguments, keywords, node.lineno, caller))
        return join((), *found) or unknown(Kind.DATA)

    def _call_value(
        self,
        value: Value,
        arguments: Sequence[Value],
        keywords: Mapping[str, Value],
        line: int,
        caller: Value = (),
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
                found.append(self._call_global(option.name, arguments, keywords))
            elif isinstance(option, Unknown):
                found.append(blend((option,), *arguments, *keywords.values(), *((caller,) if caller else ())))
        return join((), *found) or unknown(Kind.DATA)

    def _call_method(
        self,
        method: Method,
        arguments: Sequence[Value],
        keywords: Mapping[str, Value],
        line: int,
    ) -> Value:
        if isinstance(method.base, Builtin):
            state: _Loop = method.base.loop
            if method.name == "changed":
                return unknown(Kind.NUMBER)
            if state.items is not None and arguments:
                return arguments[state.index % len(arguments)]
            return join((), *arguments)
        return self.call_method(method.base, method.name, arguments, keywords, line)

    def _call_global(
        self, name: str, arguments: Sequence[Value], keywords: Mapping[str, Value]
    ) -> Value:
        if name == "range":
            try:
                numbers = range(*(plain(argument) for argument in arguments))
            except (NotPlain, TypeError, ValueError):
                numbers = range(0)
                exact = False
            else:
                exact = len(numbers) <= _LONGEST_RANGE
            if exact:
                return (Seq([(number,) for number in numbers], self.level, "view"),)
            return (Seq([unknown(Kind.NUMBER)], self.level, "view", loose=True),)
        made = Map({}, self.level, born=self._steps)
        for argument in arguments:
            self._fill(made, argument)
        for key, value in keywords.items():
            self.assign_key(made, (key,), value)
        if name == "dict":
            return (made,)
        attributes = {key: value for key, value in made.items.items() if isinstance(key, str)}
        return (Space(attributes, self.level, made.rest, born=self._steps),)

    def _fill(self, made: Map, argument: Value) -> None:
        """Put the pairs of an argument of ``dict`` into a map."""
        items = self.items_of(argument)
        if items is not None and not isinstance(argument[0], Map):
            pairs = [self.items_of(item) for item in items]
            if all(pair is not None and len(pair) == 2 for pair in pairs):
                for pair in pairs:
                    self.assign_key(made, *(pair or ()))
                return
        self.call_method(made, "update", [argument], {}, 0)

    def _call_macro(
        self,
        macro: Macro,
        arguments: Sequence[Value],
        keywords: Mapping[str, Value],
        caller: Value = (),
    ) -> Value:
        self.step()
        key = (id(macro.node), tuple(map(_identities, arguments)), _identities(caller)) + tuple(
            (name, _identities(value)) for name, value in keywords.items()
        )
        for call in self._calls:
            if call.key == key and not call.touched:
                return unknown(Kind.COMPUTED)
        if len(self._calls) >= _DEEPEST_CALL:
            raise Exhausted
        outer = self._scope, self._loops, self._captures
        self._scope = _Scope({}, macro.scope)
        self._bind(macro, arguments, keywords, caller)
        capture = _Capture(self.level)
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
                scope[name] = unknown(Kind.DATA) if default is None else self.value(default)
        scope["varargs"] = (Seq(list(arguments[len(names) :]), self.level, "tuple"),)
        scope["kwargs"] = (Map({**rest}, self.level),)
        if caller:
            scope["caller"] = caller


_OPERATORS: Final = frozenset("Add Sub Mul Div FloorDiv Mod Pow And Or".split())


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
