"""Operations of a chat template on values: items, attributes, operators, texts."""

import re
from collections.abc import Iterable, Sequence
from itertools import islice, product
from typing import Any, Final

from prefect_mutagen.scanner.content.template_folding import Unfoldable, fold_binary
from prefect_mutagen.scanner.content.template_names import suspicious_part
from prefect_mutagen.scanner.content.template_selection import Selections
from prefect_mutagen.scanner.content.template_values import (
    LONGEST,
    NUMBER,
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
    elements,
    is_scalar,
    join,
    known,
    lift,
    plain,
    reason_of,
    unknown,
)

__all__ = ["Operations"]

_SPECIAL: Final = re.compile("[<>&'\"]")
_MOST_COMBINATIONS: Final = 64
_OF_TEXT_OR_LIST: Final = frozenset(name for name in (*dir(str), *dir(list)) if name[0] != "_")
# Methods that put values into data, or take the fields of a format from it.
_TAKING: Final = frozenset("append extend format format_map insert setdefault update".split())
_OF_SEQUENCE: Final = frozenset(
    "append extend insert pop remove reverse sort clear copy count index".split()
)
_OF_MAP: Final = frozenset(
    "get items keys values update pop popitem setdefault copy clear fromkeys".split()
)


class Operations(Selections):
    """What can be done with values, but for calls."""

    # ---------------------------------------------------------------- items and attributes

    def attribute(self, base: Value, name: str) -> Value:
        """Return what an attribute or a key of this name holds."""
        return join((), *(self._attribute(option, name) for option in base))

    def _attribute(self, option: Any, name: str) -> Value:
        if isinstance(option, Unknown):
            return self._attribute_of_unknown(option, name)
        if isinstance(option, Map):
            # By a dot a method comes first, by a subscript the item.
            method: Value = (Method(option, name),) if name in _OF_MAP else ()
            if name in option.items:
                return join(option.items[name], option.rest, method)
            return join(option.rest, method or unknown(Kind.DATA))
        if isinstance(option, Space):
            found = option.attributes.get(name, ())
            return join(found, option.rest) if found or option.rest else unknown(Kind.DATA)
        if isinstance(option, Seq) and name in _OF_SEQUENCE:
            return (Method(option, name),)
        if isinstance(option, Seq) and name not in ("mapping", "send"):  # of views and generators
            return unknown(Kind.DATA)
        if isinstance(option, Macro):
            if name == "name":
                return known(option.name)
            if name == "arguments":
                names = [known(argument.name) for argument in option.node.args]
                return (Seq(names, self.level, "tuple"),)
            return unknown(Kind.NUMBER)
        if isinstance(option, (str, bytes, int, float)):
            return (Method(option, name),)
        if isinstance(option, Builtin) and option.loop is not None:
            return self.loop_attribute(option, name)
        if option is None:
            return unknown(Kind.DATA)
        return blend((option,))

    def _attribute_of_unknown(self, option: Unknown, name: str) -> Value:
        """Return an attribute of what is not known: a field of data, or a method not yet called."""
        if option.kind != Kind.DATA and name in _OF_TEXT_OR_LIST:
            return (Method(option, name),)
        kind = Kind.DATA if option.kind == Kind.MODEL else option.kind
        field = unknown(max(kind, Kind.DATA), option.reason)
        return join(field, (Method(option, name),)) if name in _TAKING else field

    def loop_attribute(self, loop: Builtin, name: str) -> Value:
        """Return an attribute of the loop object; overridden where loops are run."""
        return blend((loop,))

    def item(self, base: Value, key: Value, line: int) -> Value:
        """Check a subscript and return what it selects."""
        self.select(key, line, base=base)
        found: list[Value] = []
        for option, index in islice(product(base, key), _MOST_COMBINATIONS):
            found.append(self._item(option, index))
        if len(base) * len(key) > _MOST_COMBINATIONS:
            found.append(blend(base))
        return join((), *found)

    def _item(self, option: Any, index: Any) -> Value:
        self.step()
        if isinstance(option, Unknown):
            # Numbers of a model's text select letters of it; its fields are data.
            kind = option.kind
            if kind == Kind.MODEL and isinstance(index, str):
                kind = Kind.DATA
            return unknown(max(kind, Kind.DATA), option.reason)
        if isinstance(index, str) and not isinstance(option, Map):
            return self._attribute(option, index)
        if isinstance(option, Map):
            if isinstance(index, Unknown):
                return join(option.rest, unknown(Kind.DATA), *option.items.values())
            try:
                if index in option.items:
                    return join(option.items[index], option.rest)
            except TypeError:
                pass
            if isinstance(index, str):
                return self._attribute(option, index)
            return join(option.rest, unknown(Kind.DATA))
        if isinstance(option, (str, bytes)):
            if isinstance(index, int):
                try:
                    return lift(option[index], self.level)
                except IndexError:
                    return unknown(Kind.DATA)
            return blend((option,), (index,))
        if isinstance(option, Seq):
            in_order = option.kind in ("list", "tuple") and not option.loose
            if isinstance(index, int) and in_order:
                try:
                    return option.items[index]
                except IndexError:
                    return unknown(Kind.DATA)
            return join(elements(option), unknown(Kind.DATA))
        return blend((option,))

    def slice(self, base: Value, bounds: Sequence[Value]) -> Value:
        """Return a slice of a value."""
        try:
            window = slice(*(plain(bound) for bound in bounds))
        except NotPlain:
            window = None
        found: list[Value] = []
        for option in base:
            self.step()
            if isinstance(option, Unknown):
                found.append(unknown(max(option.kind, Kind.DATA), option.reason))
            elif isinstance(option, Seq):
                in_order = option.kind in ("list", "tuple") and not option.loose
                if window is not None and in_order:
                    items = option.items[window]
                    self.step(len(items) // 8)
                    found.append((Seq(items, self.level, option.kind),))
                else:
                    found.append((Seq([elements(option)], self.level, loose=True),))
            elif isinstance(option, (str, bytes)) and window is not None:
                found.append(lift(option[window], self.level))
            else:
                found.append(blend((option,)))
        return join((), *found)

    # ---------------------------------------------------------------- texts and numbers

    def binary(self, sign: str, left: Value, right: Value) -> Value:
        """Return the result of an operator."""
        if len(left) * len(right) > _MOST_COMBINATIONS:
            return blend(left, right)
        return join(
            (), *(self._binary(sign, one, other) for one, other in product(left, right))
        ) or unknown(Kind.DATA)

    def _binary(self, sign: str, left: Any, right: Any) -> Value:
        self.step()
        if isinstance(left, Seq) and sign == "+":
            return self._chain(left, right)
        if isinstance(left, Seq) and sign == "*" and isinstance(right, int):
            if len(left.items) * right > 1024:
                return (Seq([elements(left)], self.level, left.kind, loose=True),)
            return (Seq(left.items * right, self.level, left.kind, left.loose),)
        try:
            result = fold_binary(sign, plain((left,)), plain((right,)))
        except (NotPlain, Unfoldable):
            return self._unknown_binary(sign, left, right)
        except Exception:  # noqa: BLE001 - any loader fails here as well
            return ()
        if isinstance(result, (str, bytes)):
            self.step(len(result) // 64)
        return lift(result, self.level)

    def _chain(self, left: Seq, right: Any) -> Value:
        if isinstance(right, Seq):
            loose = left.loose or right.loose
            self.step((len(left.items) + len(right.items)) // 8)
            if len(left.items) + len(right.items) > LONGEST:
                return blend((left,), (right,))
            return (Seq(left.items + right.items, self.level, left.kind, loose),)
        if isinstance(right, Unknown):
            # The order of the front is known, but no honest template needs it.
            items = [*left.items, elements(right)]
            return (Seq([join(*items)], self.level, left.kind, loose=True),)
        return ()

    def _unknown_binary(self, sign: str, left: Any, right: Any) -> Value:
        numeric = (int, float)
        if sign in ("/", "//", "**"):
            return unknown(Kind.NUMBER)
        if sign == "-":
            # Of two that are no numbers a set may be left: of the keys of dicts.
            if any(isinstance(o, numeric) or o == NUMBER[0] for o in (left, right)):
                return unknown(Kind.NUMBER)
            return blend((left,), (right,))
        if sign == "%" and not isinstance(left, (str, bytes)):
            if isinstance(left, Unknown) and left.kind == Kind.NUMBER:
                return unknown(Kind.NUMBER)
            # A number's remainder, or a text of data with fields.
            if isinstance(left, Unknown) and isinstance(right, numeric):
                return unknown(left.kind, left.reason)
        if sign in ("+", "*"):
            # A number on either side makes a sum a number, or the loader fails.
            of = [option for option in (left, right) if not isinstance(option, numeric)]
            if sign == "+" and len(of) < 2:
                return unknown(Kind.NUMBER)
            if all(isinstance(option, Unknown) and option.kind == Kind.NUMBER for option in of):
                return unknown(Kind.NUMBER)
            if sign == "+" and any(
                isinstance(option, Unknown) and option.kind == Kind.NUMBER for option in of
            ):
                other = [o for o in of if not (isinstance(o, Unknown) and o.kind == Kind.NUMBER)]
                return blend(tuple(other)) if other else unknown(Kind.NUMBER)
            if sign == "+":
                # Where one side is marked as safe, the other is escaped.
                (joined,) = self.concat([(left,), (right,)])
                return unknown(joined.kind, joined.reason, _SPECIAL.split(joined.head)[0])
        head = left if sign == "*" and isinstance(left, str) else ""
        result: Unknown = blend((left,), (right,))[0]
        if result.kind == Kind.DATA and sign == "+":
            return unknown(Kind.COMPUTED, result.reason)
        # Zero times a text has no head, but then it has no name either.
        return unknown(result.kind, result.reason, head[:1])

    def concat(self, values: Sequence[Value], between: str = "") -> Value:
        """Return the texts of values, one after the other."""
        self.step(len(values) // 8)
        if not values:
            return known("")
        combinations = 1
        for value in values:
            combinations *= max(1, len(value))
            if combinations > _MOST_COMBINATIONS:
                return unknown(Kind.COMPUTED, self._reason(values, between), _head(values[0]))
        found: list[Value] = []
        for combination in product(*values):
            if all(is_scalar(option) for option in combination):
                text = between.join(map(str, combination))
                self.step(1 + len(text) // 64)
                found.append(lift(text, self.level))
                continue
            if len(combination) == 1 and isinstance(combination[0], Unknown):
                found.append((combination[0],))
                continue
            head = ""
            for option in combination:
                if is_scalar(option):
                    head += str(option) + between
                    continue
                head += option.head if isinstance(option, Unknown) else ""
                break
            # What is not known may be empty.
            texts = [str(option) if is_scalar(option) else "" for option in combination]
            reason = suspicious_part(between.join(texts)[:LONGEST])
            reason = reason or self._reason([(option,) for option in combination], between)
            found.append(unknown(Kind.COMPUTED, reason or suspicious_part(head), head[:64]))
        return join((), *found)

    def _reason(self, values: Iterable[Value], between: str) -> str:
        return suspicious_part(between) or reason_of(*values)

    # ---------------------------------------------------------------- items in order

    def items_of(self, value: Value) -> list[Value] | None:
        """Return the items of a value in order; None if they are not known. Uses up an iterator."""
        if len(value) != 1:
            return None
        (option,) = value
        if isinstance(option, Seq):
            if option.loose or option.is_stale:
                return None
            if option.kind == "iterator":
                option.loose = True
            items = list(option.items)
        elif isinstance(option, str):
            items = [(char,) for char in option]
        elif isinstance(option, bytes):
            items = [(number,) for number in option]
        elif isinstance(option, Map) and not option.rest and not option.rest_keys:
            items = [(key,) for key in option.items]
        else:
            return None
        self.step(len(items) // 8)
        return items

    def join_items(self, value: Value, between: Value) -> Value:
        """Return the items of a value as one text, with another between them."""
        found: list[Value] = []
        for option in value:
            items = self.items_of((option,))
            if items is None or len(between) != 1 or not isinstance(between[0], str):
                if isinstance(option, Unknown) and all(
                    isinstance(part, str) and not part for part in between
                ):
                    found.append(unknown(Kind.COMPUTED, option.reason))
                    continue
                reason = reason_of((option,), between)
                found.append(unknown(Kind.COMPUTED, reason or reason_of((option,))))
            else:
                found.append(self.concat(items, between[0]))
        return join((), *found)


def _head(value: Value) -> str:
    if len(value) != 1:
        return ""
    (option,) = value
    return option[:64] if isinstance(option, str) else ""
