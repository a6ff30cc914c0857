"""Pack the models of a page: JSON, gzip, base64. The page's own program unpacks and lists them."""

import base64
import gzip
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from prefect_mutagen.scanner.findings import CODES
from prefect_mutagen.scanner.outputs.page.contents import Contents
from prefect_mutagen.scanner.outputs.page.counting import size_class
from prefect_mutagen.scanner.outputs.page.entries import Entry
from prefect_mutagen.scanner.sbom.json_text import to_json

__all__ = ["pack"]

_LEVEL: Final = 9
_TEXTS: Final = (
    *("path", "status", "kind", "before", "cause", "architecture", "license", "format"),
    *("quantization", "publisher", "owner", "pin", "sha256"),
)


def pack(contents: Contents) -> str:
    """Pack all that the page's program needs.

    Args:
        contents: The page.

    Returns:
        Base64 of gzip of one JSON object: ``now`` and other times in seconds since 1970, ``roots``,
        ``remedies`` by code, and ``rows``. Values that are empty are left out of a row.
    """
    roots = list(dict.fromkeys(entry.root for entry in contents.rows))
    places = {root: place for place, root in enumerate(roots)}
    codes = {why.code for entry in contents.rows for why in entry.whys}
    data = {
        "now": _seconds(contents.basis.made_at),
        "roots": roots,
        "remedies": {code: CODES[code].remedy for code in sorted(codes) if code in CODES},
        "rows": [_row(entry, places) for entry in contents.rows],
    }
    # Without a time in it, equal pages are equal bytes.
    packed = gzip.compress(to_json(data).encode(), _LEVEL, mtime=0)
    return base64.b64encode(packed).decode()


def _row(entry: Entry, places: Mapping[str, int]) -> dict[str, Any]:
    row: dict[str, Any] = {name: getattr(entry, name) for name in _TEXTS}
    row |= {
        "root": places[entry.root],
        "url": "" if entry.url == f"{entry.root.rstrip('/')}/{entry.path}" else entry.url,
        "whys": [[why.code, why.message, why.value, why.offset, why.line] for why in entry.whys],
        "exemptions": [
            [one.code, one.message, one.reason, one.owner, one.until, one.days_left]
            for one in entry.exemptions
        ],
        "warnings": list(entry.warnings),
        "waiver": "\n".join(entry.waiver),
        "changes": [[change.field, change.before, change.after] for change in entry.changes],
        "parameters": entry.parameters,
        "size": entry.size,
        "size_class": size_class(entry.size),
        "modified": _seconds(entry.modified),
        "since": _seconds(entry.since),
        "exact": entry.since_is_exact,
        "passed_at": _seconds(entry.passed_at),
        "uses": [
            [use.agent, use.state, _seconds(use.at), use.flow_run, use.pin, use.is_current]
            for use in entry.uses
        ],
    }
    return dict(_filled(row.items()))


def _filled(items: Iterable[tuple[str, Any]]) -> Iterable[tuple[str, Any]]:
    return (item for item in items if item[1] not in ("", None, []) and item[1] is not False)


def _seconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())
