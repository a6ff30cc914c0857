"""Compare an artifact with its result in the previous scan."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from prefect_mutagen.scanner.pins import TOUCHING, Relation, is_weak, relation_of
from prefect_mutagen.scanner.results import STATED, Change, Drift, ScanResult
from prefect_mutagen.scanner.sbom.valid_names import storable_label
from prefect_mutagen.scanner.storage.address import folder_of

__all__ = ["compare", "compared", "document_differs", "drift_of"]

_TEXT_LIMIT: Final = 200
_PIN: Final = "pin"
_PICKLES: Final = "pickles"
"""Of pickles beside an artifact only a digest over their pins is recorded."""
# The licence is compared separately, as an SPDX expression.
_SBOM_FIELDS: Final = ("format", *(name for name in STATED if name != "license"))


def drift_of(result: ScanResult, known: ScanResult | None) -> Drift:
    """Return the drift of an artifact since the previous scan.

    Equal files have another pin where an earlier version of this package wrote its pin in another
    form, and where only the change times of local files differ and their bytes are hashed both
    times.
    """
    if known is None:
        return "added"
    if known.pin == result.pin:
        # A weak pin may stand for other bytes.
        same = not is_weak(result.pin) or known.header_sha256 == result.header_sha256
        return "unchanged" if same else "changed"
    return "unchanged" if _is_pinned_anew(known, result) else "changed"


def _is_pinned_anew(known: ScanResult, result: ScanResult) -> bool:
    """Whether two pins stand for the same files."""
    if not known.pin or not result.pin or any(_file_changes(known, result)):
        return False
    before, after = _files(known), _files(result)
    forms = any(before[label].pin != after[label].pin for label in before.keys() & after.keys())
    return forms or _is_by_another_version(known, result)


def _is_by_another_version(known: ScanResult, result: ScanResult) -> bool:
    return known.sbom.tool_version != result.sbom.tool_version


def compared(known: ScanResult | None, result: ScanResult) -> ScanResult:
    """Return a result with its drift since the previous scan; known: None if it is new."""
    changes = () if known is None else compare(known, result)
    return replace(result, drift=drift_of(result, known), drift_details=changes)


def document_differs(known: ScanResult, result: ScanResult) -> bool:
    """Whether an artifact has another document than in the previous scan."""
    return known.sbom_id != result.sbom_id or known.sbom.sha256 != result.sbom.sha256


def compare(known: ScanResult, result: ScanResult) -> tuple[Change, ...]:
    """Return the differences between two results of one artifact.

    Args:
        known: The previous result.
        result: The new result.

    Returns:
        A change for each field that differs: verdict, SBOM fields, licence, chat templates, hashes
        known both times, files and neighbours by name. For an artifact with another pin this may
        be the pin of one file only; for equal files under another pin it is that pin.
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
    yield from _file_changes(known, result)
    if known.pin != result.pin and drift_of(result, known) == "unchanged":
        yield _change(_PIN, known.pin, result.pin)


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


@dataclass(frozen=True, slots=True)
class _File:
    """A file of an artifact as one scan found it."""

    pin: str
    sha256: str = ""
    """Of its bytes, if they were hashed."""

    def compare(self, other: "_File") -> Relation:
        """Compare with what another scan found."""
        relation = relation_of(self.pin, other.pin)
        if relation == "touched" and self.sha256 and other.sha256:
            return "equal" if self.sha256 == other.sha256 else "other"
        return relation


def _file_changes(known: ScanResult, result: ScanResult) -> Iterator[Change]:
    before, after = _files(known), _files(result)
    if known.neighbours is None or result.neighbours is None:
        before, after = _objects_only(before), _objects_only(after)
    if _is_by_another_version(known, result):
        # An earlier version looked at fewer files, and named them by their last parts.
        before = {label: file for label, file in before.items() if not _is_unlike(label, after)}
        objects = _objects_only(after)
        after = {label: file for label, file in after.items() if label in before} | objects
    absent = _File("")
    for label in sorted(before.keys() | after.keys()):
        old, new = before.get(label, absent), after.get(label, absent)
        relation = old.compare(new)
        if relation != "equal":
            hint = f" (change times differ: {TOUCHING})" if relation == "touched" else ""
            yield _change(label, old.pin, new.pin + hint)


def _files(result: ScanResult) -> dict[str, _File]:
    """Return the files of an artifact by ``object:`` or ``neighbour:`` and their names."""
    folder = folder_of(result.url)
    pins = {f"object:{item.url.removeprefix(folder)}": item.pin for item in result.objects}
    pins |= {f"neighbour:{name}": pin for name, pin in (result.neighbours or {}).items()}
    digests = {storable_label(label): sha256 for label, sha256 in result.digests.items()}
    # Rows of the table hold names as valid Unicode.
    named = ((storable_label(label), pin) for label, pin in pins.items())
    return {label: _File(pin, digests.get(label, "")) for label, pin in named}


def _objects_only(files: dict[str, _File]) -> dict[str, _File]:
    return {label: file for label, file in files.items() if label.startswith("object:")}


def _is_unlike(label: str, after: dict[str, _File]) -> bool:
    """Whether a file that an earlier version recorded may have another label now."""
    kind, _, name = label.partition(":")
    if kind != "neighbour" or label in after:
        return name == _PICKLES
    return any(other.endswith(f"/{name}") for other in after)


def _change(field: str, before: Any, after: Any) -> Change:
    return Change(_short(field), _short(before), _short(after))


def _short(value: Any) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= _TEXT_LIMIT else text[: _TEXT_LIMIT - 1] + "…"
