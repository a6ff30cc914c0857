"""Load untrusted JSON and YAML as plain data, under limits.

Problems are returned as a clause; nothing is raised, executed or dereferenced. The caller limits
the size of the input.

YAML scalars are loaded as strings, so that a licence ``2.0`` and a language ``no`` stay what they
are. No numbers, dates, tags or alternative spellings of booleans are interpreted; only ``true``,
``false`` and ``null`` are.

JSON is held against what transformers and PEFT accept: ``json.loads`` of a file that was opened as
UTF-8. They refuse a byte order mark, UTF-16 and surrogates in UTF-8, and take NaN and infinities.
What such a file states is read all the same.
"""

import codecs
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from typing import Any, Final

from prefect_mutagen.parsers.errors import shown
from prefect_mutagen.scanner.content.json_limits import (
    json_memory,
    json_problem,
    without_added_tokens,
)

__all__ = ["Loaded", "is_front_matter_open", "load_front_matter", "load_json"]

_BEGIN: Final = re.compile(rb"(?:\xef\xbb\xbf)?(\s*+---[ \t]*+(?:\r\n|\r|\n))")
"""Of a front matter, as the hub finds it: white space may stand before it."""
_END: Final = re.compile(rb"[\r\n](?:---|\.\.\.)[ \t]*+(?=[\r\n]|\Z)")
_OPENING: Final = re.compile(rb"\A(?:\xef\xbb\xbf)?\s*(?:---[ \t]*\r?\n|-{0,3}\Z)")
_DEPTH_LIMIT: Final = 100
_EVENT_LIMIT: Final = 220_000
"""Most scalars, aliases, beginnings and ends of collections of a YAML document. The cards with the
most results of benchmarks have a quarter of that."""
_UTF16: Final = ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_CORE_WORDS: Final[dict[str, bool | None]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
"""Plain scalars of YAML's core schema that are not strings."""
_STATEMENT: Final = re.compile(r"licen|lizen|base_model|chat_template|[^\x00-\x7f]", re.IGNORECASE)
"""Keys all of whose values count where they stand more than once: licences in any language,
lineage, and programs."""
_TAGS: Final = "tag:yaml.org,2002:"
_PYTHON_TAGS: Final = f"{_TAGS}python/"


@dataclass(frozen=True, slots=True)
class Loaded:
    """The keys and values of a document, and its problem."""

    values: dict[str, Any] = field(default_factory=dict)
    problem: str = ""
    """A clause; values may be present all the same."""
    duplicate: str = ""
    """A key that appears twice. Its last value was used; of licences, base models and templates,
    all were."""
    unexamined: bool = False
    """Whether the problem is a limit of this reader, not a fault of the document."""
    memory: int = 0
    """Bytes that the values of a JSON document take, an upper bound."""


def _joined(values: list[Any]) -> Any:
    """Return the values of a key as one list, or the only one."""
    if len(values) == 1:
        return values[0]
    return [one for value in values for one in (value if isinstance(value, list) else [value])]


def load_json(raw: bytes, *, allow_list: bool = False, bounded: bool = True) -> Loaded:
    """Load a JSON object; NaN and infinities become None.

    Args:
        raw: Its bytes.
        allow_list: Whether it may be a list, which becomes the value of the empty key.
        bounded: Whether the limits of `json_limits` hold; otherwise the caller has its own.
    """
    duplicates: list[str] = []
    memory = json_memory(raw)
    if bounded and json_problem(raw, memory):
        raw = without_added_tokens(raw)
        memory = json_memory(raw)
        if beyond := json_problem(raw, memory):
            return Loaded(problem=beyond, unexamined=True)
    text, problem = _decode_json(raw)
    try:
        values = json.loads(
            text, object_pairs_hook=partial(_members, duplicates), parse_constant=lambda _: None
        )
    except RecursionError:
        return Loaded(problem="it is nested too deeply")
    except json.JSONDecodeError as error:
        not_json = f"it is not JSON at character {error.pos}: {error.msg}"
        return Loaded(problem=problem or not_json)
    except ValueError:
        return Loaded(problem="it has a number with thousands of digits")
    if isinstance(values, list) and allow_list:
        values = {"": values}
    if not isinstance(values, dict):
        return Loaded(problem="it is not a JSON object")
    return Loaded(values, problem, duplicates[0] if duplicates else "", memory=memory)


def _members(duplicates: list[str], pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object's members; add its first key that stands twice to the duplicates."""
    members = dict(pairs)
    if len(members) == len(pairs):
        return members
    if not duplicates:
        keys = sorted(key for key, _ in pairs)
        duplicates.extend(key for key, after in pairwise(keys) if key == after)
    stated: dict[str, list[Any]] = {}
    for key, value in pairs:
        if _STATEMENT.search(key):
            stated.setdefault(key, []).append(value)
    return members | {key: _joined(each) for key, each in stated.items()}


def _decode_json(raw: bytes) -> tuple[str, str]:
    """Return the text of a JSON file, and as a clause why loaders do not read it."""
    if raw.startswith(codecs.BOM_UTF8):
        text = raw[len(codecs.BOM_UTF8) :].decode("utf-8", "replace")
        return text, "it starts with a byte order mark, which loaders refuse"
    encoding = json.detect_encoding(raw)
    if encoding != "utf-8":
        name = encoding[:6].upper()
        return raw.decode(encoding, "replace"), f"it is in {name}, and loaders read UTF-8 only"
    try:
        return raw.decode(), ""
    except UnicodeDecodeError as error:
        return "", f"it is not UTF-8 at byte {error.start}"


def is_front_matter_open(raw: bytes) -> bool:
    """Whether the first bytes of a Markdown file start a YAML block and do not end it."""
    return _OPENING.match(raw) is not None and _front_matter(raw) is None


def _front_matter(raw: bytes) -> tuple[bytes, int] | None:
    """Return the YAML block at the top of a Markdown file and the number of lines before it."""
    begin = _BEGIN.match(raw)
    end = _END.search(raw, begin.end() - 1) if begin else None
    if begin is None or end is None:
        return None
    return raw[begin.end() : end.start() + 1], len(begin[1].splitlines())


def load_front_matter(raw: bytes) -> Loaded:
    """Load the YAML block at the top of a Markdown file; empty without one."""
    encoding = next((name for mark, name in _UTF16 if raw.startswith(mark)), "")
    if encoding:
        raw = raw.decode(encoding, "replace").encode("utf-8", "replace")
    block = _front_matter(raw)
    if block is None:
        return Loaded()
    loaded = _load_yaml(*block)
    if loaded.problem:
        how = "is read as plain strings" if loaded.values else "cannot be read"
        return replace(loaded, problem=f"the front matter {how}: {loaded.problem}", duplicate="")
    if encoding:
        return replace(loaded, problem="it is in UTF-16, and the hub reads UTF-8 only")
    return loaded


def _load_yaml(raw: bytes, lines_before: int) -> Loaded:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return _collect(yaml.parse(raw.decode(), Loader=loader))
    except UnicodeDecodeError as error:
        return Loaded(problem=f"it is not UTF-8 at byte {error.start}")
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + lines_before + 1}" if mark else ""
        return Loaded(problem=f"it is not YAML{where}")
    except (ValueError, OverflowError):  # numbers in escapes and directives, in pure Python
        return Loaded(problem="it is not YAML")


class _Refused(Exception):  # noqa: N818 - control flow, not an error
    """The reason, as a clause, why a document is not loaded."""


class _Unexamined(_Refused):
    """A construct that YAML's loaders read and this one does not."""


@dataclass(slots=True)
class _Collector:
    """Builds strings, lists and mappings from YAML parser events.

    Aliases of scalars are resolved. Others are not read because they allow exponential expansion,
    nor are merge keys because a key's value must not depend on another key.
    """

    documents: list[Any] = field(default_factory=list)
    duplicate: str = ""
    """First key that appears twice."""
    foreign_tag: str = ""
    """First tag outside YAML's core schema."""
    _scalars: dict[str, tuple[Any, str]] = field(default_factory=dict)
    """Values of anchored scalars, and their form as a key."""
    _collections: set[str] = field(default_factory=set)
    """Anchors of lists and mappings."""
    _open: list[dict[str, Any] | list[Any]] = field(init=False)
    """The open collections, innermost last."""
    _keys: list[str | None] = field(default_factory=lambda: [None])
    """For each open collection, the key of the next value; None in lists and before a key."""
    _repeated: list[dict[str, list[Any]]] = field(default_factory=lambda: [{}])
    """For each open collection, all values of the keys that are to be joined at its end."""

    def __post_init__(self) -> None:
        self._open = [self.documents]

    def add(self, value: Any, text: str | None = None) -> None:
        """Add a value to the innermost collection; ``text`` is its form as a key."""
        parent, key = self._open[-1], self._keys[-1]
        if isinstance(parent, list):
            if parent is self.documents and parent:
                raise _Refused("it holds more than one document")
            parent.append(value)
        elif key is not None:
            if key in parent and _STATEMENT.search(key):
                self._repeated[-1].setdefault(key, [parent[key]]).append(value)
            parent[key] = value
            self._keys[-1] = None
        elif text is None:
            raise _Refused("it has a key that is not a string")
        else:
            if text in parent:
                self.duplicate = self.duplicate or text
            self._keys[-1] = text

    def begin(self, values: dict[str, Any] | list[Any]) -> None:
        self.add(values)
        self._open.append(values)
        self._keys.append(None)
        self._repeated.append({})
        if len(self._open) > _DEPTH_LIMIT:
            raise _Unexamined("it is nested too deeply")

    def end(self) -> None:
        ended = self._open.pop()
        del self._keys[-1]
        repeated = self._repeated.pop()
        if isinstance(ended, dict):
            ended |= {key: _joined(values) for key, values in repeated.items()}

    def add_scalar(self, event: Any) -> None:
        self.note_tag(event.tag)
        text, plain = event.value, not event.style
        if plain and text == "<<":
            raise _Unexamined("it uses a merge key")
        bare = plain and event.tag is None and text in _CORE_WORDS
        value = _CORE_WORDS[text] if bare else text
        if event.anchor:
            self._scalars[event.anchor] = value, text
            self._collections.discard(event.anchor)
        self.add(value, text)

    def add_alias(self, event: Any) -> None:
        if event.anchor in self._collections:
            raise _Unexamined("it uses an alias of more than a scalar")
        if event.anchor not in self._scalars:
            raise _Refused("it uses an alias that stands for nothing")
        self.add(*self._scalars[event.anchor])

    def note_collection(self, event: Any) -> None:
        self.note_tag(event.tag)
        if event.anchor:
            self._collections.add(event.anchor)
            self._scalars.pop(event.anchor, None)

    def note_tag(self, tag: str | None) -> None:
        if tag and tag != "!" and (not tag.startswith(_TAGS) or tag.startswith(_PYTHON_TAGS)):
            self.foreign_tag = self.foreign_tag or tag


def _collect(events: Iterable[Any]) -> Loaded:
    import yaml

    collector = _Collector()
    try:
        for number, event in enumerate(events):
            if number > _EVENT_LIMIT:
                raise _Unexamined(f"it has more than {_EVENT_LIMIT:,} parts")
            if isinstance(event, yaml.ScalarEvent):
                collector.add_scalar(event)
            elif isinstance(event, yaml.CollectionStartEvent):
                collector.note_collection(event)
                collector.begin({} if isinstance(event, yaml.MappingStartEvent) else [])
            elif isinstance(event, yaml.CollectionEndEvent):
                collector.end()
            elif isinstance(event, yaml.AliasEvent):
                collector.add_alias(event)
    except _Refused as refusal:
        return Loaded(problem=str(refusal), unexamined=isinstance(refusal, _Unexamined))
    values = collector.documents[0] if collector.documents else None
    if values is not None and not isinstance(values, dict):
        return Loaded(problem="it is not a mapping")
    problem = f"it has the tag {shown(collector.foreign_tag)}, which is not in YAML's core schema"
    return Loaded(values or {}, problem if collector.foreign_tag else "", collector.duplicate)
