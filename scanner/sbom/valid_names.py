"""Results whose names and texts are valid Unicode, for everything that leaves the scanner.

Inside, a name is what the file system says, so that the file can be opened. `scanner.storage.names`
has the form that is shown: two files never have the same.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from prefect_mutagen.scanner.findings import Finding
from prefect_mutagen.scanner.results import STATED, Change, ObjectResult, Sbom, ScanResult
from prefect_mutagen.scanner.storage.names import (
    has_surrogates,
    original_name,
    readable,
    storable,
    storable_name,
)
from prefect_mutagen.scanner.verdicts import Reason

__all__ = ["original_label", "storable_label", "with_valid_names"]

_LABELS: Final = ("object:", "neighbour:")


def storable_label(label: str) -> str:
    """Return a label of `ScanResult.digests`, or a field of drift, as valid Unicode."""
    for kind in _LABELS:
        if label.startswith(kind):
            return kind + storable_name(label.removeprefix(kind))
    return readable(label)


def original_label(label: str) -> str:
    """Reverse `storable_label`."""
    for kind in _LABELS:
        if label.startswith(kind):
            return kind + original_name(label.removeprefix(kind))
    return label


def with_valid_names(result: ScanResult) -> ScanResult:
    """Return a result whose names can be encoded; one that has only valid ones stays as it is.

    Metadata alone is no reason for a copy: the encoders see to its texts.
    """
    if not any(has_surrogates(text) or text.startswith("file:") for text in _texts(result)):
        return result
    urls = {url for url in _addresses(result) if has_surrogates(url)}
    # The longest first: one may be the start of another.
    known = {url: storable(url) for url in sorted(urls, key=len, reverse=True)}

    def message(text: str) -> str:
        if has_surrogates(text):
            for url, shown in known.items():
                text = text.replace(url, shown)
        return readable(text)

    def finding(found: Finding) -> Finding:
        url, field = storable(found.url), storable_name(found.field)
        return replace(found, url=url, field=field, message=message(found.message))

    def reason(why: Reason) -> Reason:
        return replace(why, value=message(why.value), message=message(why.message))

    verdict = replace(
        result.verdict,
        reasons=tuple(map(reason, result.verdict.reasons)),
        waived=tuple(map(reason, result.verdict.waived)),
    )
    pins = result.neighbours
    named = None if pins is None else {storable_name(name): pin for name, pin in pins.items()}
    return replace(
        result,
        url=storable(result.url),
        objects=tuple(_object(item) for item in result.objects),
        sbom=_sbom(result.sbom, message),
        sources={readable(name): message(source) for name, source in result.sources.items()},
        facts=_fact(result.facts),
        sha256_source=message(result.sha256_source),
        findings=tuple(map(finding, result.findings)),
        verdict=verdict,
        neighbours=named,
        drift_details=tuple(map(_change, result.drift_details)),
        loads={loader: tuple(map(storable_name, files)) for loader, files in result.loads.items()},
        digests={storable_label(label): sha256 for label, sha256 in result.digests.items()},
    )


def _addresses(result: ScanResult) -> Iterator[str]:
    yield result.url
    yield result.sbom.model_path
    for item in result.objects:
        yield item.url
    for finding in result.findings:
        yield finding.url


def _texts(result: ScanResult) -> Iterator[str]:
    yield from _addresses(result)
    yield result.sbom.model_filename
    yield result.sha256_source
    yield from result.sbom.warnings
    for item in result.objects:
        if item.sbom is not None:
            yield item.sbom.model_filename
    for finding in result.findings:
        yield finding.message
        yield finding.field
    for why in (*result.verdict.reasons, *result.verdict.waived):
        yield why.message
        yield why.value
    yield from result.neighbours or ()
    yield from result.digests
    yield from result.sources.values()
    for files in result.loads.values():
        yield from files
    for change in result.drift_details:
        yield change.field
    yield from _texts_of(result.facts)


def _texts_of(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, member in value.items():
            yield name
            yield from _texts_of(member)
    elif isinstance(value, list | tuple):
        for member in value:
            yield from _texts_of(member)


def _object(item: ObjectResult) -> ObjectResult:
    sbom = item.sbom if item.sbom is None else _sbom(item.sbom, readable)
    return replace(item, url=storable(item.url), sbom=sbom)


def _sbom(sbom: Sbom, message: Any) -> Sbom:
    return replace(
        sbom,
        model_path=storable(sbom.model_path),
        model_filename=storable_name(sbom.model_filename),
        metadata=_readable(sbom.metadata),
        warnings=tuple(map(message, sbom.warnings)),
        **{name: _readable(getattr(sbom, name)) for name in STATED},
    )


def _readable(value: Any) -> Any:
    """Return a value from a file's content with its lone surrogates as visible escapes."""
    if isinstance(value, str):
        return readable(value)
    if isinstance(value, Mapping):
        return {readable(name): _readable(member) for name, member in value.items()}
    return [_readable(member) for member in value] if isinstance(value, list | tuple) else value


def _change(change: Change) -> Change:
    before, after = readable(change.before), readable(change.after)
    # A field that is a label was made with `storable_label`.
    return replace(change, field=readable(change.field), before=before, after=after)


def _fact(value: Any) -> Any:
    """Return a fact whose names are valid; a surrogate that stands for a byte is in a name."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, Mapping):
        return {storable(name): _fact(member) for name, member in value.items()}
    return [_fact(member) for member in value] if isinstance(value, list | tuple) else value
