"""Compare an artifact with its result in the previous scan."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from prefect_mutagen.scanner.results import STATED, Change, Drift, ScanResult
from prefect_mutagen.scanner.storage.address import storable

__all__ = ["became_passed", "compare", "drift_of"]

_TEXT_LIMIT: Final = 200
# The licence is compared separately, as an SPDX expression.
_SBOM_FIELDS: Final = ("format", *(name for name in STATED if name != "license"))


def drift_of(result: ScanResult, known: ScanResult | None) -> Drift:
    """Return the drift of an artifact since the previous scan, by its pin."""
    if known is None:
        return "added"
    return "unchanged" if known.pin == result.pin else "changed"


def became_passed(result: ScanResult) -> bool:
    """Whether an artifact passes now but did not, or had another pin, in the previous scan."""
    new_verdict = any(change.field == "status" for change in result.drift_details)
    return result.passed and (result.drift != "unchanged" or new_verdict)


def compare(known: ScanResult, result: ScanResult) -> tuple[Change, ...]:
    """Return the differences between two results of one artifact.

    Args:
        known: The previous result.
        result: The new result.

    Returns:
        A change for each field that differs: verdict, SBOM fields, licence, chat templates, hashes
        known both times, files and neighbours by name. For an artifact with another pin this may
        be the pin of one file only.
    """
    return tuple(_changes(known, result))


def _changes(known: ScanResult, result: ScanResult) -> Iterator[Change]:
    before, after = _facts(known), _facts(result)
    for name, value in before.items():
        if value != after[name]:
            yield _change(name, value, after[name])
    for name in ("header_sha256", "sha256"):
        old, new = _hash(known, name), _hash(result, name)
        if old and new and old != new:
            yield _change(name, old, new)
    old_files = {_name(item.url): item.pin for item in known.objects}
    yield from _file_changes(
        "object", old_files, {_name(item.url): item.pin for item in result.objects}
    )
    if known.neighbours is not None and result.neighbours is not None:
        # Rows of the table hold names as valid Unicode.
        found = {storable(name): pin for name, pin in result.neighbours.items()}
        yield from _file_changes("neighbour", known.neighbours, found)


def _facts(result: ScanResult) -> dict[str, Any]:
    templates = result.facts.get("chat_templates", ())
    hashes = [template["sha256"] for template in templates if "sha256" in template]
    return {
        "status": result.verdict.status,
        "reasons": " ".join(sorted({reason.code for reason in result.verdict.reasons})),
        **{name: getattr(result.sbom, name) for name in _SBOM_FIELDS},
        "license": result.license_spdx or result.sbom.license,
        "template_sha256": " ".join(hashes),
        "size_bytes": result.size,
    }


def _hash(result: ScanResult, name: str) -> str:
    return result.header_sha256 if name == "header_sha256" else result.sbom.sha256


def _file_changes(
    kind: str, before: Mapping[str, str], after: Mapping[str, str]
) -> Iterator[Change]:
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name, ""), after.get(name, "")
        if old != new:
            yield _change(f"{kind}:{name}", old, new)


def _change(field: str, before: Any, after: Any) -> Change:
    return Change(_short(field), _short(before), _short(after))


def _short(value: Any) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= _TEXT_LIMIT else text[: _TEXT_LIMIT - 1] + "…"


def _name(url: str) -> str:
    return storable(url.rstrip("/").rpartition("/")[2])
