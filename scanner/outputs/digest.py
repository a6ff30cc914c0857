"""What changed in a table since yesterday, in Markdown for people and as JSON for programs.

It is made from the contents of the page on a table, and says of each model what the page says: what
is newly refused, whether it passed before, why, whose it is, what uses it, and how to allow it.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, Final

from prefect_mutagen.scanner.outputs.markdown import code, text
from prefect_mutagen.scanner.outputs.page.contents import Contents
from prefect_mutagen.scanner.outputs.page.entries import Entry, Kind

__all__ = ["digest_counts", "digest_document", "digest_headline", "digest_markdown", "is_quiet"]

_AT_LENGTH: Final = 20
"""Newly refused models with their reasons and their waivers; a page has them all."""
_LISTED: Final = 50
"""Models of a section, a line each."""
_WORDS: Final[dict[Kind, str]] = {
    "newly-refused": "newly refused",
    "newly-unknown": "can be examined no more",
    "passed-again": "newly passed",
    "added": "added",
    "changed": "changed",
    "removed": "removed",
}
"""What happened, what needs a person first."""
_SECTIONS: Final[dict[Kind, str]] = {
    "newly-unknown": "Refused before, and can be examined no more",
    "passed-again": "Newly passed",
    "added": "Added, and passed",
    "changed": "Changed, with the same verdict",
    "removed": "Removed",
}
_BEFORE: Final = {
    "": "",
    "absent": "new",
    "passed": "passed before",
    "failed": "refused before",
    "unknown": "could not be examined before",
}
_VERDICTS: Final = {"failed": "refused", "unknown": "could not be examined"}
_CHANGES: Final = 3
_USES: Final = 5


def digest_counts(contents: Contents) -> dict[str, int]:
    """Return the numbers of a period: all models by verdict, and by what happened to them.

    Args:
        contents: What is known of a table since a moment.
    """
    counts = {
        "models": contents.models,
        "passed": contents.passed,
        "refused": contents.failed,
        "unknown": contents.unknown,
    }
    names = {"passed-again": "newly_passed"}
    return counts | {
        names.get(kind, kind.replace("-", "_")): contents.kinds[kind] for kind in _WORDS
    }


def is_quiet(contents: Contents) -> bool:
    """Whether every root was scanned in the period, and nothing is different."""
    return not contents.stale and not sum(contents.kinds.values())


def digest_headline(contents: Contents) -> str:
    """Return what happened in a few words: 3 newly refused, 1 removed."""
    said = [f"{count:,} {word}" for kind, word in _WORDS.items() if (count := contents.kinds[kind])]
    if contents.stale:
        roots = f"{len(contents.stale)} of {len(contents.roots)} roots not scanned"
        said.append("not scanned" if len(contents.roots) == 1 else roots)
    return ", ".join(said) or "nothing changed"


def digest_markdown(contents: Contents) -> str:
    """Return the digest; a period in which nothing changed is one line.

    Args:
        contents: What is known of a table since a moment.
    """
    since = _moment(contents.basis.since)
    if is_quiet(contents):
        return f"Nothing changed since {since}: {_standing(contents)}.\n"
    headline = digest_headline(contents)
    lines = [f"# {headline[0].upper()}{headline[1:]}", "", f"Since {since}, in"]
    lines[-1] += f" {', '.join(code(root.source) for root in contents.roots)}: "
    lines[-1] += f"{_standing(contents)}."
    for root in contents.stale:
        lines += ["", f"**{code(root.source)} was not scanned since {_moment(root.started_at)}.**"]
    lines += _refused(contents)
    for kind, title in _SECTIONS.items():
        lines += _section(contents, kind, title)
    return "\n".join(lines) + "\n"


def _standing(contents: Contents) -> str:
    models = f"{contents.models:,} {'model' if contents.models == 1 else 'models'}"
    refused = f"{contents.failed:,} refused, {contents.unknown:,} unknown"
    return f"{models}, {contents.passed:,} passed, {refused}"


def _refused(contents: Contents) -> Iterator[str]:
    """Yield the newly refused models: the first at length, more of them in a line each."""
    count = contents.newly_refused
    if not count:
        return
    entries = _of_kind(contents, "newly-refused")
    yield from ("", f"## Newly refused ({count:,})")
    for entry in entries[:_AT_LENGTH]:
        yield from _at_length(contents, entry)
    others = entries[_AT_LENGTH:]
    if others:
        yield from ("", f"### And {count - _AT_LENGTH:,} more", "")
    yield from _listed(contents, others, count - _AT_LENGTH, _codes)


def _at_length(contents: Contents, entry: Entry) -> Iterator[str]:
    yield from ("", f"### {_named(contents, entry)}", "")
    since = f" since {_moment(entry.since)}" if entry.since else ""
    before = f", {_BEFORE[entry.before]}" if entry.before else ""
    passed = f", last on {_moment(entry.passed_at)}" if entry.passed_at else ""
    cause = f"; {text(entry.cause)}" if entry.cause else ""
    yield f"* {_VERDICTS.get(entry.status, entry.status)}{since}{before}{passed}{cause}"
    for why in entry.whys:
        byte = f" (byte {why.offset:,})" if why.offset is not None else ""
        line = f"; decided by {code(why.line)}" if why.line else ""
        met = f", which met {text(why.value)}" if why.value else ""
        yield f"* {code(why.code)}: {text(why.message)}{byte}{line}{met}"
    for remedy in dict.fromkeys(why.remedy for why in entry.whys if why.remedy):
        yield f"* what to do: {text(remedy)}"
    yield f"* owner: {text(entry.owner) if entry.owner else 'not stated'}"
    if contents.basis.knows_uses:
        yield f"* used by: {_uses(entry) or 'no agent'}"
    if entry.waiver:
        yield from ("* to allow it for a while, paste this into the policy:", "")
        yield from ("  ```yaml", *(f"  {line}" for line in entry.waiver), "  ```")


def _uses(entry: Entry) -> str:
    said = [
        f"{text(use.agent or 'an agent')} ({text(use.state)}, "
        f"{'these bytes' if use.is_current else 'other bytes'}"
        f"{f', flow run {code(use.flow_run)}' if use.flow_run else ''})"
        for use in entry.uses[:_USES]
    ]
    more = len(entry.uses) - len(said)
    return ", ".join([*said, *([f"{more} more"] if more else [])])


def _section(contents: Contents, kind: Kind, title: str) -> Iterator[str]:
    count = contents.kinds[kind]
    if count:
        yield from ("", f"## {title} ({count:,})", "")
        yield from _listed(contents, _of_kind(contents, kind), count, _about)


def _listed(
    contents: Contents, entries: list[Entry], count: int, about: Callable[[Entry], str]
) -> Iterator[str]:
    """Yield models, a line each, and how many more there are."""
    for entry in entries[:_LISTED]:
        owner = f" ({text(entry.owner)})" if entry.owner else ""
        said = about(entry)
        yield f"* {_named(contents, entry)}{owner}{f': {said}' if said else ''}"
    more = count - min(len(entries), _LISTED)
    if more > 0:
        yield f"* and {more:,} more"


def _codes(entry: Entry) -> str:
    return ", ".join(code(one) for one in dict.fromkeys(why.code for why in entry.whys))


def _about(entry: Entry) -> str:
    """Return what happened to a model besides what its section says."""
    if entry.kind == "removed":
        return text(_BEFORE.get(entry.before, ""))
    changes = [one for one in entry.changes if one.field not in ("status", "reasons")]
    said = [
        f"{text(one.field)} {text(one.before or 'nothing')} → {text(one.after or 'nothing')}"
        for one in changes[:_CHANGES]
    ]
    more = [f"{len(changes) - _CHANGES} more"] if len(changes) > _CHANGES else []
    before = [_BEFORE[entry.before]] if entry.kind == "passed-again" else []
    codes = [_codes(entry)] if entry.kind == "newly-unknown" else []
    return ", ".join(filter(None, [*before, *codes, *said, *more]))


def _named(contents: Contents, entry: Entry) -> str:
    """Return a model below its root, or by its whole address where there are several roots."""
    return code(entry.path if len(contents.roots) == 1 else entry.url)


def _of_kind(contents: Contents, kind: Kind) -> list[Entry]:
    return [entry for entry in contents.rows if entry.kind == kind]


def _moment(moment: datetime | None) -> str:
    return f"{moment:%-d %b %Y, %H:%M} UTC" if moment is not None else "an unknown time"


def digest_document(contents: Contents) -> dict[str, Any]:
    """Return the digest as plain values.

    Args:
        contents: What is known of a table since a moment.

    Returns:
        ``table``, ``since``, ``made_at``, ``quiet``, ``counts``, ``roots``, and a list of models
        for each kind of change. Of very many models some are counted alone.
    """
    kinds = {"passed-again": "newly_passed"}
    listed = {
        kinds.get(kind, kind.replace("-", "_")): [
            _plain(entry) for entry in _of_kind(contents, kind)
        ]
        for kind in _WORDS
    }
    stale = {root.source for root in contents.stale}
    return {
        "table": contents.basis.table,
        "since": _iso(contents.basis.since),
        "made_at": _iso(contents.basis.made_at),
        "quiet": is_quiet(contents),
        "counts": digest_counts(contents),
        "roots": [
            {
                "source": root.source,
                "scan_id": root.scan_id,
                "scanned_at": _iso(root.started_at),
                "scanned_in_period": root.source not in stale,
                "compared_with": root.compared,
                "policy_digest": root.policy_digest,
            }
            for root in contents.roots
        ],
        **listed,
    }


def _plain(entry: Entry) -> dict[str, Any]:
    return {
        "url": entry.url,
        "root": entry.root,
        "status": entry.status,
        "before": entry.before or None,
        "cause": entry.cause or None,
        "owner": entry.owner or None,
        "publisher": entry.publisher or None,
        "pin": entry.pin,
        "refused_since": _iso(entry.since),
        "last_passed": _iso(entry.passed_at),
        "reasons": [
            {
                "code": why.code,
                "message": why.message,
                "offset": why.offset,
                "value": why.value or None,
                "policy": why.line or None,
                "remedy": why.remedy or None,
            }
            for why in entry.whys
        ],
        "waiver": "\n".join(entry.waiver) or None,
        "changes": [
            {"field": change.field, "before": change.before, "after": change.after}
            for change in entry.changes
        ],
        "uses": [
            {
                "agent": use.agent,
                "state": use.state,
                "at": _iso(use.at),
                "flow_run": use.flow_run or None,
                "pin": use.pin,
                "is_current": use.is_current,
            }
            for use in entry.uses
        ],
    }


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment is not None else None
