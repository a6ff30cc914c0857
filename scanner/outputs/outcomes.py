"""Say in a few words what came out for an artifact, and what is different about it."""

from collections.abc import Iterable
from typing import Final

from prefect_mutagen.scanner.outputs.visible import visible
from prefect_mutagen.scanner.results import Change, ScanResult
from prefect_mutagen.scanner.storage.names import storable

__all__ = [
    "describe_changes",
    "outcome",
    "path_below",
    "reasons_before",
    "shortened",
    "verdict_before",
]

_VERDICT: Final = ("status", "reasons")
_DIGESTS: Final = ("pin", "header_sha256", "sha256", "template_sha256")
"""Values that say nothing to a person beyond that they differ."""
_WIDTH: Final = 60


def path_below(source: str, url: str) -> str:
    """Return an address below its root, for display."""
    return visible(storable(url).removeprefix(storable(source).rstrip("/") + "/"), 300)


def outcome(result: ScanResult, source: str, width: int = 300) -> str:
    """Return an artifact and the codes that decided: broken/cut.gguf: gguf/truncated-data.

    Args:
        result: The artifact.
        source: Its root.
        width: Characters of its path below the root.
    """
    codes = ", ".join(sorted({reason.code for reason in result.verdict.reasons}))
    path = shortened(path_below(source, result.url), width)
    return f"{path}: {codes or result.verdict.status}"


def shortened(text: str, width: int) -> str:
    """Return a path or an address without its middle if it is long; its end tells most.

    Args:
        text: As it is displayed.
        width: Longest text that is kept whole, in characters.
    """
    if len(text) <= width:
        return text
    head = width // 3
    return f"{text[:head]}…{text[head + 1 - width :]}"


def verdict_before(result: ScanResult) -> str:
    """Return the verdict of the previous scan, if it was another one; else empty."""
    return _before(result.drift_details, "status")


def reasons_before(result: ScanResult) -> str:
    """Return the codes of the previous scan, if there were others; else empty."""
    return ", ".join(_before(result.drift_details, "reasons").split())


def describe_changes(result: ScanResult, most: int = 4) -> str:
    """Return what changed besides the verdict, facts first; empty if nothing did.

    Args:
        result: An artifact with its drift. Names and values from files are shown as `visible` text.
        most: Changes to name; the others are counted.
    """
    changes = [change for change in result.drift_details if change.field not in _VERDICT]
    changes.sort(key=_weight)
    said = [_words(change) for change in changes[:most]]
    more = len(changes) - len(said)
    return ", ".join([*said, *([f"{more} more"] if more else [])])


def _before(changes: Iterable[Change], field: str) -> str:
    return next((visible(change.before) for change in changes if change.field == field), "")


def _weight(change: Change) -> int:
    """Return the sort key: the size, which says most, facts, files, what only differs."""
    if change.field == "size_bytes":
        return -1
    if change.field in _DIGESTS:
        return 2
    return 1 if ":" in change.field else 0


def _words(change: Change) -> str:
    kind, _, name = change.field.partition(":")
    if name:
        shown = visible(name, _WIDTH)
        if not change.before or not change.after:
            return f"{shown} is {'new' if not change.before else 'gone'}"
        return f"other bytes in {shown}"
    if kind in _DIGESTS:
        return f"another {kind}"
    before, after = (visible(value, _WIDTH) or "none" for value in (change.before, change.after))
    return f"{kind} {before} → {after}"
