"""Methods of texts and collections that a chat template calls.

A collection that was made outside a condition or a loop that is not decided keeps what it held when
it is changed inside: the change may not happen.
"""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, Final

from prefect_mutagen.scanner.content.template_folding import (
    Unfoldable,
    fold_method,
    format_fields,
    is_method,
)
from prefect_mutagen.scanner.content.template_operations import Operations
from prefect_mutagen.scanner.content.template_selection import Escape
from prefect_mutagen.scanner.content.template_values import (
    LONGEST,
    Kind,
    Map,
    NotPlain,
    Seq,
    Space,
    Unknown,
    Value,
    blend,
    collapse,
    elements,
    is_scalar,
    join,
    known,
    lift,
    plain,
    unknown,
)

__all__ = ["Methods"]

_MOST_COMBINATIONS: Final = 64
# Methods of a text that return it, parts of it or another case of it.
_PASSING: Final = frozenset(
    """
    strip lstrip rstrip lower upper title capitalize casefold swapcase split rsplit splitlines
    keys values items copy pop get setdefault popitem removeprefix removesuffix
    """.split()
)
_NUMERIC: Final = frozenset(
    """
    startswith endswith find rfind index rindex count isdigit isalpha isalnum isspace isupper
    islower isnumeric isdecimal append extend insert remove reverse sort clear update bit_length
    """.split()
)


_TAKING_IN: Final = frozenset("append extend insert setdefault update".split())
_CHANGING: Final = frozenset("clear insert pop popitem remove reverse sort".split())


class Methods(Operations):
    """Operations with calls of methods."""

    def method(
        self,
        base: Value,
        name: str,
        arguments: Sequence[Value],
        keywords: Mapping[str, Value],
        line: int,
    ) -> Value:
        """Return the result of a method, given by its name, of each alternative of a value."""
        with self.perhaps(len(base) > 1):
            found = [self.call_method(option, name, arguments, keywords, line) for option in base]
        return join((), *found) or unknown(Kind.DATA)

    def call_method(
        self,
        base: Any,
        name: str,
        arguments: Sequence[Value],
        keywords: Mapping[str, Value],
        line: int,
    ) -> Value:
        """Return the result of a method of one alternative."""
        self.step()
        everything = [*arguments, *keywords.values()]
        if name in ("format", "format_map"):
            self._select_fields(base, line)
        if isinstance(base, Seq):
            return self._method_of_sequence(base, name, arguments, everything)
        if isinstance(base, Map):
            return self._method_of_map(base, name, arguments, keywords)
        if isinstance(base, Unknown):
            self._change_unknown(base, name, everything, line)
            return self._method_of_unknown(base, name, everything)
        if name == "join" and isinstance(base, str) and len(arguments) == 1:
            return self.join_items(arguments[0], (base,))
        if is_method(base, name):
            return self._fold_method(base, name, arguments, keywords)
        return blend((base,), *everything)

    def _select_fields(self, base: Any, line: int) -> None:
        if isinstance(base, str):
            try:
                for selected, _ in format_fields(base):
                    self.select((selected,), line)
            except ValueError:
                return
        elif isinstance(base, Unknown):
            if base.reason:
                raise Escape("a format string with a part of this text", base.reason, line)
            if base.kind != Kind.NUMBER:
                self.note("a format string that is not constant", line)

    def _fold_method(
        self, base: Any, name: str, arguments: Sequence[Value], keywords: Mapping[str, Value]
    ) -> Value:
        values = [*arguments, *keywords.values()]
        combinations = 1
        for value in values:
            combinations *= len(value)
        if combinations > _MOST_COMBINATIONS:
            return blend((base,), *values)
        found: list[Value] = []
        for combination in product(*values):
            try:
                constants = [plain((option,)) for option in combination]
                given = dict(zip(keywords, constants[len(arguments) :], strict=True))
                result = fold_method(base, name, constants[: len(arguments)], given)
            except (NotPlain, Unfoldable):
                found.append(self._uncomputed(base, name, combination))
            except Exception:  # noqa: BLE001 - other versions of Python may take it
                found.append(blend((base,), *((option,) for option in combination)))
            else:
                if isinstance(result, (str, bytes, list, tuple)):
                    self.step(len(result) // 16)
                made = lift(result, self.level)
                if isinstance(base, str) and not base.isascii():
                    # Versions of Python know different letters.
                    made = join(made, collapse(made))
                found.append(made)
        return join((), *found)

    def _uncomputed(self, base: Any, name: str, combination: Sequence[Any]) -> Value:
        if name in _NUMERIC:
            return unknown(Kind.NUMBER)
        return blend((base,), *((option,) for option in combination))

    def _change_unknown(
        self, base: Unknown, name: str, everything: Sequence[Value], line: int
    ) -> None:
        """Keep what is put into data; note a change of what may be one of our collections."""
        if name in _TAKING_IN:
            self.poured += everything
        if name in _CHANGING and (base.kind == Kind.COMPUTED or self.poured) and base.kind:
            held = base.kind == Kind.COMPUTED or any(
                isinstance(option, (Seq, Map)) for value in self.poured for option in value
            )
            if held:
                self.note("names from a collection that is changed in a way not followed", line)

    def _method_of_unknown(self, base: Unknown, name: str, everything: Sequence[Value]) -> Value:
        if name in _NUMERIC and base.kind != Kind.COMPUTED:
            return unknown(Kind.NUMBER)
        if name in _PASSING:
            kind = max(base.kind, Kind.DATA)
            if kind == Kind.MODEL and name in ("keys", "values", "items", "get"):
                kind = Kind.DATA  # a special token is a text
            result = unknown(kind, base.reason)
            if name in ("get", "pop", "setdefault"):
                return join(result, *everything[1:])
            return result
        return join(blend((base,), *everything), unknown(Kind.DATA, base.reason))

    # ---------------------------------------------------------------- collections

    def _loosen(self, sequence: Seq, *values: Value) -> None:
        """Take up values that may have been added to a sequence."""
        before = join((), *sequence.items) if sequence.items else ()
        after = self.weaken(before, join((), *values))
        if not sequence.loose or after != before:
            self.changes += 1
        sequence.items[:] = [after] if after else []
        sequence.loose = True

    def weaken(self, before: Value, added: Value) -> Value:
        """Return what holds after a change that may not happen."""
        after = join(before, added) if before else added
        if self.widen and set(map(_identity, after)) != set(map(_identity, before)):
            return collapse(after)
        return after

    def _method_of_sequence(
        self, base: Seq, name: str, arguments: Sequence[Value], everything: Sequence[Value]
    ) -> Value:
        uncertain = base.level < self.level or base.loose
        if name not in ("count", "index", "copy"):
            self.mutated(base)
        if name in ("append", "insert", "extend"):
            self.step()
            if name == "extend":
                new = self.items_of(arguments[0]) if arguments else None
            else:
                new = list(arguments[-1:])
            if uncertain or new is None or len(base.items) > LONGEST:
                added = [elements(o) for v in everything for o in v] if new is None else new
                self._loosen(base, *added)
            elif name == "insert":
                try:
                    base.items.insert(int(plain(arguments[0])), *new)
                except (NotPlain, ValueError, TypeError):
                    self._loosen(base, *new)
            else:
                base.items += new
            return known(None)
        if name in ("count", "index"):
            return unknown(Kind.NUMBER)
        if name == "copy":
            return (Seq(list(base.items), self.level, base.kind, base.loose),)
        if name in ("pop", "remove", "reverse", "sort", "clear"):
            if name == "pop" and not uncertain and len(arguments) < 2:
                try:
                    return base.items.pop(int(plain(arguments[0])) if arguments else -1)
                except (NotPlain, IndexError, ValueError, TypeError):
                    pass
            if name == "reverse" and not uncertain:
                base.items.reverse()
                return known(None)
            popped = elements(base)
            self._loosen(base)
            return popped if name == "pop" else known(None)
        return blend((base,), *everything)

    def _method_of_map(
        self, base: Map, name: str, arguments: Sequence[Value], keywords: Mapping[str, Value]
    ) -> Value:
        values = join((), base.rest, *base.items.values())
        keys = elements(base)
        exact = not base.rest and not base.rest_keys
        if name in ("get", "pop", "setdefault") and arguments:
            if name == "setdefault":
                self.assign_key(base, arguments[0], arguments[1] if arguments[1:] else (None,))
                values = join((), base.rest, *base.items.values())
            default = arguments[1] if len(arguments) > 1 else known(None)
            if name == "pop":
                self._blur_map(base)
            try:
                key = plain(arguments[0])
                if exact and name == "get":
                    return base.items.get(key, default)
            except (NotPlain, TypeError):
                pass
            return join(values, default)
        if name in ("keys", "values", "items", "copy"):
            if name == "copy":
                return (Map(dict(base.items), self.level, base.rest, base.rest_keys),)
            if not exact:
                pair: Value = (Seq([keys, values], self.level, "tuple"),)
                of = {"keys": keys, "values": values, "items": pair}[name]
                return (
                    Seq([of], self.level, "view", loose=True, born=self._steps + 1, source=base),
                )
            made = {
                "keys": [(key,) for key in base.items],
                "values": list(base.items.values()),
                "items": [
                    (Seq([(key,), value], self.level, "tuple"),)
                    for key, value in base.items.items()
                ],
            }[name]
            self.step(len(made) // 8)
            return (Seq(made, self.level, "view", born=self._steps + 1, source=base),)
        if name == "update":
            for value in arguments:
                self._update(base, value)
            for key, value in keywords.items():
                self.assign_key(base, (key,), value)
            return known(None)
        if name == "fromkeys" and arguments:
            of = join((), *(elements(option) for option in arguments[0]))
            return (Map({}, self.level, join((None,), *arguments[1:]), of),)
        if name in ("clear", "popitem"):
            self._blur_map(base)
            return (Seq([keys, values], self.level, "tuple"),)
        return blend((base,), *arguments, *keywords.values())

    def _blur_map(self, base: Map) -> None:
        """Take up that keys may be gone."""
        self.mutated(base)
        base.rest = join(unknown(Kind.DATA), base.rest, *base.items.values())
        base.rest_keys = elements(base) or unknown(Kind.DATA)

    def _update(self, base: Map, value: Value) -> None:
        for option in value:
            if isinstance(option, Map) and len(value) == 1:
                for key, item in list(option.items.items()):
                    self.assign_key(base, (key,), item)
                if option.rest:
                    self.assign_key(base, option.rest_keys or unknown(Kind.DATA), option.rest)
            else:
                inside = join((), *(elements(part) for part in elements(option)))
                self.assign_key(base, inside or unknown(Kind.DATA), inside or unknown(Kind.DATA))

    def assign_key(self, base: Map, key: Value, value: Value) -> None:
        """Put a value under a key of a map."""
        uncertain = base.level < self.level
        self.mutated(base)
        if len(key) == 1 and not uncertain and not base.rest:
            try:
                base.items[plain(key)] = value
            except (NotPlain, TypeError):
                pass
            else:
                return
        rest, keys = self.weaken(base.rest, value), self.weaken(base.rest_keys, key)
        if (rest, keys) != (base.rest, base.rest_keys):
            self.changes += uncertain
            base.rest, base.rest_keys = rest, keys

    def assign_attribute(self, base: Value, name: str, value: Value) -> None:
        """Set an attribute of the namespace that a value is."""
        for option in base:
            if not isinstance(option, Space):
                continue
            self.mutated(option)
            if option.level >= self.level and len(base) == 1:
                option.attributes[name] = value
                continue
            before = option.attributes.get(name, ())
            after = self.weaken(before, value)
            if after != before:
                self.changes += 1
                option.attributes[name] = after


def _identity(option: Any) -> Any:
    return (
        (type(option), option) if is_scalar(option) or isinstance(option, Unknown) else id(option)
    )
