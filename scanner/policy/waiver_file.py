"""Write a waiver into the text of a policy, which keeps its comments and its order.

The text is changed in one place and read again: what comes out has to be the policy as it was, with
this waiver and nothing else. Where that cannot be done, nothing is written.
"""

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from prefect_mutagen.parsers import Severity
from prefect_mutagen.scanner.findings import make_finding
from prefect_mutagen.scanner.policy.fields import Policy, Waiver
from prefect_mutagen.scanner.policy.policy import load_policy
from prefect_mutagen.scanner.policy.publishers import has_dot_segments, normalized
from prefect_mutagen.scanner.policy.waiver_text import entry_lines, flow_entry
from prefect_mutagen.scanner.policy.waivers import severity_of

if TYPE_CHECKING:
    import yaml

__all__ = ["check_waiver", "with_waiver"]

_FIELD: Final = "waivers"
_NEVER_WAIVED: Final = {
    "storage/other-pin": "other bytes than pinned are another model",
    "storage/weak-pin": "it says that the pin proves nothing",
    "scan/internal-error": "it says that the scanner failed, and nothing about the model",
}
_NOT_IN_BLOCKS: Final = (
    "its waivers cannot be added to without writing the file anew; write them as a list with a "
    "dash before each entry"
)


def check_waiver(waiver: Waiver, policy: Policy, today: date) -> None:
    """Raise if a waiver would be without effect in a policy.

    Args:
        waiver: The waiver.
        policy: The policy as it is.
        today: The day in UTC.

    Raises:
        ValueError: Its code cannot be waived or decides nothing, its day is past, its address may
            mean another file, or another waiver does the same for as long. One sentence.
    """
    code, expires = waiver.code, waiver.expires
    if code in _NEVER_WAIVED:
        raise ValueError(f"{code} cannot be waived: {_NEVER_WAIVED[code]}")
    deciding: tuple[Severity, ...] = ("error", "warning")
    if not code.startswith("policy/") and code != "weights/named-only":
        severity = severity_of(make_finding(code, ""), policy.severities)
        if severity not in deciding[: 1 + (policy.fail_on == "warning")]:
            said = "an info" if severity == "info" else f"a {severity}"
            raise ValueError(f"{code} needs no waiver: under this policy it is {said}")
    if date.fromisoformat(expires) < today:
        raise ValueError(f"{expires} is past; the last day of a waiver is {today} or later")
    if has_dot_segments(waiver.url.partition("://")[2] or waiver.url):
        raise ValueError("an address with .. in any spelling may mean another file: none covers it")
    for known in policy.waivers:
        covers = known.url == waiver.url or fnmatchcase(
            normalized(_plain(waiver.url)), normalized(known.url)
        )
        if known.code == code and covers and known.expires >= expires:
            place = "" if known.url == waiver.url else f" by the entry for {known.url!a}"
            raise ValueError(f"{code} is waived there until {known.expires} already{place}")


def _plain(pattern: str) -> str:
    """Return an address that a pattern without wildcards of its own matches."""
    for wildcard in "*?[":
        pattern = pattern.replace(f"[{wildcard}]", wildcard)
    return pattern


def with_waiver(text: str, waiver: Waiver, folder: str | None = None) -> str:
    """Return the text of a policy with one waiver more.

    Args:
        text: A policy in YAML or JSON.
        waiver: The waiver.
        folder: See `load_policy`.

    Raises:
        ValueError: The text is no valid policy, or of a form that cannot be added to.
    """
    before = load_policy(text, folder)
    expected = replace(before, waivers=(*before.waivers, waiver))
    fields = (waiver.code, waiver.url, waiver.reason, waiver.owner, waiver.expires)
    for add in (_into_json, _into_yaml):
        added = add(text, fields)
        if added is not None and _loads_as(added, expected, folder):
            return added
    raise ValueError(_NOT_IN_BLOCKS)


_Fields = tuple[str, str, str, str, str]


def _loads_as(text: str, expected: Policy, folder: str | None) -> bool:
    try:
        return load_policy(text, folder) == expected
    except ValueError:
        return False


def _into_json(text: str, fields: _Fields) -> str | None:
    try:
        given: dict[str, Any] = json.loads(text)
    except ValueError:
        return None
    names = ("code", "url", "reason", "owner", "expires")
    entries = [*given.get(_FIELD, ()), dict(zip(names, fields, strict=True))]
    return json.dumps({**given, _FIELD: entries}, indent=2, ensure_ascii=False) + "\n"


def _into_yaml(text: str, fields: _Fields) -> str | None:
    import yaml

    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode) or root.flow_style:
        return None
    end = "\r\n" if "\r\n" in text else "\n"

    def block(indent: str) -> Iterable[str]:
        return (f"{line}{end}" for line in entry_lines(*fields, indent=indent))

    known = [value for key, value in root.value if key.value == _FIELD]
    if not known:
        return _after_line(text, _last_line(root), (f"{_FIELD}:{end}", *block("  ")), end)
    (node,) = known
    if not isinstance(node, yaml.SequenceNode):
        return None
    if not node.flow_style:
        return _after_line(text, _last_line(node), block(" " * node.start_mark.column), end)
    first, last = node.start_mark.index, node.end_mark.index
    if node.value:
        inside = text[first : last - 1].rstrip()
        comma = "" if inside.endswith(",") else ","
        rest = text[first + len(inside) :]
        return f"{text[:first]}{inside}{comma} {flow_entry(*fields)}{rest}"
    if node.start_mark.line != node.end_mark.line:
        return None
    without = f"{text[:first].rstrip(' ')}{text[last:]}"
    return _after_line(without, node.start_mark.line, block("  "), end)


def _last_line(node: "yaml.Node") -> int:
    """Return the number of the last line of a node, from 0; comments after it are not of it."""
    import yaml

    while isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        node = last[1] if isinstance(last, tuple) else last
    # A text in a block of its own ends where the next line begins.
    return node.end_mark.line - (node.end_mark.column == 0 and node.end_mark.line > 0)


def _after_line(text: str, number: int, lines: Iterable[str], end: str) -> str:
    """Insert lines after a line of a text."""
    known = text.splitlines(keepends=True)
    known[number : number + 1] = [known[number].rstrip("\r\n") + end, *lines]
    return "".join(known)
