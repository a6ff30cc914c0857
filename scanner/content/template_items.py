"""Items of collections in a chat template: what filters leave, regroup and test, and globals."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from prefect_mutagen.scanner.content.template_methods import Methods
from prefect_mutagen.scanner.content.template_names import TESTS
from prefect_mutagen.scanner.content.template_values import (
    Kind,
    Map,
    NotPlain,
    Seq,
    Space,
    Unknown,
    Value,
    blend,
    elements,
    join,
    known,
    plain,
    unknown,
)

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["Items", "is_nested"]

_LONGEST_RANGE: Final = 1024
_FOLDED_TESTS: Final = TESTS - {"callable", "escaped", "filter", "sameas", "test"}


class Items(Methods):
    """Operations with the items of collections."""

    def __init__(self, environment: "Environment") -> None:
        """Prepare for a template that this environment parsed."""
        super().__init__()
        self._environment = environment

    def filtered(self, name: str, option: Any, arguments: Sequence[Value], items: Value) -> Value:
        """Return what is left of a collection; the items are known if the test decides each."""
        if name in ("select", "reject"):
            ordered = self.items_of((option,))
            if ordered is not None:
                test = arguments[0] if arguments else known("true")
                kept: list[Value] = []
                for item in ordered:
                    truths = self.test_of(test, item, arguments[1:], plain_truth=not arguments)
                    if len(truths) != 1:
                        break
                    if truths == {name == "select"}:
                        kept.append(item)
                else:
                    return (self.iterator(kept, option),)
        if name == "sort":
            return (Seq([items], self.level, loose=True),)
        return (self.iterator([items], option, loose=True),)

    def iterator(self, items: list[Value], source: Any, *, loose: bool = False) -> Seq:
        """Return what reads its items from a collection when it is asked for them."""
        if isinstance(source, Seq) and source.source is not None:
            source = source.source
        if not isinstance(source, (Seq, Map)):
            source = None
        return Seq(items, self.level, "iterator", loose, self._steps + 1, source=source)

    def regrouped(self, name: str, option: Any, items: Value, given: Sequence[Value]) -> Value:
        """Return lists of the items of a collection, which stay what they are."""
        fill = join((), *given, *(elements(o) for value in given for o in value))
        if name == "sum":
            start = given[-1:] if given else [known(0)]
            ordered = self.items_of((option,)) if len(given) <= 1 else None
            if ordered is None:
                return join(blend((option,), *given), fill, *(elements(o) for o in items))
            total = start[0]
            for item in ordered:
                total = self.binary("+", total, item)
            return total
        if name == "dictsort":
            values = (
                join((), option.rest, *option.items.values()) if isinstance(option, Map) else ()
            )
            pair: Value = (Seq([items, values or unknown(Kind.DATA)], self.level, "tuple"),)
            return (Seq([pair], self.level, loose=True),)
        inner = (Seq([join(items, fill)], self.level, loose=True),)
        if name != "groupby":
            return (self.iterator([inner], option, loose=True),)
        inside = join((), *(elements(o) for o in items), fill)
        pair = (Seq([join(inside, blend(items)), inner], self.level, "tuple"),)
        return (Seq([join(pair, blend((option,), *given))], self.level, loose=True),)

    def test_of(
        self, test: Value, item: Value, arguments: Sequence[Value], *, plain_truth: bool = False
    ) -> set[bool]:
        """Return what a test, given by a value that is its name, may say of an item."""
        if plain_truth:
            return self.truths(item)
        if len(test) != 1 or not isinstance(test[0], str):
            return {True, False}
        return self.truths(self.test(test[0], item, arguments))

    def test(self, name: str, base: Value, arguments: Sequence[Value]) -> Value:
        """Return the result of a test."""
        if name not in _FOLDED_TESTS:
            return unknown(Kind.NUMBER)
        if name in ("defined", "undefined") and not any(isinstance(o, Unknown) for o in base):
            return (name == "defined",)
        try:
            subject, given = plain(base), [plain(value) for value in arguments]
            return (bool(self._environment.call_test(name, subject, given)),)
        except Exception:  # noqa: BLE001 - not constant, or a loader fails here
            return unknown(Kind.NUMBER)

    def truths(self, value: Value) -> set[bool]:
        """Return the truth values that a value may have."""
        found: set[bool] = set()
        for option in value:
            if option is None or isinstance(option, (str, bytes, int, float)):
                found.add(bool(option))
            elif (isinstance(option, Seq) and option.kind != "iterator" and not option.loose) or (
                isinstance(option, Map) and not option.rest
            ):
                found.add(bool(option.items))
            else:
                found |= {True, False}
        return found

    def call_global(
        self, name: str, arguments: Sequence[Value], keywords: Mapping[str, Value]
    ) -> Value:
        """Return the result of a call of ``range``, ``dict`` or ``namespace``."""
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


def is_nested(option: Any) -> bool:
    """Whether an alternative is a collection that holds collections."""
    if isinstance(option, Seq):
        values = option.items
    elif isinstance(option, Map):
        values = list(option.items.values())
    else:
        return False
    return any(isinstance(part, (Seq, Map)) for value in values for part in value)
