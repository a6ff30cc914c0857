"""Operations of a chat template on values: selecting, calling methods, joining texts.

The rule for a text that selects an attribute:

* a constant, or any of the constants that it may be, is looked up among the forbidden names;
* a number, and a message's field or a loop variable over data, selects what honest templates select
  (``message[key]``). It is undecided only where it selects from a constant text or a number, whose
  attributes nobody asks for by data, or where a filter takes it as an attribute's name;
* a text that is computed from parts that are not all constant, or a variable that may be one of the
  model's special tokens, is undecided; if a constant that went into it has double underscores or is
  a forbidden name, it is an escape.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice, product
from typing import Any, Final, NamedTuple

from prefect_mutagen.scanner.content.template_folding import (
    Unfoldable,
    fold_binary,
    fold_method,
    format_fields,
    is_method,
)
from prefect_mutagen.scanner.content.template_names import is_forbidden, suspicious_part
from prefect_mutagen.scanner.content.template_values import (
    LONGEST,
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

__all__ = ["Escape", "Exhausted", "Operations", "Undecided"]

_MOST_STEPS: Final = 60_000
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
_OF_SEQUENCE: Final = frozenset(
    "append extend insert pop remove reverse sort clear copy count index".split()
)
_OF_MAP: Final = frozenset(
    "get items keys values update pop popitem setdefault copy clear fromkeys".split()
)


class Escape(Exception):  # noqa: N818 - what is looked for, not an error
    """A construct that could reach Python's internals."""

    def __init__(self, what: str, found: str, line: int) -> None:
        super().__init__(what, found, line)
        self.what, self.found, self.line = what, found, line


class Exhausted(Exception):  # noqa: N818 - a limit of ours
    """The template takes more steps than are made."""


class Undecided(NamedTuple):
    """A text that selects an attribute and could not be decided."""

    what: str
    line: int


class Operations:
    """What can be done with values, and what was found meanwhile.

    Attributes:
        undecided: The first selection that could not be decided.
        level: How many conditions and loops that are not decided surround the current node.
        changes: How often a collection changed that is older than the current uncertainty.
        widen: Whether such a change must not add a new alternative, but end in an unknown.
    """

    def __init__(self) -> None:
        self.undecided: Undecided | None = None
        self.level = 0
        self.changes = 0
        self.widen = False
        self._steps = 0

    def step(self, cost: int = 1) -> None:
        """Count steps; raise `Exhausted` beyond the limit."""
        self._steps += cost
        if self._steps > _MOST_STEPS:
            raise Exhausted

    # ---------------------------------------------------------------- selecting

    def select(self, name: Value, line: int, *, base: Value | None = None) -> None:
        """Check a value that selects an attribute.

        Args:
            name: The value.
            line: Its line.
            base: What it selects from by a subscript; None: an attribute is selected by a filter.

        Raises:
            Escape: It may be a forbidden name.
        """
        for option in name:
            if isinstance(option, str):
                if is_forbidden(option):
                    raise Escape("an attribute of Python's internals", option, line)
            elif isinstance(option, Unknown):
                self._select_unknown(option, line, base)
            elif isinstance(option, (Macro, Method, Builtin)):
                self.note("a name that an object gives", line)

    def _select_unknown(self, option: Unknown, line: int, base: Value | None) -> None:
        if option.head.startswith("_"):
            raise Escape("a computed name that begins with an underscore", option.head, line)
        if option.kind == Kind.COMPUTED:
            if option.reason:
                raise Escape("a computed name with a part of this text", option.reason, line)
            self.note("a computed name", line)
        elif option.kind == Kind.MODEL:
            self.note("a name from a variable that may be a special token", line)
        elif option.kind == Kind.DATA:
            if base is None:
                self.note("a filter that takes an attribute's name from data", line)
            elif all(isinstance(of, (str, bytes, int, float, Macro, Method)) for of in base):
                self.note("an attribute of a constant by a name from data", line)

    def note(self, what: str, line: int) -> None:
        """Remember the first selection that cannot be decided."""
        if self.undecided is None:
            self.undecided = Undecided(what, line)

    def select_path(self, path: Value, line: int) -> None:
        """Check a value by which a filter selects attributes: ``a.b``, for sort ``a,b.c``."""
        for option in path:
            if isinstance(option, str):
                for name in option.replace(",", ".").split("."):
                    self.select((name.strip(),), line)
            else:
                self.select((option,), line)

    # ---------------------------------------------------------------- items and attributes

    def attribute(self, base: Value, name: str) -> Value:
        """Return what an attribute or a key of this name holds."""
        return join((), *(self._attribute(option, name) for option in base))

    def _attribute(self, option: Any, name: str) -> Value:
        if isinstance(option, Unknown):
            kind = Kind.DATA if option.kind == Kind.MODEL else option.kind
            return unknown(max(kind, Kind.DATA), option.reason)
        if isinstance(option, Map):
            if name in option.items:
                return join(option.items[name], option.rest)
            if name in _OF_MAP:
                return (Method(option, name),)
            return option.rest or unknown(Kind.DATA)
        if isinstance(option, Space):
            found = option.attributes.get(name, ())
            return join(found, option.rest) if found or option.rest else unknown(Kind.DATA)
        if isinstance(option, Seq) and name in _OF_SEQUENCE:
            return (Method(option, name),)
        if isinstance(option, Seq) and name != "mapping":  # of the keys of a dict
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
            return option.rest or unknown(Kind.DATA)
        if isinstance(option, (str, bytes)):
            if isinstance(index, int):
                try:
                    return lift(option[index], self.level)
                except IndexError:
                    return unknown(Kind.DATA)
            return blend((option,), (index,))
        if isinstance(option, Seq):
            if isinstance(index, int) and not option.loose:
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
                if window is not None and not option.loose:
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
        if sign in "-/**" and sign != "*":
            return unknown(Kind.NUMBER)
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
                return self.concat([(left,), (right,)])
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
            if all(_is_scalar(option) for option in combination):
                text = between.join(map(str, combination))
                self.step(1 + len(text) // 64)
                found.append(lift(text, self.level))
                continue
            if len(combination) == 1 and isinstance(combination[0], Unknown):
                found.append((combination[0],))
                continue
            head = ""
            for option in combination:
                if _is_scalar(option):
                    head += str(option)
                    continue
                head += option.head if isinstance(option, Unknown) else ""
                break
            reason = self._reason([(option,) for option in combination], between)
            found.append(unknown(Kind.COMPUTED, suspicious_part(head) or reason, head[:64]))
        return join((), *found)

    def _reason(self, values: Iterable[Value], between: str) -> str:
        return suspicious_part(between) or reason_of(*values)

    # ---------------------------------------------------------------- methods

    def method(
        self, base: Value, name: str, arguments: Sequence[Value], keywords: Mapping[str, Value], line: int
    ) -> Value:
        """Return the result of a method, given by its name, of each alternative of a value."""
        found = [self.call_method(option, name, arguments, keywords, line) for option in base]
        return join((), *found) or unknown(Kind.DATA)

    def call_method(
        self, base: Any, name: str, arguments: Sequence[Value], keywords: Mapping[str, Value], line: int
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
            except Exception:  # noqa: BLE001 - any loader fails here as well
                found.append(())
            else:
                if isinstance(result, (str, bytes, list, tuple)):
                    self.step(len(result) // 16)
                found.append(lift(result, self.level))
        return join((), *found)

    def _uncomputed(self, base: Any, name: str, combination: Sequence[Any]) -> Value:
        if name in _NUMERIC:
            return unknown(Kind.NUMBER)
        return blend((base,), *((option,) for option in combination))

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

    def mutated(self, collection: Seq | Map | Space) -> None:
        """Note that a collection changes; overridden where calls of macros are followed."""

    def items_of(self, value: Value) -> list[Value] | None:
        """Return the items of a value in order; None if they are not known. Uses up an iterator."""
        if len(value) != 1:
            return None
        (option,) = value
        if isinstance(option, Seq):
            if option.loose:
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
                return (Seq([of], self.level, "view", loose=True),)
            made = {
                "keys": [(key,) for key in base.items],
                "values": list(base.items.values()),
                "items": [
                    (Seq([(key,), value], self.level, "tuple"),)
                    for key, value in base.items.items()
                ],
            }[name]
            self.step(len(made) // 8)
            return (Seq(made, self.level, "view"),)
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
                return
            except (NotPlain, TypeError):
                pass
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
    return (type(option), option) if _is_scalar(option) or isinstance(option, Unknown) else id(option)


def _is_scalar(option: Any) -> bool:
    return option is None or isinstance(option, (str, int, float, bytes))


def _head(value: Value) -> str:
    if len(value) != 1:
        return ""
    (option,) = value
    return option[:64] if isinstance(option, str) else ""
