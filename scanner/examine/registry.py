"""Read what the models of an Ollama store have besides their weights: templates, licences, texts.

A Go template (``text/template``) is named by its SHA-256 and not judged as Jinja: it can call
nothing but what Ollama hands to it. Whether Ollama renders it or the template of the GGUF file
depends on Ollama's settings and version, so facts list both, and `Policy.allowed_templates` asks
for both. Like the rest of an examination this does no I/O.
"""

import hashlib
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from prefect_mutagen.scanner.content.facts import plain_text
from prefect_mutagen.scanner.content.license_statements import (
    LicenseStatement,
    find_conflict,
    license_facts,
    license_findings,
    license_in_text,
    model_license,
)
from prefect_mutagen.scanner.content.ollama import CONFIG, blob_digest
from prefect_mutagen.scanner.content.safe_load import load_json
from prefect_mutagen.scanner.content.templates import find_template_escapes, make_template
from prefect_mutagen.scanner.findings import Finding, make_finding
from prefect_mutagen.scanner.listing.artifacts import RegistryModel
from prefect_mutagen.scanner.results import ScanResult
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.requests import Read, Request, read
from prefect_mutagen.scanner.storage.store import StoredObject

__all__ = ["LicenseText", "RegistryTexts", "add_registry", "load_registry"]

_LIMIT: Final = 1 << 20
"""Most bytes that are read of a text."""
_TEMPLATES: Final = ("template", "prompt")
_JINJA: Final = "jinja"
_UNREAD: Final = ("json", "unread")
_CONFIG_KEYS: Final = ("model_format", "model_family", "model_type", "file_type")
# With one of these, Ollama's own code formats messages instead of a template.
_FORMATTERS: Final = ("renderer", "parser")
_MOST_BLOBS: Final = 1000
"""Texts that are read for one artifact; a blob may serve many models."""


@dataclass(frozen=True, slots=True)
class LicenseText:
    """The text of a licence layer."""

    raw: bytes
    url: str
    model: str
    """Name of a model that it belongs to."""


@dataclass(frozen=True, slots=True)
class RegistryTexts:
    """What the manifests of an artifact's models state besides its weights."""

    models: tuple[dict[str, Any], ...] = ()
    """Facts by model."""
    templates: tuple[dict[str, Any], ...] = ()
    """Place, length and SHA-256 of each Go template."""
    licenses: tuple[LicenseText, ...] = ()
    """Each licence text once."""
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class _Text:
    """A blob that is not weights, as far as it was read."""

    raw: bytes | None = None
    sha256: str = ""
    findings: tuple[Finding, ...] = ()


def load_registry(
    models: Sequence[RegistryModel], objects: Sequence[StoredObject]
) -> Generator[Request, Any, RegistryTexts]:
    """Read the texts of an artifact's models, each blob once.

    Args:
        models: The models.
        objects: The artifact's own files, as they were read.

    Returns:
        Facts and findings; an unreadable text is a finding, never raised.
    """
    read_before: dict[str, _Text] = {}
    entries, templates = list[dict[str, Any]](), list[dict[str, Any]]()
    licenses: dict[str, LicenseText] = {}
    findings: list[Finding] = []
    for model in models:
        findings += _check_size(model, objects)
        entry: dict[str, Any] = {"name": model.name, "as": model.kind, "url": model.manifest.url}
        for kind, item in model.texts:
            if kind in _UNREAD:
                findings += _untold(kind, item, model, entry)
                continue
            if item.url not in read_before and len(read_before) >= _MOST_BLOBS:
                continue
            if item.url not in read_before:
                read_before[item.url] = yield from _read_text(item, kind)
                findings += read_before[item.url].findings
            text = read_before[item.url]
            if kind == CONFIG:
                entry |= _config(text.raw)
                continue
            stated = {"length": item.size, "sha256": text.sha256 or None}
            findings += _judge(kind, text, item, model)
            if kind == "license":
                entry.setdefault("licenses", []).append(stated)
                if text.raw is not None:
                    licenses.setdefault(item.url, LicenseText(text.raw, item.url, model.name))
            else:
                entry[kind] = stated
            if kind in (*_TEMPLATES, _JINJA):
                templates.append({"place": f"{kind} of {model.name}", **stated})
        entries.append(entry)
    return RegistryTexts(
        tuple(entries), tuple(templates), tuple(licenses.values()), tuple(findings)
    )


def _untold(
    kind: str, item: StoredObject, model: RegistryModel, entry: dict[str, Any]
) -> tuple[Finding, ...]:
    """Return the findings about a blob that is not read."""
    if kind == "json":  # a tokenizer may have many megabytes
        entry.setdefault(kind, []).append({"length": item.size})
        return _missing(item, kind)
    message = f"a layer of {model.name} that loaders may take is not read"
    return (make_finding("set/layer-unexamined", message, url=item.url, field=item.name),)


def _judge(kind: str, text: _Text, item: StoredObject, model: RegistryModel) -> Iterator[Finding]:
    """Yield what is wrong with a template that is rendered as Jinja."""
    if kind == _JINJA and text.raw is not None:
        template = make_template(f"template of {model.name}", text.raw.decode("utf-8", "replace"))
        yield from find_template_escapes((template,), item.url)


def add_registry(result: ScanResult, texts: RegistryTexts) -> ScanResult:
    """Return a result with the facts and findings of its registry; the verdict is added later.

    Licence layers apply beside what the file states; of a text that is long, its title counts.
    """
    if not texts.models:
        return result
    facts = dict(result.facts) | {"registry": list(texts.models)}
    if texts.templates:
        facts["chat_templates"] = [*facts.get("chat_templates", ()), *texts.templates]
    findings = tuple(dict.fromkeys((*result.findings, *texts.findings)))
    result = replace(result, facts=facts, findings=findings)
    return _add_licenses(result, texts)


def _add_licenses(result: ScanResult, texts: RegistryTexts) -> ScanResult:
    """Add what the licence layers say: all of it applies, beside what the file itself states."""
    layers = [
        statement
        for one in texts.licenses
        for statement in license_in_text(f"licence layer of {one.model}", one.raw, one.url)
    ]
    if not layers:
        return result
    own = [
        LicenseStatement(one["value"], one["spdx"], one["source"])
        for one in result.facts.get("licenses") or ()
    ]
    every = list(dict.fromkeys((*own, *layers)))
    findings = list(result.findings)
    findings += license_findings(layers, result.url)
    if own and find_conflict(own, result.url) is None:
        conflict = find_conflict(every, result.url)
        findings += [conflict] if conflict is not None else []
    result = replace(
        result,
        license_spdx=model_license(every),
        facts={**result.facts, "licenses": license_facts(every)},
        findings=tuple(dict.fromkeys(findings)),
    )
    if own:
        return result
    return replace(
        result,
        sbom=replace(result.sbom, license=layers[0].value),
        sources={**result.sources, "license": layers[0].source},
    )


def _check_size(model: RegistryModel, objects: Sequence[StoredObject]) -> list[Finding]:
    if len(objects) != 1 or model.size < 0 or objects[0].fault is not None:
        return []
    item = objects[0]
    if item.size in (model.size, -1):
        return []
    message = f"it has {item.size} bytes; the manifest of {model.name} states {model.size}"
    return [make_finding("set/layer-size", message, url=item.url, field=model.kind)]


def _read_text(item: StoredObject, kind: str) -> Generator[Request, Any, _Text]:
    if not item.size and item.fault is None:
        return _Text(b"", hashlib.sha256().hexdigest())
    try:
        if item.fault is not None:
            raise item.fault
        if item.size > _LIMIT:
            message = f"the text has {item.size} bytes; {_LIMIT} are read of one"
            return _Text(findings=_not_read(item, kind, message))
        reply = yield from read(Read(item, 0, item.size if item.size > 0 else _LIMIT, shared=True))
    except StorageError as problem:
        return _Text(findings=_unread(item, kind, problem))
    digest = hashlib.sha256(reply.data).hexdigest()
    named = blob_digest(item.name) or item.sha256
    if named == digest or len(reply.data) < reply.size:
        return _Text(reply.data, digest)
    message = f"the SHA-256 values disagree: name of the store's blob: {named}; computed: {digest}"
    mismatch = make_finding("sbom/hash-mismatch", message, url=item.url, field="sha256")
    return _Text(reply.data, digest, (mismatch,))


def _missing(item: StoredObject, kind: str) -> tuple[Finding, ...]:
    return () if item.fault is None else _unread(item, kind, item.fault)


def _unread(item: StoredObject, kind: str, problem: StorageError) -> tuple[Finding, ...]:
    if problem.code.startswith("set/"):
        return (make_finding(problem.code, str(problem), url=item.url, field=item.name),)
    return _not_read(item, kind, f"{item.name} cannot be read: {problem.reason}")


def _not_read(item: StoredObject, kind: str, message: str) -> tuple[Finding, ...]:
    """Return findings for a text that was not read; the kind of a layer is its name."""
    found = [make_finding("sbom/neighbour-unread", message, url=item.url, field=kind)]
    if kind in (*_TEMPLATES, _JINJA):
        found.append(make_finding("template/unexamined", message, url=item.url, field=kind))
    return tuple(found)


def _config(raw: bytes | None) -> dict[str, str]:
    values = load_json(raw or b"{}").values
    texts = {key: plain_text(values.get(key)) for key in (*_CONFIG_KEYS, *_FORMATTERS)}
    return {key: text for key, text in texts.items() if text}
