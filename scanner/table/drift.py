"""Compare an artifact with what it was in the scan before."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from prefect_mutagen.scanner.results import STATED, Change, Drift, ScanResult
from prefect_mutagen.scanner.storage.address import storable

__all__ = ["became_passed", "compare", "drift_of"]

_TEXT_LIMIT: Final = 200
# The licence has a line of its own: what it is as an SPDX expression.
_SBOM_FIELDS: Final = ("format", *(name for name in STATED if name != "license"))


def drift_of(result: ScanResult, known: ScanResult | None) -> Drift:
    """Say what became of an artifact since the scan before, by its pin."""
    if known is None:
        return "added"
    return "unchanged" if known.pin == result.pin else "changed"


def became_passed(result: ScanResult) -> bool:
    """Say whether an artifact passes now, and did not, or was another one, in the scan before."""
    judged_anew = any(change.field == "status" for change in result.drift_details)
    return result.passed and (result.drift != "unchanged" or judged_anew)


def compare(known: ScanResult, result: ScanResult) -> tuple[Change, ...]:
    """Say what differs between two results of one artifact.

    Args:
        known: That of the scan before.
        result: That of now.

    Returns:
        A change for each field that differs: the verdict, what the SBOM states, the licence, chat
        templates, hashes that are known both times, files and neighbours by name. An artifact of
        another pin may differ in nothing but the pin of a file.
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
    yield from _files("object", old_files, {_name(item.url): item.pin for item in result.objects})
    if known.neighbours is not None and result.neighbours is not None:
        # A row of the table has names as text, whatever their bytes are.
        found = {storable(name): pin for name, pin in result.neighbours.items()}
        yield from _files("neighbour", known.neighbours, found)


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


def _files(kind: str, before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Change]:
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
