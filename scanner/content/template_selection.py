"""Check the texts by which a chat template selects attributes.

The rule for a text that selects an attribute:

* a constant, or any of the constants that it may be, is looked up among the forbidden names;
* a number, and a message's field or a loop variable over data, selects what honest templates select
  (``message[key]``). It is undecided only where it selects from a constant text or a number, whose
  attributes nobody asks for by data, or where a filter takes it as an attribute's name;
* a text that is computed from parts that are not all constant, or a variable that may be one of the
  model's special tokens, is undecided; if a constant that went into it has double underscores or is
  a forbidden name, it is an escape.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from prefect_mutagen.scanner.content.template_names import is_forbidden, suspicious_part
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
    parts_of,
)

__all__ = ["Escape", "Exhausted", "Selections", "Undecided"]

_MOST_STEPS: Final = 60_000


class Escape(Exception):  # noqa: N818 - what is looked for, not an error
    """A construct that could reach Python's internals."""

    def __init__(self, what: str, found: str, line: int) -> None:
        """Keep the construct in words, its source, and its line."""
        super().__init__(what, found, line)
        self.what, self.found, self.line = what, found, line


class Exhausted(Exception):  # noqa: N818 - a limit of ours
    """The template is beyond a limit, which the text names."""


class Undecided(NamedTuple):
    """A text that selects an attribute and could not be decided."""

    what: str
    line: int


class Selections:
    """What selects attributes, and what was found meanwhile.

    Attributes:
        undecided: The first selection that could not be decided.
        level: How many conditions and loops that are not decided surround the current node.
        changes: How often a collection changed that is older than the current uncertainty.
        widen: Whether such a change must not add a new alternative, but end in an unknown.
    """

    def __init__(self) -> None:
        """Begin with nothing found."""
        self.undecided: Undecided | None = None
        self.level = 0
        self.changes = 0
        self.widen = False
        # What methods put into data, and the first line with a name that is no constant.
        self.poured: list[Value] = []
        self._chosen = 0
        self._steps = 0

    def step(self, cost: int = 1) -> None:
        """Count steps; raise `Exhausted` beyond the limit."""
        self._steps += cost
        if self._steps > _MOST_STEPS:
            raise Exhausted("it takes too many steps to follow")

    @contextmanager
    def perhaps(self, condition: bool = True) -> Iterator[None]:
        """Follow a part of the template that may not be reached."""
        self.level += condition
        try:
            yield
        finally:
            self.level -= condition

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
        self._chosen = self._chosen or line
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

    def select_poured(self) -> None:
        """Check what methods put into data as if each name that is no constant might be it.

        Raises:
            Escape: It may be a forbidden name.
        """
        if not self._chosen:
            return
        for option in parts_of(self.poured):
            if isinstance(option, str) and is_forbidden(option):
                raise Escape("a name that is put into data", option, self._chosen)
            if isinstance(option, Unknown):
                of_model = option.kind == Kind.MODEL or option.head.startswith("_")
                is_suspicious = of_model or bool(option.reason)
            else:
                is_suspicious = isinstance(option, str) and bool(suspicious_part(option))
            if is_suspicious:
                self.note("names from data that the template changes", self._chosen)

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

    def mutated(self, collection: Seq | Map | Space) -> None:
        """Note that a collection changes; overridden where calls of macros are followed."""
        collection.changed = self._steps
