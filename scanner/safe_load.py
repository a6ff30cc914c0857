"""Load JSON and YAML that strangers wrote, as plain data, under limits.

What is wrong with a text is said in a clause; nothing is raised, executed or followed. Limits on
the number of bytes are the caller's.
"""

import json
import re
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

__all__ = ["Loaded", "load_front_matter", "load_json"]

_FRONT_MATTER: Final = re.compile(
    rb"\A(?:\xef\xbb\xbf)?---[ \t]*\r?\n(.*?)^---[ \t]*\r?$", re.DOTALL | re.MULTILINE
)
_DEPTH: Final = 32


@dataclass(frozen=True, slots=True)
class Loaded:
    """The keys and values of a text, or what is wrong with it."""

    values: dict[str, Any] = field(default_factory=dict)
    problem: str = ""
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
    problem, values = _load_yaml(block[1])
    if not problem and values is not None and not isinstance(values, dict):
        problem = "it is not a list of keys and values"
    if problem:
        return Loaded(problem=f"the front matter cannot be read: {problem}")
    return Loaded(values or {})


def _load_yaml(raw: bytes) -> tuple[str, Any]:
    """Load YAML: no tags, no aliases (they multiply), no deep nesting."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        text = raw.decode()
        depth = 0
        for event in yaml.parse(text, Loader=loader):
            if isinstance(event, yaml.AliasEvent):
                return "it uses an alias", None
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if depth > _DEPTH:
                return "it is nested too deeply", None
        return "", yaml.load(text, Loader=loader)  # noqa: S506 - a safe loader
    except UnicodeDecodeError as error:
        return f"it is not UTF-8 at byte {error.start}", None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        return f"it is not YAML in line {mark.line + 2}" if mark else "it is not YAML", None
    except ValueError:
        return "it has a date or a number that is none", None
