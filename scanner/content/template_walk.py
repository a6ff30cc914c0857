"""Follow a chat template through its syntax tree, with values instead of messages.

Loops over constants are followed item by item, and conditions on constants decide; so a name that a
template spells letter by letter is known in the end. Loops over data are followed until nothing
changes any more, and of a condition on data both sides.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from prefect_mutagen.scanner.content.template_expressions import Loop, Scope
from prefect_mutagen.scanner.content.template_macros import Capture, Macros
from prefect_mutagen.scanner.content.template_selection import Exhausted
from prefect_mutagen.scanner.content.template_values import (
    Builtin,
    Kind,
    Macro,
    Map,
    Seq,
    Value,
    elements,
    join,
    reason_of,
    unknown,
)

if TYPE_CHECKING:
    from jinja2 import nodes

__all__ = ["Walk"]

_MOST_ROUNDS: Final = 8
_WIDEN_AFTER: Final = 3


class _Leave(Exception):  # noqa: N818 - break or continue
    def __init__(self, *, loop: bool) -> None:
        self.loop = loop


class Walk(Macros):
    """One walk through a template."""

    def follow(self, template: "nodes.Template") -> None:
        """Follow a whole template; macros that it does not call, with arguments of data.

        Raises:
            Escape: An attribute of Python's internals is selected.
            Exhausted: It takes more steps than are made.
        """
        try:
            self._execute(template.body)
            followed: set[int] = set()
            while waiting := [node for node in self._macros if node not in followed]:
                for node in waiting:
                    followed.add(node)
                    if node in self._handed or node not in self._called:
                        self._follow_macro(self._macros[node], is_handed=node in self._handed)
        except _Leave:
            pass  # Python does not compile it
        self.select_poured()

    def _follow_macro(self, macro: Macro, *, is_handed: bool) -> None:
        kind = Kind.COMPUTED if is_handed else Kind.DATA
        with self.perhaps():
            self._call_macro(macro, [unknown(kind) for _ in macro.node.args], {})

    # ---------------------------------------------------------------- statements

    def _execute(self, body: Iterable[Any]) -> None:
        for node in body:
            self.step()
            getattr(self, f"_do_{type(node).__name__.lower()}")(node)

    def _within(self, body: Iterable[Any], names: dict[str, Value] | None = None) -> None:
        outer, self._scope = self._scope, Scope(names or {}, self._scope)
        try:
            self._execute(body)
        finally:
            self._scope = outer

    def _do_output(self, node: "nodes.Output") -> None:
        capture = self._captures[-1]
        for part in node.nodes:
            value = self.value(part)
            if capture is None:
                continue
            text = self.concat([value])
            capture.texts.append(join(text, ("",)) if self.level > capture.level else text)

    def _do_assign(self, node: "nodes.Assign") -> None:
        self._assign(node.target, self.value(node.node))

    def _do_assignblock(self, node: "nodes.AssignBlock") -> None:
        text = self._captured(node.body)
        if node.filter is not None:
            text = self._filter_chain(node.filter, text)
        self._assign(node.target, text)

    def _do_filterblock(self, node: "nodes.FilterBlock") -> None:
        text = self._filter_chain(node.filter, self._captured(node.body))
        capture = self._captures[-1]
        if capture is not None:
            capture.texts.append(join(text, ("",)) if self.level > capture.level else text)

    def _captured(self, body: Iterable[Any]) -> Value:
        """Follow a body in a scope of its own and return its text."""
        capture = Capture(self.level)
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

    def _do_exprstmt(self, node: "nodes.ExprStmt") -> None:
        self.value(node.node)

    def _do_with(self, node: "nodes.With") -> None:
        outer, self._scope = self._scope, Scope({}, self._scope)
        try:
            values = [self.value(value) for value in node.values]
            for target, value in zip(node.targets, values, strict=True):
                self._assign(target, value)
            self._execute(node.body)
        finally:
            self._scope = outer

    def _do_block(self, node: "nodes.Block") -> None:
        self._within(node.body)
        # Unless it is scoped, a block sees only variables of the outermost level.
        outer = self._scope
        while self._scope.parent is not None:
            self._scope = self._scope.parent
        try:
            if outer is not self._scope:
                with self.perhaps():
                    self._within(node.body)
        finally:
            self._scope = outer

    def _do_scope(self, node: "nodes.Scope") -> None:
        self._within(node.body)

    def _do_scopedevalcontextmodifier(self, node: "nodes.ScopedEvalContextModifier") -> None:
        # Automatic escaping changes what constants become, so nothing in it is known for sure.
        self.note("names that depend on automatic escaping", node.lineno)
        before, self._decides = self._decides, False
        try:
            for option in node.options:
                self.value(option.value)
            self._execute(node.body)
        finally:
            self._decides = before

    def _do_macro(self, node: "nodes.Macro") -> None:
        macro = Macro(node, self._scope, node.name)
        self._macros.setdefault(id(node), macro)
        self._scope.names[node.name] = (macro,)

    def _do_callblock(self, node: "nodes.CallBlock") -> None:
        caller = Macro(node, self._scope, "caller")
        text = self._call_node(node.call, caller=(caller,))
        capture = self._captures[-1]
        if capture is not None:
            capture.texts.append(join(text, ("",)) if self.level > capture.level else text)
        if id(node) not in self._called:
            self._macros.setdefault(id(node), caller)

    def _do_break(self, node: "nodes.Break") -> None:
        raise _Leave(loop=True)

    def _do_continue(self, node: "nodes.Continue") -> None:
        raise _Leave(loop=False)

    def _do_if(self, node: "nodes.If") -> None:
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

    def _do_for(self, node: "nodes.For") -> None:
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
            self._loop_over_items(node, iterated[0], items)
        else:
            self._within(node.else_)

    def _tested(self, node: "nodes.For", items: list[Value]) -> list[Value] | None:
        kept: list[Value] | None = []
        for item in items:
            outer, self._scope = self._scope, Scope({}, self._scope)
            self._assign(node.target, item)
            truths = self.truths(self.value(node.test)) if self._decides else {True, False}
            self._scope = outer
            if len(truths) != 1:
                kept = None
            elif kept is not None and True in truths:
                kept.append(item)
        return kept

    def _loop_over_items(self, node: "nodes.For", iterated: Any, items: list[Value]) -> None:
        start = self._steps
        self._iterate_over(node, items)
        source = getattr(iterated, "source", None) or iterated
        if isinstance(source, (Seq, Map)) and source.changed > start:
            # The loop goes on over what was added meanwhile.
            later = unknown(Kind.COMPUTED, reason_of((source,)))
            self._loop_over_data(node, join(elements(source), later))

    def _iterate_over(self, node: "nodes.For", items: list[Value]) -> None:
        loop = Loop(items=items)
        self._loops.append(loop)
        try:
            for index, item in enumerate(items):
                loop.index = index
                if not self._iterate(node, loop, item):
                    break
        finally:
            self._loops.pop()
            self.level -= loop.is_left

    def _iterate(self, node: "nodes.For", loop: Loop, item: Value) -> bool:
        """Follow one iteration; whether another may come."""
        self.step()
        outer, self._scope = self._scope, Scope({"loop": (Builtin("loop", loop),)}, self._scope)
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
        loop = Loop(element=element)
        capture = self._captures[-1]
        inner = None if capture is None else Capture(self.level)
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
                raise Exhausted("a loop has too many states to follow")
        finally:
            self.widen = widened
            self.level -= 1 + loop.is_left
            self._loops.pop()
            self._captures.pop()
        if capture is not None and inner is not None and inner.texts:
            capture.texts.append(unknown(Kind.COMPUTED, reason_of(*inner.texts)))
