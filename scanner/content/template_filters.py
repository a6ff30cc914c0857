"""Filters and tests of a chat template, applied to values.

Jinja's own filter functions compute what they make of constants; those that take functions,
attributes or iterators are followed here.
"""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, Final

from prefect_mutagen.scanner.content.template_folding import is_bounded, is_wide
from prefect_mutagen.scanner.content.template_items import Items, is_nested
from prefect_mutagen.scanner.content.template_names import ATTRIBUTE_ARGUMENT, FILTERS
from prefect_mutagen.scanner.content.template_values import (
    Kind,
    Map,
    NotPlain,
    Seq,
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

__all__ = ["Filters"]

_NUMERIC: Final = frozenset("abs count float int length round wordcount".split())
# Of data they make data: items, order or letters of it.
_PASSING: Final = frozenset(
    """
    batch capitalize d default dictsort first groupby items last list lower map max min random
    reject rejectattr reverse select selectattr slice sort sum title trim unique upper
    """.split()
)
_FOLDED: Final = frozenset(
    """
    abs batch capitalize center count dictsort e escape filesizeformat float forceescape format
    indent int length lower max min replace round slice sort striptags sum title trim truncate
    unique upper urlencode urlize wordcount wordwrap xmlattr
    """.split()
)
# They search their text again and again.
_SLOW: Final = frozenset("striptags title truncate urlize wordcount wordwrap xmlattr".split())
_LONGEST_SLOW: Final = 2048
# Their arguments may stand in what they make of data.
_FILLING: Final = frozenset("batch groupby slice sum".split())
_REGROUPING: Final = _FILLING | {"dictsort"}
# They differ between versions of Jinja and its parts.
_VARYING: Final = frozenset(
    "filesizeformat indent striptags title truncate urlencode urlize wordwrap xmlattr".split()
)
_LOOSE: Final = frozenset("reject rejectattr select selectattr sort unique".split())


class Filters(Items):
    """Operations with Jinja's filters."""

    def filter(
        self,
        name: str,
        base: Value,
        arguments: Sequence[Value],
        keywords: Mapping[str, Value],
        line: int,
    ) -> Value:
        """Check a filter and return its result."""
        self.step()
        if name not in FILTERS:
            self.note(f"the filter {name!a}, which Jinja does not have", line)
            return blend(base, *arguments, *keywords.values())
        if name in ("map", "attr"):
            return getattr(self, f"_filter_{name}")(base, arguments, keywords, line)  # type: ignore[no-any-return]
        by_attribute = self._select_argument(name, arguments, keywords, line)
        if name in ("default", "d"):
            return self._default(base, arguments, keywords)
        if name == "join" and not by_attribute:
            between = keywords.get("d", arguments[0] if arguments else known(""))
            return self.join_items(base, between)
        if name in ("first", "last", "list", "reverse", "items", "random", "string", "safe"):
            found = [self._simple(name, option) for option in base]
            return join((), *found) or unknown(Kind.DATA)
        if by_attribute or name not in _FOLDED:
            return join((), *(self._unfolded(name, option, arguments, keywords) for option in base))
        return self._fold(name, base, arguments, keywords)

    def _select_argument(
        self, name: str, arguments: Sequence[Value], keywords: Mapping[str, Value], line: int
    ) -> bool:
        """Check the argument that names attributes; whether there is one."""
        position = ATTRIBUTE_ARGUMENT.get(name)
        if position is None:
            return False
        names = keywords.get("attribute", keywords.get("attr"))
        if names is None and len(arguments) > position:
            names = arguments[position]
        if names is None or names == (None,):
            return False
        self.select_path(names, line)
        return True

    def _filter_attr(
        self, base: Value, arguments: Sequence[Value], keywords: Mapping[str, Value], line: int
    ) -> Value:
        names = keywords.get("name", arguments[0] if arguments else unknown(Kind.DATA))
        self.select(names, line)
        return join(
            (),
            *(
                self.attribute(base, name) if isinstance(name, str) else blend(base)
                for name in names
            ),
        )

    def _filter_map(
        self, base: Value, arguments: Sequence[Value], keywords: Mapping[str, Value], line: int
    ) -> Value:
        if "attribute" in keywords:
            self.select_path(keywords["attribute"], line)
            made: list[Value] = []
            for option in base:
                item = self._path(elements(option), keywords)
                if isinstance(option, Unknown) and all(isinstance(o, Unknown) for o in item):
                    made.append(item)
                else:
                    made.append((self.iterator([item], option, loose=True),))
            return join((), *made)
        if not arguments:
            return unknown(Kind.DATA)
        name, rest = arguments[0], arguments[1:]
        found: list[Value] = []
        for function in name:
            if not isinstance(function, str):
                self.note("a filter whose name is not constant", line)
                found.append(blend(base, *rest))
                continue
            for option in base:
                items = self.items_of((option,))
                if items is None:
                    item = self.filter(function, elements(option), rest, keywords, line)
                    if isinstance(option, Unknown):
                        found.append(item)
                    else:
                        found.append((self.iterator([item], option, loose=True),))
                else:
                    made_items = [
                        self.filter(function, item, rest, keywords, line) for item in items
                    ]
                    found.append((self.iterator(made_items, option),))
        return join((), *found)

    def _path(self, item: Value, keywords: Mapping[str, Value]) -> Value:
        for path in keywords["attribute"]:
            if not isinstance(path, str):
                return join(blend(item), *(elements(option) for option in item))
            for name in path.split("."):
                if name.isdigit():
                    item = join((), *(self._item_at(option) for option in item))
                else:
                    item = self.attribute(item, name)
        return join(item, keywords.get("default", ()))

    def _item_at(self, option: Any) -> Value:
        return elements(option) or unknown(Kind.DATA)

    def _default(
        self, base: Value, arguments: Sequence[Value], keywords: Mapping[str, Value]
    ) -> Value:
        default = keywords.get("default_value", arguments[0] if arguments else known(""))
        flag = keywords.get("boolean", arguments[1] if len(arguments) > 1 else known(False))
        # Something that is not defined is unknown data here.
        if flag == (False,) and not any(isinstance(option, Unknown) for option in base):
            return base
        return join(base, default)

    def _simple(self, name: str, option: Any) -> Value:
        """Apply a filter that needs no constants."""
        if name in ("string", "safe"):
            if isinstance(option, str):
                return self._fold(name, (option,), (), {})
            if option is None or isinstance(option, (int, float)):
                return known(str(option))
            return self.concat([(option,), known("")])
        if isinstance(option, Unknown):
            return unknown(max(option.kind, Kind.DATA), option.reason)
        if name == "items":
            if not isinstance(option, Map):
                return ()
            (pairs,) = self.call_method(option, "items", (), {}, 0)
            pairs.kind = "iterator"
            pairs.source, pairs.born = option, self._steps + 1
            return (pairs,)
        if name == "random":
            return elements(option)
        items = self.items_of((option,))
        if items is None:
            if name in ("first", "last"):
                return join(elements(option), unknown(Kind.DATA))
            return (Seq([elements(option)], self.level, loose=True),)
        if name in ("first", "last"):
            if not items:
                return unknown(Kind.DATA)
            return items[0 if name == "first" else -1]
        if name == "reverse" and isinstance(option, str):
            return (option[::-1],)
        if name == "list":
            return (Seq(items, self.level, born=self._steps),)
        return (self.iterator(items[::-1], option),)

    def _fold(
        self,
        name: str,
        base: Value,
        arguments: Sequence[Value],
        keywords: Mapping[str, Value],
    ) -> Value:
        """Let Jinja's function compute the result for constants."""
        values = [base, *arguments, *keywords.values()]
        combinations = 1
        for value in values:
            combinations *= len(value)
        if combinations > 64:
            return join((), *(self._unfolded(name, option, arguments, keywords) for option in base))
        found: list[Value] = []
        for combination in product(*values):
            # Lists in lists stay what they are: a result of their copies misses changes.
            is_copied = not is_nested(combination[0]) and not any(
                isinstance(option, (Seq, Map)) for option in combination[1:]
            )
            try:
                constants = [plain((option,)) for option in combination] if is_copied else None
            except NotPlain:
                constants = None
            if constants is None:
                given = [(option,) for option in combination[1:]]
                found.append(self._unfolded(name, combination[0], given, {}))
                continue
            made = self._call(name, constants, len(arguments), tuple(keywords))
            for option in made:
                if isinstance(option, Seq) and option.kind == "iterator":
                    made = (self.iterator(option.items, combination[0]),)
            found.append(made)
        return join((), *found) or unknown(Kind.DATA)

    def _call(self, name: str, constants: list[Any], count: int, names: Sequence[str]) -> Value:
        from jinja2.nodes import EvalContext

        subject, rest = constants[0], constants[1:]
        too_long = name in _SLOW and isinstance(subject, str) and len(subject) > _LONGEST_SLOW
        wide = name == "format" and is_wide(str(subject))
        if too_long or wide or not is_bounded(subject, rest):
            return collapse(tuple(lift(constant, self.level)[0] for constant in constants))
        environment = self._environment
        keywords = dict(zip(names, rest[count:], strict=True))
        try:
            result = environment.call_filter(
                name, subject, rest[:count], keywords, eval_ctx=EvalContext(environment)
            )
            if not isinstance(result, (str, bytes, int, float, list, tuple, dict, type(None))):
                result = list(result)
                self.step(len(result) // 4)
                (listed,) = lift(result, self.level)
                if isinstance(listed, Seq):
                    listed.kind = "iterator"
                return (listed,)
        except Exception:  # noqa: BLE001 - other versions may take it
            return unknown(Kind.COMPUTED, reason_of(*(lift(each, 0) for each in constants)))
        if isinstance(result, (str, list)):
            self.step(len(result) // 16)
        made = lift(result, self.level)
        return join(made, collapse(made)) if name in _VARYING else made

    def _unfolded(
        self, name: str, option: Any, arguments: Sequence[Value], keywords: Mapping[str, Value]
    ) -> Value:
        """Return the result of a filter for what is not constant."""
        if name in _NUMERIC:
            # A text for a number is taken from the default.
            given = (*arguments, *keywords.values()) if name in ("int", "float") else ()
            return join(unknown(Kind.NUMBER), *given)
        if isinstance(option, Unknown):
            passed = unknown(max(option.kind, Kind.DATA), option.reason)
            if name in _FILLING and (arguments or keywords):
                # What fills gaps, or is begun with, is in the result.
                given = (*arguments, *keywords.values())
                return join(passed, *given, *(elements(o) for value in given for o in value))
            if name in _PASSING:
                return passed
            return blend((option,), known(" "), *arguments, *keywords.values())
        items = elements(option)
        if name in _REGROUPING:
            given = (*arguments, *keywords.values())
            return self.regrouped(name, option, items, given)
        if name in ("max", "min", "random"):
            return items
        if name in _LOOSE:
            return self.filtered(name, option, arguments, items)
        return blend((option,), *arguments, *keywords.values())
