"""Load JSON and YAML that strangers wrote, as plain data, under limits.

What is wrong with a text is said in a clause; nothing is raised, executed or followed. Limits on
the number of bytes are the caller's.

YAML is read as texts: a licence ``2.0`` and a language ``no`` mean what they say. Tags, numbers,
dates and the many words for true and false are where YAML's own readers go astray, so nothing is
constructed from them; ``true``, ``false`` and ``null`` alone keep their meaning.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

from prefect_mutagen.parsers.errors import shown

__all__ = ["Loaded", "load_front_matter", "load_json"]

_FRONT_MATTER: Final = re.compile(
    rb"\A(?:\xef\xbb\xbf)?---[ \t]*\r?\n(.*?)^---[ \t]*\r?$", re.DOTALL | re.MULTILINE
)
_DEPTH: Final = 32
_WORDS: Final[dict[str, bool | None]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
"""Unquoted words that are no texts: those of YAML's core schema."""
_TAGS: Final = "tag:yaml.org,2002:"
_FOREIGN: Final = f"{_TAGS}python/"


@dataclass(frozen=True, slots=True)
class Loaded:
    """The keys and values of a text, and what is wrong with it."""

    values: dict[str, Any] = field(default_factory=dict)
    problem: str = ""
    """In a clause; there are values all the same where they can be told."""
    twice: str = ""
    """A key that stands twice, of which the last value was taken."""


def load_json(raw: bytes) -> Loaded:
    """Load a JSON object; NaN and infinities become null."""
    twice: list[str] = []

    def collect(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        known = dict(pairs)
        if len(known) < len(pairs) and not twice:
            keys = sorted(key for key, _ in pairs)
            twice.extend(key for key, after in pairwise(keys) if key == after)
        return known

    try:
        values = json.loads(raw, object_pairs_hook=collect, parse_constant=lambda _: None)
    except RecursionError:
        return Loaded(problem="it is nested too deeply")
    except UnicodeDecodeError as error:
        return Loaded(problem=f"it is not UTF-8 at byte {error.start}")
    except json.JSONDecodeError as error:
        return Loaded(problem=f"it is not JSON at character {error.pos}: {error.msg}")
    except ValueError:
        return Loaded(problem="it has a number of thousands of digits")
    if not isinstance(values, dict):
        return Loaded(problem="it is not a JSON object")
    return Loaded(values, twice=twice[0] if twice else "")


def load_front_matter(raw: bytes) -> Loaded:
    """Load the YAML block at the top of a Markdown file; without one, nothing is stated."""
    block = _FRONT_MATTER.match(raw)
    if block is None:
        return Loaded()
    loaded = _load_yaml(block[1])
    if loaded.problem:
        how = "is read as texts alone" if loaded.values else "cannot be read"
        return Loaded(loaded.values, f"the front matter {how}: {loaded.problem}")
    return loaded


def _load_yaml(raw: bytes) -> Loaded:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return _collect(yaml.parse(raw.decode(), Loader=loader))
    except UnicodeDecodeError as error:
        return Loaded(problem=f"it is not UTF-8 at byte {error.start}")
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 2}" if mark else ""
        return Loaded(problem=f"it is not YAML{where}")
    except (ValueError, OverflowError):  # numbers in escapes and directives, in pure Python
        return Loaded(problem="it is not YAML")


class _Refused(Exception):  # noqa: N818 - it says what became of the text
    """What makes a text unreadable, in a clause."""


@dataclass(slots=True)
class _Collector:
    """Builds texts, lists and mappings from a parser's events.

    Aliases are refused because they multiply, and so are merge keys: what a key means must not
    depend on another one.
    """

    whole: list[Any] = field(default_factory=list)
    twice: str = ""
    foreign: str = ""
    """A tag that YAML's own schema does not have."""
    _open: list[dict[str, Any] | list[Any]] = field(init=False)
    """What contains the next value, the innermost last."""
    _keys: list[str | None] = field(default_factory=lambda: [None])
    """For each of these the key of the next value; None where a key comes next, and in lists."""

    def __post_init__(self) -> None:
        self._open = [self.whole]

    def add(self, value: Any, text: str | None = None) -> None:
        """Take a value; a text is what it is as a key."""
        within, key = self._open[-1], self._keys[-1]
        if isinstance(within, list):
            if within is self.whole and within:
                raise _Refused("it holds more than one document")
            within.append(value)
        elif key is not None:
            within[key] = value
            self._keys[-1] = None
        elif text is None:
            raise _Refused("it has a key that is no text")
        else:
            if text in within:
                self.twice = self.twice or text
            self._keys[-1] = text

    def begin(self, values: dict[str, Any] | list[Any]) -> None:
        self.add(values)
        self._open.append(values)
        self._keys.append(None)
        if len(self._open) > _DEPTH:
            raise _Refused("it is nested too deeply")

    def end(self) -> None:
        del self._open[-1], self._keys[-1]

    def add_scalar(self, event: Any) -> None:
        self.note_tag(event.tag)
        text, plain = event.value, not event.style
        if plain and text == "<<":
            raise _Refused("it uses a merge key")
        bare = plain and event.tag is None and text in _WORDS
        self.add(_WORDS[text] if bare else text, text)

    def note_tag(self, tag: str | None) -> None:
        if tag and tag != "!" and (not tag.startswith(_TAGS) or tag.startswith(_FOREIGN)):
            self.foreign = self.foreign or tag


def _collect(events: Iterable[Any]) -> Loaded:
    import yaml

    collector = _Collector()
    try:
        for event in events:
            if isinstance(event, yaml.ScalarEvent):
                collector.add_scalar(event)
            elif isinstance(event, yaml.CollectionStartEvent):
                collector.note_tag(event.tag)
                collector.begin({} if isinstance(event, yaml.MappingStartEvent) else [])
            elif isinstance(event, yaml.CollectionEndEvent):
                collector.end()
            elif isinstance(event, yaml.AliasEvent):
                return Loaded(problem="it uses an alias")
    except _Refused as refusal:
        return Loaded(problem=str(refusal))
    values = collector.whole[0] if collector.whole else None
    if values is not None and not isinstance(values, dict):
        return Loaded(problem="it is not a list of keys and values")
    problem = f"it has the tag {shown(collector.foreign)}, which is none of YAML's own"
    return Loaded(values or {}, problem if collector.foreign else "", collector.twice)
